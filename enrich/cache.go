package enrich

import (
	"net/netip"

	"github.com/weirdns/weir/detect"
)

// cache keeps what was looked up last, in two generations: when one has half of
// all that may be kept, the one before it is forgotten.
type cache struct {
	half     int
	new, old map[netip.Prefix]detect.Place
}

func (c *cache) get(p netip.Prefix) (detect.Place, bool) {
	place, ok := c.new[p]
	if ok {
		return place, true
	}
	if place, ok = c.old[p]; ok {
		c.put(p, place)
	}
	return place, ok
}

func (c *cache) put(p netip.Prefix, place detect.Place) {
	if len(c.new) >= c.half {
		c.old, c.new = c.new, nil
	}
	if c.new == nil {
		c.new = map[netip.Prefix]detect.Place{}
	}
	c.new[p] = place
}

func (c *cache) clear() { c.new, c.old = nil, nil }

func (c *cache) len() int { return len(c.new) + len(c.old) }
