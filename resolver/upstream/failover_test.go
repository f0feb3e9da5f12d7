package upstream_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/weirdns/weir/internal/dnstest"
	"github.com/weirdns/weir/resolver/upstream"
)

func TestSilentServerEndsInTimeout(t *testing.T) {
	s := dnstest.NewServer(t, "example.", zone)
	s.ScriptAll(dnstest.Drop())
	g, _ := group(t, func(c *upstream.Config) { c.Timeout, c.AttemptTimeout = 2*time.Second, 300*time.Millisecond }, s)
	start := time.Now()
	_, err := g.Exchange(t.Context(), question("www.example", dns.TypeA))
	if !errors.Is(err, upstream.ErrTimeout) || errors.Is(err, upstream.ErrNetwork) {
		t.Errorf("got %v, want ErrTimeout", err)
	}
	if took := time.Since(start); took < 2*time.Second {
		t.Errorf("gave up after %s, want the whole timeout", took)
	}
	if n := s.Count("www.example."); n > 3 || n < 2 {
		t.Errorf("%d packets for one question, want 2 or 3", n)
	}
}

func TestClosedPortEndsAtOnceAndComesBack(t *testing.T) {
	s := dnstest.NewServer(t, "example.", zone)
	g, _ := group(t, nil, s)
	ask(t, g, question("www.example", dns.TypeA))
	s.Stop()
	for range 5 {
		_, err := g.Exchange(t.Context(), question("www.example", dns.TypeA))
		if !errors.Is(err, upstream.ErrNetwork) || errors.Is(err, upstream.ErrTimeout) {
			t.Errorf("port closed: %v, want ErrNetwork", err)
		}
	}
	s.Start()
	// Also while the server is held for down it is asked: there is no other.
	if _, m := ask(t, g, question("www.example", dns.TypeA)); addresses(m) != trueAddress {
		t.Errorf("server back: got\n%s", m)
	}
}

