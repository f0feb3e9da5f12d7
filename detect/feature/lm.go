package feature

import "github.com/weirdns/weir/internal/dnsname"

// A Language is a character model of a kind of labels: what each byte costs, in
// bits, after the one to four bytes before it. It holds whole numbers only
// (costs in steps of 1/16 bit), worked out when it was fitted, so that every
// machine adds up the same. It is immutable and safe for concurrent use. The
// nil Language knows nothing: all costs are zero.
//
// The numbers are those of an interpolated model written as a back-off model: a
// known n-gram costs what is stored; an unknown one costs what its end costs,
// plus what is stored for leaving its beginning.
type Language struct {
	documents uint32 // labels that it was fitted on
	entries   [maxOrder + 1][]lmEntry
	// Orders 1 to 3 are indexed by the n-gram, those above are open-addressed
	// hashes, at most half full.
	dense  [denseOrder + 1][]lmCost
	hashed [maxOrder + 1]lmHash
}

const (
	maxOrder   = 5
	denseOrder = 3
	lmBase     = 40
	edge       = 39 // stands for the beginning and for the end of a label
	// costSteps are the steps of one bit.
	costSteps = 16
	// maxCost is the highest cost of one byte, almost 16 bits; unknown marks an
	// n-gram that is not stored.
	maxCost = 254
	unknown = 255
)

// lmCost is what is stored for an n-gram: the cost of its last byte after those
// before, and of leaving it for the n-gram without its first byte.
type lmCost struct{ cost, leave uint8 }

type lmEntry struct {
	key uint32
	lmCost
}

type lmHash struct {
	slots []lmEntry // key 0 is free: no n-gram has the digit 0
	shift uint8
}

func (h *lmHash) find(key uint32) lmCost {
	if len(h.slots) == 0 {
		return lmCost{cost: unknown}
	}
	for at := hash(key) >> h.shift; ; at = (at + 1) & uint32(len(h.slots)-1) {
		s := h.slots[at]
		if s.key == key {
			return s.lmCost
		}
		if s.key == 0 {
			return lmCost{cost: unknown}
		}
	}
}

// newLanguage takes the n-grams of each order with their keys rising; it keeps
// the slices.
func newLanguage(documents uint32, entries [maxOrder + 1][]lmEntry) *Language {
	l := &Language{documents: documents, entries: entries}
	size := 1
	for n := 1; n <= denseOrder; n++ {
		size *= lmBase
		l.dense[n] = make([]lmCost, size)
		for i := range l.dense[n] {
			l.dense[n][i].cost = unknown
		}
		for _, e := range entries[n] {
			l.dense[n][e.key] = e.lmCost
		}
	}
	for n := denseOrder + 1; n <= maxOrder; n++ {
		bits := uint8(4)
		for 1<<bits < 2*len(entries[n]) {
			bits++
		}
		h := lmHash{slots: make([]lmEntry, 1<<bits), shift: 32 - bits}
		for _, e := range entries[n] {
			at := hash(e.key) >> h.shift
			for h.slots[at].key != 0 {
				at = (at + 1) & uint32(len(h.slots)-1)
			}
			h.slots[at] = e
		}
		l.hashed[n] = h
	}
	return l
}

// Documents is the number of labels that the model was fitted on.
func (l *Language) Documents() int { return int(l.documents) }

// Len is the number of n-grams stored, of all orders.
func (l *Language) Len() int {
	n := 0
	for _, e := range l.entries {
		n += len(e)
	}
	return n
}

// lmCode is the digit of a byte; bytes that no host name holds share one.
func lmCode(c byte) uint32 {
	if k := code(c); k != 0 {
		return k
	}
	return code('_')
}

// costs is what the bytes of a label, and its end, cost: costs[n][i] by the
// n-1 bytes before, or as many of those as are stored.
type costs [maxOrder + 1][dnsname.MaxLabel + 1]uint8

// cost fills in the costs of label, len(label)+1 of each order from 2.
func (l *Language) cost(c *costs, label []byte) {
	if l == nil {
		return
	}
	var keys [maxOrder + 1]uint32  // of the n-grams that end at this byte
	var leave [maxOrder + 1]uint32 // of those that end at the byte before
	keys[1] = edge
	leave[1] = uint32(l.dense[1][edge].leave)
	for i := range len(label) + 1 {
		k := uint32(edge)
		if i < len(label) {
			k = lmCode(label[i])
		}
		for n := maxOrder; n > 1; n-- {
			keys[n] = keys[n-1]*lmBase + k
		}
		keys[1] = k
		one := l.dense[1][k]
		last := min(uint32(one.cost), maxCost)
		left := leave
		leave[1] = uint32(one.leave)
		// The longest n-gram that ends here begins at the edge.
		longest := min(maxOrder, i+2)
		n := 2
		for ; n <= longest; n++ {
			var e lmCost
			if n <= denseOrder {
				e = l.dense[n][keys[n]]
			} else {
				e = l.hashed[n].find(keys[n])
			}
			if e.cost == unknown {
				// Nothing longer is stored that ends in what is not.
				break
			}
			last = uint32(e.cost)
			leave[n] = uint32(e.leave)
			c[n][i] = e.cost
		}
		for ; n <= maxOrder; n++ {
			last = min(last+left[n-1], maxCost)
			leave[n] = 0
			c[n][i] = uint8(last)
		}
	}
}
