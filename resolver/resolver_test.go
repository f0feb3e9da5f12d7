package resolver_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/internal/dnswire"
	"github.com/weirdns/weir/resolver"
	"github.com/weirdns/weir/resolver/upstream"
	"go.uber.org/goleak"
	"go.uber.org/zap"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeUpstream answers from a function, as upstream.Group would after all of
// its checks.
type fakeUpstream struct {
	asked  atomic.Int64
	answer func(q *dns.Msg) (*dns.Msg, error)
	hold   chan struct{} // if set, every exchange waits for it
	rcode  uint16        // if set, the code as the upstream sent it
}

func (f *fakeUpstream) Exchange(ctx context.Context, q *upstream.Question) (*upstream.Answer, error) {
	f.asked.Add(1)
	if f.hold != nil {
		select {
		case <-f.hold:
		case <-ctx.Done():
			return nil, upstream.ErrTimeout
		}
	}
	m := new(dns.Msg)
	m.SetQuestion(dns.Fqdn(q.Name.String()), q.Type)
	a, err := f.answer(m)
	if err != nil {
		return nil, err
	}
	a.Id = 0
	a.Compress = true
	wire, err := a.Pack()
	if err != nil {
		return nil, err
	}
	rcode := uint16(a.Rcode)
	if f.rcode != 0 {
		rcode = f.rcode
	}
	return &upstream.Answer{Msg: wire, Rcode: rcode, Server: "192.0.2.53:53"}, nil
}

// zone answers from records in presentation form; NXDOMAIN with a SOA for the
// rest.
func zone(records ...string) func(*dns.Msg) (*dns.Msg, error) {
	byName := map[string][]dns.RR{}
	for _, s := range records {
		rr, err := dns.NewRR(s)
		if err != nil {
			panic(err)
		}
		byName[rr.Header().Name] = append(byName[rr.Header().Name], rr)
	}
	return func(q *dns.Msg) (*dns.Msg, error) {
		m := new(dns.Msg)
		m.SetReply(q)
		m.RecursionAvailable, m.Authoritative = true, true
		name := q.Question[0].Name
		for range 8 {
			next := ""
			for _, rr := range byName[name] {
				if rr.Header().Rrtype == q.Question[0].Qtype || rr.Header().Rrtype == dns.TypeCNAME {
					m.Answer = append(m.Answer, rr)
				}
				if c, ok := rr.(*dns.CNAME); ok {
					next = c.Target
				}
			}
			if next == "" {
				break
			}
			name = next
		}
		if len(m.Answer) == 0 {
			if len(byName[name]) == 0 {
				m.Rcode = dns.RcodeNameError
			}
			soa, _ := dns.NewRR("example. 300 IN SOA ns.example. admin.example. 1 3600 600 86400 60")
			m.Ns = []dns.RR{soa}
		}
		return m, nil
	}
}

// judge is an Inspector of functions; those not set judge nothing.
type judge struct {
	inspect func(q *detect.Query, v *detect.Verdict)
	answer  func(q *detect.Query, response []byte, v *detect.Verdict)
}

func (j *judge) Inspect(q *detect.Query, v *detect.Verdict) {
	*v = detect.Verdict{Unscored: detect.NoModel, Matches: v.Matches[:0]}
	if j.inspect != nil {
		j.inspect(q, v)
	}
}

func (j *judge) InspectAnswer(q *detect.Query, response []byte, v *detect.Verdict) {
	if j.answer != nil {
		j.answer(q, response, v)
	}
}

// recorded is a sink that keeps what tests ask about.
type recorded struct {
	mu      sync.Mutex
	all     []string
	blocked int // verdicts that were enforced
}

func (s *recorded) Record(t *detect.Transaction) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.Verdict.Blocks() {
		s.blocked++
	}
	s.all = append(s.all, fmt.Sprintf("%s %s %s %s %s", t.Query.Transport, t.Query.Name,
		dnswire.TypeString(t.Query.Type), dnswire.RcodeString(t.Rcode), t.Source))
}

func (s *recorded) lines() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.all...)
}

type server struct {
	addr     string
	up       *fakeUpstream
	sink     *recorded
	registry *prometheus.Registry
	resolver *resolver.Resolver
	stop     func()
}

// start runs a resolver on free ports. It stops with the test, or by stop.
func start(t *testing.T, up *fakeUpstream, j *judge, change func(*resolver.Config)) *server {
	t.Helper()
	cfg := resolver.DefaultConfig()
	cfg.Listen = []string{"127.0.0.1:0"}
	cfg.Upstream.Servers = []string{"192.0.2.53"}
	if change != nil {
		change(&cfg)
	}
	if j == nil {
		j = &judge{}
	}
	s := &server{up: up, sink: &recorded{}, registry: prometheus.NewRegistry()}
	r, err := resolver.New(cfg, resolver.Deps{
		Log: zap.NewNop(), Registry: s.registry, Detector: j, Upstream: up, Sinks: []detect.Sink{s.sink},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Listen(); err != nil {
		t.Fatal(err)
	}
	s.resolver, s.addr = r, r.Addrs()[0]
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	s.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
	})
	t.Cleanup(s.stop)
	return s
}