func TestCancelEndsTheWait(t *testing.T) {
	s := dnstest.NewServer(t, "example.", zone)
	s.ScriptAll(dnstest.Drop())
	g, _ := group(t, func(c *upstream.Config) { c.Timeout, c.AttemptTimeout = time.Minute, 20*time.Millisecond }, s)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(100*time.Millisecond, cancel)
	if _, err := g.Exchange(ctx, question("www.example", dns.TypeA)); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

func TestLostPacketIsSentAgain(t *testing.T) {
	s := dnstest.NewServer(t, "example.", zone)
	s.ScriptAll(firstThen(dnstest.Drop(), dnstest.Good()))
	g, _ := group(t, func(c *upstream.Config) { c.AttemptTimeout = 500 * time.Millisecond }, s)
	if a, m := ask(t, g, question("www.example", dns.TypeA)); addresses(m) != trueAddress || a.TCP {
		t.Errorf("TCP %v\n%s", a.TCP, m)
	}
	q := s.Queries()
	if len(q) != 2 || q[0].Port == q[1].Port || q[0].ID == q[1].ID {
		t.Errorf("queries %+v, want two with ports and IDs of their own", q)
	}
}

// firstThen does a for the first query of each name and b for others.
func firstThen(a, b dnstest.Script) dnstest.Script {
	var mu sync.Mutex
	seen := map[string]bool{}
	return func(x *dnstest.Exchange) {
		name := dns.CanonicalName(x.Name)
		mu.Lock()
		was := seen[name]
		seen[name] = true
		mu.Unlock()
		if was {
			b(x)
		} else {
			a(x)
		}
	}
}

// A slow first answer counts even when the next packet is out already.
func TestLateAnswerIsTaken(t *testing.T) {
	s := dnstest.NewServer(t, "example.", zone)
	s.ScriptAll(firstThen(dnstest.Delay(200*time.Millisecond, dnstest.Good()), dnstest.Drop()))
	g, _ := group(t, func(c *upstream.Config) { c.AttemptTimeout = 50 * time.Millisecond }, s)
	if _, m := ask(t, g, question("www.example", dns.TypeA)); addresses(m) != trueAddress {
		t.Errorf("got\n%s", m)
	}
}

func TestBlackHoleFirst(t *testing.T) {
	hole, good := dnstest.NewServer(t), dnstest.NewServer(t, "example.", zone)
	hole.ScriptAll(dnstest.Drop())
	g, reg := group(t, func(c *upstream.Config) { c.AttemptTimeout = 400 * time.Millisecond }, hole, good)
	waitDown := time.Now().Add(30 * time.Second)
	asked := 0
	// One zone for all: it takes the probe to find the server down.
	for value(t, reg, "weir_upstream_up", hole.Addr()) == 1 {
		start := time.Now()
		a, _ := ask(t, g, question(fmt.Sprintf("n%d.www.example", asked), dns.TypeA))
		if took := time.Since(start); a.Server != good.Addr() || a.RTT >= took {
			t.Errorf("question %d: answered by %s", asked, a.Server)
		}
		asked++
		if time.Now().After(waitDown) {
			t.Fatal("the black hole is still taken to be up")
		}
	}
	hole.Reset()
	for i := range 50 {
		if a, _ := ask(t, g, question(fmt.Sprintf("m%d.www.example", i), dns.TypeA)); a.Server != good.Addr() {
			t.Errorf("answered by %s", a.Server)
		}
	}
	for _, q := range hole.Queries() {
		if q.Name != "." {
			t.Errorf("the black hole was asked for %s although it is down", q.Name)
		}
	}
	// Back, it is found by the probe and is the first again.
	hole.LoadZone("example.", zone)
	hole.ScriptAll(dnstest.Good())
	waitUp := time.Now().Add(30 * time.Second)
	for value(t, reg, "weir_upstream_up", hole.Addr()) == 0 {
		if time.Now().After(waitUp) {
			t.Fatal("the server is back and still taken to be down")
		}
		time.Sleep(10 * time.Millisecond)
	}
	for { // one that took too long on a busy machine was asked of the second too
		if a, _ := ask(t, g, question("www.example", dns.TypeA)); a.Server == hole.Addr() {
			break
		}
		if time.Now().After(waitUp) {
			t.Fatal("the first server is up again and not asked first")
		}
	}
}

// A run of names that nobody answers says nothing about the server: with
// probes, because it answers those, and without.
func TestSilentZoneDoesNotTakeTheServerDown(t *testing.T) {
	type maker func(testing.TB, func(*upstream.Config), ...*dnstest.Server) (*upstream.Group, *prometheus.Registry)
	for name, open := range map[string]maker{"probed": group, "not probed": idle} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first, second := dnstest.NewServer(t, "example.", zone), dnstest.NewServer(t, "example.", zone)
			second.ScriptAll(dnstest.Rcode(dns.RcodeNameError))
			for i := range 12 {
				first.Script(fmt.Sprintf("n%d.silent.test.", i), dnstest.Drop())
			}
			g, reg := open(t, func(c *upstream.Config) { c.AttemptTimeout = time.Second }, first, second)
			var wg sync.WaitGroup
			for i := range 12 {
				wg.Go(func() {
					a, err := g.Exchange(t.Context(), question(fmt.Sprintf("n%d.silent.test", i), dns.TypeA))
					if err != nil || a.Server != second.Addr() {
						t.Errorf("silent name: %+v, %v; want the second server's answer", a, err)
					}
				})
			}
			wg.Wait()
			for i := range 20 {
				if a, _ := ask(t, g, question(fmt.Sprintf("n%d.www.example", i), dns.TypeA)); a.Server != first.Addr() {
					t.Errorf("answered by %s, want the first", a.Server)
				}
			}
			if got := value(t, reg, "weir_upstream_up", first.Addr()); got != 1 {
				t.Errorf("up = %v, want 1", got)
			}
		})
	}
}

// Three zones in a row are enough, without a probe.
func TestSilenceForManyZonesTakesTheServerDown(t *testing.T) {
	hole, good := dnstest.NewServer(t), dnstest.NewServer(t)
	hole.ScriptAll(dnstest.Drop())
	good.ScriptAll(dnstest.Rcode(dns.RcodeNameError))
	g, reg := idle(t, func(c *upstream.Config) { c.AttemptTimeout = 400 * time.Millisecond }, hole, good)
	for i := range 5 {
		if a, _ := ask(t, g, question(fmt.Sprintf("www.n%d.test", i), dns.TypeA)); a.Server != good.Addr() {
			t.Errorf("answered by %s", a.Server)
		}
	}
	if got := value(t, reg, "weir_upstream_up", hole.Addr()); got != 0 {
		t.Errorf("up = %v, want 0", got)
	}
	if n := len(hole.Queries()); n != 3 {
		t.Errorf("the black hole was asked %d times, want 3", n)
	}
	if got := value(t, reg, "weir_upstream_failures_total", hole.Addr(), "timeout"); got != 3 {
		t.Errorf("%v failures counted, want 3", got)
	}
}

