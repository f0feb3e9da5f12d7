package rpz_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/weirdns/weir/blocklist"
	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/detect/allow"
	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/rpz"
	"go.uber.org/goleak"
	"go.uber.org/zap"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// site is lists and a policy.
type site struct {
	lists    *blocklist.Lists
	detector *detect.Detector
	allows   *allow.Book
	policies map[string]detect.ListPolicy
	cfg      detect.Config
}

func newSite(t testing.TB, modes map[string]string, lists ...blocklist.Config) *site {
	t.Helper()
	s := &site{policies: map[string]detect.ListPolicy{}, cfg: detect.DefaultConfig()}
	var err error
	if s.lists, err = blocklist.New(lists, blocklist.Deps{Log: zap.NewNop(), Registry: prometheus.NewRegistry()}); err != nil {
		t.Fatal(err)
	}
	if err := s.lists.Load(); err != nil {
		t.Fatal(err)
	}
	if s.allows, err = allow.Open("", now); err != nil {
		t.Fatal(err)
	}
	for _, l := range lists {
		p := detect.DefaultListPolicy()
		if m := modes[l.Name]; m != "" {
			p.Mode = m
		}
		s.policies[l.Name] = p
	}
	s.cfg.Answers.Address = detect.ModeEnforce
	s.detector, err = detect.New(s.cfg, s.policies, nil, detect.Deps{
		Log: zap.NewNop(), Registry: prometheus.NewRegistry(), Lists: s.lists, Suffixes: dnsname.DefaultSuffixes(), Allows: s.allows,
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func everything() []blocklist.Config {
	return []blocklist.Config{
		{Name: "plain", Inline: []string{"bad.example.com", "*.below.example.com", "203.0.113.9", "2001:db8:7::1", "fine.bad.example.com"}},
		{Name: "hosts", Format: blocklist.FormatHosts, Inline: []string{"0.0.0.0 exact.example.com", "0.0.0.0 bad.example.com"}},
		{Name: "zone", Format: blocklist.FormatRPZ, Inline: []string{
			"nx.example.net CNAME .", "nodata.example.net CNAME *.", "drop.example.net CNAME rpz-drop.", "tcp.example.net CNAME rpz-tcp-only.",
			"garden.example.net A 192.0.2.80", "garden.example.net AAAA 2001:db8::80", "*.wild.example.net CNAME .", "ok.wild.example.net CNAME rpz-passthru."}},
		{Name: "watched", Inline: []string{"watched.example.org"}},
		{Name: "fine", Kind: blocklist.Allow, Inline: []string{"fine.bad.example.com"}},
	}
}

func (s *site) zone(t testing.TB, change func(*rpz.Zone)) (string, rpz.Counts) {
	t.Helper()
	z := rpz.Zone{Origin: "rpz.test", TTL: time.Minute, Serial: 7, Now: now, Inspector: s.detector, Snapshot: s.lists.Snapshot()}
	if change != nil {
		change(&z)
	}
	var out strings.Builder
	counts, err := z.Write(&out)
	if err != nil {
		t.Fatal(err)
	}
	return out.String(), counts
}

// rules are the zone's lines without header and comments, sorted.
func rules(zone string) []string {
	var out []string
	for line := range strings.Lines(zone) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, ";") && !strings.HasPrefix(line, "$") && !strings.HasPrefix(line, "@") {
			out = append(out, line)
		}
	}
	slices.Sort(out)
	return out
}

func TestTheZoneIsThePolicy(t *testing.T) {
	s := newSite(t, map[string]string{"watched": detect.ModeMonitor}, everything()...)
	got, counts := s.zone(t, nil)
	want := []string{
		"*.bad.example.com A 0.0.0.0", "*.bad.example.com AAAA ::", "bad.example.com A 0.0.0.0", "bad.example.com AAAA ::",
		"*.below.example.com A 0.0.0.0", "*.below.example.com AAAA ::",
		"*.fine.bad.example.com CNAME rpz-passthru.", "fine.bad.example.com CNAME rpz-passthru.",
		"*.wild.example.net CNAME .", "ok.wild.example.net CNAME rpz-passthru.",
		"exact.example.com A 0.0.0.0", "exact.example.com AAAA ::",
		"nx.example.net CNAME .", "nodata.example.net CNAME *.", "drop.example.net CNAME rpz-drop.", "tcp.example.net CNAME rpz-tcp-only.",
		"garden.example.net A 192.0.2.80", "garden.example.net AAAA 2001:db8::80",
		"32.9.113.0.203.rpz-ip A 0.0.0.0",
		"128.1.0.0.0.0.7.db8.2001.rpz-ip AAAA ::",
	}
	slices.Sort(want)
	if !slices.Equal(rules(got), want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(rules(got), "\n"), strings.Join(want, "\n"))
	}
	if counts.Rules != 15 || counts.Passes != 3 || counts.Long != 0 {
		t.Errorf("%+v, want 15 rules, 3 of them pass", counts)
	}
	if !strings.Contains(got, "$ORIGIN rpz.test.\n$TTL 60\n@ SOA localhost. hostmaster.localhost. 7 300 60 604800 60\n@ NS localhost.\n") {
		t.Errorf("no header that a server takes:\n%.300s", got)
	}
	// weir reads its own zone: nothing in it is what it would refuse.
	report, err := blocklist.Check(strings.NewReader(got), &blocklist.Config{Format: blocklist.FormatRPZ}, func(l blocklist.RefusedLine) { t.Errorf("refused: %+v", l) })
	if err != nil || report.Entries+report.Addresses == 0 {
		t.Errorf("read back: %+v, %v", report, err)
	}
}