// ask sends one query and returns the answer.
func (s *server) ask(t *testing.T, network, name string, qtype uint16, change func(*dns.Msg)) *dns.Msg {
	t.Helper()
	m := new(dns.Msg)
	m.SetQuestion(name, qtype)
	if change != nil {
		change(m)
	}
	c := dns.Client{Net: network, Timeout: 20 * time.Second, UDPSize: 4096}
	r, _, err := c.Exchange(m, s.addr)
	if err != nil {
		t.Fatalf("%s %s %s: %v", network, name, dns.TypeToString[qtype], err)
	}
	return r
}

func edns(m *dns.Msg) { m.SetEdns0(4096, false) }

func ede(m *dns.Msg) string {
	if opt := m.IsEdns0(); opt != nil {
		for _, o := range opt.Option {
			if e, ok := o.(*dns.EDNS0_EDE); ok {
				return fmt.Sprintf("%d %s", e.InfoCode, e.ExtraText)
			}
		}
	}
	return ""
}

func TestAnswersFromUpstreamThenFromCache(t *testing.T) {
	s := start(t, &fakeUpstream{answer: zone("www.example. 300 IN A 192.0.2.1")}, nil, nil)
	for _, network := range []string{"udp", "tcp"} {
		r := s.ask(t, network, "wWw.eXample.", dns.TypeA, nil)
		if len(r.Answer) != 1 || !strings.Contains(r.Answer[0].String(), "192.0.2.1") {
			t.Fatalf("%s: answer %v, want the address", network, r.Answer)
		}
		if r.Question[0].Name != "wWw.eXample." {
			t.Errorf("%s: question came back as %q, want the client's own case", network, r.Question[0].Name)
		}
		if r.Authoritative || !r.RecursionAvailable || !r.RecursionDesired || r.IsEdns0() != nil {
			t.Errorf("%s: header %+v, want RA and RD, no AA, and no OPT where the query had none", network, r.MsgHdr)
		}
	}
	if got := s.up.asked.Load(); got != 1 {
		t.Errorf("upstream was asked %d times, want 1: the second answer is in the cache", got)
	}
	s.stop()
	want := []string{"udp www.example A NOERROR upstream", "tcp www.example A NOERROR cache"}
	if got := s.sink.lines(); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("recorded %q, want %q", got, want)
	}
}

func TestNegativeAnswersAreCached(t *testing.T) {
	s := start(t, &fakeUpstream{answer: zone("www.example. 300 IN A 192.0.2.1")}, nil, nil)
	for range 2 {
		if r := s.ask(t, "udp", "none.example.", dns.TypeA, nil); r.Rcode != dns.RcodeNameError || len(r.Ns) != 1 {
			t.Fatalf("got %v, want NXDOMAIN with its SOA", r)
		}
		if r := s.ask(t, "udp", "www.example.", dns.TypeMX, nil); r.Rcode != dns.RcodeSuccess || len(r.Answer) != 0 {
			t.Fatalf("got %v, want NODATA", r)
		}
	}
	if got := s.up.asked.Load(); got != 2 {
		t.Errorf("upstream was asked %d times, want 2", got)
	}
}

func TestEqualQuestionsInFlightAreOneUpstreamQuery(t *testing.T) {
	up := &fakeUpstream{answer: zone("www.example. 300 IN A 192.0.2.1"), hold: make(chan struct{})}
	s := start(t, up, nil, nil)
	var wg sync.WaitGroup
	var answered atomic.Int64
	for range 50 {
		wg.Go(func() {
			m := new(dns.Msg)
			m.SetQuestion("www.example.", dns.TypeA)
			c := dns.Client{Timeout: 20 * time.Second}
			if r, _, err := c.Exchange(m, s.addr); err == nil && len(r.Answer) == 1 {
				answered.Add(1)
			}
		})
	}
	waitFor(t, "50 pending queries", func() bool { return gauge(t, s.registry, "weir_dns_pending") == 50 })
	close(up.hold)
	wg.Wait()
	if answered.Load() != 50 || up.asked.Load() != 1 {
		t.Errorf("%d of 50 answered by %d upstream queries, want all by 1", answered.Load(), up.asked.Load())
	}
}

