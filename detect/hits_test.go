package detect_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/weirdns/weir/blocklist"
	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/internal/dnsname"
	"go.uber.org/zap"
)

// effects are the effects of a verdict's matches.
func effects(v *detect.Verdict) string {
	var out []string
	for _, m := range v.Matches {
		out = append(out, m.List+":"+m.Effect.String())
	}
	return strings.Join(out, " ")
}

func TestEveryMatchSaysWhatItDoes(t *testing.T) {
	shadow := detect.DefaultListPolicy()
	shadow.Mode = detect.ModeShadow
	d := newDetector(t, setup{noModel: true, lists: append(ownActions(),
		inline("shadow", blocklist.Block, "good.ads.example.org", "ads.example.org", "nx.example.net"),
		blocklist.Config{Name: "urls", Format: blocklist.FormatURLhaus, Inline: []string{"https://github.com/x"}}),
		policies: map[string]detect.ListPolicy{
			"rpz": detect.DefaultListPolicy(), "ads": detect.DefaultListPolicy(), "unbound": detect.DefaultListPolicy(), "plain": detect.DefaultListPolicy(),
			"allow": detect.DefaultListPolicy(), "urls": detect.DefaultListPolicy(), "shadow": shadow,
		}})
	for name, want := range map[string]string{
		"nx.example.net":         "rpz:enforce shadow:monitor",
		"allowed.nx.example.net": "allow:pass shadow:overruled",
		"good.ads.example.org":   "ads:pass ads:overruled plain:enforce shadow:monitor shadow:monitor",
		"github.com":             "urls:observe",
		"www.example.com":        "",
	} {
		if got := effects(inspect(d, name)); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	v := inspect(d, "nx.example.net")
	v.Yield()
	if got := effects(v); v.Blocks() || got != "rpz:overruled shadow:monitor" {
		t.Errorf("a verdict that yielded: %s %s", brief(v), got)
	}
}

func TestHitsAreCountedOnceAQueryAndList(t *testing.T) {
	reg := prometheus.NewRegistry()
	cfgs := []blocklist.Config{inline("a", blocklist.Block, "example.net", "x.example.net"), inline("w", blocklist.Block, "x.example.net"), inline("ok", blocklist.Allow, "ok.example.net")}
	lists, err := blocklist.New(cfgs, blocklist.Deps{Log: zap.NewNop(), Registry: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	if err := lists.Load(); err != nil {
		t.Fatal(err)
	}
	watched := detect.DefaultListPolicy()
	watched.Mode = detect.ModeMonitor
	policies := map[string]detect.ListPolicy{"a": detect.DefaultListPolicy(), "w": watched, "ok": detect.DefaultListPolicy()}
	d, err := detect.New(detect.DefaultConfig(), policies, nil, detect.Deps{Log: zap.NewNop(), Registry: reg, Lists: lists, Suffixes: dnsname.DefaultSuffixes()})
	if err != nil {
		t.Fatal(err)
	}
	at := time.Unix(1000, 0)
	for _, name := range []string{"x.example.net", "x.example.net", "y.example.net", "ok.example.net", "example.org"} {
		q := query(name)
		q.Time = at
		at = at.Add(time.Second)
		tr := detect.Transaction{Query: *q}
		d.Inspect(q, &tr.Verdict)
		d.Record(&tr)
	}
	for list, want := range map[string]detect.Hits{
		"a":    {Enforced: 3, Overruled: 1, Last: time.Unix(1003, 0).UTC()},
		"w":    {Monitored: 2, Last: time.Unix(1001, 0).UTC()},
		"ok":   {Passed: 1, Last: time.Unix(1003, 0).UTC()},
		"none": {},
	} {
		if got := d.Hits(list); got != want {
			t.Errorf("Hits(%s) = %+v, want %+v", list, got, want)
		}
	}
	// A reload keeps the counters of the lists that stay and forgets the rest.
	delete(policies, "ok")
	if err := d.Swap(detect.DefaultConfig(), policies, nil); err != nil {
		t.Fatal(err)
	}
	want := `
# HELP weir_list_hits_total Queries that met a list, once each, by the most that the list did to them: enforce, monitor (would have blocked), pass, observe or overruled.
# TYPE weir_list_hits_total counter
weir_list_hits_total{effect="enforce",list="a"} 3
weir_list_hits_total{effect="enforce",list="timed allow"} 0
weir_list_hits_total{effect="enforce",list="w"} 0
weir_list_hits_total{effect="monitor",list="a"} 0
weir_list_hits_total{effect="monitor",list="timed allow"} 0
weir_list_hits_total{effect="monitor",list="w"} 2
weir_list_hits_total{effect="overruled",list="a"} 1
# HELP weir_list_last_hit_timestamp_seconds When a query last met the list; 0 for never.
# TYPE weir_list_last_hit_timestamp_seconds gauge
weir_list_last_hit_timestamp_seconds{list="a"} 1003
weir_list_last_hit_timestamp_seconds{list="timed allow"} 0
weir_list_last_hit_timestamp_seconds{list="w"} 1001
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "weir_list_hits_total", "weir_list_last_hit_timestamp_seconds"); err != nil {
		t.Error(err)
	}
}

func TestCountingHitsDoesNotAllocate(t *testing.T) {
	d := newDetector(t, setup{noModel: true, lists: family()})
	q := query("bad.example.net")
	tr := detect.Transaction{Query: *q}
	d.Inspect(q, &tr.Verdict)
	if got := testing.AllocsPerRun(200, func() { d.Record(&tr) }); got != 0 {
		t.Errorf("%v allocations, want 0", got)
	}
}

// An answer with thousands of listed addresses fills no memory with them, and
// still blocks.
func TestMatchesAreBounded(t *testing.T) {
	entries := []string{}
	records := []string{}
	for i := range 200 {
		a := fmt.Sprintf("203.0.113.%d", i)
		entries, records = append(entries, a), append(records, "www.example.net. 1 A "+a)
	}
	watched := detect.DefaultListPolicy()
	watched.Mode = detect.ModeMonitor
	d := newDetector(t, setup{noModel: true, lists: []blocklist.Config{inline("w", blocklist.Block, entries...)}, policies: map[string]detect.ListPolicy{"w": watched}})
	var v detect.Verdict
	q := query("www.example.net")
	d.Inspect(q, &v)
	d.InspectAnswer(q, answer(t, records...), &v)
	if len(v.Matches) != 64 || v.Action != detect.ZeroIP {
		t.Errorf("%d matches, action %s; want 64 and the action", len(v.Matches), v.Action)
	}
}
