package demo_test

import (
	"context"
	"net"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/weirdns/weir/demo"
	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/internal/dnswire"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// day is all that is asked in the day before now.
func day(seed uint64) (out []demo.Event) {
	n := demo.NewNetwork(seed, now, now.Add(-3*time.Hour))
	for at := now.Add(-24 * time.Hour); at.Before(now); at = at.Add(time.Minute) {
		out = append(out, n.Minute(at)...)
	}
	return out
}

func TestADayIsTheSameForTheSameSeed(t *testing.T) {
	first := day(1)
	if !reflect.DeepEqual(first, day(1)) {
		t.Error("a second day differs")
	}
	if reflect.DeepEqual(first, day(2)) {
		t.Error("another seed gives the same day")
	}
	if !slices.IsSortedFunc(first, func(a, b demo.Event) int { return a.At.Compare(b.At) }) {
		t.Error("the day is not in order")
	}
	if len(first) < 5000 || len(first) > 50000 {
		t.Errorf("%d queries", len(first))
	}
}

func TestNothingIsBadBeforeTheInfection(t *testing.T) {
	asked := map[netip.Addr]int{}
	for _, e := range day(1) {
		bad := e.Client == demo.Infected || e.Client == demo.Leaking || e.Name.Within(dnsname.MustParse(demo.Squat)) || e.Name.Equal(dnsname.MustParse(demo.Payload))
		if bad && e.At.Before(now.Add(-3*time.Hour)) {
			t.Fatalf("%v asks for %s at %v", e.Client, e.Name, e.At)
		}
		if bad {
			asked[e.Client]++
		}
	}
	for _, c := range []netip.Addr{demo.Infected, demo.Leaking, demo.Clicked, demo.Loaded} {
		if asked[c] < 10 {
			t.Errorf("%v does %d bad things, want more", c, asked[c])
		}
	}
}

func answer(t *testing.T, u *demo.Upstream, name string, qtype uint16) *dns.Msg {
	t.Helper()
	var m dns.Msg
	raw := u.Answer(demo.Query(&demo.Event{Name: dnsname.MustParse(name), Type: qtype}, 7))
	if err := m.Unpack(raw); err != nil {
		t.Fatalf("%s: %v in %x", name, err, raw)
	}
	if m.Id != 7 || !m.Response || len(m.Question) != 1 || m.Question[0].Name != dns.Fqdn(name) {
		t.Fatalf("%s: %v", name, &m)
	}
	return &m
}

func TestTheMadeUpInternetAnswers(t *testing.T) {
	u := demo.NewUpstream()
	for _, q := range []struct {
		name    string
		qtype   uint16
		rcode   int
		answers int
	}{
		{"wikipedia.org", dns.TypeA, dns.RcodeSuccess, 1},
		{"www.wikipedia.org", dns.TypeAAAA, dns.RcodeSuccess, 2},
		{"wikipedia.org", dns.TypeHTTPS, dns.RcodeSuccess, 0},
		{"x.1." + demo.TunnelZone, dns.TypeTXT, dns.RcodeSuccess, 1},
		{demo.Payload, dns.TypeA, dns.RcodeSuccess, 1},
		{demo.Generated(0), dns.TypeA, dns.RcodeNameError, 0},
		{demo.Generated(17), dns.TypeA, dns.RcodeSuccess, 1},
		{"7.7.168.192.in-addr.arpa", dns.TypePTR, dns.RcodeNameError, 0},
	} {
		m := answer(t, u, q.name, q.qtype)
		if m.Rcode != q.rcode || len(m.Answer) != q.answers || q.answers == 0 && len(m.Ns) != 1 {
			t.Errorf("%s %s: %v", q.name, dns.TypeToString[q.qtype], m)
		}
	}
	for _, junk := range [][]byte{nil, {1, 2, 3}, make([]byte, 12), u.Answer(demo.Query(&demo.Event{Name: dnsname.MustParse("a.org"), Type: 1}, 1))} {
		if got := u.Answer(junk); got != nil {
			t.Errorf("%x is answered with %x", junk, got)
		}
	}
}

// An answer that leads to a machine of somebody would be no game.
func TestNoAnswerLeadsAnywhere(t *testing.T) {
	u := demo.NewUpstream()
	allowed := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("2001:db8::/32")}
	for _, e := range day(1) {
		msg := u.Answer(demo.Query(&e, 0))
		_, walk, err := dnswire.WalkMessage(msg)
		if err != nil {
			t.Fatal(err)
		}
		for r := (dnswire.Record{}); walk.Next(&r); {
			if a := r.Address(msg); a.IsValid() && !slices.ContainsFunc(allowed, func(p netip.Prefix) bool { return p.Contains(a) }) {
				t.Fatalf("%s leads to %v", e.Name, a)
			}
		}
	}
}

func TestAPlayerAsks(t *testing.T) {
	server, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	p, err := demo.NewPlayer(demo.NewNetwork(1, now, now))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx, now, server.LocalAddr().(*net.UDPAddr).AddrPort()) }()
	var buf [4096]byte
	if err := server.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		n, from, err := server.ReadFromUDPAddrPort(buf[:])
		if err != nil {
			t.Fatal(err)
		}
		msg := buf[:n]
		if p.Proxied() {
			if from.Addr() != demo.Proxy || string(msg[:12]) != "\r\n\r\n\x00\r\nQUIT\n" || string(msg[16:19]) != "\xc0\xa8\x07" {
				t.Fatalf("%v sends %x, want a PROXY header with a client of the network", from, msg)
			}
			msg = msg[28:]
		}
		var m dns.Msg
		if err := m.Unpack(msg); err != nil || len(m.Question) != 1 {
			t.Errorf("%x: %v", msg, err)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestAnUpstreamEndsWithItsContext(t *testing.T) {
	u := demo.NewUpstream()
	if err := u.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- u.Run(ctx) }()
	c := dns.Client{Timeout: 20 * time.Second}
	m := new(dns.Msg)
	m.SetQuestion("www.gutenberg.org.", dns.TypeA)
	if r, _, err := c.Exchange(m, u.Addr()); err != nil || len(r.Answer) != 2 {
		t.Errorf("%v, %v", r, err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