func TestAnswersFitTheClient(t *testing.T) {
	var records []string
	for i := range 100 {
		records = append(records, fmt.Sprintf("big.example. 300 IN A 192.0.2.%d", i))
	}
	s := start(t, &fakeUpstream{answer: zone(records...)}, nil, nil)
	for _, c := range []struct {
		what string
		size uint16
		max  int
	}{{"no EDNS", 0, 512}, {"EDNS 4096", 4096, 1232}, {"EDNS 100", 100, 512}} {
		raw := rawAsk(t, s.addr, "big.example.", func(m *dns.Msg) {
			if c.size > 0 {
				m.SetEdns0(c.size, false)
			}
		})
		var r dns.Msg
		if err := r.Unpack(raw); err != nil {
			t.Fatal(err)
		}
		if len(raw) > c.max || !r.Truncated || len(r.Answer) != 0 || (r.IsEdns0() != nil) != (c.size > 0) {
			t.Errorf("%s: %d octets, TC %v, %d records; want at most %d octets and TC", c.what, len(raw), r.Truncated, len(r.Answer), c.max)
		}
	}
	if r := s.ask(t, "tcp", "big.example.", dns.TypeA, nil); r.Truncated || len(r.Answer) != 100 {
		t.Errorf("tcp: TC %v, %d records, want all 100", r.Truncated, len(r.Answer))
	}
}

// rawAsk returns the answer's octets over UDP.
func rawAsk(t *testing.T, addr, name string, change func(*dns.Msg)) []byte {
	t.Helper()
	m := new(dns.Msg)
	m.SetQuestion(name, dns.TypeA)
	change(m)
	wire, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return exchangeRaw(t, addr, wire)
}

// exchangeRaw sends octets and returns the answer's; nil if none came.
func exchangeRaw(t *testing.T, addr string, wire []byte) []byte {
	t.Helper()
	c, err := net.Dial("udp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write(wire); err != nil {
		t.Fatal(err)
	}
	// A query that must be answered follows: if its answer comes first, there
	// is none to the first.
	canary := new(dns.Msg)
	canary.SetQuestion("localhost.", dns.TypeA)
	canary.Id = 0xbeef
	packed, _ := canary.Pack()
	buf := make([]byte, 65536)
	_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
	sent := false
	for {
		if !sent {
			_ = c.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
		}
		n, err := c.Read(buf)
		if err != nil && !sent {
			sent = true
			_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
			if _, err := c.Write(packed); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err != nil {
			t.Fatalf("the server answers nothing any more: %v", err)
		}
		if n > 1 && buf[0] == 0xbe && buf[1] == 0xef {
			return nil
		}
		return buf[:n]
	}
}

func TestWhatIsNoQueryIsRefusedOrIgnored(t *testing.T) {
	s := start(t, &fakeUpstream{answer: zone()}, nil, nil)
	pack := func(change func(*dns.Msg)) []byte {
		m := new(dns.Msg)
		m.SetQuestion("www.example.", dns.TypeA)
		m.Id = 4711
		change(m)
		wire, err := m.Pack()
		if err != nil {
			t.Fatal(err)
		}
		return wire
	}
	plain := pack(func(*dns.Msg) {})
	for _, c := range []struct {
		what  string
		wire  []byte
		rcode int // -1: no answer
	}{
		{"a response", pack(func(m *dns.Msg) { m.Response = true }), -1},
		{"eleven octets", plain[:11], -1},
		{"a header alone", plain[:12], dns.RcodeFormatError},
		{"half a question", plain[:20], dns.RcodeFormatError},
		{"two questions", pack(func(m *dns.Msg) { m.Question = append(m.Question, m.Question[0]) }), dns.RcodeFormatError},
		{"no question", pack(func(m *dns.Msg) { m.Question = nil }), dns.RcodeFormatError},
		{"opcode NOTIFY", pack(func(m *dns.Msg) { m.Opcode = dns.OpcodeNotify }), dns.RcodeNotImplemented},
		{"class CH", pack(func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassCHAOS }), dns.RcodeRefused},
		{"AXFR", pack(func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeAXFR }), dns.RcodeRefused},
		{"type OPT", pack(func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeOPT }), dns.RcodeFormatError},
		{"RD clear, nothing cached", pack(func(m *dns.Msg) { m.RecursionDesired = false }), dns.RcodeRefused},
		{"the root by a pointer into the header", append(append([]byte{}, plain[:12]...), 0xc0, 6, 0, 1, 0, 1), dns.RcodeFormatError},
		{"a name that ends in the header", append(append([]byte{}, plain[:24]...), 0xc0, 6, 0, 1, 0, 1), dns.RcodeFormatError},
		{"a compressed loop", append(append([]byte{}, plain[:12]...), 0xc0, 12, 0, 1, 0, 1), dns.RcodeFormatError},
	} {
		raw := exchangeRaw(t, s.addr, c.wire)
		if c.rcode < 0 {
			if raw != nil {
				t.Errorf("%s: answered with %x, want silence", c.what, raw)
			}
			continue
		}
		if len(raw) < 12 || raw[0] != 4711>>8 || int(raw[3]&0xf) != c.rcode || raw[2]&0x80 == 0 {
			t.Errorf("%s: answer %x, want rcode %s with the query's ID", c.what, raw, dns.RcodeToString[c.rcode])
		}
	}
	r := s.ask(t, "udp", "www.example.", dns.TypeA, func(m *dns.Msg) {
		m.SetEdns0(1232, false)
		m.IsEdns0().SetVersion(1)
	})
	if opt := r.IsEdns0(); opt == nil || r.Rcode != dns.RcodeBadVers || opt.Version() != 0 {
		t.Errorf("EDNS version 1: %v, want BADVERS from version 0", r)
	}
	if got := s.up.asked.Load(); got != 0 {
		t.Errorf("upstream was asked %d times, want never", got)
	}
}

