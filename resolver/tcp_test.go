package resolver_test

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/weirdns/weir/resolver"
)

// framed are queries for A records of names as TCP carries them.
func framed(t *testing.T, names ...string) (out []byte) {
	t.Helper()
	for _, name := range names {
		m := new(dns.Msg)
		m.SetQuestion(name, dns.TypeA)
		wire, err := m.Pack()
		if err != nil {
			t.Fatal(err)
		}
		out = append(append(out, byte(len(wire)>>8), byte(len(wire))), wire...)
	}
	return out
}

func dialTCP(t *testing.T, addr string) *dns.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
	return &dns.Conn{Conn: c}
}

// One client waits for a name over TCP and reads nothing; another asks for the
// same name. The first one's full connection must not keep the answer from the
// second: with a few such connections, anybody could hold up any name.
func TestAClientThatNeverReadsHoldsUpNobody(t *testing.T) {
	release := make(chan struct{})
	var large []string
	for i := range 3000 {
		large = append(large, fmt.Sprintf("large.example. 300 IN A 10.0.%d.%d", i>>8, i&255))
	}
	answer := zone(append(large, "shared.example. 300 IN A 192.0.2.1")...)
	up := &fakeUpstream{answer: func(q *dns.Msg) (*dns.Msg, error) {
		if q.Question[0].Name == "shared.example." {
			<-release
		}
		return answer(q)
	}}
	s := start(t, up, nil, func(c *resolver.Config) { c.TCP.MessageTimeout = time.Minute })
	s.ask(t, "tcp", "large.example.", dns.TypeA, nil) // from here on cached

	stuck := dialTCP(t, s.addr)
	if _, err := stuck.Conn.Write(framed(t, "shared.example.")); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the shared question to be asked", func() bool { return up.asked.Load() == 2 })
	if _, err := stuck.Conn.Write(framed(t, strings.Fields(strings.Repeat("large.example. ", 600))...)); err != nil {
		t.Fatal(err)
	}
	last, since := -1.0, time.Now()
	waitFor(t, "the connection to be full", func() bool {
		if n := counter(t, s.registry, "weir_dns_responses_total"); n != last {
			last, since = n, time.Now()
		}
		return time.Since(since) > 200*time.Millisecond
	})
	if last > 600 {
		t.Fatalf("%v answers, and the connection takes more: the test tests nothing", last)
	}
	got := make(chan *dns.Msg, 1)
	go func() {
		m := new(dns.Msg)
		m.SetQuestion("shared.example.", dns.TypeA)
		c := dns.Client{Timeout: 20 * time.Second}
		r, _, _ := c.Exchange(m, s.addr)
		got <- r
	}()
	waitFor(t, "both to wait", func() bool { return gauge(t, s.registry, "weir_dns_pending") == 2 })
	close(release)
	if r := <-got; r == nil || len(r.Answer) != 1 {
		t.Errorf("got %v, want the answer", r)
	}
	_ = stuck.Close()
}

// What is at hand is sent before the resolver waits: for an upstream, or for
// the rest of a query of which only half has come.
func TestTCPAnswersDoNotWaitForLaterQueries(t *testing.T) {
	release := make(chan struct{})
	up := &fakeUpstream{answer: func(q *dns.Msg) (*dns.Msg, error) {
		<-release
		return zone("slow.example. 300 IN A 192.0.2.1")(q)
	}}
	s := start(t, up, nil, func(c *resolver.Config) { c.TCP.MessageTimeout = time.Minute })
	t.Run("slow", func(t *testing.T) {
		defer close(release)
		conn := dialTCP(t, s.addr)
		if _, err := conn.Conn.Write(framed(t, "localhost.", "slow.example.")); err != nil {
			t.Fatal(err)
		}
		if r, err := conn.ReadMsg(); err != nil || r.Question[0].Name != "localhost." {
			t.Errorf("got %v, %v; want the answer for localhost at once", r, err)
		}
	})
	t.Run("half", func(t *testing.T) {
		conn := dialTCP(t, s.addr)
		two := framed(t, "localhost.", "localhost.")
		if _, err := conn.Conn.Write(two[:len(two)-5]); err != nil {
			t.Fatal(err)
		}
		if r, err := conn.ReadMsg(); err != nil || len(r.Answer) != 1 {
			t.Errorf("got %v, %v; want the first answer at once", r, err)
		}
		if _, err := conn.Conn.Write(two[len(two)-5:]); err != nil {
			t.Fatal(err)
		}
		if r, err := conn.ReadMsg(); err != nil || len(r.Answer) != 1 {
			t.Errorf("got %v, %v; want the second answer too", r, err)
		}
	})
}

// Far more queries than may be worked on at once, none of whose answers is read
// before all are sent, are all answered.
func TestTCPPipelinesMoreThanItHolds(t *testing.T) {
	s := start(t, &fakeUpstream{answer: zone()}, nil, func(c *resolver.Config) { c.TCP.MaxPipelined = 4 })
	var names []string
	for i := range 200 {
		names = append(names, "localhost.", fmt.Sprintf("n%d.example.", i))
	}
	conn := dialTCP(t, s.addr)
	if _, err := conn.Conn.Write(framed(t, names...)); err != nil {
		t.Fatal(err)
	}
	got := map[string]int{}
	for range names {
		r, err := conn.ReadMsg()
		if err != nil {
			t.Fatal(err)
		}
		got[r.Question[0].Name]++
	}
	if len(got) != 201 || got["localhost."] != 200 {
		t.Errorf("answers for %d names, want each of 201", len(got))
	}
}
