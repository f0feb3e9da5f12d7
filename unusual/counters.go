package unusual

import (
	"encoding/binary"
	"math/bits"
)

// counters are sums by key in a fixed number of cells (a count-min sketch of two
// rows in one array, of which only the smaller cell grows): a sum is never too low,
// and too high by what other keys put into both of its cells.
type counters []float32

func newCounters(bytes int64) counters {
	n := 1 << (bits.Len64(uint64(bytes/4)) - 1) //nolint:gosec // a valid configuration's
	return make(counters, n)
}

func (c counters) cells(key uint64) (a, b *float32) {
	mask := uint64(len(c) - 1)
	return &c[key&mask], &c[key>>32&mask]
}

func (c counters) get(key uint64) float64 {
	a, b := c.cells(key)
	return float64(min(*a, *b))
}

// add returns what the sum was.
func (c counters) add(key uint64, weight float64) (was float64) {
	a, b := c.cells(key)
	low := min(*a, *b)
	next := low + float32(weight)
	*a, *b = max(*a, next), max(*b, next)
	return float64(low)
}

func (c counters) scale(by float64) {
	for i := range c {
		c[i] *= float32(by)
	}
}

// recent remembers of a fixed number of keys that they were there. It forgets what
// another key takes the place of.
type recent []uint64

const recentKeys = 1 << 16

// add says whether key is new.
func (r recent) add(key uint64) bool {
	at := &r[key%uint64(len(r))]
	if *at == key {
		return false
	}
	*at = key
	return true
}

// hash64 is FNV-1a over parts from a secret beginning, its bits then mixed
// (splitmix64): the same in every run that has the same seed.
func hash64(seed uint64, parts ...[]byte) uint64 {
	h := seed ^ 14695981039346656037
	for _, p := range parts {
		for _, c := range p {
			h = (h ^ uint64(c)) * 1099511628211
		}
		h = (h ^ 0x100) * 1099511628211 // where one part ends
	}
	return mix(h)
}

func mix(h uint64) uint64 {
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}

// both is a key of two hashes.
func both(a, b uint64) uint64 {
	var k [8]byte
	binary.LittleEndian.PutUint64(k[:], b)
	return hash64(a, k[:])
}
