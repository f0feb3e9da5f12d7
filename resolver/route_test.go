package resolver_test

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/resolver"
	"github.com/weirdns/weir/resolver/upstream"
)

// byClient answers with an address of the client's own.
type byClient struct{}

func (byClient) Route(_ dnsname.Name, client netip.Addr) uint8 { return client.As4()[3] }

func (b byClient) Exchange(ctx context.Context, q *upstream.Question) (*upstream.Answer, error) {
	f := &fakeUpstream{answer: zone("www.home.arpa. 300 A 192.0.2."+map[byte]string{1: "1", 2: "2"}[q.Client.As4()[3]], "4.3.2.10.in-addr.arpa. 300 PTR host.")}
	return f.Exchange(ctx, q)
}

// Where clients have servers of their own, no answer of one is another's, from
// the cache neither, and what a rule is for is asked although it is special.
func TestClientsWithServersOfTheirOwnShareNoAnswers(t *testing.T) {
	cfg := resolver.DefaultConfig()
	cfg.Listen, cfg.Upstream.Servers = []string{"127.0.0.1:0"}, []string{"192.0.2.53"}
	for _, client := range []string{"127.0.0.1", "127.0.0.2"} {
		cfg.Upstream.Zones = append(cfg.Upstream.Zones, upstream.ZoneConfig{
			Zones: []string{"home.arpa", "10.in-addr.arpa"}, Clients: []string{client}, Servers: []string{"192.0.2.54"},
		})
	}
	r, err := resolver.New(cfg, resolver.Deps{
		Log: zap.NewNop(), Registry: prometheus.NewRegistry(), Detector: &judge{}, Upstream: byClient{},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	ask := func(client, name string, qtype uint16) *dns.Msg {
		t.Helper()
		c := dns.Client{Timeout: 10 * time.Second, Dialer: &net.Dialer{LocalAddr: &net.UDPAddr{IP: net.ParseIP(client)}}}
		m, _, err := c.Exchange(new(dns.Msg).SetQuestion(name, qtype), r.Addrs()[0])
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	for range 2 { // the second time from the cache
		for client, want := range map[string]string{"127.0.0.1": "192.0.2.1", "127.0.0.2": "192.0.2.2"} {
			if m := ask(client, "www.home.arpa.", dns.TypeA); len(m.Answer) != 1 || m.Answer[0].(*dns.A).A.String() != want {
				t.Errorf("%s: want %s\n%s", client, want, m)
			}
		}
	}
	if m := ask("127.0.0.1", "4.3.2.10.in-addr.arpa.", dns.TypePTR); len(m.Answer) != 1 {
		t.Errorf("the private zone was not forwarded:\n%s", m)
	}
}
