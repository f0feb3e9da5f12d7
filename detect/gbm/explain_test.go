package gbm_test

import (
	"errors"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/weirdns/weir/detect/gbm"
)

// sum is what the contributions of a vector add up to.
func sum(t *testing.T, m *gbm.Model, vector []float64) float64 {
	t.Helper()
	out := make([]float64, len(vector))
	total, err := m.Explain(vector, out)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range out {
		total += c
	}
	return total
}

func TestContributionsAddUpToTheScore(t *testing.T) {
	m := load(t, text(t, "binary.txt"))
	vectors := [][]float64{}
	for _, p := range probes(t) {
		vectors = append(vectors, p.vector)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 5000 {
		vectors = append(vectors, []float64{float64(rng.IntN(64)), rng.Float64() * 5, rng.Float64(), rng.Float64()})
	}
	for _, v := range vectors {
		score, err := m.Score(v)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := sum(t, m, v), math.Log(score/(1-score)); math.Abs(got-want) > 1e-9 {
			t.Fatalf("%v: contributions add up to %v, the score is the logistic function of %v", v, got, want)
		}
	}
}

// One tree by hand: its root splits feature 1 and the right child feature 3.
const byHand = `tree
version=v4
num_class=1
num_tree_per_iteration=1
label_index=0
max_feature_idx=3
objective=binary sigmoid:1
feature_names=length entropy vowels digits
tree_sizes=1

Tree=0
num_leaves=3
num_cat=0
split_feature=1 3
threshold=2.5 0.5
decision_type=2 2
left_child=-1 -2
right_child=1 -3
leaf_value=-1 1 4
leaf_count=6 2 1

end of trees
`

func TestAStepCountsForTheFeatureThatItSplits(t *testing.T) {
	// The right child expects (1*2+4)/3 = 2, the root (-1*6+2*3)/9 = 0.
	for _, c := range []struct {
		what, text string
		vector     []float64
		bias       float64
		want       [4]float64
	}{
		{"left", byHand, []float64{9, 2.5, 9, 9}, 0, [4]float64{1: -1}},
		{"right, left", byHand, []float64{9, 3, 9, 0.5}, 0, [4]float64{1: 2, 3: -1}},
		{"right, right", byHand, []float64{9, 3, 9, 0.6}, 0, [4]float64{1: 2, 3: 2}},
		{"without counts every leaf weighs the same", strings.Replace(byHand, "leaf_count=6 2 1\n", "", 1), []float64{9, 3, 9, 0.5}, 4. / 3, [4]float64{1: 2.5 - 4./3, 3: -1.5}},
	} {
		var got [4]float64
		bias, err := load(t, c.text).Explain(c.vector, got[:])
		if err != nil || math.Abs(bias-c.bias) > 1e-15 {
			t.Errorf("%s: bias %v, %v, want %v", c.what, bias, err, c.bias)
		}
		for i := range got {
			if math.Abs(got[i]-c.want[i]) > 1e-15 {
				t.Errorf("%s: %s contributes %v, want %v", c.what, features[i], got[i], c.want[i])
			}
		}
	}
}

func TestExplainRefusesWhatScoreRefuses(t *testing.T) {
	m := load(t, byHand)
	for _, v := range [][]float64{nil, {1, 2, 3}, {1, 2, 3, math.NaN()}, {1, 2, 3, math.Inf(1)}} {
		if _, err := m.Explain(v, make([]float64, 4)); !errors.Is(err, gbm.ErrInput) {
			t.Errorf("%v: error %v, want ErrInput", v, err)
		}
	}
	if _, err := m.Explain([]float64{1, 2, 3, 4}, make([]float64, 3)); !errors.Is(err, gbm.ErrInput) {
		t.Errorf("room for 3 of 4: error %v, want ErrInput", err)
	}
	for _, counts := range []string{"6 2", "6 2 -1", "6 2 x", "6 2 4294967296"} {
		if _, err := gbm.Load(strings.NewReader(strings.Replace(byHand, "6 2 1", counts, 1)), features); !errors.Is(err, gbm.ErrModel) {
			t.Errorf("leaf_count=%s: error %v, want ErrModel", counts, err)
		}
	}
}

func TestExplainDoesNotAllocate(t *testing.T) {
	m, v, out := load(t, byHand), []float64{9, 3, 9, 0.5}, make([]float64, 4)
	if got := testing.AllocsPerRun(100, func() { _, _ = m.Explain(v, out) }); got != 0 {
		t.Errorf("%v allocations, want 0", got)
	}
}
