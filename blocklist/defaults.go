package blocklist

import (
	"errors"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// Defaults hold for each list that says nothing of its own.
type Defaults struct {
	// Bootstrap are resolvers, IP or IP:port, for the hosts of lists' URLs, in
	// place of the system's. A list with a proxy has no use for them. Default none.
	Bootstrap []string `yaml:"bootstrap"`
}

// Validate says everything that is wrong with d, as one joined error.
func (d *Defaults) Validate() error {
	c := Config{Bootstrap: d.Bootstrap}
	return errors.Join(c.checkWay()...)
}

// Apply fills in what c leaves open.
func (d *Defaults) Apply(c *Config) {
	if c.URL != "" && c.Proxy == "" && len(c.Bootstrap) == 0 {
		c.Bootstrap = slices.Clone(d.Bootstrap)
	}
}

// AsksSystem says whether the host of the list's URL is resolved by the system's
// resolver.
func (c *Config) AsksSystem() bool {
	if c.Disabled || c.URL == "" || c.Proxy != "" || len(c.Addresses)+len(c.Bootstrap) > 0 {
		return false
	}
	u, err := url.Parse(strings.ReplaceAll(c.URL, keyPlaceholder, "key"))
	if err != nil {
		return false // Validate has refused it
	}
	_, err = netip.ParseAddr(u.Hostname())
	return err != nil
}
