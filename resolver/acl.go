package resolver

import (
	"errors"
	"fmt"
	"net/netip"
)

// acl says whom we answer. It is asked before a single octet is parsed.
type acl struct {
	prefixes []netip.Prefix
}

func parseACL(allow []string) (*acl, error) {
	a := &acl{}
	var errs []error
	for i, s := range allow {
		p, err := netip.ParsePrefix(s)
		if addr, aerr := netip.ParseAddr(s); err != nil && aerr == nil {
			p, err = addr.Prefix(addr.BitLen())
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("allow[%d]: must be an address or a network like 192.168.0.0/16, got %q", i, s))
			continue
		}
		a.prefixes = append(a.prefixes, p.Masked())
	}
	return a, errors.Join(errs...)
}

// allows takes an unmapped address.
func (a *acl) allows(client netip.Addr) bool {
	client = client.WithZone("")
	for _, p := range a.prefixes {
		if p.Contains(client) {
			return true
		}
	}
	return false
}

// everybody says whether some network is so large that strangers are in it: no
// single organisation holds more than a /8, or in IPv6 a /16.
func (a *acl) everybody() bool {
	for _, p := range a.prefixes {
		limit := 16
		switch a := p.Addr(); {
		case a.Is4():
			limit = 8
		case a.IsPrivate(), a.IsLinkLocalUnicast():
			limit = 7 // fc00::/7 and fe80::/10 as a whole
		}
		if p.Bits() < limit {
			return true
		}
	}
	return false
}
