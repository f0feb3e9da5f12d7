package blocklist

import (
	"errors"
	"hash/maphash"
	"io"
	"time"
)

// data is what one successful load brings.
type data struct {
	set                *set
	format             Format
	rejected           Rejected
	sha256             string
	loaded, checked    time.Time
	etag, lastModified string
}

// compile parses a whole source into data; its error is a refusal or r's own.
func compile(r io.Reader, c *Config, g *guard, seed maphash.Seed) (*data, error) {
	p := newParser(c, g)
	p.out = newBuilder(seed)
	if err := p.read(r); err != nil {
		if errors.Is(err, errFull) {
			return nil, refuse(resultTooLarge, "%w", err)
		}
		return nil, err
	}
	return p.data()
}

// data is what was read, ready to serve.
func (p *parser) data() (*data, error) {
	set, err := p.out.freeze()
	if err != nil {
		return nil, refuse(resultTooLarge, "%w", err)
	}
	p.rejected[TooManyAddresses] += p.out.dropped
	return &data{set: set, format: p.format, rejected: p.rejected}, nil
}
