package blocklist

import (
	"bufio"
	"compress/gzip"
	"errors"
	"io"
)

const (
	// maxRatio is how many times larger than its compressed form a source may
	// be. Lists of names compress five to ten times.
	maxRatio = 100
	// ratioFrom is the size at which the ratio begins to count: small sources
	// may be one name repeated.
	ratioFrom = 1 << 20
)

// unpack is a source's text: r, through gzip if encoding or the first two octets
// say so, bounded by max octets of text.
func unpack(r io.Reader, encoding string, max int64) (io.Reader, error) {
	packed := &counter{r: r}
	text := io.Reader(packed)
	compressed := false
	switch encoding {
	case "", "identity":
	case "gzip", "x-gzip":
		z, err := gzip.NewReader(text)
		if err != nil {
			return nil, cut(err)
		}
		text, compressed = z, true
	default:
		return nil, refuse(resultBinary, "a content encoding other than gzip")
	}
	br := bufio.NewReaderSize(text, 4096)
	text = br
	if magic, _ := br.Peek(2); string(magic) == "\x1f\x8b" {
		z, err := gzip.NewReader(br)
		if err != nil {
			return nil, cut(err)
		}
		text, compressed = z, true
	}
	b := &bounded{r: text, max: max}
	if compressed {
		b.packed = packed
	}
	return b, nil
}

// counter counts what it passes on.
type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n += int64(n)
	return n, err
}

// bounded refuses more than max octets, and more than maxRatio for each octet
// that packed read.
type bounded struct {
	r      io.Reader
	n, max int64
	packed *counter // nil: not compressed
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	b.n += int64(n)
	if b.n > b.max {
		return 0, refuse(resultTooLarge, "larger than max_bytes, %d", b.max)
	}
	if b.packed != nil && b.n > ratioFrom && b.n > maxRatio*b.packed.n {
		return 0, refuse(resultTooLarge, "compressed more than %d to 1, which no list is", maxRatio)
	}
	if err != nil && err != io.EOF {
		return n, cut(err)
	}
	return n, err
}

// cut makes a refusal of the errors that mean that a source is not whole.
func cut(err error) error {
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return refuse(resultTruncated, "cut short: %w", err)
	case errors.Is(err, gzip.ErrChecksum), errors.Is(err, gzip.ErrHeader):
		return refuse(resultTruncated, "damaged: %w", err)
	}
	return err
}
