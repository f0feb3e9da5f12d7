package resolver_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/weirdns/weir/blocklist"
	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/internal/dnstest"
	"github.com/weirdns/weir/resolver"
	"github.com/weirdns/weir/resolver/upstream"
	"go.uber.org/zap"
	"go.yaml.in/yaml/v3"
)

const scenarioDir = "../testdata/scenario"

// TestScenarios plays every file of testdata/scenario: a resolver with its real
// cache, detector and upstream client on real sockets, between a scripted
// server and a scripted client. README.md there has the language.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(scenarioDir, "*.txt"))
	if err != nil || len(files) < 60 {
		t.Fatalf("%d scenarios in %s (%v), want at least 60", len(files), scenarioDir, err)
	}
	// They wait more than they work, so more at a time than there are processors.
	players := make(chan struct{}, 16)
	var all sync.WaitGroup
	for _, file := range files {
		players <- struct{}{}
		all.Go(func() {
			defer func() { <-players }()
			t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
				text, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				for _, over := range playScenario(t, string(text), "udp") {
					t.Run("over "+over, func(t *testing.T) { playScenario(t, string(text), over) })
				}
			})
		})
	}
	all.Wait()
}

// scenarioConfig is what a scenario's config section may say, on top of the
// defaults.
type scenarioConfig struct {
	Upstreams int             `yaml:"upstreams"` // scripted servers: up1, up2, ...
	Over      []string        `yaml:"over"`      // what else to play it over than UDP: tcp, dot, doh
	Resolver  resolver.Config `yaml:"resolver"`
	Detect    detect.Config   `yaml:"detect"`
	Model     bool            `yaml:"model"` // judge with the built-in model
	Lists     []scenarioList  `yaml:"lists"`
}

type scenarioList struct {
	blocklist.Config  `yaml:",inline"`
	detect.ListPolicy `yaml:",inline"`
}

func (l *scenarioList) UnmarshalYAML(n *yaml.Node) error {
	type plain scenarioList
	v := plain{ListPolicy: detect.DefaultListPolicy()}
	err := n.Decode(&v)
	*l = scenarioList(v)
	return err
}

// scenario is one file being played.
type scenario struct {
	t        *testing.T
	ups      []*dnstest.Server
	addr     string
	over     string            // what is asked over, unless it is said
	secure   map[string]string // addresses for dot and doh, if it is played over them
	doh      *http.Client
	tls      *tls.Config
	sink     *lastRecord
	registry *prometheus.Registry
	ahead    atomic.Int64 // of the clock, nanoseconds

	replies []scenarioReply
	asking  sync.WaitGroup
	mu      sync.Mutex
	line    int
}

// scenarioReply is what one client got: the octets, nil for silence.
type scenarioReply struct {
	wire []byte
	msg  *dns.Msg
	took time.Duration
}

// lastRecord keeps the record of the last transaction.
type lastRecord struct {
	mu     sync.Mutex
	fields map[string]string
}

func (l *lastRecord) Record(t *detect.Transaction) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fields = map[string]string{
		"name": t.Query.Name.String(), "type": dns.TypeToString[t.Query.Type],
		"source": t.Source.String(), "rcode": dns.RcodeToString[int(t.Rcode)],
		"action": t.Verdict.Action.String(), "enforced": strconv.FormatBool(t.Verdict.Enforced),
		"origin": t.Verdict.Origin.String(), "level": t.Verdict.Level.String(),
	}
}

