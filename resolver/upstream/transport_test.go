package upstream_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/weirdns/weir/internal/dnstest"
	"github.com/weirdns/weir/resolver/upstream"
)

// encrypted runs test for a server over each of the encrypted transports.
func encrypted(t *testing.T, test func(t *testing.T, s *dnstest.Server, id *dnstest.Identity, addr string)) {
	for _, proto := range []string{"tls", "https", "quic", "h3"} {
		t.Run(proto, func(t *testing.T) {
			id := dnstest.NewIdentity(t, "127.0.0.1", "dns.example")
			s := dnstest.NewServer(t, "example.", zone)
			test(t, s, id, over(s, proto, id))
		})
	}
}

func TestEncryptedServerAnswers(t *testing.T) {
	encrypted(t, func(t *testing.T, s *dnstest.Server, id *dnstest.Identity, addr string) {
		g, reg := group(t, func(c *upstream.Config) { c.Servers, c.CAFile = []string{addr}, id.CAFile })
		a, m := ask(t, g, question("alias.example", dns.TypeA))
		if addresses(m) != trueAddress || !a.TCP || a.Server != addr {
			t.Errorf("got %+v\n%s", a, m)
		}
		seen := s.Queries()[0]
		if !seen.Padded || seen.Length%128 != 0 || seen.Cookie != "" || seen.Name != "alias.example." {
			t.Errorf("server saw %+v, want it padded to 128, in lower case, without a cookie", seen)
		}
		if v := value(t, reg, "weir_upstream_queries_total", addr); v != 1 {
			t.Errorf("%v queries counted, want 1", v)
		}
	})
}

// Who cannot prove to be the server configured is not asked (RFC 8310, strict).
func TestImpostorsFailClosed(t *testing.T) {
	other := dnstest.NewIdentity(t, "127.0.0.1", "dns.example")
	encrypted(t, func(t *testing.T, s *dnstest.Server, id *dnstest.Identity, addr string) {
		_, hostport, _ := strings.Cut(addr, "://")
		hostport, _, _ = strings.Cut(hostport, "/")
		port := hostport[strings.LastIndex(hostport, ":"):]
		byName := strings.Replace(addr, "127.0.0.1", "dns.example", 1)
		zeros := base64.StdEncoding.EncodeToString(make([]byte, 32))
		host := func(pins ...string) []upstream.HostConfig {
			return []upstream.HostConfig{{Name: "dns.example", Addresses: []string{"127.0.0.1"}, Pins: pins}}
		}
		_ = port
		for _, tt := range []struct {
			name, server, ca string
			hosts            []upstream.HostConfig
			ok               bool
		}{
			{name: "address in the certificate", server: addr, ca: id.CAFile, ok: true},
			{name: "name after the address", server: addr + "#dns.example", ca: id.CAFile, ok: true},
			{name: "another name", server: addr + "#other.example", ca: id.CAFile},
			{name: "another CA", server: addr, ca: other.CAFile},
			{name: "the system's CAs", server: addr},
			{name: "name with addresses", server: byName, ca: id.CAFile, hosts: host(), ok: true},
			{name: "right pin, no CA", server: byName, hosts: host(id.Pin), ok: true},
			{name: "one of two pins", server: byName, hosts: host(zeros, id.Pin), ok: true},
			{name: "wrong pin, right CA", server: byName, ca: id.CAFile, hosts: host(other.Pin)},
		} {
			g, _ := idle(t, func(c *upstream.Config) {
				c.Servers, c.CAFile, c.Hosts = []string{tt.server}, tt.ca, tt.hosts
			})
			before := len(s.Queries())
			_, err := g.Exchange(t.Context(), question("www.example", dns.TypeA))
			if (err == nil) != tt.ok || err != nil && !errors.Is(err, upstream.ErrNetwork) {
				t.Errorf("%s: %v, want an answer: %v", tt.name, err, tt.ok)
			}
			if asked := len(s.Queries()) > before; asked != tt.ok {
				t.Errorf("%s: the question reached the server: %v", tt.name, asked)
			}
		}
	})
}

// The first of a name's addresses may be dead.
func TestNextAddressIsTried(t *testing.T) {
	encrypted(t, func(t *testing.T, s *dnstest.Server, id *dnstest.Identity, addr string) {
		g, _ := group(t, func(c *upstream.Config) {
			c.Servers, c.CAFile = []string{strings.Replace(addr, "127.0.0.1", "dns.example", 1)}, id.CAFile
			c.Hosts = []upstream.HostConfig{{Name: "dns.example", Addresses: []string{"127.0.0.77", "127.0.0.1"}}}
		})
		ask(t, g, question("www.example", dns.TypeA))
	})
}

