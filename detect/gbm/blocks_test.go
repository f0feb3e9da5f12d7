package gbm

import (
	"bufio"
	"bytes"
	"math"
	"math/rand/v2"
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
	for _, t := range m.trees[0].thresholds {
		f.Add(t, t, t, t)
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
	for why, change := range map[string]func(b *block){
		"leaf": func(b *block) {
			for i := range b.values {
				b.values[i] = math.Nextafter(b.values[i], 9)
			}
		},
		"threshold": func(b *block) {
			for i, t := range b.thresholds {
				b.thresholds[i] = math.Nextafter(t, -9)
			}
		},
		"branch": func(b *block) { b.masks[0] = ^b.masks[0] },
		"tree":   func(b *block) { b.trees[0] = b.trees[1] },
	} {
		changed := &Model{trees: newBlocks(parsed), features: m.features}
		change(&changed.trees[0])
		if changed.compare(e, parsed) == nil {
			t.Errorf("%s: the difference passed", why)
		}
	}
}

// TestSumOfEveryShapeOfEnsemble: of trees that share words, need several, fill a
// block and begin the next, against a walk from node to node.
func TestSumOfEveryShapeOfEnsemble(t *testing.T) {
	for _, shape := range []struct{ trees, leaves int }{{1, 1}, {3, 2}, {300, 7}, {10, 64}, {10, 65}, {9, 1000}, {5, maxLeaves}, {513, 1}} {
		random := rand.New(rand.NewPCG(uint64(shape.trees), uint64(shape.leaves)))
		e := &ensemble{features: make([]string, 5)}
		for range shape.trees {
			e.trees = append(e.trees, randomTree(random, shape.leaves, len(e.features)))
		}
		b := newBlocks(e)
		vector := make([]float64, len(e.features))
		for range 200 {
			for i := range vector {
				vector[i] = float64(random.IntN(12)) / 2 // thresholds are whole: equal to one half of the time
			}
			want := 0.0
			for i := range e.trees {
				want += walk(&e.trees[i], vector)
			}
			if got := b.sum(vector); math.Float64bits(got) != math.Float64bits(want) {
				t.Fatalf("%d trees of %d leaves, %v: got %v, want %v", shape.trees, shape.leaves, vector, got, want)
			}
		}
	}
}

// randomTree grows by splitting a leaf at random, so left and right differ in depth.
func randomTree(random *rand.Rand, leaves, features int) tree {
	t := tree{value: []float64{random.NormFloat64()}}
	place := []*int{nil} // by leaf: what points to it; nil is the root
	t.left, t.right = make([]int, leaves-1), make([]int, leaves-1)
	for node := range leaves - 1 {
		at := random.IntN(len(t.value))
		if place[at] != nil {
			*place[at] = node
		}
		t.feature = append(t.feature, random.IntN(features))
		t.threshold = append(t.threshold, float64(random.IntN(6)))
		t.left[node], t.right[node] = ^at, ^len(t.value)
		place[at] = &t.left[node]
		place = append(place, &t.right[node])
		t.value = append(t.value, random.NormFloat64())
	}
	return t
}

func walk(t *tree, vector []float64) float64 {
	at := -1
	if len(t.feature) > 0 {
		at = 0
	}
	for at >= 0 {
		if vector[t.feature[at]] > t.threshold[at] {
			at = t.right[at]
		} else {
			at = t.left[at]
		}
	}
	return t.value[^at]
}

func BenchmarkLeaves(b *testing.B) {
	_, e := reference(b)
	vector, out := []float64{20, 0.5, -0.3, 0.25}, make([]float64, 1)
	for b.Loop() {
		_ = e.Predict(vector, 0, out)
	}
}

func BenchmarkBlocks(b *testing.B) {
	m, _ := reference(b)
	vector := []float64{20, 0.5, -0.3, 0.25}
	for b.Loop() {
		m.trees.sum(vector)
	}
}
