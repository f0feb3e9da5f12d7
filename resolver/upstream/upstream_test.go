package upstream_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/internal/dnstest"
	"github.com/weirdns/weir/resolver/upstream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const zone = `
@	SOA ns host 1 3600 600 86400 300
	NS ns
www	A 192.0.2.1
*.www	A 192.0.2.1
alias	CNAME www
`

// The true address; see dnstest.ForgedAddress for the other one.
const trueAddress = "192.0.2.1"

// group makes a Group for servers with a registry of its own, and runs it
// until the test ends.
func group(t testing.TB, change func(*upstream.Config), servers ...*dnstest.Server) (*upstream.Group, *prometheus.Registry) {
	t.Helper()
	g, reg := idle(t, change, servers...)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- g.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return g, reg
}

// idle makes a Group that does not run: nothing is probed.
func idle(t testing.TB, change func(*upstream.Config), servers ...*dnstest.Server) (*upstream.Group, *prometheus.Registry) {
	t.Helper()
	cfg := upstream.DefaultConfig()
	cfg.Strategy = upstream.StrategyFailover // what most tests are about: who is asked is then certain
	// A slow machine is no silent server. Tests of silence say how long it lasts.
	cfg.Timeout, cfg.AttemptTimeout = 20*time.Second, 5*time.Second
	for _, s := range servers {
		cfg.Servers = append(cfg.Servers, s.Addr())
	}
	if change != nil {
		change(&cfg)
	}
	reg := prometheus.NewRegistry()
	g, err := upstream.New(cfg, upstream.Deps{Log: zap.NewNop(), Registry: reg})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // closes what was kept
		ended, cancel := context.WithCancel(context.Background())
		cancel()
		_ = g.Run(ended)
	})
	return g, reg
}

func question(name string, qtype uint16) *upstream.Question {
	return &upstream.Question{Name: dnsname.MustParse(name), Type: qtype, Class: dns.ClassINET}
}

func ask(t testing.TB, g *upstream.Group, q *upstream.Question) (*upstream.Answer, *dns.Msg) {
	t.Helper()
	a, err := g.Exchange(t.Context(), q)
	if err != nil {
		t.Fatalf("%s: %v", q.Name, err)
	}
	return a, unpack(t, a)
}

func unpack(t testing.TB, a *upstream.Answer) *dns.Msg {
	t.Helper()
	m := new(dns.Msg)
	if err := m.Unpack(a.Msg); err != nil {
		t.Fatalf("answer does not unpack: %v\n%x", err, a.Msg)
	}
	if m.Id != 0 || m.Truncated || !m.Response || m.IsEdns0() != nil {
		t.Errorf("answer has ID %d, TC %v, QR %v, OPT %v; want 0, false, true, none", m.Id, m.Truncated, m.Response, m.IsEdns0())
	}
	return m
}

// addresses lists the A records of an answer.
func addresses(m *dns.Msg) string {
	var all []string
	for _, rr := range m.Answer {
		if a, ok := rr.(*dns.A); ok {
			all = append(all, a.A.String())
		}
	}
	return strings.Join(all, " ")
}

func value(t testing.TB, reg *prometheus.Registry, name string, labels ...string) (sum float64) {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
	metric:
		for _, m := range f.GetMetric() {
			for _, want := range labels {
				found := false
				for _, l := range m.GetLabel() {
					found = found || l.GetValue() == want
				}
				if !found {
					continue metric
				}
			}
			sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return sum
}

func TestAnswersComeClean(t *testing.T) {
	s := dnstest.NewServer(t, "example.", zone)
	g, reg := group(t, nil, s)
	q := question("alias.example", dns.TypeA)
	q.CD, q.DO, q.AD = true, true, true
	a, m := ask(t, g, q)
	if got := addresses(m); got != trueAddress || len(m.Answer) != 2 {
		t.Errorf("got %s\n%s", got, m)
	}
	if m.Question[0].Name != "alias.example." || m.Answer[0].Header().Name != "alias.example." {
		t.Errorf("names are not in lower case:\n%s", m)
	}
	if a.Server != s.Addr() || a.TCP || a.Rcode != 0 || a.EDE != nil || a.RTT <= 0 {
		t.Errorf("answer described as %+v", a)
	}
	seen := s.Queries()[0]
	if !seen.RD || !seen.CD || !seen.AD || !seen.EDNS || !seen.DO || seen.Size != 1232 || seen.Options != 0 || len(seen.Cookie) != 16 {
		t.Errorf("server saw %+v, want RD, CD, AD, DO, size 1232, one option: the cookie", seen)
	}
	q.CD, q.DO, q.AD = false, false, false
	ask(t, g, q)
	if seen := s.Queries()[1]; seen.CD || seen.DO || seen.AD || !seen.EDNS {
		t.Errorf("server saw %+v, want EDNS without CD, AD, DO", seen)
	}
	if got := value(t, reg, "weir_upstream_request_duration_seconds", s.Addr(), "NOERROR"); got != 2 {
		t.Errorf("duration counts %v answers, want 2", got)
	}
}

func TestNegativeAnswersPass(t *testing.T) {
	s := dnstest.NewServer(t, "example.", zone)
	g, _ := group(t, nil, s)
	if a, m := ask(t, g, question("nope.example", dns.TypeA)); a.Rcode != dns.RcodeNameError || len(m.Ns) != 1 {
		t.Errorf("NXDOMAIN: rcode %d\n%s", a.Rcode, m)
	}
	if a, m := ask(t, g, question("www.example", dns.TypeTXT)); a.Rcode != 0 || len(m.Answer) != 0 || len(m.Ns) != 1 {
		t.Errorf("NODATA: rcode %d\n%s", a.Rcode, m)
	}
	if n := len(s.Queries()); n != 2 {
		t.Errorf("%d queries for two questions", n)
	}
}

func TestEveryQueryHasItsOwnPortIDAndCase(t *testing.T) {
	s := dnstest.NewServer(t, "example.", zone)
	g, _ := group(t, nil, s)
	const n = 600
	for range n {
		ask(t, g, question("abcdefghij.www.example", dns.TypeA))
	}
	ports, ids, cases, bits := map[int]int{}, map[uint16]int{}, map[string]int{}, [16]int{}
	next, low, high := 0, 1<<16, 0
	for i, q := range s.Queries() {
		ports[q.Port]++
		low, high = min(low, q.Port), max(high, q.Port)
		ids[q.ID]++
		cases[q.Name]++
		for b := range bits {
			bits[b] += int(q.ID >> b & 1)
		}
		if i > 0 && q.ID == s.Queries()[i-1].ID+1 {
			next++
		}
	}
	if len(ports) < 590 {
		t.Errorf("%d distinct ports in %d queries, want at least 590", len(ports), n)
	}
	// Wider than what the system gives out by itself, usually 32768 to 60999.
	if low > 20_000 || high < 62_000 {
		t.Errorf("ports between %d and %d, want 10000 to 65535", low, high)
	}
	if len(ids) < n*95/100 {
		t.Errorf("%d distinct IDs in %d queries, want over 95 %%", len(ids), n)
	}
	if len(cases) < n*95/100 {
		t.Errorf("%d distinct spellings in %d queries, want over 95 %%", len(cases), n)
	}
	for b, count := range bits {
		// Six standard deviations.
		if count < n/2-74 || count > n/2+74 {
			t.Errorf("bit %d of the ID is set in %d of %d queries", b, count, n)
		}
	}
	if next > 5 {
		t.Errorf("%d IDs follow the one before", next)
	}
}

func TestTruncatedComesOverTCP(t *testing.T) {
	s := dnstest.NewServer(t, "example.", zone+bigRecords(60_000))
	g, _ := group(t, nil, s)
	a, m := ask(t, g, question("big.example", dns.TypeTXT))
	if !a.TCP || len(a.Msg) < 60_000 || len(m.Answer) != 300 {
		t.Errorf("TCP %v, %d octets, %d records; want true, over 60000, 300", a.TCP, len(a.Msg), len(m.Answer))
	}
	// The connection is used again, and one that the server has closed in the
	// meantime is no failure.
	port := s.Queries()[1].Port
	ask(t, g, question("big.example", dns.TypeTXT))
	if got := s.Queries()[3]; !got.TCP || got.Port != port {
		t.Errorf("second answer over TCP from port %d, want the connection from %d again", got.Port, port)
	}
	s.Stop()
	s.Start()
	if a, _ := ask(t, g, question("big.example", dns.TypeTXT)); !a.TCP {
		t.Error("not over TCP after the server was restarted")
	}
}

func bigRecords(octets int) string {
	var b strings.Builder
	for i := range octets / 200 {
		b.WriteString("\nbig TXT \"" + strings.Repeat(string(rune('a'+i%26)), 180) + strings.Repeat(string(rune('a'+i/26)), 10) + "\"\n")
	}
	return b.String()
}

func TestTCPOnlyServer(t *testing.T) {
	s := dnstest.NewServer(t, "example.", zone)
	g, _ := group(t, func(c *upstream.Config) { c.Servers = []string{"tcp://" + s.Addr()} })
	for range 3 {
		if a, m := ask(t, g, question("www.example", dns.TypeA)); !a.TCP || addresses(m) != trueAddress {
			t.Errorf("TCP %v\n%s", a.TCP, m)
		}
	}
	for _, q := range s.Queries() {
		if !q.TCP {
			t.Errorf("asked over UDP: %+v", q)
		}
	}
}

func TestIPv6Server(t *testing.T) {
	s := dnstest.NewServer6(t, "example.", zone)
	g, _ := group(t, nil, s)
	if _, m := ask(t, g, question("www.example", dns.TypeA)); addresses(m) != trueAddress {
		t.Errorf("got\n%s", m)
	}
}

func TestOverloadIsRefusedAndCounted(t *testing.T) {
	s := dnstest.NewServer(t, "example.", zone)
	release := make(chan struct{})
	s.ScriptAll(func(x *dnstest.Exchange) {
		<-release
		x.Send(x.Good())
	})
	g, reg := group(t, func(c *upstream.Config) {
		c.MaxInFlight = 2
		c.Timeout = 30 * time.Second
		c.AttemptTimeout = 30 * time.Second
	}, s)
	done := make(chan error, 2)
	for range 2 {
		go func() {
			_, err := g.Exchange(context.Background(), question("www.example", dns.TypeA))
			done <- err
		}()
	}
	for s.Count("www.example.") < 2 {
		time.Sleep(time.Millisecond)
	}
	if got := value(t, reg, "weir_upstream_in_flight"); got != 2 {
		t.Errorf("in flight = %v, want 2", got)
	}
	if _, err := g.Exchange(t.Context(), question("www.example", dns.TypeA)); err != upstream.ErrOverloaded {
		t.Errorf("third question: %v, want ErrOverloaded", err)
	}
	close(release)
	for range 2 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if got := value(t, reg, "weir_upstream_rejected_total"); got != 1 {
		t.Errorf("rejected = %v, want 1", got)
	}
}

func TestMetricsAreWellFormed(t *testing.T) {
	s := dnstest.NewServer(t, "example.", zone)
	g, reg := group(t, nil, s)
	ask(t, g, question("www.example", dns.TypeA))
	problems, err := testutil.GatherAndLint(reg)
	if err != nil || len(problems) > 0 {
		t.Errorf("%v %v", problems, err)
	}
}

func TestValidateNamesEveryBadField(t *testing.T) {
	cfg := upstream.Config{
		Servers:     []string{"192.0.2.1", "192.0.2.1:53", "dns.example", "192.0.2.1:0", "0.0.0.0", "udp://192.0.2.1"},
		EDNSUDPSize: 100, Strategy: "fastest",
	}
	err := cfg.Validate()
	if err == nil {
		t.Fatal("Validate accepted a bad config")
	}
	for _, field := range []string{"servers[1]", "servers[2]", "servers[3]", "servers[4]", "servers[5]", "timeout", "attempt_timeout", "edns_udp_size", "max_in_flight", "strategy"} {
		if !strings.Contains("\n"+err.Error(), "\n"+field+": ") {
			t.Errorf("Validate does not name %s: %v", field, err)
		}
	}
	if strings.Contains(err.Error(), "servers[0]") {
		t.Errorf("Validate refuses a plain address: %v", err)
	}
	cfg = upstream.DefaultConfig()
	cfg.Servers = []string{"192.0.2.1", "192.0.2.1:5353", "[2001:db8::1]:53", "2001:db8::2", "[2001:db8::3]", "tcp://192.0.2.1:53", "tcp://192.0.2.2"}
	if err := cfg.Validate(); err != nil {
		t.Error(err)
	}
	if _, err := upstream.New(upstream.DefaultConfig(), upstream.Deps{Log: zap.NewNop(), Registry: prometheus.NewRegistry()}); err == nil || !strings.Contains(err.Error(), "servers: ") {
		t.Errorf("New without servers: %v", err)
	}
}

// mustName wants each field at the beginning of a line of err.
func mustName(t *testing.T, err error, fields ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	for _, field := range fields {
		if !strings.Contains("\n"+err.Error(), "\n"+field+": ") {
			t.Errorf("%s is not named in: %v", field, err)
		}
	}
}