func TestFailingServerIsPassedOver(t *testing.T) {
	for _, rcode := range []int{dns.RcodeServerFailure, dns.RcodeRefused, dns.RcodeNotAuth, 12} {
		first, second := dnstest.NewServer(t), dnstest.NewServer(t, "example.", zone)
		first.ScriptAll(dnstest.Rcode(rcode))
		g, _ := group(t, nil, first, second)
		if a, m := ask(t, g, question("www.example", dns.TypeA)); a.Server != second.Addr() || addresses(m) != trueAddress {
			t.Errorf("rcode %d from the first: answered by %s\n%s", rcode, a.Server, m)
		}
		if n := first.Count("www.example."); n != 1 {
			t.Errorf("rcode %d: the first was asked %d times, want once", rcode, n)
		}
	}
}

func TestFailureOfAllIsTheFirstOnesAnswer(t *testing.T) {
	first, second := dnstest.NewServer(t), dnstest.NewServer(t)
	first.ScriptAll(func(x *dnstest.Exchange) {
		m := new(dns.Msg).SetRcode(x.Msg, dns.RcodeServerFailure)
		m.SetEdns0(1232, false)
		m.IsEdns0().Option = append(m.IsEdns0().Option, &dns.EDNS0_EDE{InfoCode: 6, ExtraText: "bogus"})
		x.Send(m)
	})
	second.ScriptAll(dnstest.Rcode(dns.RcodeRefused))
	g, _ := group(t, nil, first, second)
	a, m := ask(t, g, question("www.example", dns.TypeA))
	if a.Rcode != dns.RcodeServerFailure || m.Rcode != dns.RcodeServerFailure {
		t.Errorf("rcode %d, want SERVFAIL", a.Rcode)
	}
	if a.EDE == nil || a.EDE.Code != 6 || string(a.EDE.Text) != "bogus" {
		t.Errorf("EDE %+v, want 6 bogus", a.EDE)
	}
}

func TestReservedRcodeBecomesServFail(t *testing.T) {
	s := dnstest.NewServer(t)
	for _, rcode := range []int{11, 15, dns.RcodeBadCookie} {
		s.ScriptAll(func(x *dnstest.Exchange) {
			m := new(dns.Msg).SetRcode(x.Msg, rcode)
			m.SetEdns0(1232, false)
			m.Rcode = rcode
			x.Send(m)
		})
		g, _ := group(t, nil, s)
		if a, m := ask(t, g, question("www.example", dns.TypeA)); int(a.Rcode) != rcode || m.Rcode != dns.RcodeServerFailure {
			t.Errorf("rcode %d: Answer.Rcode %d, in the message %d; want %d and SERVFAIL", rcode, a.Rcode, m.Rcode, rcode)
		}
	}
}

func TestRefusedTCPAfterTruncationEnds(t *testing.T) {
	// UDP only: a server whose TCP port is closed.
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &dns.Server{PacketConn: pc, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, m *dns.Msg) {
		r := new(dns.Msg).SetReply(m)
		r.Truncated = true
		_ = w.WriteMsg(r)
	})}
	ended := make(chan error, 1)
	started := make(chan struct{})
	srv.NotifyStartedFunc = func() { close(started) }
	go func() { ended <- srv.ActivateAndServe() }()
	<-started
	defer func() { _ = srv.Shutdown(); <-ended }()
	g, _ := group(t, func(c *upstream.Config) { c.Servers = []string{pc.LocalAddr().String()} })
	if _, err := g.Exchange(t.Context(), question("www.example", dns.TypeA)); !errors.Is(err, upstream.ErrNetwork) {
		t.Errorf("got %v, want ErrNetwork", err)
	}
}

func TestServerWithoutEDNS(t *testing.T) {
	for _, bare := range []bool{false, true} {
		s := dnstest.NewServer(t, "example.", zone)
		s.ScriptAll(dnstest.NoEDNS(bare))
		g, _ := group(t, nil, s)
		for range 3 {
			if _, m := ask(t, g, question("www.example", dns.TypeA)); addresses(m) != trueAddress {
				t.Errorf("bare %v: got\n%s", bare, m)
			}
		}
		// With a question the FORMERR is believed and kept in mind; without,
		// every question has to find out for itself.
		want := 4
		if bare {
			want = 6
		}
		if n := len(s.Queries()); n != want {
			t.Errorf("bare %v: %d queries for three questions, want %d", bare, n, want)
		}
	}
}

