package feature

import (
	"fmt"
	"maps"
	"math"
	"slices"
)

// The n-grams that count, as in the notebooks that these features come from.
const (
	minGram = 3
	maxGram = 5
)

// An n-gram is a number in base 39: five digits, the first byte in the highest,
// zeros after its end. So every n-gram of 3 to 5 bytes over the alphabet has a
// key of its own, below 39^5 < 2^27, and none can be taken for another.
const (
	base    = 39
	keysEnd = base * base * base * base * base
)

// code is the digit of a byte: 0 for one that is in no n-gram.
func code(c byte) uint32 {
	switch {
	case 'a' <= c && c <= 'z':
		return uint32(c-'a') + 1
	case '0' <= c && c <= '9':
		return uint32(c-'0') + 27
	case c == '-':
		return 37
	case c == '_':
		return 38
	}
	return 0
}

func copyCodes(dst []uint32, label []byte) int {
	n := min(len(label), len(dst))
	for i, c := range label[:n] {
		dst[i] = code(c)
	}
	return n
}

// Grams is a table of n-gram weights: log10 of how often an n-gram occurred in
// the strings that the table was fitted on. It is immutable and safe for
// concurrent use. The nil table is empty.
type Grams struct {
	documents uint32 // strings that it was fitted on
	minimum   uint32 // strings that an n-gram had to occur in
	table     *packed
	// What the table's values stand for. Most n-grams are rare, so different
	// counts are few.
	counts  []uint32 // rising
	weights []float32
}

// newGrams takes keys in rising order with their counts.
func newGrams(documents, minimum uint32, keys, counts []uint32) (*Grams, error) {
	index := make(map[uint32]uint16)
	for _, c := range counts {
		index[c] = 0
	}
	different := slices.Sorted(maps.Keys(index))
	if len(different) > math.MaxUint16+1 {
		return nil, fmt.Errorf("n-grams occur in %d different numbers, at most %d have room", len(different), math.MaxUint16+1)
	}
	for i, c := range different {
		index[c] = uint16(i)
	}
	values := make([]uint16, len(counts))
	for i, c := range counts {
		values[i] = index[c]
	}
	table, err := newPacked(keys, values)
	if err != nil {
		return nil, err
	}
	g := &Grams{documents: documents, minimum: minimum, table: table, counts: different}
	for _, c := range different {
		g.weights = append(g.weights, float32(math.Log10(float64(c))))
	}
	return g, nil
}

// Len is the number of n-grams in the table.
func (g *Grams) Len() int { return g.table.len() }

// Documents is the number of strings that the table was fitted on.
func (g *Grams) Documents() int { return int(g.documents) }

func (g *Grams) weight(key uint32) (float32, bool) {
	value, ok := g.table.find(key)
	if !ok {
		return 0, false
	}
	return g.weights[value], true
}

// weighed is what a table says of a string.
type weighed struct {
	sum      float64 // of the weights of all n-grams, one that occurs twice counting twice
	trigrams float64 // of the weights of the trigrams
	covered  int     // trigrams that the table has
	gap      int     // the most trigrams in a row that it lacks
}

// weigh looks up all n-grams of a string of codes.
func (g *Grams) weigh(codes []uint32) (w weighed) {
	if g == nil {
		return w
	}
	gap := 0
	for i := 0; i+minGram <= len(codes); i++ {
		gap++
		c0, c1, c2 := codes[i], codes[i+1], codes[i+2]
		if c0 == 0 || c1 == 0 || c2 == 0 {
			w.gap = max(w.gap, gap)
			continue
		}
		key := ((c0*base+c1)*base + c2) * base * base
		if weight, ok := g.weight(key); ok {
			w.sum += float64(weight)
			w.trigrams += float64(weight)
			w.covered++
			gap = 0
		} else {
			w.gap = max(w.gap, gap)
			// A table is closed: without the trigram there is nothing longer
			// that begins with it (checked when it is read).
			continue
		}
		if i+4 > len(codes) || codes[i+3] == 0 {
			continue
		}
		key += codes[i+3] * base
		weight, ok := g.weight(key)
		if !ok {
			continue
		}
		w.sum += float64(weight)
		if i+5 > len(codes) || codes[i+4] == 0 {
			continue
		}
		if weight, ok := g.weight(key + codes[i+4]); ok {
			w.sum += float64(weight)
		}
	}
	return w
}
