package upstream_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/weirdns/weir/internal/dnstest"
	"github.com/weirdns/weir/resolver/upstream"
)

func racing(c *upstream.Config) { c.Strategy = upstream.StrategyRace }

// counts is how many questions for names below www.example each server got.
func counts(servers ...*dnstest.Server) (n []int) {
	for _, s := range servers {
		got := 0
		for _, q := range s.Queries() {
			if q.Name != "." {
				got++
			}
		}
		n = append(n, got)
	}
	return n
}

func TestRaceIsTheDefault(t *testing.T) {
	if got := upstream.DefaultConfig().Strategy; got != upstream.StrategyRace {
		t.Errorf("default strategy %q, want race", got)
	}
}

// A server that has just been fine and falls silent costs a race nothing, and
// is still found out: the answer that lost is waited for in the background.
func TestRaceDoesNotWaitForASilentServer(t *testing.T) {
	silent, good := dnstest.NewServer(t, "example.", zone), dnstest.NewServer(t, "example.", zone)
	g, reg := group(t, func(c *upstream.Config) {
		racing(c)
		c.Timeout, c.AttemptTimeout = 40*time.Second, 20*time.Second
	}, silent, good)
	for i := range 20 {
		ask(t, g, question(fmt.Sprintf("p%d.www.example", i), dns.TypeA))
	}
	silent.ScriptAll(dnstest.Drop())
	for i := range 20 {
		start := time.Now()
		a, _ := ask(t, g, question(fmt.Sprintf("n%d.www.example", i), dns.TypeA))
		if took := time.Since(start); a.Server != good.Addr() || took >= 10*time.Second {
			t.Errorf("question %d: answered by %s after %s", i, a.Server, took)
		}
	}
	if v := value(t, reg, "weir_upstream_up"); v != 2 {
		t.Errorf("%v servers up, want 2: nobody is late yet", v)
	}
}

func TestRaceFindsOutWhoIsDown(t *testing.T) {
	hole, good := dnstest.NewServer(t), dnstest.NewServer(t, "example.", zone)
	hole.ScriptAll(dnstest.Drop())
	g, reg := group(t, func(c *upstream.Config) { racing(c); c.AttemptTimeout = 400 * time.Millisecond }, hole, good)
	end := time.Now().Add(20 * time.Second)
	for i := 0; value(t, reg, "weir_upstream_up", hole.Addr()) == 1; i++ {
		if a, _ := ask(t, g, question(fmt.Sprintf("n%d.www.example", i), dns.TypeA)); a.Server != good.Addr() {
			t.Errorf("answered by %s", a.Server)
		}
		if time.Now().After(end) {
			t.Fatal("the silent one is still taken to be up")
		}
		time.Sleep(5 * time.Millisecond)
	}
	hole.Reset()
	for i := range 20 {
		ask(t, g, question(fmt.Sprintf("m%d.www.example", i), dns.TypeA))
	}
	if n := counts(hole); n[0] != 0 {
		t.Errorf("the one that is down was asked %d times", n[0])
	}
}

// What a race costs: two packets for one question, never more while both answer.
func TestRaceAsksTwoOfMany(t *testing.T) {
	servers := []*dnstest.Server{
		dnstest.NewServer(t, "example.", zone), dnstest.NewServer(t, "example.", zone), dnstest.NewServer(t, "example.", zone),
	}
	g, _ := group(t, func(c *upstream.Config) {
		racing(c)
		c.Timeout, c.AttemptTimeout = 40*time.Second, 20*time.Second
		c.Hedge = false
	}, servers...)
	const questions = 60
	for i := range questions {
		ask(t, g, question(fmt.Sprintf("n%d.www.example", i), dns.TypeA))
	}
	// Before a server has answered once, the third is asked after 100 ms.
	total := 0
	for i, n := range counts(servers...) {
		total += n
		if n == 0 {
			t.Errorf("server %d was never picked in %d races", i, questions)
		}
	}
	if total < questions || total > 2*questions+10 {
		t.Errorf("%d packets for %d questions, want two each", total, questions)
	}
}

