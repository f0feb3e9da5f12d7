package blocklist

import (
	"net/netip"
	"slices"

	"github.com/weirdns/weir/internal/dnsname"
)

// guard knows what no list may say, whatever feed it comes from.
type guard struct {
	suffixes *dnsname.Suffixes
	// own has the hosts that weir cannot do without and every name above one.
	own map[string]ownHost // by wire name
	// lenient lets an entry stand for all below a name that is above a public
	// suffix (amazonaws.com): for allow lists.
	lenient bool
}

type ownHost struct{ host, above bool }

// newGuard makes a guard that protects the given hosts.
func newGuard(hosts []dnsname.Name) *guard {
	g := &guard{suffixes: dnsname.DefaultSuffixes(), own: make(map[string]ownHost)}
	for _, h := range hosts {
		for at := h; len(at) > 1; at = at.Parent() {
			o := g.own[string(at)]
			if len(at) == len(h) {
				o.host = true
			} else {
				o.above = true
			}
			g.own[string(at)] = o
		}
	}
	return g
}

// check says why a rule for name must not be, if that is so.
func (g *guard) check(name dnsname.Name, flags uint8) (Reason, bool) {
	switch {
	case name.IsRoot():
		return PublicSuffix, false
	case endsInNumber(name):
		return IPAsName, false
	case name.Labels() == 1 && !g.suffixes.Split(name).Known:
		return SingleLabel, false
	}
	return g.checkHost(name, flags)
}

// checkHost is check for names of two labels or more that do not end in a number.
func (g *guard) checkHost(name dnsname.Name, flags uint8) (Reason, bool) {
	if g.suffixes.IsSuffix(name) || !g.lenient && flags&flagBelow != 0 && g.suffixes.IsAbove(name) {
		return PublicSuffix, false
	}
	if len(g.own) > 0 {
		if o, ok := g.own[string(name)]; ok && (o.host && flags&flagExact != 0 || o.above && flags&flagBelow != 0) {
			return OwnHost, false
		}
	}
	return 0, true
}

// guarded is the scope in which the guard must look at an entry: what lets a
// name pass cannot cut weir off from anything.
func (e *entry) guarded() uint8 {
	if e.own.passes() {
		return 0
	}
	return e.flags & flagScope
}

// endsInNumber says whether the top label is all digits, or a hexadecimal
// number: no domain ends so, but addresses and what is left of them do.
func endsInNumber(name dnsname.Name) bool {
	for len(name.Parent()) > 1 {
		name = name.Parent()
	}
	label := name.Label()
	if len(label) > 2 && label[0] == '0' && label[1] == 'x' {
		for _, c := range label[2:] {
			if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
				return false
			}
		}
		return true
	}
	for _, c := range label {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

// listable says whether an address may be an entry: what is private, loopback
// and so on belongs to the user's own network, and such lines in feeds are slips.
func listable(a netip.Addr) bool {
	a = a.Unmap()
	return a.IsGlobalUnicast() && !a.IsPrivate()
}

// wide says whether a network is so large that no list means it.
func wide(net netip.Prefix) bool {
	if net.Addr().Is4() {
		return net.Bits() < 8
	}
	return net.Bits() < 16
}

// reserved is what no public address is in: see listable.
var reserved = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/32"), netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("127.0.0.0/8"),
	netip.MustParsePrefix("169.254.0.0/16"), netip.MustParsePrefix("172.16.0.0/12"), netip.MustParsePrefix("192.168.0.0/16"),
	netip.MustParsePrefix("224.0.0.0/4"), netip.MustParsePrefix("255.255.255.255/32"),
	netip.MustParsePrefix("::/127"), netip.MustParsePrefix("fc00::/7"), netip.MustParsePrefix("fe80::/10"), netip.MustParsePrefix("ff00::/8"),
}

// listableNetwork is listable for networks: none of it may be private.
func listableNetwork(net netip.Prefix) bool {
	for _, r := range reserved {
		if r.Overlaps(net) {
			return false
		}
	}
	return true
}

// purge is s without what g refuses, for when g came to know of a host after s
// was made; s itself if there is nothing of that kind.
func (g *guard) purge(s *set, shop workshop) (*set, error) {
	clean := true
	for host, o := range g.own {
		name := dnsname.Name(host)
		if f, ok := s.lookup(name, flagExact); ok && o.host && f.blocks(flagExact) {
			clean = false
		}
		if f, ok := s.lookup(name, flagBelow); ok && o.above && f.blocks(flagBelow) {
			clean = false
		}
	}
	if s.patterns != nil && slices.ContainsFunc(s.patterns.all, func(p *pattern) bool { return !p.Own.passes() && g.matchesOwn(p) }) {
		clean = false
	}
	if clean {
		return s, nil
	}
	b := newBuilder(shop)
	b.locals.all = s.locals
	if s.patterns != nil {
		for _, p := range s.patterns.all {
			if p.Own.passes() || !g.matchesOwn(p) {
				b.patterns = append(b.patterns, p)
			}
		}
	}
	var buf [dnsname.MaxWire]byte
	for f := range s.all {
		e, err := f.entry(), error(nil)
		if f.flags&flagAddr != 0 {
			kind, p := networkOf(f.key)
			err = b.addNetwork(kind, p, e)
		} else if name := appendName(buf[:0], f.key); !g.refuses(name, e.guarded()) {
			err = b.addOwn(name, e) // freeze splits again what there is to split
		}
		if err != nil {
			return nil, err
		}
	}
	return b.freeze()
}

// refuses says whether check objects.
func (g *guard) refuses(name dnsname.Name, flags uint8) bool {
	_, ok := g.check(name, flags)
	return !ok
}
