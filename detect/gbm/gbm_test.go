package gbm_test

import (
	"bytes"
	"errors"
	"math"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/weirdns/weir/detect/gbm"
)

// features are those of the models in testdata, which LightGBM made
// (training/gbm_testdata.py).
var features = []string{"length", "entropy", "vowels", "digits"}

func text(t testing.TB, file string) string {
	t.Helper()
	data, err := os.ReadFile("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func load(t testing.TB, text string) *gbm.Model {
	t.Helper()
	m, err := gbm.Load(strings.NewReader(text), features)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// probe is a vector and what LightGBM answers to it.
type probe struct {
	vector []float64
	score  float64
}

func probes(t testing.TB) []probe {
	t.Helper()
	var out []probe
	for _, line := range strings.Split(strings.TrimSpace(text(t, "binary.tsv")), "\n")[1:] {
		var p probe
		for _, field := range strings.Split(line, "\t") {
			v, err := strconv.ParseFloat(field, 64)
			if err != nil {
				t.Fatal(err)
			}
			p.vector = append(p.vector, v)
		}
		n := len(p.vector) - 1
		p.vector, p.score = p.vector[:n], p.vector[n]
		out = append(out, p)
	}
	return out
}

func TestScoresAreThoseOfLightGBM(t *testing.T) {
	v4 := text(t, "binary.txt")
	for _, version := range []string{"v4", "v3", "v2"} {
		m := load(t, strings.Replace(v4, "version=v4", "version="+version, 1))
		if m.Trees() != 12 {
			t.Errorf("%s: %d trees, want 12", version, m.Trees())
		}
		for _, p := range probes(t) {
			got, err := m.Score(p.vector)
			if err != nil || math.Abs(got-p.score) > 1e-15 {
				t.Errorf("%s: score of %v: got %v, %v, want %v", version, p.vector, got, err, p.score)
			}
		}
	}
}

func TestOneModelServesManyGoroutines(t *testing.T) {
	m := load(t, text(t, "binary.txt"))
	all := probes(t)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for _, p := range all {
				if got, err := m.Score(p.vector); err != nil || math.Abs(got-p.score) > 1e-15 {
					t.Errorf("score of %v: got %v, %v, want %v", p.vector, got, err, p.score)
				}
			}
		})
	}
	wg.Wait()
}

func TestModelsOfOtherKindsAreRefused(t *testing.T) {
	for file, want := range map[string]string{
		"categorical.txt":     "cat_boundaries",
		"linear.txt":          "unknown line", // leaf_const and its like
		"forest.txt":          "average_output",
		"sigmoid2.txt":        "objective",
		"regression.txt":      "objective",
		"zero_as_missing.txt": "decision_type",
	} {
		_, err := gbm.Load(strings.NewReader(text(t, file)), features)
		if !errors.Is(err, gbm.ErrModel) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got error %v, want one with %q", file, err, want)
		}
	}
}

