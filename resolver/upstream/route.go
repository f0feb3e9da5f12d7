package upstream

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/weirdns/weir/internal/dnsname"
)

// ZoneConfig sends some questions elsewhere.
type ZoneConfig struct {
	// Disabled rules are as if they were not there.
	Disabled bool `yaml:"disabled"`
	// Zones are what it is for: these names and all below them. Default: all.
	Zones []string `yaml:"zones"`
	// Clients are the networks that it is for. Default: all.
	Clients []string `yaml:"clients"`
	// Servers as above, chosen by the same strategy. Their zones' names are asked
	// of nobody else, also when none of them answers.
	Servers []string `yaml:"servers"`
}

// MaxZones bounds the rules: every query that is not answered here is held
// against each of them.
const MaxZones = 63

func (z *ZoneConfig) validate(hosts []HostConfig) error {
	var errs []error
	add := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if len(z.Zones)+len(z.Clients) == 0 {
		add("zones: needs zones or clients; servers for all stand in upstream.servers")
	}
	for i, s := range z.Zones {
		if _, err := dnsname.Parse(s); err != nil {
			add("zones[%d]: %q is not a domain name: %v", i, s, err)
		}
	}
	for i, s := range z.Clients {
		if _, err := parseNetwork(s); err != nil {
			add("clients[%d]: must be an address or a network, got %q", i, s)
		}
	}
	if len(z.Servers) == 0 || len(z.Servers) > maxServers {
		add("servers: must name 1 to %d servers, got %d", maxServers, len(z.Servers))
	}
	for i, s := range z.Servers {
		if _, err := parseTarget(s, hosts); err != nil {
			add("servers[%d]: %q: %w", i, s, err)
		}
	}
	return errors.Join(errs...)
}

func parseNetwork(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	return p.Masked(), err
}

// route is a rule with its servers. The first of all is for what no rule is for.
type route struct {
	zones   []dnsname.Name
	clients []netip.Prefix
	servers []*server
}

// addRoutes makes the routes of a valid cfg. A server that stands in several
// is one: with one health, one set of connections.
func (g *Group) addRoutes(cfg *Config, open func(text string) *server) {
	all := route{}
	for _, text := range cfg.Servers {
		all.servers = append(all.servers, open(text))
	}
	g.routes = append(g.routes, all)
	for i := range cfg.Zones {
		z := &cfg.Zones[i]
		if z.Disabled {
			continue
		}
		r := route{}
		for _, s := range z.Zones {
			r.zones = append(r.zones, dnsname.MustParse(s)) // Validate has read them
		}
		for _, s := range z.Clients {
			p, _ := parseNetwork(s)
			r.clients = append(r.clients, p)
		}
		for _, text := range z.Servers {
			r.servers = append(r.servers, open(text))
		}
		g.routes = append(g.routes, r)
	}
}

// Route is which rule a question of client is for, 0 for none: the one with the
// longest zone, then one for the client before one for all, then the first.
// Answers to questions of different routes are different answers.
func (g *Group) Route(name dnsname.Name, client netip.Addr) uint8 {
	best, longest := 0, -1
	for i := 1; i < len(g.routes); i++ {
		r := &g.routes[i]
		if fit := r.fit(name, client); fit > longest {
			best, longest = i, fit
		}
	}
	return uint8(best)
}

// fit is how well a route is for a question; -1: not at all.
func (r *route) fit(name dnsname.Name, client netip.Addr) int {
	fit := 0
	if len(r.clients) > 0 {
		in := false
		for _, p := range r.clients {
			in = in || p.Contains(client.WithZone(""))
		}
		if !in {
			return -1
		}
		fit = 1
	}
	if len(r.zones) == 0 {
		return fit
	}
	longest := -1
	for _, z := range r.zones {
		if len(z) > longest && name.Within(z) {
			longest = len(z)
		}
	}
	if longest < 0 {
		return -1
	}
	return fit + 2*longest
}
