package resolver_test

import (
	"encoding/hex"
	"net"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/weirdns/weir/resolver"
)

func withCookie(cookie string) func(*dns.Msg) {
	return func(m *dns.Msg) {
		m.SetEdns0(1232, false)
		m.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: cookie}}
	}
}

func cookieOf(m *dns.Msg) string {
	if opt := m.IsEdns0(); opt != nil {
		for _, o := range opt.Option {
			if c, ok := o.(*dns.EDNS0_COOKIE); ok {
				return c.Cookie
			}
		}
	}
	return ""
}

const ours = "0011223344556677"

func TestCookiesOfClients(t *testing.T) {
	s := start(t, answersA("www.example. 300 A 192.0.2.1"), nil, func(c *resolver.Config) { c.Cookies.Require = true })
	ask := func(cookie string) *dns.Msg { return s.ask(t, "udp", "www.example.", dns.TypeA, withCookie(cookie)) }
	first := ask(ours)
	good := cookieOf(first)
	if first.Rcode != dns.RcodeBadCookie || len(good) != 48 || good[:16] != ours {
		t.Fatalf("client cookie alone: want BADCOOKIE with a cookie of 24 octets\n%s", first)
	}
	if r := ask(good); r.Rcode != 0 || len(r.Answer) != 1 || cookieOf(r) != good {
		t.Errorf("with the cookie: want the answer and the same cookie\n%s", r)
	}
	raw, _ := hex.DecodeString(good)
	for i := range raw {
		b := append([]byte(nil), raw...)
		b[i] ^= 1
		if r := ask(hex.EncodeToString(b)); r.Rcode != dns.RcodeBadCookie {
			t.Errorf("octet %d changed: %s, want BADCOOKIE", i, dns.RcodeToString[r.Rcode])
		}
	}
	for _, bad := range []string{"", "00", "00112233445566", ours + "00", ours + "00112233445566", good + good[:36]} {
		if r := ask(bad); r.Rcode != dns.RcodeFormatError {
			t.Errorf("cookie of %d octets: %s, want FORMERR", len(bad)/2, dns.RcodeToString[r.Rcode])
		}
	}
	if r := ask(ours + "00112233445566778899"); r.Rcode != dns.RcodeBadCookie {
		t.Errorf("another server's cookie: %s, want BADCOOKIE", dns.RcodeToString[r.Rcode])
	}
	if r := s.ask(t, "tcp", "www.example.", dns.TypeA, withCookie(ours)); r.Rcode != 0 || len(cookieOf(r)) != 48 {
		t.Errorf("over TCP: want the answer with a cookie\n%s", r)
	}
	if r := s.ask(t, "udp", "www.example.", dns.TypeA, nil); r.Rcode != 0 {
		t.Errorf("without a cookie: %s, want the answer", dns.RcodeToString[r.Rcode])
	}
}