func TestSpecialNamesStayInTheHouse(t *testing.T) {
	s := start(t, &fakeUpstream{answer: zone()}, nil, func(c *resolver.Config) { c.SpecialExcept = []string{"lan.home.arpa"} })
	for _, c := range []struct {
		name  string
		qtype uint16
		rcode int
		want  string
	}{
		{"localhost.", dns.TypeA, dns.RcodeSuccess, "127.0.0.1"},
		{"a.LOCALHOST.", dns.TypeAAAA, dns.RcodeSuccess, "::1"},
		{"localhost.", dns.TypeMX, dns.RcodeSuccess, ""},
		{"x.invalid.", dns.TypeA, dns.RcodeNameError, ""},
		{"hidden.onion.", dns.TypeA, dns.RcodeNameError, ""},
		{"printer.local.", dns.TypeA, dns.RcodeNameError, ""},
		{"use-application-dns.net.", dns.TypeA, dns.RcodeNameError, ""},
		{"mask.icloud.com.", dns.TypeA, dns.RcodeNameError, ""},
		{"_dns.resolver.arpa.", dns.TypeSVCB, dns.RcodeSuccess, ""},
	} {
		r := s.ask(t, "udp", c.name, c.qtype, nil)
		got := ""
		if len(r.Answer) > 0 {
			got = r.Answer[0].String()
		}
		if r.Rcode != c.rcode || (c.want == "") != (got == "") || !strings.HasSuffix(got, c.want) || got == "" && len(r.Ns) != 1 {
			t.Errorf("%s %s: %v, want %s %q (a SOA if there is no answer)", c.name, dns.TypeToString[c.qtype], r, dns.RcodeToString[c.rcode], c.want)
		}
	}
	if got := s.up.asked.Load(); got != 0 {
		t.Errorf("upstream was asked %d times, want never", got)
	}
	s.ask(t, "udp", "nas.lan.home.arpa.", dns.TypeA, nil)
	if got := s.up.asked.Load(); got != 1 {
		t.Errorf("an excepted zone was not forwarded")
	}
}

func TestPolicyActions(t *testing.T) {
	answer := &detect.BlockAnswer{
		TTL: 10 * time.Second, EDE: dnswire.EDEBlocked,
		V4: []netip.Addr{netip.MustParseAddr("192.0.2.66")}, V6: []netip.Addr{netip.MustParseAddr("2001:db8::66")},
	}
	var action atomic.Uint32
	var enforced atomic.Bool
	enforced.Store(true)
	j := &judge{inspect: func(_ *detect.Query, v *detect.Verdict) {
		v.Origin, v.Action, v.Enforced, v.Answer = detect.OriginBlockList, detect.Action(action.Load()), enforced.Load(), answer
		v.Matches = append(v.Matches, detect.Match{List: "watched", Rule: "evil.example"}, detect.Match{List: "bad", Rule: "evil.example"})
		v.Decider = 1
	}}
	s := start(t, &fakeUpstream{answer: zone("evil.example. 300 IN A 198.51.100.1")}, j, nil)
	const list = "15 list=bad rule=evil.example"
	for _, c := range []struct {
		action detect.Action
		qtype  uint16
		rcode  int
		want   string // rdata of the one answer
	}{
		{detect.NXDOMAIN, dns.TypeA, dns.RcodeNameError, ""},
		{detect.NXDOMAIN, dns.TypeHTTPS, dns.RcodeNameError, ""},
		{detect.NODATA, dns.TypeA, dns.RcodeSuccess, ""},
		{detect.ZeroIP, dns.TypeA, dns.RcodeSuccess, "0.0.0.0"},
		{detect.ZeroIP, dns.TypeAAAA, dns.RcodeSuccess, "::"},
		{detect.ZeroIP, dns.TypeHTTPS, dns.RcodeSuccess, ""},
		{detect.ZeroIP, dns.TypeSVCB, dns.RcodeSuccess, ""},
		{detect.ZeroIP, dns.TypeTXT, dns.RcodeSuccess, ""},
		{detect.ZeroIP, 65400, dns.RcodeSuccess, ""},
		{detect.Sinkhole, dns.TypeA, dns.RcodeSuccess, "192.0.2.66"},
		{detect.Sinkhole, dns.TypeAAAA, dns.RcodeSuccess, "2001:db8::66"},
		{detect.Sinkhole, dns.TypeHTTPS, dns.RcodeSuccess, ""},
		{detect.Refuse, dns.TypeA, dns.RcodeRefused, ""},
		{detect.Refuse, dns.TypeHTTPS, dns.RcodeRefused, ""},
	} {
		action.Store(uint32(c.action))
		for _, network := range []string{"udp", "tcp"} {
			r := s.ask(t, network, "evil.example.", c.qtype, edns)
			what := fmt.Sprintf("%s %s over %s", c.action, dns.TypeToString[c.qtype], network)
			got := ""
			if len(r.Answer) == 1 {
				fields := strings.Fields(r.Answer[0].String())
				got = fields[len(fields)-1]
				if ttl := r.Answer[0].Header().Ttl; ttl != 10 {
					t.Errorf("%s: TTL %d, want 10", what, ttl)
				}
			}
			if r.Rcode != c.rcode || got != c.want || len(r.Answer) > 1 {
				t.Errorf("%s: %v, want %s %q", what, r, dns.RcodeToString[c.rcode], c.want)
			}
			if c.want == "" && c.rcode != dns.RcodeRefused && (len(r.Ns) != 1 || r.Ns[0].(*dns.SOA).Minttl != 10) {
				t.Errorf("%s: authority %v, want a SOA with MINIMUM 10", what, r.Ns)
			}
			if ede(r) != list {
				t.Errorf("%s: EDE %q, want %q", what, ede(r), list)
			}
		}
		if r := s.ask(t, "udp", "evil.example.", c.qtype, nil); r.IsEdns0() != nil {
			t.Errorf("%s: OPT in the answer to a query without", c.action)
		}
	}
	action.Store(uint32(detect.Truncate))
	if r := s.ask(t, "udp", "evil.example.", dns.TypeA, nil); !r.Truncated || len(r.Answer) != 0 {
		t.Errorf("truncate over UDP: %v, want TC and nothing", r)
	}
	if r := s.ask(t, "tcp", "evil.example.", dns.TypeA, nil); len(r.Answer) != 1 {
		t.Errorf("truncate over TCP: %v, want the answer", r)
	}
	action.Store(uint32(detect.Drop))
	m := new(dns.Msg)
	m.SetQuestion("evil.example.", dns.TypeA)
	wire, _ := m.Pack()
	if raw := exchangeRaw(t, s.addr, wire); raw != nil {
		t.Errorf("drop: answered with %x", raw)
	}
	series := `weir_dns_responses_total{rcode="none",source="policy"}`
	if got := gathered(t, s.registry)[series]; got != 1 {
		t.Errorf("%s = %v, want 1: nobody got NOERROR", series, got)
	}
	enforced.Store(false)
	action.Store(uint32(detect.NXDOMAIN))
	if r := s.ask(t, "udp", "evil.example.", dns.TypeA, nil); len(r.Answer) != 1 || !strings.Contains(r.Answer[0].String(), "198.51.100.1") {
		t.Errorf("monitor: %v, want the true answer", r)
	}
}

