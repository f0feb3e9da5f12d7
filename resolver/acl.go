package resolver

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
)

// acl says whom we answer. It is asked before a single octet is parsed.
type acl struct {
	prefixes []netip.Prefix
}

func parseACL(allow []string) (*acl, error) { return parseNetworks("allow", allow) }

// parseNetworks reads the networks of a setting.
func parseNetworks(setting string, networks []string) (*acl, error) {
	a := &acl{}
	var errs []error
	for i, s := range networks {
		p, err := netip.ParsePrefix(s)
		if addr, aerr := netip.ParseAddr(s); err != nil && aerr == nil {
			p, err = addr.Prefix(addr.BitLen())
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s[%d]: must be an address or a network like 192.168.0.0/16, got %q", setting, i, s))
			continue
		}
		a.prefixes = append(a.prefixes, p.Masked())
	}
	return a, errors.Join(errs...)
}

func (a *acl) any() bool { return len(a.prefixes) > 0 }

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

// everybody says whether strangers are in it: no single organisation holds more
// than a /8 of public addresses, or in IPv6 a /16, in one piece or in many.
func (a *acl) everybody() bool {
	var v4, v6 float64 // in such shares
	for i, p := range a.prefixes {
		if a.covered(i) {
			continue
		}
		switch addr := p.Addr(); {
		case siteLocal(p):
		case addr.Is4():
			v4 += math.Ldexp(1, 8-p.Bits())
		default:
			v6 += math.Ldexp(1, 16-p.Bits())
		}
	}
	return v4 > 1 || v6 > 1
}

// covered says whether the prefix at i lies in another one, or is a repetition.
func (a *acl) covered(i int) bool {
	p := a.prefixes[i]
	for j, o := range a.prefixes {
		if o.Contains(p.Addr()) && (o.Bits() < p.Bits() || o == p && j < i) {
			return true
		}
	}
	return false
}

// siteLocal says whether all addresses of p mean something in one network only.
func siteLocal(p netip.Prefix) bool {
	for _, s := range siteNetworks {
		if s.Bits() <= p.Bits() && s.Contains(p.Addr()) {
			return true
		}
	}
	return false
}

var siteNetworks = [...]netip.Prefix{
	netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("10.0.0.0/8"),
	netip.MustParsePrefix("172.16.0.0/12"), netip.MustParsePrefix("192.168.0.0/16"),
	netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("169.254.0.0/16"),
	netip.MustParsePrefix("fc00::/7"), netip.MustParsePrefix("fe80::/10"),
}