// A server that fails one question is spared it for a while, and only it.
func TestServerThatFailsAQuestionIsSparedIt(t *testing.T) {
	for what, script := range map[string]dnstest.Script{"SERVFAIL": dnstest.Rcode(dns.RcodeServerFailure), "silence": dnstest.Drop()} {
		bad, good := dnstest.NewServer(t, "example.", zone), dnstest.NewServer(t, "example.", zone)
		bad.Script("broken.www.example.", script)
		g, reg := group(t, func(c *upstream.Config) { c.AttemptTimeout, c.Hedge = 2*time.Second, false }, bad, good)
		ask(t, g, question("fine.www.example", dns.TypeA)) // it is up
		for i, want := range []bool{true, false, false} {
			bad.Reset()
			if a, _ := ask(t, g, question("broken.www.example", dns.TypeA)); a.Server != good.Addr() {
				t.Errorf("%s: answered by %s", what, a.Server)
			}
			if asked := counts(bad)[0] > 0; asked != want {
				t.Errorf("%s, time %d: the server was asked %v, want %v", what, i+1, asked, want)
			}
		}
		if a, _ := ask(t, g, question("other.www.example", dns.TypeA)); a.Server != bad.Addr() {
			t.Errorf("%s: another question was answered by %s, want the first server", what, a.Server)
		}
		if n := value(t, reg, "weir_upstream_spared_total"); n != 2 {
			t.Errorf("%s: spared %v times, want 2", what, n)
		}
	}
}

// A server that knows EDNS, and refuses it for some names as what stands behind
// it does, is asked with it for all others; until it refuses it all the time.
func TestServerThatRefusesEDNSForOneName(t *testing.T) {
	s := dnstest.NewServer(t, "example.", zone)
	s.Script("old.www.example.", dnstest.NoEDNS(false))
	g, _ := group(t, nil, s)
	asked := func(name string) (edns bool) {
		t.Helper()
		s.Reset()
		ask(t, g, question(name, dns.TypeA))
		return s.Queries()[0].EDNS
	}
	for i := range 5 {
		asked(fmt.Sprintf("new%d.www.example", i))
		asked("old.www.example")
		if !asked("new.www.example") {
			t.Fatal("lost EDNS for all names by what one of them gave")
		}
	}
	s.ScriptAll(dnstest.NoEDNS(false))
	for range 3 {
		asked("old.www.example")
	}
	if asked("new.www.example") {
		t.Error("asked with OPT after three refusals in a row")
	}
}

func TestServerWithoutEDNSOverTCP(t *testing.T) {
	s := dnstest.NewServer(t, "example.", zone)
	s.ScriptAll(dnstest.NoEDNS(true))
	g, _ := group(t, func(c *upstream.Config) { c.Servers = []string{"tcp://" + s.Addr()} })
	for range 2 {
		if _, m := ask(t, g, question("www.example", dns.TypeA)); addresses(m) != trueAddress {
			t.Errorf("got\n%s", m)
		}
	}
	if n := len(s.Queries()); n != 3 {
		t.Errorf("%d queries for two questions, want 3", n)
	}
}

// A server that lower-cases the question is used over TCP until that is sure.
func TestServerThatLosesTheCase(t *testing.T) {
	s := dnstest.NewServer(t, "example.", zone)
	s.ScriptAll(dnstest.Edit(func(m *dns.Msg) {
		m.Question[0].Name = dns.CanonicalName(m.Question[0].Name)
	}))
	g, reg := group(t, nil, s)
	lost := func() bool {
		a, m := ask(t, g, question("abcdefghijklmnopqrstuvwxyz.www.example", dns.TypeA))
		if addresses(m) != trueAddress {
			t.Fatalf("got %s", m)
		}
		return !a.TCP
	}
	n := 0
	for end := time.Now().Add(time.Minute); !lost(); time.Sleep(100 * time.Millisecond) {
		if n++; time.Now().After(end) {
			t.Fatalf("asked in random case still after %d questions", n)
		}
	}
	if n < 3 {
		t.Errorf("asked in lower case after %d questions, want three strikes", n)
	}
	if got := value(t, reg, "weir_upstream_invalid_total", "case"); got != float64(n) {
		t.Errorf("%v packets with the wrong case counted, want %d", got, n)
	}
}

// A forger who knows all but the case does not get it turned off: behind his
// answers come the true ones.
func TestForgedCaseDoesNotTurnItOff(t *testing.T) {
	s := dnstest.NewServer(t, "example.", zone)
	s.ScriptAll(dnstest.Split(dnstest.Then(dnstest.Forged("badcase"), 50*time.Millisecond, dnstest.Good()), dnstest.Good()))
	g, _ := group(t, nil, s)
	for i := range 10 {
		if _, m := ask(t, g, question("abcdefghijklmnopqrstuvwxyz.www.example", dns.TypeA)); addresses(m) != trueAddress {
			t.Fatalf("question %d: got %s", i, m)
		}
		time.Sleep(100 * time.Millisecond) // for what lingers
	}
}
