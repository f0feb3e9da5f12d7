package dnstest_test

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"go.uber.org/goleak"

	"github.com/weirdns/weir/internal/dnstest"
)

const zone = `
@	SOA ns host 1 3600 600 86400 300
	NS ns
ns	A 192.0.2.53
www	A 192.0.2.1
www	RRSIG A 8 2 3600 20380101000000 20200101000000 1 example. AAAA
alias	CNAME Www
far	CNAME www.elsewhere.
*.wild	TXT "w"
a.b.ent	A 192.0.2.2
big	TXT ` + `"0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"` + `
big	TXT "1123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
big	TXT "2123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
big	TXT "3123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
big	TXT "4123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
big	TXT "5123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
`

func ask(t *testing.T, s *dnstest.Server, network, name string, qtype uint16, do bool) *dns.Msg {
	t.Helper()
	m := new(dns.Msg).SetQuestion(name, qtype)
	if do {
		m.SetEdns0(1232, true)
	}
	c := &dns.Client{Net: network, Timeout: 20 * time.Second}
	r, _, err := c.Exchange(m, s.Addr())
	if err != nil {
		t.Fatalf("%s %s: %v", name, network, err)
	}
	return r
}

func TestZoneAnswers(t *testing.T) {
	defer goleak.VerifyNone(t)
	s := dnstest.NewServer(t, "example", zone)
	defer s.Stop()
	for _, tt := range []struct {
		name       string
		qtype      uint16
		do         bool
		rcode      int
		answer, ns int
	}{
		{"www.example.", dns.TypeA, false, 0, 1, 0},
		{"WWW.example.", dns.TypeA, true, 0, 2, 0},
		{"alias.example.", dns.TypeA, false, 0, 2, 0},
		{"alias.example.", dns.TypeCNAME, false, 0, 1, 0},
		{"alias.example.", dns.TypeTXT, false, 0, 1, 1},
		{"far.example.", dns.TypeA, false, 0, 1, 0},
		{"www.example.", dns.TypeTXT, false, 0, 0, 1},
		{"nope.example.", dns.TypeA, false, 3, 0, 1},
		{"b.ent.example.", dns.TypeA, false, 0, 0, 1},
		{"x.wild.example.", dns.TypeTXT, false, 0, 1, 0},
		{"www.elsewhere.", dns.TypeA, false, 5, 0, 0},
	} {
		for _, network := range []string{"udp", "tcp"} {
			r := ask(t, s, network, tt.name, tt.qtype, tt.do)
			if r.Rcode != tt.rcode || len(r.Answer) != tt.answer || len(r.Ns) != tt.ns {
				t.Errorf("%s %s over %s: got\n%s\nwant rcode %d, %d answers, %d authority",
					tt.name, dns.TypeToString[tt.qtype], network, r, tt.rcode, tt.answer, tt.ns)
			}
		}
	}
	if got := s.Count("www.EXAMPLE"); got != 6 {
		t.Errorf("Count = %d, want 6", got)
	}
	q := s.Queries()[2]
	if q.Name != "WWW.example." || !q.DO || !q.EDNS || q.Size != 1232 || q.TCP || q.Port == 0 {
		t.Errorf("third query was written down as %+v", q)
	}
}

func TestTruncatesOverUDPOnly(t *testing.T) {
	s := dnstest.NewServer(t, "example", zone)
	if r := ask(t, s, "udp", "big.example.", dns.TypeTXT, false); !r.Truncated {
		t.Error("over UDP: not truncated")
	}
	if r := ask(t, s, "tcp", "big.example.", dns.TypeTXT, false); r.Truncated || len(r.Answer) != 6 {
		t.Errorf("over TCP: %d answers, want 6", len(r.Answer))
	}
}

func TestStopAndStartOnTheSamePort(t *testing.T) {
	defer goleak.VerifyNone(t)
	s := dnstest.NewServer(t, "example", zone)
	defer s.Stop()
	s.Script("slow.example.", dnstest.Delay(time.Hour, dnstest.Good()))
	c, err := net.Dial("udp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	wire, _ := new(dns.Msg).SetQuestion("slow.example.", dns.TypeA).Pack()
	if _, err := c.Write(wire); err != nil {
		t.Fatal(err)
	}
	for s.Count("slow.example.") == 0 {
		time.Sleep(time.Millisecond)
	}
	addr := s.Addr()
	s.Stop() // while a script waits
	if _, err := net.DialTimeout("tcp", addr, time.Second); err == nil {
		t.Error("the port is open after Stop")
	}
	s.Start()
	if s.Addr() != addr {
		t.Errorf("Addr = %s after Start, was %s", s.Addr(), addr)
	}
	ask(t, s, "tcp", "www.example.", dns.TypeA, false)
}

func TestForgeriesAreSent(t *testing.T) {
	s := dnstest.NewServer6(t, "example", zone)
	for _, what := range dnstest.Forgeries() {
		if what == "otherport" {
			continue // a connected socket does not see it
		}
		s.Script("www.example", dnstest.Forged(what))
		c, err := net.Dial("udp", s.Addr())
		if err != nil {
			t.Fatal(err)
		}
		wire, _ := new(dns.Msg).SetQuestion("www.example.", dns.TypeA).Pack()
		_, _ = c.Write(wire)
		_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
		if _, err := c.Read(make([]byte, 4096)); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		c.Close()
	}
	if !strings.HasPrefix(s.Addr(), "[::1]:") {
		t.Errorf("Addr = %s, want one on ::1", s.Addr())
	}
}
