package gbm

import (
	"cmp"
	"math"
	"math/bits"
	"slices"
)

// blocks is an ensemble laid out for evaluation, without a walk: the tests of
// all trees lie sorted by feature and threshold, so those that a value fails are
// the first of its feature's, read one after the other. Each failed test crosses
// out the leaves left of it, and the first leaf left over is where its tree ends
// (C. Lucchese et al., QuickScorer, SIGIR 2015). It is checked already: no index
// is out of range.
//
// A block is as many trees as there is room for in so many words of 32 leaves.
type blocks []block

const (
	blockWords = 256
	wordLeaves = 32
)

type block struct {
	features   []span // that are tested
	thresholds []float64
	masks      []uint32 // what is left of the word when the value is above
	words      []uint8
	trees      []lot
	values     []float64 // of the leaves, each tree's from left to right
}

// span is where the tests of a feature are.
type span struct{ feature, from, to int32 }

// lot is a tree's share of its block.
type lot struct {
	word, words uint16 // its first word, and how many more
	value       int32  // its first leaf
}

// test is one word's share of an inner node.
type test struct {
	feature   int
	threshold float64
	word      int
	mask      uint32
}

func newBlocks(e *ensemble) blocks {
	var all blocks
	var b block
	var tests []test
	words := 0
	end := func() {
		b.sort(tests, len(e.features))
		all = append(all, b)
		b, tests, words = block{}, nil, 0
	}
	for i := range e.trees {
		t := &e.trees[i]
		need := (len(t.value) + wordLeaves - 1) / wordLeaves
		if words+need > blockWords {
			end()
		}
		b.trees = append(b.trees, lot{word: uint16(words), words: uint16(need - 1), value: int32(len(b.values))})
		root := -1 // leaf 0, if there is nothing else
		if len(t.feature) > 0 {
			root = 0
		}
		tests = b.add(t, root, words, len(b.values), tests)
		words += need
	}
	end()
	return all
}

// add puts the leaves below t's node or leaf at into the block, from left to
// right, and returns tests with those on the way. word and value are the tree's
// first. parse bounded the depth, and the leaves of a tree by 128 words.
func (b *block) add(t *tree, at, word, value int, tests []test) []test {
	if at < 0 {
		b.values = append(b.values, t.value[^at])
		return tests
	}
	low := len(b.values) - value
	tests = b.add(t, t.left[at], word, value, tests)
	high := len(b.values) - value
	for w := low / wordLeaves; w*wordLeaves < high; w++ {
		from, to := max(low-w*wordLeaves, 0), min(high-w*wordLeaves, wordLeaves)
		gone := ^uint32(0) >> (wordLeaves - (to - from)) << from
		tests = append(tests, test{t.feature[at], t.threshold[at], word + w, ^gone})
	}
	return b.add(t, t.right[at], word, value, tests)
}

func (b *block) sort(tests []test, features int) {
	slices.SortFunc(tests, func(x, y test) int {
		return cmp.Or(cmp.Compare(x.feature, y.feature), cmp.Compare(x.threshold, y.threshold), cmp.Compare(x.word, y.word))
	})
	for i, t := range tests {
		last := len(b.features) - 1
		if last < 0 || b.features[last].feature != int32(t.feature) {
			b.features = append(b.features, span{feature: int32(t.feature), from: int32(i)})
			last++
		}
		b.features[last].to = int32(i + 1)
		b.thresholds = append(b.thresholds, t.threshold)
		b.masks = append(b.masks, t.mask)
		b.words = append(b.words, uint8(t.word))
	}
}

// sum adds up the leaves that vector ends in, tree by tree from the first: the
// order decides the last bits, and leaves adds up in this one.
func (s blocks) sum(vector []float64) float64 {
	sum := 0.0
	for i := range s {
		sum = s[i].sum(vector, sum)
	}
	return sum
}

func (b *block) sum(vector []float64, sum float64) float64 {
	var left [blockWords]uint32
	for i := range left[:b.wide()] {
		left[i] = math.MaxUint32
	}
	for _, f := range b.features {
		v := vector[f.feature]
		thresholds := b.thresholds[f.from:f.to]
		masks, words := b.masks[f.from:f.to][:len(thresholds)], b.words[f.from:f.to][:len(thresholds)]
		// Thresholds rise: what the fourth fails, the three before it fail too.
		i := 0
		for ; i+3 < len(thresholds) && v > thresholds[i+3]; i += 4 {
			left[words[i]] &= masks[i]
			left[words[i+1]] &= masks[i+1]
			left[words[i+2]] &= masks[i+2]
			left[words[i+3]] &= masks[i+3]
		}
		for ; i < len(thresholds) && v > thresholds[i]; i++ {
			left[words[i]] &= masks[i]
		}
	}
	for _, t := range b.trees {
		at := t.word
		for last := at + t.words; at < last && left[at&(blockWords-1)] == 0; {
			at++
		}
		leaf := int(at-t.word)*wordLeaves + bits.TrailingZeros32(left[at&(blockWords-1)])
		sum += b.values[int(t.value)+leaf]
	}
	return sum
}

// wide is how many words the block's trees take.
func (b *block) wide() int {
	last := b.trees[len(b.trees)-1]
	return int(last.word+last.words) + 1
}
