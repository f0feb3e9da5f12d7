package upstream_test

import (
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/weirdns/weir/internal/dnstest"
	"github.com/weirdns/weir/resolver/upstream"
)

// withCookie answers truly with a COOKIE option: the client's part as change
// makes it, and a server's part.
func withCookie(rcode int, change func(client string) string) dnstest.Script {
	return func(x *dnstest.Exchange) {
		m := x.Good()
		m.Rcode = rcode
		if x.Cookie != "" && !x.TCP {
			opt := m.IsEdns0()
			opt.Option = append(opt.Option, &dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: change(x.Cookie[:16])})
		}
		x.Send(m)
	}
}

const serverCookie = "00112233445566778899aabbccddeeff"

func right(client string) string { return client + serverCookie }

func TestServersCookieIsSentBack(t *testing.T) {
	s := dnstest.NewServer(t, "example.", zone)
	s.ScriptAll(withCookie(0, right))
	g, _ := group(t, nil, s)
	ask(t, g, question("a.www.example", dns.TypeA))
	ask(t, g, question("b.www.example", dns.TypeA))
	q := s.Queries()
	if len(q[0].Cookie) != 16 || q[1].Cookie != q[0].Cookie+serverCookie {
		t.Errorf("cookies %q and %q, want the second to have the server's", q[0].Cookie, q[1].Cookie)
	}
	other := dnstest.NewServer(t, "example.", zone)
	g, _ = group(t, nil, other)
	ask(t, g, question("a.www.example", dns.TypeA))
	if other.Queries()[0].Cookie == q[0].Cookie {
		t.Error("two servers get the same cookie, and could follow us")
	}
}

// Once a server has shown that it has cookies, an answer without, or with
// another, is somebody else's.
func TestAnswersWithTheWrongCookieAreDropped(t *testing.T) {
	for name, forged := range map[string]dnstest.Script{
		"none":       dnstest.Good(),
		"another's":  withCookie(0, func(string) string { return "ffffffffffffffff" + serverCookie }),
		"ours alone": withCookie(0, func(client string) string { return client }),
		"too long":   withCookie(0, func(client string) string { return client + serverCookie + serverCookie + "00" }),
	} {
		t.Run(name, func(t *testing.T) {
			s := dnstest.NewServer(t, "example.", zone+"\nforged A 203.0.113.66\n")
			s.ScriptAll(withCookie(0, right))
			g, reg := group(t, nil, s)
			ask(t, g, question("www.example", dns.TypeA))
			s.Script("forged.example.", dnstest.Split(forged, dnstest.Then(dnstest.Drop(), 50*time.Millisecond, dnstest.Rcode(dns.RcodeNameError))))
			a, err := g.Exchange(t.Context(), question("forged.example", dns.TypeA))
			if err != nil || a.Rcode != dns.RcodeNameError || !a.TCP {
				t.Errorf("got %+v, %v; want the answer over TCP", a, err)
			}
			if v := value(t, reg, "weir_upstream_invalid_total", "cookie"); v == 0 {
				t.Error("not counted")
			}
		})
	}
}

func TestBadCookieIsAskedAgain(t *testing.T) {
	s := dnstest.NewServer(t, "example.", zone)
	s.ScriptAll(firstThen(withCookie(dns.RcodeBadCookie, right), withCookie(0, right)))
	g, _ := group(t, nil, s)
	if a, m := ask(t, g, question("www.example", dns.TypeA)); addresses(m) != trueAddress || a.TCP {
		t.Errorf("got\n%s", m)
	}
	if q := s.Queries(); len(q) != 2 || q[1].Cookie != q[0].Cookie+serverCookie {
		t.Errorf("queries %+v, want a second one with the server's cookie", q)
	}
}

// One of a farm of servers without cookies must not cost TCP for ever.
func TestServerThatLosesItsCookies(t *testing.T) {
	s := dnstest.NewServer(t, "example.", zone)
	s.ScriptAll(withCookie(0, right))
	g, _ := group(t, nil, s)
	ask(t, g, question("www.example", dns.TypeA))
	s.ScriptAll(dnstest.Good())
	for range 4 {
		ask(t, g, question("www.example", dns.TypeA))
	}
	if a, _ := ask(t, g, question("www.example", dns.TypeA)); a.TCP {
		t.Error("still asked over TCP")
	}
}

func TestCookiesCanBeTurnedOff(t *testing.T) {
	s := dnstest.NewServer(t, "example.", zone)
	g, _ := group(t, func(c *upstream.Config) { c.Cookies = false }, s)
	ask(t, g, question("www.example", dns.TypeA))
	if q := s.Queries()[0]; q.Cookie != "" {
		t.Errorf("server saw %+v, want no cookie", q)
	}
}
