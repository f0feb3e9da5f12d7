package unusual_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/weirdns/weir/capture"
	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/pdns/privacy"
	"github.com/weirdns/weir/unusual"
	"go.uber.org/zap"
)

// collected are the transactions of a capture.
type collected struct{ all []*detect.Transaction }

func (c *collected) Record(t *detect.Transaction) {
	kept := *t
	kept.Query.Name = slices.Clone(t.Query.Name)
	kept.Response = slices.Clone(t.Response)
	kept.Verdict = detect.Verdict{}
	c.all = append(c.all, &kept)
}

func readCapture(tb testing.TB, path string) []*detect.Transaction {
	tb.Helper()
	var c collected
	reader, err := capture.New(capture.DefaultConfig(), capture.Deps{Sinks: []detect.Sink{&c}, Log: zap.NewNop(), Registry: prometheus.NewRegistry()})
	if err != nil {
		tb.Fatal(err)
	}
	if err := reader.ReadFile(tb.Context(), path); err != nil {
		tb.Fatal(err)
	}
	return c.all
}

// The figures of docs/detections.md: WEIR_UNUSUAL_BASE is a capture of ordinary
// traffic, WEIR_UNUSUAL_PLANT others, with commas between, of which a few
// transactions each are planted into it, as the same client's, at its own hours.
func TestPlantedTrafficInCapturesRanksFirst(t *testing.T) {
	base, plant := os.Getenv("WEIR_UNUSUAL_BASE"), os.Getenv("WEIR_UNUSUAL_PLANT")
	if base == "" || plant == "" {
		t.Skip("WEIR_UNUSUAL_BASE and WEIR_UNUSUAL_PLANT name no captures")
	}
	all := readCapture(t, base)
	first, last := all[0].Query.Time, all[len(all)-1].Query.Time
	client := all[0].Query.Client
	span := last.Sub(first)
	for _, n := range []int{1, 5, 50, 500} {
		planted := map[string]string{} // registered domain to file
		mixed := slices.Clone(all)
		for i, file := range strings.Split(plant, ",") {
			odd := readCapture(t, file)
			// What the file holds most of, by registered domain, is what is odd in it.
			counts := map[string]int{}
			best := ""
			for _, tx := range odd {
				d := registered(tx)
				if counts[d]++; counts[d] > counts[best] {
					best = d
				}
			}
			planted[best] = filepath.Base(file)
			at := first.Add(span * time.Duration(i+1) / time.Duration(strings.Count(plant, ",")+2))
			left := n
			for _, tx := range odd {
				if registered(tx) != best || left == 0 {
					continue
				}
				left--
				one := *tx
				one.Query.Client, one.Query.Time = client, at
				at = at.Add(time.Second)
				mixed = append(mixed, &one)
			}
		}
		slices.SortStableFunc(mixed, func(a, b *detect.Transaction) int { return a.Query.Time.Compare(b.Query.Time) })
		tr := tracker(t, unusual.DefaultConfig(), unusual.Deps{Seed: 1})
		for _, tx := range mixed {
			tr.Record(tx)
		}
		r, err := tr.Ranking(unusual.Query{})
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%d of each planted among %d of %s", n, len(all), filepath.Base(base))
		for _, e := range r.Entries {
			if file := planted[e.Domain]; file != "" {
				t.Logf("  rank %d, %.1f bits: %s (%s), %s %s", e.Rank, e.Score, e.Domain, file, e.QType, e.Name[:min(len(e.Name), 40)])
				delete(planted, e.Domain)
			}
		}
		for d, file := range planted {
			t.Logf("  not in the list: %s (%s)", d, file)
		}
	}
}

func registered(t *detect.Transaction) string {
	if r := dnsname.DefaultSuffixes().Split(t.Query.Name).Registered; r != nil {
		return r.String()
	}
	return t.Query.Name.String()
}

func tracker(tb testing.TB, cfg unusual.Config, deps unusual.Deps) *unusual.Tracker {
	tb.Helper()
	if deps.Registry == nil {
		deps.Registry = prometheus.NewRegistry()
	}
	if deps.Privacy == nil {
		deps.Privacy = privacy.Plain(privacy.Full)
	}
	tr, err := unusual.New(cfg, deps)
	if err != nil {
		tb.Fatal(err)
	}
	return tr
}