// Policy comes before the cache and after it: what was cached while it was fine
// is blocked as soon as a list says so.
func TestPolicyAppliesToCachedAnswers(t *testing.T) {
	var blocked atomic.Bool
	j := &judge{answer: func(_ *detect.Query, response []byte, v *detect.Verdict) {
		if blocked.Load() {
			v.Origin, v.Action, v.Enforced = detect.OriginBlockList, detect.NXDOMAIN, true
			v.Answer = &detect.BlockAnswer{EDE: dnswire.EDEBlocked}
			v.Matches = append(v.Matches, detect.Match{List: "bad", Rule: "cdn.example", Kind: detect.MatchTarget})
		}
	}}
	s := start(t, &fakeUpstream{answer: zone("www.example. 300 IN CNAME cdn.example.", "cdn.example. 300 IN A 192.0.2.1")}, j, nil)
	if r := s.ask(t, "udp", "www.example.", dns.TypeA, nil); len(r.Answer) != 2 {
		t.Fatalf("got %v, want CNAME and address", r)
	}
	blocked.Store(true)
	if r := s.ask(t, "udp", "www.example.", dns.TypeA, edns); r.Rcode != dns.RcodeNameError || ede(r) != "15 list=bad rule=cdn.example" {
		t.Errorf("got %v with EDE %q, want NXDOMAIN", r, ede(r))
	}
	if got := s.up.asked.Load(); got != 1 {
		t.Errorf("upstream was asked %d times, want 1", got)
	}
}

func TestFailuresSayWhy(t *testing.T) {
	failures := map[string]error{
		"a.example.": upstream.ErrTimeout, "b.example.": upstream.ErrNetwork, "c.example.": upstream.ErrOverloaded,
	}
	s := start(t, &fakeUpstream{answer: func(q *dns.Msg) (*dns.Msg, error) {
		return nil, fmt.Errorf("exchange: %w", failures[q.Question[0].Name])
	}}, nil, nil)
	for _, c := range []struct {
		name string
		err  error
		want string
	}{{"a.example.", upstream.ErrTimeout, "22 "}, {"b.example.", upstream.ErrNetwork, "23 "}, {"c.example.", upstream.ErrOverloaded, "14 "}} {
		r := s.ask(t, "udp", c.name, dns.TypeA, edns)
		if r.Rcode != dns.RcodeServerFailure || !strings.HasPrefix(ede(r), c.want) {
			t.Errorf("%v: %s with EDE %q, want SERVFAIL with EDE %s", c.err, dns.RcodeToString[r.Rcode], ede(r), c.want)
		}
	}
}