func TestOnlyTheListsThatAreChosen(t *testing.T) {
	s := newSite(t, nil, everything()...)
	got, _ := s.zone(t, func(z *rpz.Zone) { z.Lists = []string{"hosts"} })
	want := []string{"*.fine.bad.example.com CNAME rpz-passthru.", "bad.example.com A 0.0.0.0", "bad.example.com AAAA ::", "exact.example.com A 0.0.0.0", "exact.example.com AAAA ::", "fine.bad.example.com CNAME rpz-passthru."}
	if !slices.Equal(rules(got), want) {
		t.Errorf("got %q, want %q", rules(got), want)
	}
}

func TestNamesTooLongForTheZoneAreLeftOut(t *testing.T) {
	label := strings.Repeat("a", 61)
	long := strings.Join([]string{label, label, label, strings.Repeat("a", 55), "com"}, ".")
	s := newSite(t, nil, blocklist.Config{Name: "l", Inline: []string{long, "short.example.com"}})
	got, counts := s.zone(t, nil)
	if counts.Long != 2 || counts.Rules != 2 || strings.Contains(got, "aaa") {
		t.Errorf("%+v, want the long name left out, and counted", counts)
	}
}

func newWriter(t *testing.T, s *site, change func(*rpz.Config)) (w *rpz.Writer, path string, reg *prometheus.Registry) {
	t.Helper()
	cfg := rpz.DefaultConfig()
	path = filepath.Join(t.TempDir(), "weir.rpz")
	cfg.Path = path
	if change != nil {
		change(&cfg)
	}
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	reg = prometheus.NewRegistry()
	return rpz.New(cfg, rpz.Deps{Log: zap.NewNop(), Registry: reg, Detector: s.detector, Lists: s.lists, Allows: s.allows}), path, reg
}

func update(t *testing.T, w *rpz.Writer, path string, at time.Time) (zone, serial string) {
	t.Helper()
	if err := w.Update(at); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`SOA localhost\. hostmaster\.localhost\. (\d+) `).FindSubmatch(data)
	if m == nil {
		t.Fatalf("no serial in\n%s", data)
	}
	return string(data), string(m[1])
}

// found is a transaction in which the model detected a domain.
func found(name string, at time.Time, enforced bool) *detect.Transaction {
	n := dnsname.MustParse(name)
	return &detect.Transaction{Query: detect.Query{Time: at, Name: n}, Verdict: detect.Verdict{
		Origin: detect.OriginModel, Action: detect.NXDOMAIN, Enforced: enforced, Registered: n, Answer: &detect.BlockAnswer{},
	}}
}

