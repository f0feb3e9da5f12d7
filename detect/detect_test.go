package detect_test

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/weirdns/weir/blocklist"
	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/internal/dnswire"
	"go.uber.org/zap"
)

// generated is a name as generators make them; the model is sure of it.
const generated = "xkqzvwjhtrpdbnfg.com"

type setup struct {
	lists    []blocklist.Config
	policies map[string]detect.ListPolicy
	change   func(*detect.Config)
	noModel  bool
	suspects *detect.Suspects
}

func newDetector(t testing.TB, s setup) *detect.Detector {
	t.Helper()
	cfg := detect.DefaultConfig()
	if s.change != nil {
		s.change(&cfg)
	}
	reg := prometheus.NewRegistry()
	lists, err := blocklist.New(s.lists, blocklist.Deps{Log: zap.NewNop(), Registry: reg, Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if err := lists.Load(); err != nil {
		t.Fatal(err)
	}
	var model *detect.Model
	if !s.noModel {
		if model, err = detect.EmbeddedModel(); err != nil {
			t.Fatal(err)
		}
	}
	if s.policies == nil {
		s.policies = map[string]detect.ListPolicy{}
		for _, l := range s.lists {
			s.policies[l.Name] = detect.DefaultListPolicy()
		}
	}
	d, err := detect.New(cfg, s.policies, model, detect.Deps{
		Log: zap.NewNop(), Registry: reg, Lists: lists, Suffixes: dnsname.DefaultSuffixes(), Suspects: s.suspects,
	})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func inline(name string, kind blocklist.Kind, entries ...string) blocklist.Config {
	return blocklist.Config{Name: name, Kind: kind, Inline: entries}
}

func query(name string) *detect.Query {
	return &detect.Query{Time: time.Unix(1, 0), Client: netip.MustParseAddr("127.0.0.1"), Name: dnsname.MustParse(name), Type: dnswire.TypeA, Class: dnswire.ClassIN}
}

func inspect(d *detect.Detector, name string) *detect.Verdict {
	var v detect.Verdict
	d.Inspect(query(name), &v)
	return &v
}

// The list that decides is not always the first that was hit: one that only
// watches may stand before it.
func TestAVerdictNamesTheListThatDecided(t *testing.T) {
	monitored := detect.DefaultListPolicy()
	monitored.Mode = detect.ModeMonitor
	d := newDetector(t, setup{
		lists: []blocklist.Config{
			inline("watched", blocklist.Block, "both.example.net", "watched.example.net", "target.example.org"),
			inline("bad", blocklist.Block, "both.example.net"),
			inline("worse", blocklist.Block, "both.example.net", "target.example.org"),
		},
		policies: map[string]detect.ListPolicy{"watched": monitored, "bad": detect.DefaultListPolicy(), "worse": detect.DefaultListPolicy()},
	})
	v := inspect(d, "both.example.net")
	if got := v.Matches[v.Decider].List; got != "bad" || !v.Enforced {
		t.Errorf("decided by %q, want the first list that is enforced", got)
	}
	v = inspect(d, "watched.example.net")
	if got := v.Matches[v.Decider].List; got != "watched" || v.Enforced {
		t.Errorf("decided by %q, want the list that watches", got)
	}
	d.InspectAnswer(query("watched.example.net"), answer(t, "watched.example.net. 300 IN CNAME target.example.org."), v)
	if got := v.Matches[v.Decider].List; got != "worse" || !v.Enforced {
		t.Errorf("decided by %q, want the list that has the target", got)
	}
}

// brief is a verdict in one line.
func brief(v *detect.Verdict) string {
	mode := "monitor"
	if v.Enforced {
		mode = "enforce"
	}
	out := fmt.Sprintf("%s %s %s", v.Origin, v.Action, mode)
	for _, m := range v.Matches {
		out += fmt.Sprintf(" %s/%s/%s", m.List, m.Rule, m.Kind)
	}
	return out
}

func TestTheOrderOfJudgement(t *testing.T) {
	monitored := detect.DefaultListPolicy()
	monitored.Mode = detect.ModeMonitor
	refusing := detect.DefaultListPolicy()
	refusing.Action = "refuse"
	d := newDetector(t, setup{
		lists: []blocklist.Config{
			inline("watched", blocklist.Block, "both.example.net", "watched.example.net", generated),
			inline("bad", blocklist.Block, "example.net"),
			inline("worse", blocklist.Block, "both.example.net", "twice.example.org"),
			inline("fine", blocklist.Allow, "good.example.net", "allowed-"+generated),
		},
		policies: map[string]detect.ListPolicy{"watched": monitored, "bad": detect.DefaultListPolicy(), "worse": refusing, "fine": detect.DefaultListPolicy()},
		change: func(c *detect.Config) {
			c.Model.Mode, c.Model.Action = detect.ModeEnforce, "nxdomain"
		},
	})
	for _, c := range []struct{ what, name, want string }{
		{"nothing known against it", "wikipedia.org", "model pass monitor"},
		{"on one list", "x.example.net", "blocklist zero_ip enforce bad/example.net/qname"},
		{"all lists are named, the first that enforces acts", "both.example.net", "blocklist zero_ip enforce watched/both.example.net/qname bad/example.net/qname worse/both.example.net/qname"},
		{"the list's own action", "twice.example.org", "blocklist refuse enforce worse/twice.example.org/qname"},
		{"an allow list beats block lists", "a.good.example.net", "allowlist pass monitor bad/example.net/qname fine/good.example.net/qname"},
		{"an allow list beats the model", "allowed-" + generated, "allowlist pass monitor fine/allowed-" + generated + "/qname"},
		{"the model", "www." + strings.Replace(generated, ".com", ".net", 1), "model nxdomain enforce"},
		{"an enforcing model beats a list that only watches", generated, "model nxdomain enforce watched/" + generated + "/qname"},
	} {
		if got := brief(inspect(d, c.name)); got != c.want {
			t.Errorf("%s: %s: %s; want %s", c.what, c.name, got, c.want)
		}
	}
}

// The default watches: the model enforces nothing until somebody says so.
func TestTheModelOnlyWatchesByDefault(t *testing.T) {
	d := newDetector(t, setup{})
	v := inspect(d, generated)
	if brief(v) != "model zero_ip monitor" || v.Blocks() || v.Level != detect.LevelHigh || v.Score < 0.9 {
		t.Errorf("%s: %s with %v at level %s; want it seen, not blocked", generated, brief(v), v.Score, v.Level)
	}
}

func TestWhatIsNotScoredSaysWhy(t *testing.T) {
	d := newDetector(t, setup{change: func(c *detect.Config) { c.OwnZones = []string{"corp.example.org"} }})
	for name, want := range map[string]string{
		"printer":                       "single_label",
		"com":                           "public_suffix",
		"co.uk":                         "public_suffix",
		"duckdns.org":                   "public_suffix",
		"1.2.0.192.in-addr.arpa":        "reverse_zone",
		"x.ip6.arpa":                    "reverse_zone",
		"nas.local":                     "special_use",
		"host.lan":                      "special_use",
		"svc.default.svc.cluster.local": "special_use",
		"a.b.corp.example.org":          "own_zone",
		"_dmarc.com":                    "service_label",
		"xn--bcher-kva.de":              "idn",
		".":                             "single_label",
		"192.0.2.1":                     "not_a_hostname",
		"https://example.com/x":         "not_a_hostname",
		"bücher.de":                     "not_a_hostname",
		"www.example.org":               "",
		"_dmarc.wikipedia.org":          "",
		"evil.duckdns.org":              "",
	} {
		v := inspect(d, name)
		if got := v.Unscored.String(); got != want {
			t.Errorf("%s: unscored because %q, want %q", name, got, want)
		}
		if want != "" && (v.Origin != detect.OriginNone || v.Action != detect.Pass) {
			t.Errorf("%s: %s; what is not scored is not judged", name, brief(v))
		}
	}
	q := query("wikipedia.org")
	q.Class = dnswire.ClassCH
	var v detect.Verdict
	if d.Inspect(q, &v); v.Unscored != detect.NotAsked {
		t.Errorf("class CH: unscored because %q, want not_asked", v.Unscored)
	}
	if v := inspect(newDetector(t, setup{noModel: true}), generated); v.Unscored != detect.NoModel || v.Origin != detect.OriginNone {
		t.Errorf("without a model: %s, %q; want not judged, no_model", brief(v), v.Unscored)
	}
}

// Reasons come with detections of the model, and with nothing else: they cost
// more than a score.
func TestAVerdictOfTheModelSaysWhy(t *testing.T) {
	d := newDetector(t, setup{})
	first := inspect(d, generated)
	if first.Why == nil || len(first.Why.Grounds) == 0 || !strings.Contains(first.Why.Text, first.Why.Grounds[0].Text) {
		t.Fatalf("%s: why %+v, want reasons", generated, first.Why)
	}
	for name, want := range map[string]*detect.Why{"a.b." + generated: first.Why, "wikipedia.org": nil, "nas.local": nil} {
		if got := inspect(d, name).Why; got != want {
			t.Errorf("%s: why %+v, want %+v", name, got, want)
		}
	}
	// More detections than there are places: each still has its own reasons.
	want := map[string]string{}
	d = newDetector(t, setup{change: func(c *detect.Config) { c.Model.Level = "low" }})
	for _, name := range names(6000) {
		if v := inspect(d, name); v.Why != nil {
			want[name] = v.Why.Text
		}
	}
	if len(want) < 1500 {
		t.Fatalf("%d detections: too few to fill the reasons that are kept", len(want))
	}
	for name, text := range want {
		if got := inspect(d, name).Why.Text; got != text {
			t.Fatalf("%s: %q, was %q", name, got, text)
		}
	}
}

// The score belongs to the registered domain, and is the same from the cache.
func TestScoresAreThoseOfTheRegisteredDomain(t *testing.T) {
	d := newDetector(t, setup{})
	first := inspect(d, generated)
	for _, name := range []string{generated, "a.b.c." + generated, strings.ToUpper(generated)} {
		v := inspect(d, name)
		if v.Score != first.Score || v.Registered.String() != generated {
			t.Errorf("%s: %v for %s, want %v for %s", name, v.Score, v.Registered, first.Score, generated)
		}
	}
}

// answer packs a response with these records.
func answer(t *testing.T, records ...string) []byte {
	t.Helper()
	m := new(dns.Msg)
	m.SetQuestion("www.example.net.", dns.TypeA)
	m.Response, m.Compress = true, true
	for _, s := range records {
		rr, err := dns.NewRR(s)
		if err != nil {
			t.Fatal(err)
		}
		m.Answer = append(m.Answer, rr)
	}
	wire, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return wire
}

func TestAnswersAreJudgedToo(t *testing.T) {
	lists := []blocklist.Config{
		inline("bad", blocklist.Block, "tracker.example.org"),
		{Name: "urlhaus", Format: "urlhaus", Inline: []string{"http://203.0.113.9/x.exe", "http://203.0.113.10/x.exe", "https://files.example.org/a"}},
		inline("fine", blocklist.Allow, "cdn.tracker.example.org", "allowed.example.net", "203.0.113.10"),
	}
	enforceAll := func(c *detect.Config) {
		c.Answers = detect.AnswersConfig{CNAME: "enforce", Address: "enforce", Rebinding: "enforce", RebindingAllow: []string{"intranet.example.net"}}
	}
	for _, c := range []struct {
		what, name string
		change     func(*detect.Config)
		records    []string
		want       string
	}{
		{"a clean answer", "www.example.net", enforceAll, []string{"www.example.net. 1 A 192.0.2.1"}, "none pass monitor"},
		{"a target on a list", "www.example.net", nil, []string{"www.example.net. 1 CNAME x.Tracker.example.org.", "x.tracker.example.org. 1 A 192.0.2.1"}, "blocklist zero_ip enforce bad/tracker.example.org/cname"},
		{"a target on a list, monitored", "www.example.net", func(c *detect.Config) { c.Answers.CNAME = "monitor" }, []string{"www.example.net. 1 CNAME tracker.example.org."}, "blocklist zero_ip monitor bad/tracker.example.org/cname"},
		{"a target on a list, not asked", "www.example.net", func(c *detect.Config) { c.Answers.CNAME = "off" }, []string{"www.example.net. 1 CNAME tracker.example.org."}, "none pass monitor"},
		{"an allowed target", "www.example.net", nil, []string{"www.example.net. 1 CNAME cdn.tracker.example.org."}, "none pass monitor"},
		{"an allowed name", "allowed.example.net", enforceAll, []string{"www.example.net. 1 CNAME tracker.example.org."}, "allowlist pass monitor fine/allowed.example.net/qname"},
		{"an address on a list is only watched", "www.example.net", nil, []string{"www.example.net. 1 A 203.0.113.9"}, "blocklist zero_ip monitor urlhaus/203.0.113.9/address"},
		{"an address on a list", "www.example.net", enforceAll, []string{"www.example.net. 1 A 203.0.113.9"}, "blocklist zero_ip enforce urlhaus/203.0.113.9/address"},
		{"an allowed address", "www.example.net", enforceAll, []string{"www.example.net. 1 A 203.0.113.10", "www.example.net. 1 A 203.0.113.11"}, "none pass monitor"},
		{"an allowed address beside one that is not", "www.example.net", enforceAll, []string{"www.example.net. 1 A 203.0.113.10", "www.example.net. 1 A 203.0.113.9"}, "blocklist zero_ip enforce urlhaus/203.0.113.9/address"},
		{"the target of a service on a list", "www.example.net", nil, []string{"www.example.net. 1 HTTPS 0 x.tracker.example.org."}, "blocklist zero_ip enforce bad/tracker.example.org/cname"},
		{"the target of a service, not asked", "www.example.net", func(c *detect.Config) { c.Answers.CNAME = "off" }, []string{"www.example.net. 1 SVCB 1 x.tracker.example.org."}, "none pass monitor"},
		{"a hint on a list", "www.example.net", enforceAll, []string{"www.example.net. 1 HTTPS 1 . alpn=h2 ipv4hint=192.0.2.1,203.0.113.9"}, "blocklist zero_ip enforce urlhaus/203.0.113.9/address"},
		{"an allowed hint", "www.example.net", enforceAll, []string{"www.example.net. 1 HTTPS 1 . ipv4hint=203.0.113.10"}, "none pass monitor"},
		{"hints that are not asked", "www.example.net", func(c *detect.Config) { c.Answers.Address = "off" }, []string{"www.example.net. 1 HTTPS 1 . ipv4hint=203.0.113.9"}, "none pass monitor"},
		{"rebinding by a hint", "www.example.net", enforceAll, []string{"www.example.net. 1 HTTPS 1 . ipv6hint=fd00::1"}, "rebinding zero_ip enforce"},
		{"rebinding is only watched", "www.example.net", nil, []string{"www.example.net. 1 A 10.0.0.1"}, "rebinding zero_ip monitor"},
		{"rebinding", "www.example.net", enforceAll, []string{"www.example.net. 1 A 192.168.1.1"}, "rebinding zero_ip enforce"},
		{"rebinding by IPv6", "www.example.net", enforceAll, []string{"www.example.net. 1 AAAA ::ffff:127.0.0.1"}, "rebinding zero_ip enforce"},
		{"rebinding into shared space", "www.example.net", enforceAll, []string{"www.example.net. 1 A 100.64.1.1"}, "rebinding zero_ip enforce"},
		{"an intranet name", "a.intranet.example.net", enforceAll, []string{"www.example.net. 1 A 10.0.0.1"}, "none pass monitor"},
		{"a name of the site", "nas.lan", enforceAll, []string{"www.example.net. 1 A 10.0.0.1"}, "none pass monitor"},
		{"a code of a list of addresses", "2.0.0.127.bl.example.net", enforceAll, []string{"www.example.net. 1 A 127.0.0.2"}, "none pass monitor"},
		{"a code for an address of IPv6", strings.Repeat("a.", 32) + "bl.example.net", enforceAll, []string{"www.example.net. 1 A 127.0.0.2"}, "none pass monitor"},
		{"no code: this very machine", "2.0.0.127.bl.example.net", enforceAll, []string{"www.example.net. 1 A 127.0.0.1"}, "rebinding zero_ip enforce"},
		{"no code: another private address", "2.0.0.127.bl.example.net", enforceAll, []string{"www.example.net. 1 A 10.0.0.2"}, "rebinding zero_ip enforce"},
		{"no code: three numbers", "0.0.127.bl.example.net", enforceAll, []string{"www.example.net. 1 A 127.0.0.2"}, "rebinding zero_ip enforce"},
		{"no code: no number of an address", "2.0.0.256.bl.example.net", enforceAll, []string{"www.example.net. 1 A 127.0.0.2"}, "rebinding zero_ip enforce"},
		{"0.0.0.0 is how others block", "www.example.net", enforceAll, []string{"www.example.net. 1 A 0.0.0.0"}, "none pass monitor"},
	} {
		d := newDetector(t, setup{lists: lists, change: c.change, noModel: true})
		var v detect.Verdict
		q := query(c.name)
		d.Inspect(q, &v)
		d.InspectAnswer(q, answer(t, c.records...), &v)
		if got := brief(&v); got != c.want {
			t.Errorf("%s: %s; want %s", c.what, got, c.want)
		}
	}
}

func TestABrokenAnswerAddsNothingAndBreaksNothing(t *testing.T) {
	d := newDetector(t, setup{lists: []blocklist.Config{inline("bad", blocklist.Block, "tracker.example.org")}, noModel: true})
	whole := answer(t, "www.example.net. 1 CNAME tracker.example.org.")
	for cut := range whole {
		var v detect.Verdict
		d.InspectAnswer(query("www.example.net"), whole[:cut], &v)
		if v.Action != detect.Pass {
			t.Fatalf("cut at %d: %s", cut, brief(&v))
		}
	}
}

// The scenario of the Databricks notebooks: Agent Tesla's name is scored and
// found in a URLhaus file by its whole host name, with the malware's name; a
// look-alike is only a name like others until somebody lists it.
func TestAgentTeslaWalkThrough(t *testing.T) {
	d := newDetector(t, setup{lists: []blocklist.Config{{Name: "urlhaus", Format: "urlhaus", File: "../testdata/scenario/urlhaus_agenttesla.csv"}}})
	v := inspect(d, "ns1.asdklgb.cf")
	if v.Origin != detect.OriginBlockList || !v.Blocks() || len(v.Matches) != 1 || !strings.Contains(v.Matches[0].Info, "AgentTesla") {
		t.Errorf("ns1.asdklgb.cf: %s %+v; want it blocked by URLhaus, tag AgentTesla", brief(v), v.Matches)
	}
	if v.Unscored != detect.Scored || v.Registered.String() != "asdklgb.cf" {
		t.Errorf("ns1.asdklgb.cf: unscored because %q, want it scored as well, as asdklgb.cf", v.Unscored)
	}
	// The seeds join on the bare label: any asdklgb, and any github, would be
	// hit. Ours is the host.
	for _, name := range []string{"ns1.asdklgb.com", "asdklgb.cf", "github.com", "docs.google.com"} {
		if v := inspect(d, name); v.Blocks() {
			t.Errorf("%s: %s, want it passed", name, brief(v))
		}
	}
	if v := inspect(d, "www.googlee.com"); v.Unscored != detect.Scored || v.Blocks() {
		t.Errorf("www.googlee.com: %s, %q; want it scored and passed", brief(v), v.Unscored)
	}
}

func TestSwapIsAllOrNothing(t *testing.T) {
	d := newDetector(t, setup{})
	bad := detect.DefaultConfig()
	bad.Model.Level = "extreme"
	bad.Block.Action = "explode"
	err := d.Swap(bad, nil, nil)
	if err == nil || !strings.Contains(err.Error(), "model.level") || !strings.Contains(err.Error(), "block.action") {
		t.Errorf("Swap = %v, want both fields named", err)
	}
	if v := inspect(d, generated); v.Unscored != detect.Scored {
		t.Errorf("after a refused swap: unscored because %q, want the old model still there", v.Unscored)
	}
}

func TestSwapWhileQueriesRun(t *testing.T) {
	d := newDetector(t, setup{})
	model, err := detect.EmbeddedModel()
	if err != nil {
		t.Fatal(err)
	}
	want := inspect(d, generated).Score
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if v := inspect(d, generated); v.Score != want {
					t.Errorf("score %v during a swap, want %v", v.Score, want)
					return
				}
			}
		})
	}
	for range 20 {
		if err := d.Swap(detect.DefaultConfig(), nil, model); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Millisecond)
	}
	close(stop)
	wg.Wait()
}