// TestDamagedModelsAreRefused changes one thing of a good model at a time. The
// first tree is
//
//	left_child=1 -1 3 -2 6 -6 -3
//	right_child=2 4 -4 -5 5 -7 -8
func TestDamagedModelsAreRefused(t *testing.T) {
	good := text(t, "binary.txt")
	set := func(key, value string) string { // in the first place where it stands
		re := regexp.MustCompile(`(?m)^` + key + `=.*$`)
		at := re.FindStringIndex(good)
		if at == nil {
			t.Fatalf("no %s in the model", key)
		}
		return good[:at[0]] + key + "=" + value + good[at[1]:]
	}
	chain := "" // a tree deeper than is allowed: each node's left child is the next
	{
		left, right, zeros, values := "", "", "", "0"
		for i := range 70 {
			left += " " + strconv.Itoa(i+1)
			right += " " + strconv.Itoa(^(i + 1))
			zeros += " 0"
			values += " 0"
		}
		left = strings.TrimSuffix(left, " 70") + " -1"
		chain = "tree\nversion=v3\nnum_class=1\nnum_tree_per_iteration=1\nmax_feature_idx=3\nobjective=binary sigmoid:1\n" +
			"feature_names=length entropy vowels digits\ntree_sizes=1\n\nTree=0\nnum_leaves=71\nnum_cat=0\nsplit_feature=" + zeros[1:] +
			"\nthreshold=" + zeros[1:] + "\ndecision_type=" + zeros[1:] + "\nleft_child=" + left[1:] + "\nright_child=" + right[1:] +
			"\nleaf_value=" + values + "\n\nend of trees\n"
	}
	for _, c := range []struct{ why, text, want string }{
		{"empty", "", "starts with"},
		{"JSON", `{"name":"tree"}`, "starts with"},
		{"newer header", set("version", "v5"), "version"},
		{"several classes", set("num_class", "2"), "num_class"},
		{"other sigmoid", set("objective", "binary sigmoid:2"), "objective"},
		{"other names", set("feature_names", "length entropy digits vowels"), `feature 2 is "digits", want "vowels"`},
		{"fewer names", set("feature_names", "length entropy vowels"), "max_feature_idx"},
		{"names and index fewer", strings.Replace(set("feature_names", "length entropy vowels"), "max_feature_idx=3", "max_feature_idx=2", 1), "splits feature 3 of 3"},
		{"no trees", set("tree_sizes", ""), "0 trees"},
		{"a tree fewer than said", set("tree_sizes", "1 1 1 1 1 1 1 1 1 1 1 1 1"), "end of trees"},
		{"a tree more than said", set("tree_sizes", "1 1"), "after 2 trees"},
		{"too many trees", set("tree_sizes", strings.Repeat("1 ", 10_001)), "10001 trees"},
		{"an unknown key", strings.Replace(good, "shrinkage=1\n", "shrinkage=1\nleaf_coeff=1\n", 1), "leaf_coeff"},
		{"a key twice", strings.Replace(good, "num_cat=0\n", "num_cat=0\nnum_cat=0\n", 1), "num_cat twice"},
		{"linear tree", set("is_linear", "1"), "is_linear"},
		{"no leaves", set("num_leaves", "0"), "num_leaves"},
		{"very many leaves", set("num_leaves", "2000000000"), "num_leaves"},
		{"one leaf value fewer", set("leaf_value", "1 2 3 4 5 6 7"), "leaf_value has 7"},
		{"no number", set("leaf_value", "1 2 3 4 x 6 7 8"), "no number"},
		{"leaf NaN", set("leaf_value", "1 2 3 4 nan 6 7 8"), "leaf 4 is NaN"},
		{"leaf infinite", set("leaf_value", "1 2 3 4 inf 6 7 8"), "leaf 4 is +Inf"},
		{"threshold NaN", set("threshold", "1 2 3 nan 5 6 7"), "node 3: threshold NaN"},
		{"threshold infinite", set("threshold", "1 2 3 -inf 5 6 7"), "node 3: threshold -Inf"},
		{"one threshold fewer", set("threshold", "1 2 3 4 5 6"), "threshold has 6"},
		{"feature out of range", set("split_feature", "3 0 0 4 2 1 1"), "splits feature 4"},
		{"feature negative", set("split_feature", "3 0 0 -1 2 1 1"), "splits feature -1"},
		{"categorical split", set("decision_type", "2 2 2 1 2 2 2"), "decision_type 1"},
		{"missing values", set("decision_type", "2 2 2 10 2 2 2"), "decision_type 10"},
		{"child out of range", set("left_child", "1 -1 7 -2 6 -6 -3"), "child 7"},
		{"leaf out of range", set("left_child", "1 -9 3 -2 6 -6 -3"), "child 8"},
		{"least integer", set("left_child", "1 -9223372036854775808 3 -2 6 -6 -3"), "child"},
		{"child is the root", set("left_child", "0 -1 3 -2 6 -6 -3"), "second time"},
		{"child is itself", set("left_child", "1 1 3 -2 6 -6 -3"), "second time"},
		{"cycle", set("left_child", "1 -1 3 -2 6 4 -3"), "second time"},
		{"leaf met twice", set("left_child", "1 -1 3 -1 6 -6 -3"), "second time"},
		{"part out of reach", set("left_child", "-2 -1 3 -2 6 -6 -3"), "second time"},
		{"deep", chain, "deeper than 64"},
	} {
		_, err := gbm.Load(strings.NewReader(c.text), features)
		if !errors.Is(err, gbm.ErrModel) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got error %v, want one with %q", c.why, err, c.want)
		}
	}
}