// playScenario plays a file, and says what else than UDP it is to be played over.
func playScenario(t *testing.T, text, over string) (more []string) {
	s := &scenario{t: t, over: over, sink: &lastRecord{}, registry: prometheus.NewRegistry()}
	cfg := scenarioConfig{Upstreams: 1, Resolver: resolver.DefaultConfig(), Detect: detect.DefaultConfig()}
	cfg.Detect.Model.Mode = "off"
	// Enough for a slow machine: a second packet would be counted. Scenarios of a
	// silent upstream say what they wait for.
	cfg.Resolver.Upstream.Timeout, cfg.Resolver.Upstream.AttemptTimeout = 6*time.Second, 5*time.Second
	var zones []string
	var steps []scenarioStep
	for _, sec := range scenarioSections(t, text) {
		kind, arg, _ := strings.Cut(sec.name, " ")
		switch kind {
		case "config":
			dec := yaml.NewDecoder(strings.NewReader(sec.body))
			dec.KnownFields(true)
			if err := dec.Decode(&cfg); err != nil {
				t.Fatalf("config: %v", err)
			}
		case "zone":
			zones = append(zones, arg, sec.body)
		case "steps":
			for i, line := range strings.Split(sec.body, "\n") {
				if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
					steps = append(steps, scenarioStep{sec.line + i + 1, line})
				}
			}
		default:
			t.Fatalf("line %d: no section is called %q", sec.line, sec.name)
		}
	}
	if len(steps) == 0 {
		t.Fatal("no steps")
	}
	s.start(&cfg, zones)
	for _, step := range steps {
		s.line = step.line
		s.play(step.text)
		if t.Failed() {
			return nil // what follows would only repeat it
		}
	}
	s.asking.Wait()
	return cfg.Over
}

type scenarioStep struct {
	line int
	text string
}

type scenarioSection struct {
	name, body string
	line       int // of its first line, from 0
}

// scenarioSections splits a file at its lines "-- NAME --"; what stands before
// the first says what the scenario is about.
func scenarioSections(t *testing.T, text string) (out []scenarioSection) {
	t.Helper()
	for i, line := range strings.Split(text, "\n") {
		name, ok := strings.CutPrefix(line, "-- ")
		if name, end := strings.CutSuffix(name, " --"); ok && end {
			out = append(out, scenarioSection{name: name, line: i + 1})
			continue
		}
		if len(out) > 0 {
			out[len(out)-1].body += line + "\n"
		} else if line != "" && !strings.HasPrefix(line, "#") {
			t.Fatalf("line %d: only comments may stand before the first section", i+1)
		}
	}
	return out
}