// Questions share a connection, and an answer does not wait for a slower one
// before it.
func TestConnectionsAreSharedAndAnswersOvertake(t *testing.T) {
	encrypted(t, func(t *testing.T, s *dnstest.Server, id *dnstest.Identity, addr string) {
		g, _ := group(t, func(c *upstream.Config) {
			c.Servers, c.CAFile, c.Hedge = []string{addr}, id.CAFile, false
			c.Timeout, c.AttemptTimeout = 40*time.Second, 20*time.Second
		})
		ask(t, g, question("first.www.example", dns.TypeA))
		release := make(chan struct{})
		s.Script("slow.www.example.", func(x *dnstest.Exchange) {
			<-release
			x.Send(x.Good())
		})
		var slow sync.WaitGroup
		slow.Go(func() { ask(t, g, question("slow.www.example", dns.TypeA)) })
		waitFor(t, "the slow question", func() bool { return s.Count("slow.www.example.") == 1 })
		var quick sync.WaitGroup
		if !strings.HasPrefix(addr, "tls") { // the other side over TLS answers one by one
			for i := range 20 {
				quick.Go(func() { ask(t, g, question(fmt.Sprintf("n%d.www.example", i), dns.TypeA)) })
			}
			quick.Wait()
		}
		close(release)
		slow.Wait()
		ports := map[int]bool{}
		for _, q := range s.Queries() {
			ports[q.Port] = true
		}
		if len(ports) != 1 {
			t.Errorf("%d connections, want 1", len(ports))
		}
	})
}

// What comes first is answered first, over one connection, by ID.
func TestPipelinedAnswersInAnyOrder(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	const questions = 16
	var conns atomic.Int64
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			conns.Add(1)
			serving.Go(func() {
				defer c.Close()
				conn := &dns.Conn{Conn: c}
				var mu sync.Mutex
				var held []*dns.Msg
				flush := func() {
					mu.Lock()
					defer mu.Unlock()
					for i := len(held) - 1; i >= 0; i-- { // the last one first
						r := new(dns.Msg).SetReply(held[i])
						rr, _ := dns.NewRR(held[i].Question[0].Name + ` 60 TXT "` + held[i].Question[0].Name + `"`)
						r.Answer = []dns.RR{rr}
						_ = conn.WriteMsg(r)
					}
					held = nil
				}
				for {
					m, err := conn.ReadMsg()
					if err != nil {
						return
					}
					mu.Lock()
					held = append(held, m)
					mu.Unlock()
					time.AfterFunc(50*time.Millisecond, flush) // when more have come
				}
			})
		}
	})
	t.Cleanup(func() { l.Close(); serving.Wait() })
	g, _ := group(t, func(c *upstream.Config) {
		c.Servers, c.Hedge = []string{"tcp://" + l.Addr().String()}, false
		c.Timeout, c.AttemptTimeout = 20*time.Second, 10*time.Second
	})
	var wg sync.WaitGroup
	for i := range questions {
		wg.Go(func() {
			name := fmt.Sprintf("n%d.example", i)
			a, err := g.Exchange(t.Context(), question(name, dns.TypeTXT))
			if err != nil {
				t.Errorf("%s: %v", name, err)
				return
			}
			if m := unpack(t, a); len(m.Answer) != 1 || m.Answer[0].(*dns.TXT).Txt[0] != name+"." {
				t.Errorf("%s got the answer\n%s", name, m)
			}
		})
	}
	wg.Wait()
	if n := conns.Load(); n > 8 {
		t.Errorf("%d connections, want at most 8", n)
	}
}

// A connection that the server closed between two questions is no failure.
func TestClosedConnectionsAreReplaced(t *testing.T) {
	for _, proto := range []string{"tcp", "tls", "quic"} {
		t.Run(proto, func(t *testing.T) {
			id := dnstest.NewIdentity(t, "127.0.0.1")
			s := dnstest.NewServer(t, "example.", zone)
			g, reg := group(t, func(c *upstream.Config) { c.Servers, c.CAFile = []string{over(s, proto, id)}, id.CAFile })
			for i := range 5 {
				s.Script(fmt.Sprintf("n%d.www.example.", i), func(x *dnstest.Exchange) {
					x.Send(x.Good())
					x.Close()
				})
				ask(t, g, question(fmt.Sprintf("n%d.www.example", i), dns.TypeA))
			}
			if v := value(t, reg, "weir_upstream_failures_total"); v != 0 {
				t.Errorf("%v failures counted, want none", v)
			}
		})
	}
}

