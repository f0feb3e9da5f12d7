package detect_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/weirdns/weir/blocklist"
	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/internal/dnsname"
	"go.uber.org/zap"
)

// eager is the default model with another version, to which every name is
// generated for certain.
func eager(t testing.TB) *detect.Model {
	t.Helper()
	b := bundle(t)
	editManifest(t, b, func(m map[string]any) {
		m["version"] = "eager"
		for i, level := range []string{"low", "medium", "high"} {
			threshold(m, level)["score"] = float64(i+1) * 1e-12
		}
	})
	m, err := detect.LoadModel(b)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestTheModelOnTrialIsRecordedAndNeverEnforced(t *testing.T) {
	reg := prometheus.NewRegistry()
	lists, err := blocklist.New(nil, blocklist.Deps{Log: zap.NewNop(), Registry: reg, Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	cfg := detect.DefaultConfig()
	cfg.Model.Mode, cfg.Model.Level = detect.ModeEnforce, "low"
	d, err := detect.New(cfg, nil, embeddedModel(t), detect.Deps{Log: zap.NewNop(), Registry: reg, Lists: lists, Suffixes: dnsname.DefaultSuffixes()})
	if err != nil {
		t.Fatal(err)
	}
	before := inspect(d, "wikipedia.org")
	if before.Shadow != (detect.Shadow{}) {
		t.Errorf("without a trial: %+v", before.Shadow)
	}
	trial := eager(t)
	d.SetShadow(trial)
	for range 3 { // the first is new to the trial and known to the other
		v := inspect(d, "wikipedia.org")
		if want := (detect.Shadow{Model: "eager", Score: before.Score, Level: detect.LevelHigh}); v.Shadow != want {
			t.Errorf("shadow %+v, want %+v", v.Shadow, want)
		}
		if v.Blocks() || v.Action != detect.Pass || v.Level != before.Level || v.Score != before.Score || v.Why != nil {
			t.Errorf("%s at level %s: the trial had a say", brief(v), v.Level)
		}
	}
	inspect(d, "www."+generated)
	inspect(d, "nas.local")
	// It outlives a new policy, with its scores.
	if err := d.Swap(cfg, nil, embeddedModel(t)); err != nil {
		t.Fatal(err)
	}
	if v := inspect(d, "wikipedia.org"); v.Shadow.Model != "eager" {
		t.Errorf("after a swap: shadow %+v, want the same trial", v.Shadow)
	}
	want := `
# HELP weir_shadow_names_total Registered domains by the level that the model in use gave them and the one that the model on trial did.
# TYPE weir_shadow_names_total counter
weir_shadow_names_total{level="high",shadow_level="high"} 1
weir_shadow_names_total{level="none",shadow_level="high"} 1
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "weir_shadow_names_total"); err != nil {
		t.Error(err)
	}
	d.SetShadow(nil)
	if v := inspect(d, "wikipedia.org"); v.Shadow != (detect.Shadow{}) {
		t.Errorf("after the trial: %+v", v.Shadow)
	}
}

func TestATrialDoesNotAllocate(t *testing.T) {
	d := newDetector(t, setup{change: func(c *detect.Config) { c.Model.CacheEntries = 1024 }})
	d.SetShadow(eager(t))
	var queries []*detect.Query
	for i := range 4096 {
		queries = append(queries, query(fmt.Sprintf("some-name-%d.com", i)))
	}
	var v detect.Verdict
	i := 0
	run := func() {
		d.Inspect(queries[i%len(queries)], &v)
		i++
	}
	for range queries {
		run() // fills pools
	}
	if got := testing.AllocsPerRun(2000, run); got != 0 {
		t.Errorf("%v allocations a new name, want 0", got)
	}
}

func BenchmarkInspectKnownNameOnTrial(b *testing.B) {
	d := newDetector(b, setup{})
	d.SetShadow(eager(b))
	q := query("www.wikipedia.org")
	var v detect.Verdict
	b.ReportAllocs()
	for b.Loop() {
		d.Inspect(q, &v)
	}
}