func TestTheFileFollowsWhatChanges(t *testing.T) {
	s := newSite(t, nil, blocklist.Config{Name: "l", Inline: []string{"bad.example.com"}})
	w, path, reg := newWriter(t, s, nil)
	_, first := update(t, w, path, now)
	if _, again := update(t, w, path, now.Add(time.Minute)); again != first {
		t.Errorf("serial %s after nothing changed, want %s", again, first)
	}
	w.Record(found("generated.example.net", now, true))
	w.Record(found("watched.example.net", now, false))
	w.Record(&detect.Transaction{Verdict: detect.Verdict{Origin: detect.OriginModel, Registered: dnsname.MustParse("harmless.example.net")}})
	if _, err := s.allows.Add(allow.Entry{Name: "www.bad.example.com", Until: now.Add(time.Hour)}, now); err != nil {
		t.Fatal(err)
	}
	if _, err := s.allows.Add(allow.Entry{Name: "one.bad.example.com", Client: netip.MustParsePrefix("10.0.0.1/32"), Until: now.Add(time.Hour)}, now); err != nil {
		t.Fatal(err)
	}
	zone, second := update(t, w, path, now) // within the same second
	want := []string{
		"*.bad.example.com A 0.0.0.0", "*.bad.example.com AAAA ::", "*.generated.example.net CNAME .", "*.www.bad.example.com CNAME rpz-passthru.",
		"bad.example.com A 0.0.0.0", "bad.example.com AAAA ::", "generated.example.net CNAME .", "www.bad.example.com CNAME rpz-passthru.",
	}
	if !slices.Equal(rules(zone), want) || second <= first {
		t.Errorf("serial %s after %s, %q; want %q", second, first, rules(zone), want)
	}
	// The detection ends a day after its last query, the allow after its hour,
	// and a restart goes on where the file ends, whatever the clock says.
	zone, third := update(t, w, path, now.Add(25*time.Hour))
	if len(rules(zone)) != 4 || third <= second {
		t.Errorf("after a day: serial %s, %q", third, rules(zone))
	}
	cfg := rpz.DefaultConfig()
	cfg.Path = path
	restarted := rpz.New(cfg, rpz.Deps{Log: zap.NewNop(), Registry: prometheus.NewRegistry(), Detector: s.detector, Lists: s.lists})
	if _, fourth := update(t, restarted, path, now.Add(-time.Hour)); fourth <= third {
		t.Errorf("after a restart with a clock that went back: serial %s, want more than %s", fourth, third)
	}
	policies := map[string]detect.ListPolicy{"l": s.policies["l"]}
	p := policies["l"]
	p.Action = "nxdomain"
	policies["l"] = p
	if err := s.detector.Swap(s.cfg, policies, nil); err != nil {
		t.Fatal(err)
	}
	if zone, _ := update(t, w, path, now.Add(26*time.Hour)); !strings.Contains(zone, "\nbad.example.com CNAME .\n") {
		t.Errorf("after a reload:\n%s", zone)
	}
	if n, err := testutil.GatherAndCount(reg, "weir_rpz_writes_total", "weir_rpz_rules", "weir_rpz_last_write_timestamp_seconds", "weir_rpz_detections_refused_total"); n != 5 || err != nil {
		t.Errorf("%d series, %v; want 5", n, err)
	}
}

func TestDetectionsAreBoundedAndChosen(t *testing.T) {
	s := newSite(t, nil, blocklist.Config{Name: "l", Inline: []string{"bad.example.com"}})
	for mode, want := range map[string]int{detect.ModeOff: 2, detect.ModeEnforce: 4, detect.ModeMonitor: 6} {
		w, path, reg := newWriter(t, s, func(c *rpz.Config) { c.Detections, c.MaxDetections = mode, 2 })
		w.Record(found("a.example.net", now, true))
		w.Record(found("b.example.net", now, false))
		zone, _ := update(t, w, path, now)
		if got := strings.Count(zone, "CNAME ."); got != want-2 {
			t.Errorf("detections: %s: %d rules of detections, want %d", mode, got, want-2)
		}
		if mode != detect.ModeMonitor {
			continue
		}
		w.Record(found("c.example.net", now, true))
		if err := testutil.GatherAndCompare(reg, strings.NewReader("# HELP weir_rpz_detections_refused_total Detections that were not kept for the response policy zone since max_detections were.\n# TYPE weir_rpz_detections_refused_total counter\nweir_rpz_detections_refused_total 1\n"), "weir_rpz_detections_refused_total"); err != nil {
			t.Error(err)
		}
	}
}

func TestAFileThatIsNotOursIsLeftAlone(t *testing.T) {
	s := newSite(t, nil, blocklist.Config{Name: "l", Inline: []string{"bad.example.com"}})
	w, path, _ := newWriter(t, s, nil)
	if err := os.WriteFile(path, []byte("my thesis"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := w.Update(now); err == nil || !strings.Contains(err.Error(), "is no zone of weir's") {
		t.Errorf("Update = %v", err)
	}
	if data, err := os.ReadFile(path); err != nil || string(data) != "my thesis" {
		t.Errorf("the file is now %q, %v", data, err)
	}
}

func TestConfigErrorsComeAllAtOnce(t *testing.T) {
	c := rpz.Config{Path: "relative", Origin: "a..b", TTL: -1, Interval: 1, Detections: "x", DetectionTTL: 1, MaxDetections: 0}
	err := c.Validate()
	for _, field := range []string{"path: ", "origin: ", "ttl: ", "interval: ", "detections: ", "detection_ttl: ", "max_detections: "} {
		if err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("Validate = %v, want %s", err, field)
		}
	}
	c = rpz.DefaultConfig()
	if err := c.Validate(); err != nil {
		t.Errorf("the default: %v", err)
	}
	c.Origin = strings.Repeat("a.", 60) + "example"
	if err := c.Validate(); err == nil || !strings.Contains(err.Error(), "origin: 129 octets") {
		t.Errorf("a long origin: %v", err)
	}
}
