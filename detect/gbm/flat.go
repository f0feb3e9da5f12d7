package gbm

// flat is an ensemble laid out for evaluation: inner nodes and leaves of all
// trees in one slice, each tree's in the order of a walk that goes left first. It
// is checked already: no index is out of range.
type flat struct {
	nodes  []node
	values []float64 // by node: of the leaves
	roots  []int32   // of the trees
	depths []int32   // of the groups of lanes trees: steps after which all walks have ended
}

// lanes is how many trees are walked beside each other. A walk waits for memory
// and comparison at every step; four of them wait together.
const lanes = 4

// node is where a walk turns. One that has come to a leaf stays there.
type node struct {
	threshold float64
	feature   int32
	child     [2]int32 // where a value up to the threshold goes, and one above it
}

func flatten(e *ensemble) *flat {
	f := new(flat)
	for i := range e.trees {
		t := &e.trees[i]
		root := -1 // leaf 0, if there is nothing else
		if len(t.feature) > 0 {
			root = 0
		}
		at, depth := f.add(t, root)
		f.roots = append(f.roots, at)
		if i%lanes == 0 {
			f.depths = append(f.depths, 0)
		}
		group := &f.depths[i/lanes]
		*group = max(*group, depth)
	}
	return f
}

// add appends what hangs below t's node or leaf at, and says where that is now
// and how many steps lead to its farthest leaf. parse bounded the depth.
func (f *flat) add(t *tree, at int) (here, depth int32) {
	here = int32(len(f.nodes))
	if at < 0 {
		f.nodes = append(f.nodes, node{child: [2]int32{here, here}})
		f.values = append(f.values, t.value[^at])
		return here, 0
	}
	f.nodes = append(f.nodes, node{threshold: t.threshold[at], feature: int32(t.feature[at])})
	f.values = append(f.values, 0)
	left, l := f.add(t, t.left[at])
	right, r := f.add(t, t.right[at])
	f.nodes[here].child = [2]int32{left, right}
	return here, 1 + max(l, r)
}

// sum adds up the leaves that vector ends in, tree by tree from the first: the
// order decides the last bits, and leaves adds up in this one.
func (f *flat) sum(vector []float64) float64 {
	sum, i := 0.0, 0
	for ; i+lanes <= len(f.roots); i += lanes {
		a, b, c, d := f.roots[i], f.roots[i+1], f.roots[i+2], f.roots[i+3]
		for range f.depths[i/lanes] {
			a, b, c, d = f.step(vector, a), f.step(vector, b), f.step(vector, c), f.step(vector, d)
		}
		sum += f.values[a]
		sum += f.values[b]
		sum += f.values[c]
		sum += f.values[d]
	}
	for ; i < len(f.roots); i++ {
		at := f.roots[i]
		for range f.depths[i/lanes] {
			at = f.step(vector, at)
		}
		sum += f.values[at]
	}
	return sum
}

// step goes from one node to the next, without a branch for the processor to
// guess wrong.
func (f *flat) step(vector []float64, at int32) int32 {
	n := &f.nodes[at]
	above := 0
	if vector[n.feature] > n.threshold {
		above = 1
	}
	return n.child[above&1]
}
