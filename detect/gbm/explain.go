package gbm

import "fmt"

// explainer holds what the trees expect at each of their inner nodes: the mean
// of the leaves below, each weighted by how many names of the training fell
// into it.
type explainer struct {
	trees  []tree
	expect [][]float64
	bias   float64 // what all roots expect together
}

func newExplainer(trees []tree) *explainer {
	x := &explainer{trees: trees, expect: make([][]float64, len(trees))}
	for i := range trees {
		t := &trees[i]
		if len(t.feature) == 0 {
			x.bias += t.value[0]
			continue
		}
		x.expect[i] = make([]float64, len(t.feature))
		x.fill(t, x.expect[i], 0)
		x.bias += x.expect[i][0]
	}
	return x
}

// fill computes what the node and all below expect, and how many names met it.
// The tree's depth, which check bounded, bounds the recursion.
func (x *explainer) fill(t *tree, expect []float64, node int) (mean, weight float64) {
	if node < 0 {
		if len(t.count) == 0 {
			return t.value[^node], 1
		}
		return t.value[^node], float64(t.count[^node])
	}
	left, nl := x.fill(t, expect, t.left[node])
	right, nr := x.fill(t, expect, t.right[node])
	if weight = nl + nr; weight == 0 {
		mean = (left + right) / 2 // nobody came this way: no side is likelier
	} else {
		mean = (left*nl + right*nr) / weight
	}
	expect[node] = mean
	return mean, weight
}

// Explain says how the sum over the trees came about: bias, which is the same
// for every vector, and one contribution a feature, in log-odds. Together they
// are the sum whose logistic function Score is, but for rounding.
//
// On its way through a tree a vector passes nodes, each of which expects
// something else; a step counts for the feature that the node split (A. Saabas,
// "Interpreting random forests"). Contributions are added to out, one place a
// feature, which the caller zeroes. It does not allocate.
func (m *Model) Explain(vector, out []float64) (bias float64, err error) {
	if len(out) != m.features {
		return 0, fmt.Errorf("%w: room for %d contributions, want %d", ErrInput, len(out), m.features)
	}
	if err := m.check(vector); err != nil {
		return 0, err
	}
	x := m.explainer
	for i := range x.trees {
		t := &x.trees[i]
		if len(t.feature) == 0 {
			continue
		}
		for node := 0; node >= 0; {
			f, here := t.feature[node], x.expect[i][node]
			if vector[f] <= t.threshold[node] {
				node = t.left[node]
			} else {
				node = t.right[node]
			}
			if node >= 0 {
				out[f] += x.expect[i][node] - here
			} else {
				out[f] += t.value[^node] - here
			}
		}
	}
	return x.bias, nil
}