func TestModelsLargerThanTheBoundAreRefused(t *testing.T) {
	_, err := gbm.Load(endless{}, features)
	if !errors.Is(err, gbm.ErrModel) || !strings.Contains(err.Error(), "larger") {
		t.Errorf("got error %v, want one that says larger", err)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

func TestUnreadableModelIsNotCalledBad(t *testing.T) {
	boom := errors.New("disk gone")
	_, err := gbm.Load(failing{boom}, features)
	if !errors.Is(err, boom) || errors.Is(err, gbm.ErrModel) {
		t.Errorf("got error %v, want only %v in it", err, boom)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestBadVectorsAreErrorsNotScores(t *testing.T) {
	m := load(t, text(t, "binary.txt"))
	for _, v := range [][]float64{
		nil, {1, 2, 3}, {1, 2, 3, 4, 5},
		{1, 2, math.NaN(), 4}, {math.Inf(1), 2, 3, 4}, {1, 2, 3, math.Inf(-1)},
	} {
		if got, err := m.Score(v); !errors.Is(err, gbm.ErrInput) {
			t.Errorf("score of %v: got %v and error %v, want ErrInput", v, got, err)
		}
	}
}

func TestSumThatOverflowsIsAnErrorNotAScore(t *testing.T) {
	huge := regexp.MustCompile(`(?m)^leaf_value=.*$`).
		ReplaceAllString(text(t, "binary.txt"), "leaf_value="+strings.TrimSuffix(strings.Repeat("1e308 ", 8), " "))
	m := load(t, huge)
	if got, err := m.Score([]float64{1, 2, 3, 4}); !errors.Is(err, gbm.ErrOutput) {
		t.Errorf("got %v and error %v, want ErrOutput", got, err)
	}
}

func TestScoreDoesNotAllocate(t *testing.T) {
	m := load(t, text(t, "binary.txt"))
	v := []float64{1, 2, 3, 4}
	if got := testing.AllocsPerRun(200, func() { _, _ = m.Score(v) }); got != 0 {
		t.Errorf("%v allocations, want 0", got)
	}
}

func BenchmarkScore(b *testing.B) {
	m := load(b, text(b, "binary.txt"))
	v := []float64{1, 2, 3, 4}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := m.Score(v); err != nil {
			b.Fatal(err)
		}
	}
}

// score wants a loaded model to answer every probe, with a score that is one
// or with ErrOutput.
func score(t *testing.T, m *gbm.Model, all []probe) {
	t.Helper()
	for _, p := range all {
		got, err := m.Score(p.vector)
		if err != nil && !errors.Is(err, gbm.ErrOutput) {
			t.Fatalf("score of %v: %v", p.vector, err)
		}
		if err == nil && !(got >= 0 && got <= 1) {
			t.Fatalf("score of %v: %v is no score", p.vector, got)
		}
	}
}

func FuzzLoad(f *testing.F) {
	for _, file := range []string{"binary.txt", "categorical.txt", "linear.txt", "forest.txt"} {
		f.Add([]byte(text(f, file)))
	}
	f.Add([]byte("tree\nversion=v3\nnum_class=1\nnum_tree_per_iteration=1\nmax_feature_idx=3\nobjective=binary sigmoid:1\n" +
		"feature_names=length entropy vowels digits\ntree_sizes=1\n\nTree=0\nnum_leaves=1\nnum_cat=0\nleaf_value=0.5\n\nend of trees\n"))
	all := probes(f)[:8]
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := gbm.Load(bytes.NewReader(data), features)
		if err == nil {
			score(t, m, all)
		} else if !errors.Is(err, gbm.ErrModel) {
			t.Fatalf("error %v does not wrap ErrModel", err)
		}
	})
}