func TestConfigErrorsComeAllAtOnce(t *testing.T) {
	cfg := detect.Config{
		OwnZones: []string{"a..b"},
		Block:    detect.BlockConfig{Action: "sinkhole", TTL: -1, SinkholeIPv4: []string{"::1"}, SinkholeIPv6: []string{"x"}},
		Model:    detect.ModelConfig{Mode: "x", Level: "y", Action: "z"},
		Answers:  detect.AnswersConfig{CNAME: "a", Address: "b", Rebinding: "c", RebindingAllow: []string{""}},
	}
	err := cfg.Validate()
	for _, field := range []string{
		"own_zones[0]: ", "block.ttl: ", "block.sinkhole_ipv4[0]: ", "block.sinkhole_ipv6[0]: ", "model.mode: ", "model.level: ",
		"model.action: ", "model.cache_entries: ", "answers.cname: ", "answers.address: ", "answers.rebinding: ", "answers.rebinding_allow[0]: ",
	} {
		if err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("Validate = %v\nwant it to name %s", err, field)
		}
	}
}

func TestADamagedModelIsRefused(t *testing.T) {
	_, err := detect.LoadModel(fstest.MapFS{"manifest.json": {Data: []byte("{}")}})
	if !errors.Is(err, detect.ErrModelIntegrity) {
		t.Errorf("LoadModel = %v, want ErrModelIntegrity", err)
	}
}

