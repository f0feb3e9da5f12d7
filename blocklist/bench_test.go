package blocklist_test

import (
	"runtime/metrics"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirdns/weir/blocklist"
	"github.com/weirdns/weir/internal/dnsname"
)

// BenchmarkMatch looks names up in a list of a million and a small one beside it.
func BenchmarkMatch(b *testing.B) {
	all := synthetic(1_001_000)
	in, out := all[:1_000_000], all[1_000_000:]
	reference := make(map[string]struct{}, len(in))
	for _, n := range in {
		reference[string(dnsname.MustParse(n))] = struct{}{}
	}
	s := load(b,
		blocklist.Config{Name: "big", File: file(b, in...)},
		blocklist.Config{Name: "small", Inline: []string{"bad.example", "*.below.example"}}).Snapshot()
	for _, c := range []struct {
		name  string
		names []string
	}{
		{"hit", in[:1000]},
		{"below a hit", prefixed("www.cdn.", in[1000:2000])},
		{"miss", prefixed("www.", out)},
		{"miss of 30 labels", prefixed(strings.Repeat("a.", 28), out)},
	} {
		names := make([]dnsname.Name, len(c.names))
		for i, n := range c.names {
			names[i] = dnsname.MustParse(n)
		}
		b.Run(c.name, func(b *testing.B) {
			dst := make([]blocklist.Hit, 0, 4)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				dst = s.Match(dst[:0], names[i%len(names)])
			}
		})
		// The same questions to a map of Go with the same names, as a measure of
		// what else the machine does: a look-up for each suffix but the last.
		b.Run(c.name+" by map", func(b *testing.B) {
			found := 0
			for i := 0; b.Loop(); i++ {
				for at := names[i%len(names)]; at.Labels() > 1; at = at.Parent() {
					if _, ok := reference[string(at)]; ok {
						found++
					}
				}
			}
			if (found > 0) != strings.Contains(c.name, "hit") {
				b.Errorf("%d found", found)
			}
		})
	}
}

func prefixed(prefix string, names []string) []string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = prefix + n
	}
	return out
}

// BenchmarkBuild loads a file of a million names and reports what it takes:
// octets a name of the finished set, and of heap at the worst moment, garbage
// included.
func BenchmarkBuild(b *testing.B) {
	const n = 1_000_000
	path := file(b, synthetic(n)...)
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		before, after := heap(), make(chan struct{})
		peak := before
		var wg sync.WaitGroup
		wg.Go(func() {
			sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
			for {
				metrics.Read(sample)
				peak = max(peak, int64(sample[0].Value.Uint64()))
				select {
				case <-after:
					return
				case <-time.After(time.Millisecond):
				}
			}
		})
		b.StartTimer()
		l := load(b, blocklist.Config{Name: "big", File: path})
		b.StopTimer()
		close(after)
		wg.Wait()
		b.ReportMetric(float64(heap()-before)/n, "heap-B/name")
		b.ReportMetric(float64(l.Snapshot().Lists()[0].Memory)/n, "set-B/name")
		b.ReportMetric(float64(peak-before)/n, "peak-B/name")
		b.StartTimer()
	}
}
