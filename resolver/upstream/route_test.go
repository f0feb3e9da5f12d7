package upstream_test

import (
	"net/netip"
	"testing"

	"github.com/miekg/dns"

	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/internal/dnstest"
	"github.com/weirdns/weir/resolver/upstream"
)

func TestQuestionsGoWhereTheyBelong(t *testing.T) {
	var servers [5]*dnstest.Server
	for i := range servers {
		servers[i] = dnstest.NewServer(t)
		servers[i].ScriptAll(dnstest.Rcode(dns.RcodeNameError))
	}
	g, _ := idle(t, func(c *upstream.Config) {
		c.Servers = []string{servers[0].Addr()}
		c.Zones = []upstream.ZoneConfig{
			{Zones: []string{"corp.example", "10.in-addr.arpa"}, Servers: []string{servers[1].Addr()}},
			{Zones: []string{"lab.corp.example"}, Servers: []string{servers[2].Addr()}},
			{Clients: []string{"192.0.2.0/24"}, Servers: []string{servers[3].Addr()}},
			{Zones: []string{"corp.example"}, Clients: []string{"192.0.2.7"}, Servers: []string{servers[4].Addr()}},
			{Disabled: true, Zones: []string{"org"}, Servers: []string{servers[4].Addr()}},
		}
	})
	for _, tt := range []struct {
		name, client string
		want         int
	}{
		{"www.example.org", "198.51.100.1", 0},
		{"corp.example", "198.51.100.1", 1},
		{"a.b.corp.example", "198.51.100.1", 1},
		{"xcorp.example", "198.51.100.1", 0},
		{"4.3.2.10.in-addr.arpa", "198.51.100.1", 1},
		{"4.3.2.110.in-addr.arpa", "198.51.100.1", 0},
		{"www.lab.corp.example", "198.51.100.1", 2},
		{"www.example.org", "192.0.2.1", 3},
		{"www.corp.example", "192.0.2.1", 1},
		{"www.corp.example", "192.0.2.7", 4},
		{"www.lab.corp.example", "192.0.2.7", 2},
		{"www.example.org", "2001:db8::1", 0},
	} {
		q := question(tt.name, dns.TypeA)
		q.Client = netip.MustParseAddr(tt.client)
		a, err := g.Exchange(t.Context(), q)
		if err != nil || a.Server != servers[tt.want].Addr() {
			t.Errorf("%s of %s: %+v, %v; want server %d", tt.name, tt.client, a, err, tt.want)
		}
		if got := g.Route(dnsname.MustParse(tt.name), q.Client); got != uint8(tt.want) {
			t.Errorf("%s of %s: route %d, want %d", tt.name, tt.client, got, tt.want)
		}
	}
}

// A private name is nobody else's business, also while its servers are dead.
func TestZonesDoNotLeak(t *testing.T) {
	public, private := dnstest.NewServer(t, "example.", zone), dnstest.NewServer(t)
	private.Stop()
	g, _ := idle(t, func(c *upstream.Config) {
		c.Servers = []string{public.Addr()}
		c.Zones = []upstream.ZoneConfig{{Zones: []string{"example"}, Servers: []string{private.Addr()}}}
	})
	for range 5 {
		if a, err := g.Exchange(t.Context(), question("www.example", dns.TypeA)); err == nil {
			t.Errorf("got %+v, want an error", a)
		}
	}
	if n := len(public.Queries()); n != 0 {
		t.Errorf("the public server was asked %d times", n)
	}
}

func TestBadZonesAreNamed(t *testing.T) {
	cfg := upstream.DefaultConfig()
	cfg.Servers = []string{"192.0.2.1"}
	cfg.Zones = []upstream.ZoneConfig{{Zones: []string{"a..b"}, Clients: []string{"here"}, Servers: []string{"dns.example"}}, {Servers: []string{"192.0.2.2"}}}
	mustName(t, cfg.Validate(), "zones[0].zones[0]", "zones[0].clients[0]", "zones[0].servers[0]", "zones[1].zones")
}