// Behind a proxy a cookie is still asked for, and is its client's, not the proxy's
// (Unbound CVE-2026-54478: the check was skipped).
func TestACookieBehindAProxyIsItsClients(t *testing.T) {
	s := start(t, answersA("www.example. 300 A 192.0.2.1"), nil, func(c *resolver.Config) {
		c.Cookies.Require = true
		c.ProxyProtocol, c.Allow = []string{"127.0.0.1"}, []string{"198.51.100.0/24"}
	})
	ask := func(client, cookie string) *dns.Msg {
		t.Helper()
		raw, err := net.Dial("udp", s.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer raw.Close()
		m := new(dns.Msg).SetQuestion("www.example.", dns.TypeA)
		withCookie(cookie)(m)
		wire, err := m.Pack()
		if err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 4096)
		var n int
		for range 20 { // a packet may get lost on a busy machine
			if _, err = raw.Write(append(proxyHeader(client), wire...)); err != nil {
				t.Fatal(err)
			}
			_ = raw.SetReadDeadline(time.Now().Add(2 * time.Second))
			if n, err = raw.Read(buf); err == nil {
				break
			}
		}
		r := new(dns.Msg)
		if err == nil {
			err = r.Unpack(buf[:n])
		}
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	first := ask("198.51.100.7", ours)
	good := cookieOf(first)
	if first.Rcode != dns.RcodeBadCookie || len(good) != 48 {
		t.Fatalf("client cookie alone: want BADCOOKIE with a cookie of 24 octets\n%s", first)
	}
	if r := ask("198.51.100.7", good); r.Rcode != 0 || len(r.Answer) != 1 {
		t.Errorf("with its cookie: want the answer\n%s", r)
	}
	if r := ask("198.51.100.8", good); r.Rcode != dns.RcodeBadCookie {
		t.Errorf("another client with that cookie: %s, want BADCOOKIE", dns.RcodeToString[r.Rcode])
	}
}

// flood sends n queries over UDP and counts what comes back. A query that is
// never answered is one that was counted as limited.
func flood(t *testing.T, s *server, n int, change func(*dns.Msg)) (whole, truncated, nothing int) {
	t.Helper()
	before := counter(t, s.registry, "weir_dns_rate_limited_total")
	raw, err := net.Dial("udp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	c := &dns.Conn{Conn: raw, UDPSize: 4096}
	for range n {
		m := new(dns.Msg).SetQuestion("www.example.", dns.TypeA)
		if change != nil {
			change(m)
		}
		if err := c.WriteMsg(m); err != nil {
			t.Fatal(err)
		}
	}
	for end := time.Now().Add(20 * time.Second); whole+truncated < n; {
		_ = c.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
		switch r, err := c.ReadMsg(); {
		case err == nil && r.Truncated:
			truncated++
		case err == nil:
			whole++
		case float64(whole)+counter(t, s.registry, "weir_dns_rate_limited_total")-before >= float64(n):
			return whole, truncated, n - whole - truncated // all are judged, and nothing more comes
		case time.Now().After(end):
			t.Fatalf("of %d queries, %d were answered and %d with TC, and the rest not counted", n, whole, truncated)
		}
	}
	return whole, truncated, 0
}

func limited(c *resolver.Config) {
	c.RateLimit.ResponsesPerSecond, c.RateLimit.Slip = 1, 2
}

func TestResponsesToOneNetworkAreLimited(t *testing.T) {
	s := start(t, answersA("www.example. 300 A 192.0.2.1"), nil, limited)
	whole, truncated, nothing := flood(t, s, 25, nil)
	if whole < 5 || whole > 15 || truncated < 3 || nothing < 3 {
		t.Errorf("%d answers, %d with TC, %d lost; want the burst of 5 and what the time allows, and the rest by halves", whole, truncated, nothing)
	}
	if r := s.ask(t, "tcp", "www.example.", dns.TypeA, nil); len(r.Answer) != 1 {
		t.Errorf("over TCP:\n%s", r)
	}
	r := s.ask(t, "tcp", "www.example.", dns.TypeA, withCookie(ours))
	if whole, _, _ := flood(t, s, 20, withCookie(cookieOf(r))); whole < 18 {
		t.Errorf("%d of 20 answers with a cookie, want all", whole)
	}
	if v := counter(t, s.registry, "weir_dns_rate_limited_total"); v < 6 {
		t.Errorf("%v counted", v)
	}
}

// Errors go to whose address was forged as answers do.
func TestErrorsToOneNetworkAreLimited(t *testing.T) {
	for what, change := range map[string]func(*dns.Msg){
		"NOTIMP":         func(m *dns.Msg) { m.Opcode = dns.OpcodeStatus },
		"FORMERR":        func(m *dns.Msg) { m.Question = append(m.Question, m.Question[0]) },
		"REFUSED":        func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassCHAOS },
		"BADVERS":        func(m *dns.Msg) { m.SetEdns0(1232, false); m.IsEdns0().SetVersion(1) },
		"BADCOOKIE":      withCookie(ours),
		"FORMERR cookie": withCookie("00"),
	} {
		s := start(t, answersA("www.example. 300 A 192.0.2.1"), nil, func(c *resolver.Config) {
			limited(c)
			c.Cookies.Require = true
		})
		if _, truncated, nothing := flood(t, s, 13, change); truncated < 1 || nothing < 1 {
			t.Errorf("%s: %d of 13 with TC, %d lost, want what is above the burst of 5 by halves", what, truncated, nothing)
		}
	}
}

func TestDryRunLimitsNothing(t *testing.T) {
	s := start(t, answersA("www.example. 300 A 192.0.2.1"), nil, func(c *resolver.Config) { limited(c); c.RateLimit.DryRun = true })
	if whole, _, _ := flood(t, s, 20, nil); whole < 18 {
		t.Errorf("%d of 20 answers, want all", whole)
	}
	if v := counter(t, s.registry, "weir_dns_rate_limited_total"); v < 3 {
		t.Errorf("%v counted, want what would have been limited", v)
	}
}

func TestClientsHaveABudgetOverAllTransports(t *testing.T) {
	s := start(t, answersA("www.example. 300 A 192.0.2.1"), nil, func(c *resolver.Config) { c.RateLimit.ClientQueriesPerSecond = 1 })
	refused := 0
	for range 15 {
		if r := s.ask(t, "tcp", "www.example.", dns.TypeA, edns); r.Rcode == dns.RcodeRefused && ede(r) != "" {
			refused++
		}
	}
	if refused < 3 || refused > 10 {
		t.Errorf("%d of 15 refused, want what is above the burst of 5", refused)
	}
	exempt := start(t, answersA("www.example. 300 A 192.0.2.1"), nil, func(c *resolver.Config) {
		c.RateLimit.ClientQueriesPerSecond, c.RateLimit.Exempt = 1, []string{"127.0.0.0/8"}
	})
	for range 15 {
		if r := exempt.ask(t, "tcp", "www.example.", dns.TypeA, nil); r.Rcode != 0 {
			t.Errorf("an exempt client got %s", dns.RcodeToString[r.Rcode])
		}
	}
}