func TestEveryForgeryLosesTheRace(t *testing.T) {
	eachForgery(t, func(t *testing.T, what string, s *dnstest.Server, q *upstream.Question) {
		liar := dnstest.NewServer(t)
		liar.ScriptAll(dnstest.Forged(what))
		if what == "badcase" || what == "oversize" {
			liar.ScriptAll(dnstest.Split(dnstest.Forged(what), dnstest.Drop())) // over TCP there is nothing wrong in it
		}
		s.ScriptAll(dnstest.Delay(30*time.Millisecond, dnstest.Good()))
		g, _ := group(t, racing, liar, s)
		for range 3 {
			a, err := g.Exchange(t.Context(), q)
			mustBeTrue(t, a, err)
		}
	})
}

func TestRoundRobinAsksInTurn(t *testing.T) {
	servers := []*dnstest.Server{
		dnstest.NewServer(t, "example.", zone), dnstest.NewServer(t, "example.", zone), dnstest.NewServer(t, "example.", zone),
	}
	g, _ := group(t, func(c *upstream.Config) { c.Strategy, c.Hedge = upstream.StrategyRoundRobin, false }, servers...)
	answered := map[string]int{}
	for i := range 30 {
		a, _ := ask(t, g, question(fmt.Sprintf("n%d.www.example", i), dns.TypeA))
		answered[a.Server]++
	}
	for _, s := range servers {
		if n := answered[s.Addr()]; n < 8 || n > 12 {
			t.Errorf("%s answered %d of 30, want about 10", s.Addr(), n)
		}
	}
}

func TestRandomAsksAll(t *testing.T) {
	a, b := dnstest.NewServer(t, "example.", zone), dnstest.NewServer(t, "example.", zone)
	g, _ := group(t, func(c *upstream.Config) { c.Strategy = upstream.StrategyRandom }, a, b)
	for i := range 64 {
		ask(t, g, question(fmt.Sprintf("n%d.www.example", i), dns.TypeA))
	}
	if n := counts(a, b); n[0] == 0 || n[1] == 0 {
		t.Errorf("asked %v times, want both", n)
	}
}

// warm lets g find out how quick its first server is.
func warm(t *testing.T, g *upstream.Group) {
	t.Helper()
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for j := range 400 {
				ask(t, g, question(fmt.Sprintf("p%d.%d.www.example", j, i), dns.TypeA))
			}
		})
	}
	wg.Wait()
}

// Once a server is known to be quick, a question whose answer takes long is put
// to the next one, long before the patience with the first ends.
func TestHedgeAsksTheNext(t *testing.T) {
	s, next := dnstest.NewServer(t, "example.", zone), dnstest.NewServer(t, "example.", zone)
	g, reg := group(t, func(c *upstream.Config) { c.Timeout, c.AttemptTimeout = time.Minute, 30*time.Second }, s, next)
	warm(t, g)
	before := value(t, reg, "weir_upstream_hedges_total")
	s.Script("late.www.example.", dnstest.Drop())
	start := time.Now()
	if a, m := ask(t, g, question("late.www.example", dns.TypeA)); addresses(m) != trueAddress || a.Server != next.Addr() {
		t.Errorf("answered by %s, want %s\n%s", a.Server, next.Addr(), m)
	}
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("took %s: not asked before the patience ended", took)
	}
	if after := value(t, reg, "weir_upstream_hedges_total"); after != before+1 {
		t.Errorf("hedges went from %v to %v, want one more", before, after)
	}
}

// A single server that is slow is not asked twice: it would be as slow, and a
// second query gives a forger a second chance.
func TestOneServerIsNotHedged(t *testing.T) {
	s := dnstest.NewServer(t, "example.", zone)
	g, _ := group(t, func(c *upstream.Config) {
		racing(c)
		c.Timeout, c.AttemptTimeout = time.Minute, 30*time.Second
	}, s)
	warm(t, g)
	s.Reset()
	s.Script("late.www.example.", dnstest.Delay(400*time.Millisecond, dnstest.Good()))
	ask(t, g, question("late.www.example", dns.TypeA))
	if n := len(s.Queries()); n != 1 {
		t.Errorf("the server got %d queries, want 1", n)
	}
}