// A failure is remembered for a moment, and a stale answer beats it.
func TestFailuresAreRememberedAndStaleAnswersBeatThem(t *testing.T) {
	var dead atomic.Bool
	up := &fakeUpstream{answer: func(q *dns.Msg) (*dns.Msg, error) {
		if dead.Load() {
			return nil, upstream.ErrTimeout
		}
		return zone("www.example. 1 IN A 192.0.2.1")(q)
	}}
	s := start(t, up, nil, nil)
	s.ask(t, "udp", "www.example.", dns.TypeA, nil)
	dead.Store(true)
	for _, want := range []string{"22 ", "22 ", "22 "} {
		if r := s.ask(t, "udp", "other.example.", dns.TypeA, edns); r.Rcode != dns.RcodeServerFailure || !strings.HasPrefix(ede(r), want) {
			t.Errorf("got %v with EDE %q, want SERVFAIL with EDE %s", r, ede(r), want)
		}
	}
	if got := up.asked.Load(); got != 2 {
		t.Errorf("upstream was asked %d times, want 2: the failure is remembered", got)
	}
	time.Sleep(1100 * time.Millisecond) // the TTL
	for range 3 {
		r := s.ask(t, "udp", "www.example.", dns.TypeA, edns)
		if len(r.Answer) != 1 || !strings.HasPrefix(ede(r), "3 ") {
			t.Errorf("got %v with EDE %q, want the stale answer with EDE 3", r, ede(r))
		}
	}
	if got := up.asked.Load(); got != 3 {
		t.Errorf("upstream was asked %d times, want 3: stale answers are held for a moment", got)
	}
}

func TestTooManyPendingQueriesFailAtOnce(t *testing.T) {
	up := &fakeUpstream{answer: zone(), hold: make(chan struct{})}
	s := start(t, up, nil, func(c *resolver.Config) { c.MaxPending = 3 })
	conn, err := net.Dial("udp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for i := range 3 {
		m := new(dns.Msg)
		m.SetQuestion(fmt.Sprintf("slow%d.example.", i), dns.TypeA)
		wire, _ := m.Pack()
		if _, err := conn.Write(wire); err != nil {
			t.Fatal(err)
		}
	}
	waitFor(t, "3 pending queries", func() bool { return gauge(t, s.registry, "weir_dns_pending") == 3 })
	if r := s.ask(t, "udp", "more.example.", dns.TypeA, edns); r.Rcode != dns.RcodeServerFailure || !strings.HasPrefix(ede(r), "14 ") {
		t.Errorf("got %v, want SERVFAIL with EDE 14", r)
	}
	close(up.hold)
}

func TestStrangersGetNothing(t *testing.T) {
	s := start(t, &fakeUpstream{answer: zone()}, nil, func(c *resolver.Config) { c.Allow = []string{"192.0.2.0/24"} })
	m := new(dns.Msg)
	m.SetQuestion("localhost.", dns.TypeA)
	for _, network := range []string{"udp", "tcp"} {
		c := dns.Client{Net: network, Timeout: 300 * time.Millisecond}
		if r, _, err := c.Exchange(m, s.addr); err == nil {
			t.Errorf("%s: a stranger was answered: %v", network, r)
		}
	}
}

func TestNobodyIsAnOpenResolverByAccident(t *testing.T) {
	for _, c := range []struct {
		allow []string
		ok    bool
	}{
		{[]string{"0.0.0.0/0"}, false}, {[]string{"::/0"}, false}, {[]string{"128.0.0.0/1"}, false}, {[]string{"2000::/3"}, false},
		{[]string{"10.0.0.0/8", "fc00::/7", "192.168.1.5"}, true},
		{[]string{"20.0.0.0/8", "10.0.0.0/8"}, true}, {[]string{"20.0.0.0/8", "20.1.0.0/16", "20.0.0.0/8"}, true},
		{[]string{"20.0.0.0/8", "21.0.0.0/8"}, false}, {[]string{"20.0.0.0/9", "30.0.0.0/9", "40.0.0.0/9"}, false},
		{[]string{"2001::/16", "2002::/16"}, false}, {[]string{"2001::/16", "2001:db8::/32"}, true},
	} {
		cfg := resolver.DefaultConfig()
		cfg.Upstream.Servers = []string{"192.0.2.53"}
		cfg.Allow = c.allow
		if err := cfg.Validate(); (err == nil) != c.ok {
			t.Errorf("allow %v: %v, want ok %v", c.allow, err, c.ok)
		}
		cfg.OpenResolver = true
		if err := cfg.Validate(); err != nil {
			t.Errorf("allow %v with open_resolver: %v", c.allow, err)
		}
	}
}

