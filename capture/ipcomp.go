package capture

import (
	"bytes"
	"errors"
	"io"

	"github.com/klauspost/compress/flate"
)

// inflater is what takes the compression off packets, made when the first comes.
type inflater struct {
	from bytes.Reader
	flat io.ReadCloser
	out  []byte
}

// inflate is what b holds, good until the next call, or nil. A packet that would
// be larger than any is none.
func (z *inflater) inflate(b []byte) []byte {
	z.from.Reset(b)
	if z.flat == nil {
		z.flat = flate.NewReader(&z.from)
		z.out = make([]byte, maxIPPayload)
	} else if err := z.flat.(flate.Resetter).Reset(&z.from, nil); err != nil {
		return nil
	}
	n, err := io.ReadFull(z.flat, z.out)
	if !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return nil
	}
	return z.out[:n]
}

// ipComp is RFC 3173 with DEFLATE (RFC 2394), whatever number was agreed on for
// it. What the capture cut is read as far as it goes.
func (d *decoder) ipComp(b []byte, missing int, a addresses) drop {
	const header = 4
	if len(b) < header {
		return dropTunnel
	}
	if d.left--; d.left < 0 {
		return dropNested
	}
	if d.inflated { // of one packet within another the memory would be the same
		return dropTunnel
	}
	d.inflated = true
	whole := d.inflater.inflate(b[header:])
	if len(whole) == 0 {
		return dropTunnel
	}
	return d.extensions(b[0], whole, missing, a)
}
