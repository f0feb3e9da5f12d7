package resolver_test

import (
	"net"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/quic-go/quic-go"
	"github.com/weirdns/weir/resolver"
)

// Connections on which nothing, or half of something, comes take the places of
// each other and not of those who ask: over each transport the next true client
// is served at once, from a network of which there are many such, too.
func TestAFloodOfHalfOpenConnectionsLocksNobodyOut(t *testing.T) {
	s, id := secure(t, answersA("www.example. 300 A 192.0.2.1"), func(c *resolver.Config) {
		c.ListenQUIC = []string{"127.0.0.1:0"}
		c.TCP.MaxConns, c.TCP.MaxConnsPerClient = 24, 24
		c.TCP.IdleTimeout, c.TCP.MessageTimeout = 2*time.Minute, time.Minute // nobody goes by himself
	})
	tlsAddr, webAddr := s.resolver.AddrsTLS()[0], s.resolver.AddrsHTTPS()[0]
	for i := range 200 {
		c, err := net.Dial("tcp", []string{s.addr, tlsAddr, webAddr}[i%3])
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		if i%2 == 0 && i%3 > 0 {
			_, _ = c.Write([]byte{22, 3, 1, 2, 0, 1, 0}) // the beginning of a ClientHello
		}
	}
	waitFor(t, "all to be accepted", func() bool {
		return gauge(t, s.registry, "weir_tcp_connections")+counter(t, s.registry, "weir_tcp_evicted_total") == 200
	})
	if n := gauge(t, s.registry, "weir_tcp_connections"); n != 24 {
		t.Errorf("%v connections, want 24", n)
	}
	m := new(dns.Msg).SetQuestion("www.example.", dns.TypeA)
	for _, client := range []struct {
		network, addr string
	}{{"udp", s.addr}, {"tcp", s.addr}, {"tcp-tls", tlsAddr}} {
		c := dns.Client{Net: client.network, TLSConfig: roots(t, id), Timeout: 30 * time.Second}
		if r, _, err := c.Exchange(m, client.addr); err != nil || len(r.Answer) != 1 {
			t.Errorf("%s: %v, %v", client.network, r, err)
		}
	}
	wire, _ := m.Pack()
	if resp, _ := doh(t, browser(t, id, true), "POST", "https://"+webAddr+"/dns-query", message, wire); resp.StatusCode != 200 {
		t.Errorf("https: %s", resp.Status)
	}
	if r, _, err := askQUIC(t, mustDialQUIC(t, id, s.resolver.AddrsQUIC()[0]), queryQUIC("www.example.")); err != nil || len(r.Answer) != 1 {
		t.Errorf("quic: %v, %v", r, err)
	}
}

// Who has many connections over QUIC leaves TCP its places, and the reverse is
// above.
func TestQUICTakesNoPlacesOfTCP(t *testing.T) {
	s, id := overQUIC(t, answersA("www.example. 300 A 192.0.2.1"), nil, func(c *resolver.Config) {
		c.TCP.MaxConns, c.QUIC.MaxConns, c.QUIC.MaxConnsPerClient = 1, 3, 3
	})
	addr := s.resolver.AddrsQUIC()[0]
	open := func() (*quic.Conn, error) {
		c, err := dialQUIC(t, id, addr)
		if err == nil {
			_, _, err = askQUIC(t, c, queryQUIC("www.example."))
		}
		return c, err
	}
	for range 3 {
		if _, err := open(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := open(); err == nil {
		t.Error("a fourth connection was served")
	}
	if r := s.ask(t, "tcp", "www.example.", dns.TypeA, nil); len(r.Answer) != 1 {
		t.Errorf("tcp: %s", r)
	}
}
