package resolver_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/weirdns/weir/resolver"
)

// At a limit a connection that is in use is never closed for another, and the
// one that has been idle for longest always is.
func TestIdleConnectionsMakeRoom(t *testing.T) {
	for _, limit := range []struct {
		what   string
		change func(*resolver.Config)
	}{
		{"of one client", func(c *resolver.Config) { c.TCP.MaxConnsPerClient = 2 }},
		{"of all", func(c *resolver.Config) { c.TCP.MaxConns = 2 }},
	} {
		t.Run(limit.what, func(t *testing.T) {
			up := &fakeUpstream{answer: zone("www.example. 300 IN A 192.0.2.1"), hold: make(chan struct{})}
			s := start(t, up, nil, func(c *resolver.Config) {
				limit.change(c)
				c.TCP.IdleTimeout, c.TCP.MessageTimeout = 10*time.Minute, time.Minute
			})
			ended := func(c *dns.Conn) bool { // within a while; see dialTCP
				_, err := c.Conn.Read(make([]byte, 1))
				return err != nil
			}
			var busy []*dns.Conn
			for i := range 2 {
				c := dialTCP(t, s.addr)
				if _, err := c.Conn.Write(framed(t, "www.example.")); err != nil {
					t.Fatal(err)
				}
				busy = append(busy, c)
				waitFor(t, "the query to wait", func() bool { return gauge(t, s.registry, "weir_dns_pending") == float64(i+1) })
			}
			if c := dialTCP(t, s.addr); !ended(c) {
				t.Error("a third connection was served while two are in use")
			}
			if n := counter(t, s.registry, "weir_tcp_refused_total"); n != 1 {
				t.Errorf("%v refused, want 1", n)
			}
			close(up.hold)
			for i, c := range busy {
				if m, err := c.ReadMsg(); err != nil || len(m.Answer) != 1 {
					t.Fatalf("connection %d: %v, %v; want the answer", i, m, err)
				}
			}
			// The second is used again, so the first has been idle for longer.
			if _, err := busy[1].Conn.Write(framed(t, "localhost.")); err != nil {
				t.Fatal(err)
			}
			if m, err := busy[1].ReadMsg(); err != nil || len(m.Answer) != 1 {
				t.Fatalf("got %v, %v", m, err)
			}
			waitFor(t, "a new connection to be served", func() bool {
				c := dialTCP(t, s.addr)
				_, _ = c.Conn.Write(framed(t, "localhost.")) // an error shows in what is read
				m, err := c.ReadMsg()
				return err == nil && len(m.Answer) == 1
			})
			if !ended(busy[0]) {
				t.Error("the first connection goes on, want it closed for the new one")
			}
			if n := counter(t, s.registry, "weir_tcp_evicted_total"); n != 1 {
				t.Errorf("%v evicted, want 1", n)
			}
			if n := gauge(t, s.registry, "weir_tcp_connections"); n != 2 {
				t.Errorf("%v connections, want 2", n)
			}
		})
	}
}

// What a client does not read is kept for it up to a bound; answers that come
// above that end its connection, long before the time to read them is over.
func TestAClientThatNeverReadsIsBounded(t *testing.T) {
	var large []string
	for i := range 3000 {
		large = append(large, fmt.Sprintf("large.example. 300 IN A 10.0.%d.%d", i>>8, i&255))
	}
	up := &fakeUpstream{answer: zone(large...), hold: make(chan struct{})}
	s := start(t, up, nil, func(c *resolver.Config) {
		c.TCP.IdleTimeout, c.TCP.MessageTimeout, c.TCP.MaxPipelined = 10*time.Minute, 10*time.Minute, 512
	})
	c := dialTCP(t, s.addr)
	if _, err := c.Conn.Write(framed(t, strings.Fields(strings.Repeat("large.example. ", 512))...)); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "all to wait", func() bool { return gauge(t, s.registry, "weir_dns_pending") == 512 })
	close(up.hold) // 24 MB, of which the kernel takes a few
	waitFor(t, "the connection to end", func() bool { return gauge(t, s.registry, "weir_tcp_connections") == 0 })
	if n := counter(t, s.registry, "weir_dns_socket_errors_total"); n == 0 {
		t.Error("no answer counted as unwritten")
	}
}