// Over one TCP connection the fast answer overtakes the slow one (RFC 7766,
// section 7), and a connection that idles is closed.
func TestTCPAnswersOutOfOrder(t *testing.T) {
	hold := make(chan struct{})
	up := &fakeUpstream{answer: func(q *dns.Msg) (*dns.Msg, error) {
		if strings.HasPrefix(q.Question[0].Name, "slow") {
			<-hold
		}
		return zone("slow.example. 300 IN A 192.0.2.1", "fast.example. 300 IN A 192.0.2.2")(q)
	}}
	s := start(t, up, nil, func(c *resolver.Config) { c.TCP.IdleTimeout = 2 * time.Second })
	conn, err := dns.DialTimeout("tcp", s.addr, 20*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, name := range []string{"slow.example.", "fast.example."} {
		m := new(dns.Msg)
		m.SetQuestion(name, dns.TypeA)
		if err := conn.WriteMsg(m); err != nil {
			t.Fatal(err)
		}
	}
	_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	for _, want := range []string{"fast.example.", "slow.example."} {
		r, err := conn.ReadMsg()
		if err != nil {
			t.Fatal(err)
		}
		if r.Question[0].Name != want {
			t.Fatalf("answer for %s, want %s first", r.Question[0].Name, want)
		}
		if want == "fast.example." {
			close(hold)
		}
	}
	if _, err := conn.ReadMsg(); err == nil || os.IsTimeout(err) {
		t.Errorf("%v: an idle connection stayed open", err)
	}
}

// Queries under way when the resolver is told to stop still get their answers,
// and their records.
func TestShutdownAnswersWhatIsUnderWay(t *testing.T) {
	up := &fakeUpstream{answer: zone("www.example. 300 IN A 192.0.2.1"), hold: make(chan struct{})}
	s := start(t, up, nil, nil)
	got := make(chan *dns.Msg, 1)
	go func() {
		m := new(dns.Msg)
		m.SetQuestion("www.example.", dns.TypeA)
		c := dns.Client{Timeout: 20 * time.Second}
		r, _, _ := c.Exchange(m, s.addr)
		got <- r
	}()
	waitFor(t, "a pending query", func() bool { return gauge(t, s.registry, "weir_dns_pending") == 1 })
	time.AfterFunc(50*time.Millisecond, func() { close(up.hold) })
	s.stop()
	if r := <-got; r == nil || len(r.Answer) != 1 {
		t.Errorf("got %v, want the answer", r)
	}
	if lines := s.sink.lines(); len(lines) != 1 {
		t.Errorf("recorded %q, want the one transaction", lines)
	}
}

func TestSwapTakesEffectAtOnce(t *testing.T) {
	s := start(t, &fakeUpstream{answer: zone("www.example. 0 IN A 192.0.2.1")}, nil, nil)
	s.ask(t, "udp", "www.example.", dns.TypeA, nil)
	other := &fakeUpstream{answer: zone("www.example. 0 IN A 192.0.2.2")}
	cfg := resolver.DefaultConfig()
	cfg.Upstream.Servers = []string{"192.0.2.54"}
	if err := s.resolver.Swap(cfg, other); err != nil {
		t.Fatal(err)
	}
	if r := s.ask(t, "udp", "www.example.", dns.TypeA, nil); len(r.Answer) != 1 || !strings.Contains(r.Answer[0].String(), "192.0.2.2") {
		t.Errorf("got %v, want the new upstream's answer", r)
	}
	cfg.Allow = []string{"nonsense"}
	if err := s.resolver.Swap(cfg, s.up); err == nil {
		t.Error("a bad configuration was accepted")
	}
	if r := s.ask(t, "udp", "www.example.", dns.TypeA, nil); len(r.Answer) != 1 || !strings.Contains(r.Answer[0].String(), "192.0.2.2") {
		t.Errorf("got %v after a refused swap, want the same upstream still", r)
	}
}

// A panic costs one client its answer and nobody else anything.
func TestAPanicIsServfailForOne(t *testing.T) {
	j := &judge{inspect: func(q *detect.Query, _ *detect.Verdict) {
		if q.Name.Within(dnsname.MustParse("boom.example")) {
			panic("boom")
		}
	}}
	s := start(t, &fakeUpstream{answer: zone()}, j, nil)
	if r := s.ask(t, "udp", "boom.example.", dns.TypeA, edns); r.Rcode != dns.RcodeServerFailure || ede(r) != "0 internal error" {
		t.Errorf("got %v, want SERVFAIL that says so", r)
	}
	if r := s.ask(t, "udp", "localhost.", dns.TypeA, nil); len(r.Answer) != 1 {
		t.Errorf("got %v, want the others served", r)
	}
	if got := counter(t, s.registry, "weir_panics_recovered_total"); got != 1 {
		t.Errorf("weir_panics_recovered_total = %v, want 1", got)
	}
}

// A socket on the wildcard address answers from the address that was asked.
func TestWildcardAnswersFromTheAddressAsked(t *testing.T) {
	s := start(t, &fakeUpstream{answer: zone()}, nil, func(c *resolver.Config) { c.Listen = []string{"0.0.0.0:0"} })
	port := netip.MustParseAddrPort(s.addr).Port()
	s.addr = fmt.Sprintf("127.0.0.5:%d", port)
	// A connected client socket takes answers from 127.0.0.5 only.
	for range 3 {
		if r := s.ask(t, "udp", "localhost.", dns.TypeA, nil); len(r.Answer) != 1 {
			t.Errorf("got %v", r)
		}
	}
}

func TestIPv6(t *testing.T) {
	s := start(t, &fakeUpstream{answer: zone("www.example. 300 IN AAAA 2001:db8::1")}, nil, func(c *resolver.Config) { c.Listen = []string{"[::1]:0"} })
	for _, network := range []string{"udp", "tcp"} {
		if r := s.ask(t, network, "www.example.", dns.TypeAAAA, nil); len(r.Answer) != 1 {
			t.Errorf("%s: %v, want the address", network, r)
		}
	}
}

func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func gauge(t *testing.T, reg *prometheus.Registry, name string) float64 {
	return sum(t, reg, name)
}

func counter(t *testing.T, reg *prometheus.Registry, name string) float64 {
	return sum(t, reg, name)
}

// gathered is every series by name and labels.
func gathered(t *testing.T, reg *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
			}
			out[f.GetName()+"{"+strings.Join(labels, ",")+"}"] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return out
}

