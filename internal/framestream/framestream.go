// Package framestream has the control frames of the Frame Streams protocol, in
// which dnstap travels (farsightsec/fstrm). Data frames are a length, of four
// octets, and that many octets; a length of zero stands in front of a control
// frame.
package framestream

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Types of control frames. A sender says READY and the receiver ACCEPT, unless the
// stream is a file; then the sender says START, its data, and STOP; and where
// there was an ACCEPT the receiver says FINISH when it has read all.
const (
	Accept = 1
	Start  = 2
	Stop   = 3
	Ready  = 4
	Finish = 5
)

// Dnstap is the content type of dnstap.
const Dnstap = "protobuf:dnstap.Dnstap"

const (
	contentType = 1 // the only field there is
	maxControl  = 512
)

// ErrFormat means that a stream cannot be read on.
var ErrFormat = errors.New("no Frame Streams protocol")

// AppendControl appends a control frame with its escape; content "" is none.
func AppendControl(dst []byte, kind uint32, content string) []byte {
	be := binary.BigEndian
	dst = be.AppendUint32(dst, 0)
	if content == "" {
		return be.AppendUint32(be.AppendUint32(dst, 4), kind)
	}
	dst = be.AppendUint32(dst, uint32(4+8+len(content)))
	dst = be.AppendUint32(dst, kind)
	dst = be.AppendUint32(dst, contentType)
	dst = be.AppendUint32(dst, uint32(len(content)))
	return append(dst, content...)
}

// ReadLength reads the length of a frame; 0 stands in front of a control frame.
func ReadLength(r io.Reader) (uint32, error) {
	var b [4]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return 0, err
	}
	return binary.BigEndian.Uint32(b[:]), nil
}

// ReadControl reads a control frame behind its escape: its type, and whether it
// names content, as one without that field does.
func ReadControl(r io.Reader, content string) (kind uint32, ours bool, err error) {
	n, err := ReadLength(r)
	if err != nil {
		return 0, false, inside(err)
	}
	if n < 4 || n > maxControl {
		return 0, false, fmt.Errorf("%w: a control frame of %d octets", ErrFormat, n)
	}
	var buf [maxControl]byte
	b := buf[:n]
	if _, err := io.ReadFull(r, b); err != nil {
		return 0, false, inside(err)
	}
	kind, b = binary.BigEndian.Uint32(b), b[4:]
	for ours = true; len(b) > 0; {
		if len(b) < 8 || uint64(len(b)-8) < uint64(binary.BigEndian.Uint32(b[4:])) {
			return 0, false, fmt.Errorf("%w: a field is longer than its frame", ErrFormat)
		}
		field, size := binary.BigEndian.Uint32(b), int(binary.BigEndian.Uint32(b[4:]))
		if value := b[8 : 8+size]; field == contentType {
			if string(value) == content {
				return kind, true, nil // READY may name several
			}
			ours = false
		}
		b = b[8+size:]
	}
	return kind, ours, nil
}

// inside is the error for an end inside of a frame.
func inside(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
