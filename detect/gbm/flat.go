package gbm

// flat is an ensemble laid out for evaluation: all inner nodes in one slice,
// each tree's in the order of a walk that goes left first, all leaves in
// another. It is checked already: no index is out of range and no walk is
// endless.
type flat struct {
	nodes  []node
	values []float64 // of the leaves
	roots  []int32   // of the trees; below zero: a tree that is one leaf
}

type node struct {
	threshold float64
	feature   int32
	// child is where a value up to the threshold goes, and where one above it
	// does; below zero: the leaf ^child.
	child [2]int32
}

func flatten(e *ensemble) *flat {
	f := new(flat)
	for i := range e.trees {
		t := &e.trees[i]
		root := -1 // leaf 0, if there is nothing else
		if len(t.feature) > 0 {
			root = 0
		}
		f.roots = append(f.roots, f.add(t, root))
	}
	return f
}

// add appends what hangs below t's node or leaf at and says where that is now.
// parse bounded the depth.
func (f *flat) add(t *tree, at int) int32 {
	if at < 0 {
		f.values = append(f.values, t.value[^at])
		return int32(^(len(f.values) - 1))
	}
	here := len(f.nodes)
	f.nodes = append(f.nodes, node{threshold: t.threshold[at], feature: int32(t.feature[at])})
	left := f.add(t, t.left[at])
	right := f.add(t, t.right[at])
	f.nodes[here].child = [2]int32{left, right}
	return int32(here)
}

// sum adds up the leaves that vector ends in, tree by tree from the first: the
// order decides the last bits, and leaves adds up in this one.
func (f *flat) sum(vector []float64) float64 {
	sum := 0.0
	for _, at := range f.roots {
		for at >= 0 {
			n := &f.nodes[at]
			above := 0
			if vector[n.feature] > n.threshold {
				above = 1
			}
			at = n.child[above]
		}
		sum += f.values[^at]
	}
	return sum
}
