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
	// Orders 1 to 3 are indexed by the n-gram, those above are hashes.
	dense  [denseOrder + 1][]lmCost
	hashed [maxOrder + 1]*packed // to lmCost.value
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

// value and lmCostOf put it into 16 bits and back.
func (c lmCost) value() uint16     { return uint16(c.cost)<<8 | uint16(c.leave) }
func lmCostOf(v uint16) (c lmCost) { return lmCost{cost: uint8(v >> 8), leave: uint8(v)} }

type lmEntry struct {
	key uint32
	lmCost
}

// newLanguage takes the n-grams of each order with their keys rising.
func newLanguage(documents uint32, entries [maxOrder + 1][]lmEntry) (*Language, error) {
	l := &Language{documents: documents}
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
		keys, values := make([]uint32, len(entries[n])), make([]uint16, len(entries[n]))
		for i, e := range entries[n] {
			keys[i], values[i] = e.key, e.value()
		}
		var err error
		if l.hashed[n], err = newPacked(keys, values); err != nil {
			return nil, err
		}
	}
	return l, nil
}

// entries are the n-grams of one order, their keys rising.
func (l *Language) entries(n int) []lmEntry {
	var out []lmEntry
	if n > denseOrder {
		for _, p := range l.hashed[n].pairs() {
			out = append(out, lmEntry{p.key, lmCostOf(p.value)})
		}
		return out
	}
	for key, c := range l.dense[n] {
		if c.cost != unknown {
			out = append(out, lmEntry{uint32(key), c})
		}
	}
	return out
}

// Documents is the number of labels that the model was fitted on.
func (l *Language) Documents() int { return int(l.documents) }

// Len is the number of n-grams stored, of all orders.
func (l *Language) Len() int {
	total := 0
	for n := 1; n <= maxOrder; n++ {
		total += len(l.entries(n))
	}
	return total
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
				v, ok := l.hashed[n].find(keys[n])
				if e = lmCostOf(v); !ok {
					break
				}
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