// However many servers there are and whatever they say, one question costs a
// bounded number of packets.
func TestOneQuestionCostsFewPackets(t *testing.T) {
	var servers []*dnstest.Server
	for range 12 {
		s := dnstest.NewServer(t)
		s.ScriptAll(dnstest.Rcode(dns.RcodeRefused))
		servers = append(servers, s)
	}
	for _, strategy := range []string{upstream.StrategyRace, upstream.StrategyFailover} {
		g, _ := idle(t, func(c *upstream.Config) { c.Strategy = strategy }, servers...)
		if a, err := g.Exchange(t.Context(), question("www.example", dns.TypeA)); err != nil || a.Rcode != dns.RcodeRefused {
			t.Errorf("%s: got %+v, %v; want REFUSED", strategy, a, err)
		}
		total := 0
		for _, n := range counts(servers...) {
			total += n
		}
		if total > 8 {
			t.Errorf("%s: %d packets for one question, want at most 8", strategy, total)
		}
		for _, s := range servers {
			s.Reset()
		}
	}
}

func TestServersInsideAreNotOutside(t *testing.T) {
	outside := []string{"192.0.2.53", "127.0.0.1:5353"}
	for _, tt := range []struct {
		what    string
		servers []string
		zone    upstream.ZoneConfig
		want    bool
	}{
		{"public and on this machine", outside, upstream.ZoneConfig{}, true},
		{"one in private space", append([]string{"10.0.0.53"}, outside...), upstream.ZoneConfig{}, false},
		{"unique local", []string{"tls://[fd00::1]"}, upstream.ZoneConfig{}, false},
		{"shared space", []string{"100.100.2.136"}, upstream.ZoneConfig{}, false},
		{"link-local, as clouds have it", []string{"169.254.169.253"}, upstream.ZoneConfig{}, false},
		{"none", nil, upstream.ZoneConfig{}, false},
		{"some clients ask inside", outside, upstream.ZoneConfig{Clients: []string{"192.168.0.0/16"}, Servers: []string{"192.168.0.1"}}, false},
		{"nobody does", outside, upstream.ZoneConfig{Disabled: true, Clients: []string{"192.168.0.0/16"}, Servers: []string{"192.168.0.1"}}, true},
		{"a zone inside", outside, upstream.ZoneConfig{Zones: []string{"corp.example"}, Servers: []string{"192.168.0.1"}}, true},
	} {
		cfg := upstream.DefaultConfig()
		cfg.Servers, cfg.Zones = tt.servers, []upstream.ZoneConfig{tt.zone}
		if len(tt.zone.Servers) == 0 {
			cfg.Zones = nil
		}
		if got := cfg.AsksOutside(); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.what, got, tt.want)
		}
	}
}

func TestRacesBetweenInsideAndOutsideAreNoticed(t *testing.T) {
	for _, tt := range []struct {
		servers  []string
		strategy string
		want     bool
	}{
		{[]string{"10.0.0.53", "192.0.2.53"}, upstream.StrategyRace, true},
		{[]string{"[fd00::1]:53", "tls://192.0.2.53"}, upstream.StrategyRace, true},
		{[]string{"127.0.0.1:5353", "192.0.2.53"}, upstream.StrategyRace, true},
		{[]string{"10.0.0.53", "192.0.2.53"}, upstream.StrategyFailover, false},
		{[]string{"10.0.0.53", "192.168.0.53"}, upstream.StrategyRace, false},
		{[]string{"192.0.2.53", "198.51.100.53"}, upstream.StrategyRace, false},
		{[]string{"10.0.0.53"}, upstream.StrategyRace, false},
	} {
		cfg := upstream.DefaultConfig()
		cfg.Servers, cfg.Strategy = tt.servers, tt.strategy
		if got := cfg.RacesStrangers(); got != tt.want {
			t.Errorf("%v with %s: %v, want %v", tt.servers, tt.strategy, got, tt.want)
		}
	}
}