// A connection on which nothing comes back any more is given up for a new one
// before the question's time is over.
func TestDeadConnectionIsReplaced(t *testing.T) {
	for _, proto := range []string{"tcp", "tls", "quic"} {
		t.Run(proto, func(t *testing.T) {
			id := dnstest.NewIdentity(t, "127.0.0.1")
			s := dnstest.NewServer(t, "example.", zone)
			g, _ := group(t, func(c *upstream.Config) {
				c.Servers, c.CAFile = []string{over(s, proto, id)}, id.CAFile
				c.Timeout, c.AttemptTimeout, c.Hedge = 20*time.Second, 100*time.Millisecond, false
			})
			ask(t, g, question("first.www.example", dns.TypeA))
			s.Script("second.www.example.", firstThen(dnstest.Drop(), dnstest.Good()))
			ask(t, g, question("second.www.example", dns.TypeA))
			q := s.Queries()
			if len(q) != 3 || q[1].Port == q[2].Port {
				t.Errorf("queries %+v, want the third on a connection of its own", q)
			}
		})
	}
}

func TestHTTPFailuresAreTheNetworks(t *testing.T) {
	id := dnstest.NewIdentity(t, "127.0.0.1")
	s := dnstest.NewServer(t, "example.", zone)
	g, _ := group(t, func(c *upstream.Config) {
		c.Servers = []string{"https://" + s.ServeHTTPS(id, nil)}
		c.CAFile = id.CAFile
	})
	s.ScriptAll(func(x *dnstest.Exchange) { x.Fail(503) })
	if _, err := g.Exchange(t.Context(), question("www.example", dns.TypeA)); !errors.Is(err, upstream.ErrNetwork) {
		t.Errorf("status 503: %v, want ErrNetwork", err)
	}
}

func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("no %s", what)
		}
	}
}

// One answer is all that a stream may bring (RFC 9250, section 4.3.3): of two
// none is taken, and the connection is not used again.
func TestTwoAnswersOnAStreamAreNone(t *testing.T) {
	id := dnstest.NewIdentity(t, "127.0.0.1")
	s := dnstest.NewServer(t, "example.", zone)
	s.Script("www.example.", firstThen(func(x *dnstest.Exchange) { x.Send(x.Good()); x.Send(x.Good()) }, dnstest.Good()))
	g, reg := group(t, func(c *upstream.Config) { c.Servers, c.CAFile = []string{over(s, "quic", id)}, id.CAFile })
	if _, m := ask(t, g, question("www.example", dns.TypeA)); addresses(m) != trueAddress {
		t.Errorf("got %s", m)
	}
	if v := value(t, reg, "weir_upstream_invalid_total", "format"); v != 1 {
		t.Errorf("%v counted as malformed, want 1", v)
	}
	if q := s.Queries(); len(q) != 2 || q[0].Port == q[1].Port || q[0].ID != 0 {
		t.Errorf("queries %+v, want two with ID 0 over two connections", q)
	}
}

// A network that lets no QUIC through is no end: the next server is asked.
func TestSilenceOverQUICLeadsToTheNextServer(t *testing.T) {
	for _, proto := range []string{"quic", "h3"} {
		t.Run(proto, func(t *testing.T) {
			dead, err := net.ListenPacket("udp", "127.0.0.1:0") // takes datagrams and says nothing
			if err != nil {
				t.Fatal(err)
			}
			defer dead.Close()
			s := dnstest.NewServer(t, "example.", zone)
			g, reg := group(t, func(c *upstream.Config) {
				c.Servers = []string{proto + "://" + dead.LocalAddr().String(), s.Addr()}
				c.Timeout, c.AttemptTimeout = 20*time.Second, 200*time.Millisecond
			})
			if a, m := ask(t, g, question("www.example", dns.TypeA)); addresses(m) != trueAddress || a.Server != s.Addr() {
				t.Errorf("got %+v", a)
			}
			if v := value(t, reg, "weir_upstream_failures_total", proto+"://"+dead.LocalAddr().String(), "timeout"); v != 1 {
				t.Errorf("%v time-outs counted, want 1", v)
			}
		})
	}
}
