package resolver_test

import (
	"crypto/tls"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/weirdns/weir/resolver"
)

// proxyHeader6 is proxyHeader for an IPv6 client.
func proxyHeader6(client string) []byte {
	src := netip.MustParseAddr(client).As16()
	out := append([]byte("\r\n\r\n\x00\r\nQUIT\n\x21\x21\x00\x24"), src[:]...)
	out = append(out, make([]byte, 16)...)
	return append(out, 0xc0, 0, 0, 53)
}

// A host has a whole IPv6 /64 to choose its addresses from, so that counts as
// one client, over every transport that has connections.
func TestConnectionsAreCountedByNetworkOfTheClient(t *testing.T) {
	s, id := secure(t, answersA("www.example. 300 A 192.0.2.1"), func(c *resolver.Config) {
		c.ProxyProtocol, c.Allow = []string{"127.0.0.0/8"}, []string{"127.0.0.0/8", "2001:db8::/32", "192.0.2.0/24"}
		c.TCP.MaxConnsPerClient, c.TCP.IdleTimeout = 2, time.Minute
	})
	query := framed(t, "localhost.")
	// connect says whether the connection is served. It stays open.
	connect := func(addr string, header []byte, over string) bool {
		t.Helper()
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		_ = c.SetDeadline(time.Now().Add(30 * time.Second))
		_, _ = c.Write(header) // a connection that was refused says so when it is read
		if over != "tcp" {
			secured := tls.Client(c, roots(t, id))
			if secured.Handshake() != nil {
				return false
			}
			if over == "https" {
				return true // a handshake is more than who is refused gets
			}
			c = secured
		}
		_, _ = c.Write(query)
		n, err := c.Read(make([]byte, 512))
		return err == nil && n > 2
	}
	for over, addr := range map[string]string{"tcp": s.addr, "tls": s.resolver.AddrsTLS()[0], "https": s.resolver.AddrsHTTPS()[0]} {
		net64 := map[string]string{"tcp": "2001:db8:0:1", "tls": "2001:db8:0:2", "https": "2001:db8:0:3"}[over]
		before := counter(t, s.registry, "weir_tcp_evicted_total")
		for i, want := range []float64{0, 0, 1} {
			client := net64 + "::" + string(rune('1'+i))
			if !connect(addr, proxyHeader6(client), over) {
				t.Errorf("%s: connection %d of a /64, from %s: not served", over, i+1, client)
			}
			if n := counter(t, s.registry, "weir_tcp_evicted_total") - before; n != want {
				t.Errorf("%s: with connection %d of a /64 %v were closed to make room, want %v", over, i+1, n, want)
			}
		}
		if !connect(addr, proxyHeader6(net64+"f::1"), over) {
			t.Errorf("%s: a client of another /64 was refused", over)
		}
	}
	// IPv4 neighbours are clients of their own.
	for _, client := range []string{"192.0.2.1", "192.0.2.2", "192.0.2.3"} {
		if !connect(s.addr, proxyHeader(client), "tcp") {
			t.Errorf("%s was refused for what its neighbours have", client)
		}
	}
	if n := counter(t, s.registry, "weir_tcp_evicted_total"); n != 3 {
		t.Errorf("%v connections closed to make room, want 3", n)
	}
}

// What a /64 gave back, it may have again.
func TestConnectionsThatEndedMakeRoom(t *testing.T) {
	s := start(t, answersA("www.example. 300 A 192.0.2.1"), nil, func(c *resolver.Config) {
		c.ProxyProtocol, c.Allow, c.TCP.MaxConnsPerClient = []string{"127.0.0.1"}, []string{"2001:db8::/32"}, 1
	})
	for _, client := range []string{"2001:db8::1", "2001:db8::2", "2001:db8::3"} {
		c := dialTCP(t, s.addr)
		if _, err := c.Conn.Write(append(proxyHeader6(client), framed(t, "localhost.")...)); err != nil {
			t.Fatal(err)
		}
		if r, err := c.ReadMsg(); err != nil || r.Rcode != dns.RcodeSuccess {
			t.Fatalf("%s: %v, %v", client, r, err)
		}
		_ = c.Close()
		waitFor(t, "the connection to end", func() bool { return gauge(t, s.registry, "weir_tcp_connections") == 0 })
	}
}