// sum adds up the series of one metric, those that have all of the labels.
func sum(t *testing.T, reg *prometheus.Registry, name string, labels ...string) (total float64) {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
	series:
		for _, m := range f.GetMetric() {
			for _, want := range labels {
				if !strings.Contains(m.String(), `value:"`+want+`"`) {
					continue series
				}
			}
			total += m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return total
}

// A code that has no meaning beyond the hop to the upstream, with bits in OPT,
// is SERVFAIL for the client, in header and OPT alike.
func TestCodesOfTheHopAreServfail(t *testing.T) {
	for _, rcode := range []int{11, 16, 23, 4095} {
		up := &fakeUpstream{answer: func(q *dns.Msg) (*dns.Msg, error) {
			m := new(dns.Msg)
			return m.SetRcode(q, dns.RcodeServerFailure), nil
		}, rcode: uint16(rcode)}
		s := start(t, up, nil, nil)
		if r := s.ask(t, "udp", "www.example.", dns.TypeA, edns); r.Rcode != dns.RcodeServerFailure {
			t.Errorf("upstream's code %d: client got %d, want SERVFAIL", rcode, r.Rcode)
		}
		s.stop()
	}
}

// Any code but NOERROR and NXDOMAIN is a failure to resolve (RFC 8767, section
// 5), for the client that found out as for those after it.
func TestRefusedByTheUpstreamIsAnsweredStale(t *testing.T) {
	var refuses atomic.Bool
	up := &fakeUpstream{answer: func(q *dns.Msg) (*dns.Msg, error) {
		if refuses.Load() {
			return new(dns.Msg).SetRcode(q, dns.RcodeRefused), nil
		}
		return zone("www.example. 1 IN A 192.0.2.1")(q)
	}}
	s := start(t, up, nil, nil)
	s.ask(t, "udp", "www.example.", dns.TypeA, edns)
	refuses.Store(true)
	waitFor(t, "a stale answer", func() bool {
		r := s.ask(t, "udp", "www.example.", dns.TypeA, edns)
		if r.Rcode != dns.RcodeSuccess || len(r.Answer) != 1 {
			t.Fatalf("got %v, want the old answer", r)
		}
		return strings.HasPrefix(ede(r), "3 ")
	})
}

// Every answer that is counted is recorded, or counted as one that holds
// nothing to record.
func TestEveryAnswerIsRecordedOrCountedAsNameless(t *testing.T) {
	s := start(t, &fakeUpstream{answer: zone("www.example. 300 IN A 192.0.2.1")}, nil, nil)
	for range 3 {
		s.ask(t, "udp", "www.example.", dns.TypeA, nil)
	}
	s.ask(t, "udp", "www.example.", dns.TypeAXFR, nil)
	rawAsk(t, s.addr, "www.example.", func(m *dns.Msg) { m.Question = nil })
	rawAsk(t, s.addr, "www.example.", func(m *dns.Msg) { m.Question = append(m.Question, m.Question[0]) })
	rawAsk(t, s.addr, "www.example.", func(m *dns.Msg) { m.Opcode = dns.OpcodeUpdate })
	all := gathered(t, s.registry)
	responses := sum(t, s.registry, "weir_dns_responses_total")
	nameless := all[`weir_dns_not_served_total{reason="nameless"}`]
	if got := float64(len(s.sink.lines())); responses != 7 || nameless != 3 || got != responses-nameless {
		t.Errorf("%v answers, %v nameless, %v records; want 7, 3 and the rest", responses, nameless, got)
	}
	if got := all[`weir_dns_not_served_total{reason="refused"}`]; got != 1 {
		t.Errorf("%v refused, want the AXFR alone", got)
	}
}
