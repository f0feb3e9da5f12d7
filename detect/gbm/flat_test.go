package gbm

import (
	"bufio"
	"bytes"
	"math"
	"os"
	"testing"

	"github.com/dmitryikh/leaves"
)

// reference is the same model in both evaluators.
func reference(tb testing.TB) (*Model, *leaves.Ensemble) {
	tb.Helper()
	data, err := os.ReadFile("testdata/binary.txt")
	if err != nil {
		tb.Fatal(err)
	}
	m, err := Load(bytes.NewReader(data), []string{"length", "entropy", "vowels", "digits"})
	if err != nil {
		tb.Fatal(err)
	}
	e, err := leaves.LGEnsembleFromReader(bufio.NewReader(bytes.NewReader(data)), false)
	if err != nil {
		// leaves knows the header up to v3.
		data = bytes.Replace(data, []byte("version=v4"), []byte("version=v3"), 1)
		if e, err = leaves.LGEnsembleFromReader(bufio.NewReader(bytes.NewReader(data)), false); err != nil {
			tb.Fatal(err)
		}
	}
	return m, e
}

// FuzzSumIsThatOfLeaves: to the last bit, for any finite vector.
func FuzzSumIsThatOfLeaves(f *testing.F) {
	m, e := reference(f)
	for _, n := range m.trees.nodes {
		f.Add(n.threshold, n.threshold, n.threshold, n.threshold)
	}
	f.Add(0.0, -1e308, 5e-324, math.Copysign(0, -1))
	f.Fuzz(func(t *testing.T, a, b, c, d float64) {
		vector, want := []float64{a, b, c, d}, make([]float64, 1)
		if m.check(vector) != nil {
			return
		}
		if err := e.Predict(vector, 0, want); err != nil {
			t.Fatal(err)
		}
		if got := m.trees.sum(vector); math.Float64bits(got) != math.Float64bits(want[0]) {
			t.Errorf("%v: got %v, leaves says %v", vector, got, want[0])
		}
	})
}

// TestLoadComparesTheEvaluators: a difference in one leaf, in one threshold or
// in one branch is seen.
func TestLoadComparesTheEvaluators(t *testing.T) {
	m, e := reference(t)
	parsed := func() *ensemble {
		data, err := os.ReadFile("testdata/binary.txt")
		if err != nil {
			t.Fatal(err)
		}
		p, err := parse(data)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}()
	if err := m.compare(e, parsed); err != nil {
		t.Fatalf("the same model: %v", err)
	}
	for why, change := range map[string]func(f *flat){
		"leaf": func(f *flat) {
			for i := range f.values { // every leaf; inner nodes have none
				f.values[i] = math.Nextafter(f.values[i], 9)
			}
		},
		"threshold": func(f *flat) { f.nodes[0].threshold = math.Nextafter(f.nodes[0].threshold, -9) },
		"branch":    func(f *flat) { c := &f.nodes[1].child; c[0], c[1] = c[1], c[0] },
		"tree":      func(f *flat) { f.roots[0] = f.roots[1] },
	} {
		changed := &Model{trees: flatten(parsed), features: m.features}
		change(changed.trees)
		if changed.compare(e, parsed) == nil {
			t.Errorf("%s: the difference passed", why)
		}
	}
}

func BenchmarkLeaves(b *testing.B) {
	_, e := reference(b)
	vector, out := []float64{20, 0.5, -0.3, 0.25}, make([]float64, 1)
	for b.Loop() {
		_ = e.Predict(vector, 0, out)
	}
}

func BenchmarkFlat(b *testing.B) {
	m, _ := reference(b)
	vector := []float64{20, 0.5, -0.3, 0.25}
	for b.Loop() {
		m.trees.sum(vector)
	}
}