func TestInspectDoesNotAllocate(t *testing.T) {
	d := newDetector(t, setup{lists: []blocklist.Config{inline("bad", blocklist.Block, "evil.example.net")}})
	response := answer(t, "www.example.net. 1 CNAME x.example.org.", "x.example.org. 1 A 192.0.2.1", "x.example.org. 1 HTTPS 1 y.example.org. ipv4hint=192.0.2.1")
	for _, name := range []string{"www.wikipedia.org", "a.evil.example.net", generated} {
		q := query(name)
		var v detect.Verdict
		run := func() {
			d.Inspect(q, &v)
			d.InspectAnswer(q, response, &v)
		}
		run()
		if got := testing.AllocsPerRun(200, run); got != 0 {
			t.Errorf("%s: %v allocations a known name, want 0", name, got)
		}
	}
}

func BenchmarkInspectKnownName(b *testing.B) {
	d := newDetector(b, setup{lists: []blocklist.Config{inline("bad", blocklist.Block, "evil.example.net")}})
	q := query("www.wikipedia.org")
	var v detect.Verdict
	b.ReportAllocs()
	for b.Loop() {
		d.Inspect(q, &v)
	}
}

func BenchmarkInspectNewName(b *testing.B) {
	d := newDetector(b, setup{change: func(c *detect.Config) { c.Model.CacheEntries = 1024 }})
	var queries []*detect.Query
	// Many times as many as are remembered.
	for i := range 1 << 18 {
		queries = append(queries, query(fmt.Sprintf("www.some-name-%d.com", i)))
	}
	var v detect.Verdict
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		d.Inspect(queries[i&(1<<18-1)], &v)
		i++
	}
}

func FuzzInspectAnswer(f *testing.F) {
	f.Add([]byte("\x00\x00\x80\x00\x00\x01\x00\x01\x00\x00\x00\x00\x01a\x00\x00\x01\x00\x01\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x00\x00\x04\x0a\x00\x00\x01"))
	d := newDetector(f, setup{noModel: true})
	q := query("www.example.net")
	f.Fuzz(func(t *testing.T, response []byte) {
		v := detect.Verdict{}
		d.InspectAnswer(q, response, &v)
		if v.Unscored == detect.Failed {
			t.Fatal("panicked")
		}
	})
}
