package lookalike

import "math/bits"

// hashes holds what is needed to hash every part of a label, and the label less
// any one character, in constant time each: polynomials over 2^64. A collision
// costs a comparison, never a wrong match: what is found is always compared.
type hashes struct {
	n      int
	prefix [maxLabel + 1]uint64 // of the first i characters
}

const base = 0x9E3779B97F4A7C15 | 1

// powers are base^i; values give each character a number without a pattern.
var (
	powers = func() (p [maxLabel + 1]uint64) {
		p[0] = 1
		for i := 1; i < len(p); i++ {
			p[i] = p[i-1] * base
		}
		return p
	}()
	values = func() (v [256]uint64) {
		for i := range v {
			v[i] = mix(uint64(i) + 1)
		}
		return v
	}()
)

// mix is the finisher of splitmix64.
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xBF58476D1CE4E5B9
	x ^= x >> 27
	x *= 0x94D049BB133111EB
	return x ^ x>>31
}

// of reads a label of at most maxLabel characters.
func (h *hashes) of(label []byte) {
	h.n = len(label)
	for i, c := range label {
		h.prefix[i+1] = h.prefix[i]*base + values[c]
	}
}

// part is the hash of characters i to j.
func (h *hashes) part(i, j int) uint64 {
	return mix(h.prefix[j] - h.prefix[i]*powers[j-i])
}

func (h *hashes) whole() uint64 { return h.part(0, h.n) }

// without is the hash of the label less character i.
func (h *hashes) without(i int) uint64 {
	tail := h.n - i - 1
	rest := h.prefix[h.n] - h.prefix[i+1]*powers[tail]
	return mix(h.prefix[i]*powers[tail] + rest)
}

// hashOf is the hash of one string, equal to that of hashes.
func hashOf(s []byte) uint64 {
	var h uint64
	for _, c := range s {
		h = h*base + values[c]
	}
	return mix(h)
}

// table maps hashes to brands, many to a hash: open addressing, with a bitmap
// before it that answers nearly every miss from the nearest cache.
type table struct {
	slots []slot
	seen  []uint64
	shift uint8
}

type slot struct{ tag, id uint32 } // id is one more than the brand's; 0: free

func newTable(entries int) table {
	size := 1 << bits.Len(uint(2*entries+2))
	return table{
		slots: make([]slot, size), seen: make([]uint64, size*4/64+1),
		shift: uint8(64 - bits.TrailingZeros(uint(size))),
	}
}

func (t *table) bit(h uint64) (word uint64, mask uint64) {
	n := h >> (t.shift - 2)
	return n / 64, 1 << (n % 64)
}

func (t *table) put(h uint64, id uint32) {
	w, m := t.bit(h)
	t.seen[w] |= m
	i := h >> t.shift
	for t.slots[i].id != 0 {
		i = (i + 1) & uint64(len(t.slots)-1)
	}
	t.slots[i] = slot{uint32(h), id + 1}
}

// hits walks the brands of one hash.
type hits struct {
	t    *table
	at   uint64
	tag  uint32
	left int
	id   uint32
}

// maxHits bounds the slots that one lookup may look at.
const maxHits = 256

func (t *table) find(h uint64) hits {
	w, m := t.bit(h)
	if t.seen[w]&m == 0 {
		return hits{}
	}
	return hits{t: t, at: h >> t.shift, tag: uint32(h), left: maxHits}
}

func (it *hits) next() bool {
	for it.left > 0 {
		it.left--
		s := it.t.slots[it.at]
		if s.id == 0 {
			it.left = 0
			return false
		}
		it.at = (it.at + 1) & uint64(len(it.t.slots)-1)
		if s.tag == it.tag {
			it.id = s.id - 1
			return true
		}
	}
	return false
}