// start brings up the servers and a resolver that forwards to them.
func (s *scenario) start(cfg *scenarioConfig, zones []string) {
	t := s.t
	for range cfg.Upstreams {
		up := dnstest.NewServer(t, zones...)
		s.ups = append(s.ups, up)
		cfg.Resolver.Upstream.Servers = append(cfg.Resolver.Upstream.Servers, up.Addr())
	}
	s.rules(cfg)
	if s.over == "dot" || s.over == "doh" {
		id := dnstest.NewIdentity(t, "127.0.0.1")
		cfg.Resolver.ListenTLS, cfg.Resolver.ListenHTTPS = []string{"127.0.0.1:0"}, []string{"127.0.0.1:0"}
		cfg.Resolver.TLS = resolver.TLSConfig{CertFile: id.CertFile, KeyFile: id.KeyFile}
		s.tls, s.doh = roots(t, id), browser(t, id, true)
	}
	cfg.Resolver.Listen = []string{"127.0.0.1:0"}
	cfg.Resolver.Workers = 1
	group, err := upstream.New(cfg.Resolver.Upstream, upstream.Deps{Log: zap.NewNop(), Registry: s.registry})
	if err != nil {
		t.Fatal(err)
	}
	r, err := resolver.New(cfg.Resolver, resolver.Deps{
		Log: zap.NewNop(), Registry: s.registry, Detector: s.detector(cfg), Upstream: group, Sinks: []detect.Sink{s.sink},
		Now: func() time.Time { return time.Now().Add(time.Duration(s.ahead.Load())) },
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Listen(); err != nil {
		t.Fatal(err)
	}
	s.addr = r.Addrs()[0]
	if s.tls != nil {
		s.secure = map[string]string{"dot": r.AddrsTLS()[0], "doh": r.AddrsHTTPS()[0]}
	}
	front, stopFront := context.WithCancel(context.Background())
	back, stopBack := context.WithCancel(context.Background())
	frontDone, backDone := make(chan error, 1), make(chan error, 1)
	go func() { frontDone <- r.Run(front) }()
	go func() { backDone <- group.Run(back) }()
	t.Cleanup(func() {
		stopFront()
		if err := <-frontDone; err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
		stopBack()
		<-backDone
	})
}

// rules gives the servers that rules call up1, up2, ... their addresses. They are
// then not asked for everything else.
func (s *scenario) rules(cfg *scenarioConfig) {
	up := &cfg.Resolver.Upstream
	for _, z := range up.Zones {
		for i, name := range z.Servers {
			n, err := strconv.Atoi(strings.TrimPrefix(name, "up"))
			if err != nil {
				s.fatal("a rule's servers are up1, up2, ..., not %s", name)
			}
			z.Servers[i] = s.upstream(n).Addr()
			up.Servers = slices.DeleteFunc(up.Servers, func(addr string) bool { return addr == z.Servers[i] })
		}
	}
}

func (s *scenario) detector(cfg *scenarioConfig) *detect.Detector {
	t := s.t
	var lists []blocklist.Config
	policies := map[string]detect.ListPolicy{}
	for _, l := range cfg.Lists {
		lists = append(lists, l.Config)
		policies[l.Name] = l.ListPolicy
	}
	loaded, err := blocklist.New(lists, blocklist.Deps{Log: zap.NewNop(), Registry: s.registry, Dir: t.TempDir()})
	if err == nil {
		err = loaded.Load()
	}
	if err != nil {
		t.Fatal(err)
	}
	var model *detect.Model
	if cfg.Model {
		cfg.Detect.Model.Mode = detect.ModeEnforce
		if model, err = detect.EmbeddedModel(); err != nil {
			t.Fatal(err)
		}
	}
	d, err := detect.New(cfg.Detect, policies, model, detect.Deps{
		Log: zap.NewNop(), Registry: s.registry, Lists: loaded, Suffixes: dnsname.DefaultSuffixes(),
	})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// fail reports against the line of the scenario that is being played.
func (s *scenario) fail(format string, args ...any) {
	s.t.Helper()
	s.t.Errorf("line %d: %s", s.line, fmt.Sprintf(format, args...))
}

func (s *scenario) fatal(format string, args ...any) {
	s.t.Helper()
	s.t.Fatalf("line %d: %s", s.line, fmt.Sprintf(format, args...))
}

// play carries out one step.
func (s *scenario) play(text string) {
	verb, rest, _ := strings.Cut(text, " ")
	rest = strings.TrimSpace(rest)
	if n, err := strconv.Atoi(strings.TrimPrefix(verb, "up")); err == nil && strings.HasPrefix(verb, "up") {
		s.script(s.upstream(n), rest)
		return
	}
	switch verb {
	case "ask":
		s.wait()
		s.replies = nil
		s.ask(rest)
		s.wait()
	case "ask&": // goes on while it waits; the checks come after "wait"
		s.ask(rest)
	case "also": // one more beside those that went on
		s.ask(rest)
	case "wait":
		s.wait()
	case "raw":
		s.replies = nil
		s.raw(rest, scenarioPatience)
	case "raw!": // to be met with silence
		s.replies = nil
		s.raw(rest, 300*time.Millisecond)
	case "=":
		s.check(rest)
	case "sent":
		s.checkSent(rest)
	case "seen":
		s.checkSeen(rest)
	case "forget":
		for _, up := range s.ups {
			up.Reset()
		}
	case "pass":
		s.ahead.Add(int64(s.duration(rest)))
	case "sleep":
		time.Sleep(s.duration(rest))
	case "metric":
		s.checkMetric(rest)
	case "record":
		s.checkRecord(rest)
	default:
		s.fatal("no step is called %q", verb)
	}
}

func (s *scenario) wait() { s.asking.Wait() }

func (s *scenario) upstream(n int) *dnstest.Server {
	if n < 1 || n > len(s.ups) {
		s.fatal("there is no up%d", n)
	}
	return s.ups[n-1]
}

func (s *scenario) duration(text string) time.Duration {
	d, err := time.ParseDuration(text)
	if err != nil {
		s.fatal("%v", err)
	}
	return d
}

// checkSent compares how often a name was asked upstream, at all servers or at
// one: sent [up1] NAME|* [OP] N.
func (s *scenario) checkSent(text string) {
	ups := s.ups
	f := strings.Fields(text)
	if n, err := strconv.Atoi(strings.TrimPrefix(f[0], "up")); err == nil && strings.HasPrefix(f[0], "up") {
		ups, f = []*dnstest.Server{s.upstream(n)}, f[1:]
	}
	got := 0
	for _, up := range ups {
		if f[0] == "*" {
			got += len(up.Queries())
		} else {
			got += up.Count(f[0])
		}
	}
	if !s.holds(float64(got), f[1:]) {
		s.fail("%d queries for %s went upstream, want %s", got, f[0], strings.Join(f[1:], " "))
	}
}

// checkSeen compares the last query for a name as it came upstream: seen NAME
// PROPERTY..., where a property is edns, !edns, do, cd, ad, rd, tcp, options=N
// or size<=N.
func (s *scenario) checkSeen(text string) {
	f := strings.Fields(text)
	var last *dnstest.Query
	for _, up := range s.ups {
		for _, q := range up.Queries() {
			if strings.EqualFold(q.Name, dns.Fqdn(f[0])) && (last == nil || q.Received.After(last.Received)) {
				last = &q
			}
		}
	}
	if last == nil {
		s.fail("%s was never asked upstream", f[0])
		return
	}
	flags := map[string]bool{
		"edns": last.EDNS, "do": last.DO, "cd": last.CD, "ad": last.AD, "rd": last.RD, "tcp": last.TCP,
		fmt.Sprintf("options=%d", last.Options): true, "size<=1232": last.Size <= 1232,
	}
	for _, want := range f[1:] {
		name, not := strings.CutPrefix(want, "!")
		if flags[name] == not {
			s.fail("%s was asked upstream as %+v, want %s", f[0], *last, want)
		}
	}
}

// holds compares got with [OP] N.
func (s *scenario) holds(got float64, f []string) bool {
	op := "="
	if len(f) == 2 {
		op, f = f[0], f[1:]
	}
	if len(f) != 1 {
		s.fatal("want a number, perhaps with <= or >= before it")
	}
	want, err := strconv.ParseFloat(f[0], 64)
	if err != nil {
		s.fatal("%v", err)
	}
	switch op {
	case "<=":
		return got <= want
	case ">=":
		return got >= want
	case "=":
		return got == want
	}
	s.fatal("no comparison is called %q", op)
	return false
}

// checkMetric adds up the series whose text begins so: metric NAME{labels [OP] N.
func (s *scenario) checkMetric(text string) {
	f := strings.Fields(text)
	deadline := time.Now().Add(20 * time.Second)
	for {
		var got float64
		for series, v := range gathered(s.t, s.registry) {
			name, labels, _ := strings.Cut(f[0], "{")
			if strings.HasPrefix(series, name+"{") && strings.Contains(series, strings.TrimSuffix(labels, "}")) {
				got += v
			}
		}
		if s.holds(got, f[1:]) {
			return
		}
		if time.Now().After(deadline) { // some counters move after the answer has left
			s.fail("%s is %v, want %s", f[0], got, strings.Join(f[1:], " "))
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// checkRecord compares fields of the last record: record source=cache ...
func (s *scenario) checkRecord(text string) {
	s.sink.mu.Lock()
	defer s.sink.mu.Unlock()
	for _, want := range strings.Fields(text) {
		key, value, _ := strings.Cut(want, "=")
		if got := s.sink.fields[key]; got != value {
			s.fail("the record says %s=%s, want %s", key, got, value)
		}
	}
}

// forgedOctets are in every answer of an attacker; no client may see them.
var forgedOctets = dnstest.ForgedAddress.To4()

func (s *scenario) add(r scenarioReply) {
	if bytes.Contains(r.wire, forgedOctets) {
		s.t.Errorf("line %d: a forged answer reached a client:\n%v", s.line, r.msg)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.replies = append(s.replies, r)
}
