package enrich

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// Config says which files know something of addresses. They are read at the start
// and again by SIGHUP.
type Config struct {
	// City is an mmdb file of countries, or of countries and cities, in the layout
	// of GeoLite2 (DB-IP's is the same). Default: empty, none; weir brings none.
	City string `yaml:"city"`
	// ASN is an mmdb file of autonomous systems, in the same layout. Default: empty,
	// none.
	ASN string `yaml:"asn"`
	// Networks is a CSV file that names addresses, ranges and networks of the site:
	// 192.0.2.7,printer or 192.0.2.0/24,lab. Default: empty, none.
	Networks string `yaml:"networks"`
	// OwnNetworks are where the site's own clients are. Of others, country and
	// autonomous system are looked up. Default: private, shared, loopback and
	// link-local address space.
	OwnNetworks []string `yaml:"own_networks"`
	// CacheEntries is how many addresses are kept with what the mmdb files say of
	// them. Default: 16384.
	CacheEntries int `yaml:"cache_entries"`
}

// DefaultConfig knows the address space that is nobody's but a site's own, and
// nothing else.
func DefaultConfig() Config {
	return Config{
		OwnNetworks: []string{
			"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", // RFC 1918
			"100.64.0.0/10",          // RFC 6598
			"127.0.0.0/8", "::1/128", // loopback
			"169.254.0.0/16", "fe80::/10", // link-local
			"fc00::/7", // RFC 4193
		},
		CacheEntries: 16384,
	}
}

const (
	maxCacheEntries = 1 << 22 // some 500 octets each
	maxOwnNetworks  = 4096
)

// Validate says everything that is wrong with c, short of reading files.
func (c *Config) Validate() error {
	var errs []error
	if c.CacheEntries < 1 || c.CacheEntries > maxCacheEntries {
		errs = append(errs, fmt.Errorf("cache_entries: must be 1 to %d, got %d", maxCacheEntries, c.CacheEntries))
	}
	if len(c.OwnNetworks) > maxOwnNetworks {
		errs = append(errs, fmt.Errorf("own_networks: at most %d, got %d", maxOwnNetworks, len(c.OwnNetworks)))
	}
	for i, s := range c.OwnNetworks {
		if _, err := parseNetwork(s); err != nil {
			errs = append(errs, fmt.Errorf("own_networks[%d]: %w", i, err))
		}
	}
	return errors.Join(errs...)
}

// Paths are the files that c names.
func (c *Config) Paths() (paths []string) {
	for _, p := range []string{c.City, c.ASN, c.Networks} {
		if p != "" {
			paths = append(paths, p)
		}
	}
	return paths
}

// parseNetwork reads an address or a prefix.
func parseNetwork(s string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(s)
	if err != nil {
		var a netip.Addr
		if a, err = netip.ParseAddr(s); err == nil {
			p = netip.PrefixFrom(a, a.BitLen())
		}
	}
	if err != nil || strings.Contains(s, "%") {
		return p, fmt.Errorf("must be an address or a network like 192.0.2.0/24, got %q", s)
	}
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p.Masked(), nil
}
