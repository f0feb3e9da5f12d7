package blocklist

import (
	"errors"
	"io"
	"time"

	"github.com/weirdns/weir/internal/xfr"
)

// data is what one successful load brings.
type data struct {
	set                *set
	format             Format
	rejected           Rejected
	sha256             string
	loaded, checked    time.Time
	etag, lastModified string
	soa                *xfr.SOA // of a zone
	compiled           bool     // opened and not built
}

// compile parses a whole source into data; its error is a refusal or r's own.
func compile(r io.Reader, c *Config, g *guard, shop workshop) (*data, error) {
	p := newParser(c, g)
	p.out = newBuilder(shop)
	if err := p.read(r); err != nil {
		p.out.close()
		if errors.Is(err, errFull) {
			return nil, refuse(resultTooLarge, "%w", err)
		}
		return nil, err
	}
	return p.data()
}

// data is what was read, ready to serve.
func (p *parser) data() (*data, error) {
	p.out.patterns = p.patterns
	set, err := p.out.freeze()
	switch {
	case errors.Is(err, errCrowded):
		return nil, refuse(resultMalformed, "%w", err)
	case err != nil:
		return nil, refuse(resultTooLarge, "%w", err)
	}
	p.rejected[TooManyAddresses] += p.out.dropped
	return &data{set: set, format: p.format, rejected: p.rejected}, nil
}

// release gives up data that are not to serve.
func (d *data) release() {
	if d != nil {
		d.set.release()
	}
}
