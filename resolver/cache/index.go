package cache

import "math/bits"

// slot is one place of an index: a fingerprint and where the entry stands, in
// units of eight octets, plus one; 0 is an empty slot.
type slot struct{ print, pos uint32 }

const (
	slotBytes = 8
	// bytesPerSlot sizes an index. The smallest common entry (a header, a short
	// question and one address) takes 88 octets, so the rings are full before
	// the index is, and the slots tried for a question stay few.
	bytesPerSlot = 64
)

func (s slot) off() int { return int(s.pos-1) << 3 }

// index finds entries by fingerprint: open addressing with linear probing, a
// fixed size, and no pointers. It knows nothing of what it points to.
type index struct {
	slots []slot
	mask  uint32
	count int
	limit int // entries; above it probing gets long
}

func newIndex(shardBytes int) index {
	n := 1 << bits.Len(uint(shardBytes/bytesPerSlot-1))
	return index{slots: make([]slot, n), mask: uint32(n - 1), limit: n / 8 * 7}
}

func (x *index) full() bool { return x.count >= x.limit }

func (x *index) insert(print uint32, off int) {
	i := print & x.mask
	for x.slots[i].pos != 0 {
		i = (i + 1) & x.mask
	}
	x.slots[i] = slot{print, uint32(off>>3) + 1}
	x.count++
}

// at finds the slot that points to off.
func (x *index) at(print uint32, off int) uint32 {
	i := print & x.mask
	for x.slots[i].off() != off || x.slots[i].pos == 0 {
		i = (i + 1) & x.mask
	}
	return i
}

func (x *index) move(print uint32, from, to int) {
	x.slots[x.at(print, from)].pos = uint32(to>>3) + 1
}

// remove takes the entry at off out and closes the gap, so that no probe for
// another stops short.
func (x *index) remove(print uint32, off int) {
	gap := x.at(print, off)
	for i := (gap + 1) & x.mask; x.slots[i].pos != 0; i = (i + 1) & x.mask {
		// An entry may move into the gap unless its home lies behind it.
		home := x.slots[i].print & x.mask
		if (i-home)&x.mask >= (i-gap)&x.mask {
			x.slots[gap] = x.slots[i]
			gap = i
		}
	}
	x.slots[gap] = slot{}
	x.count--
}

func (x *index) reset() {
	clear(x.slots)
	x.count = 0
}

// ghosts remembers the fingerprints of entries that left probation without
// having been asked for again: when one comes back, it has been asked for twice
// and belongs with the others. Each place holds one fingerprint, the newer
// replaces the older, and a false match does no harm.
type ghosts struct {
	prints []uint32
	shift  uint
}

func newGhosts(slots int) ghosts {
	n := max(slots/4, 2) // about as many as main has entries
	return ghosts{prints: make([]uint32, n), shift: 32 - uint(bits.TrailingZeros(uint(n)))}
}

func (g *ghosts) place(print uint32) *uint32 {
	// The multiplier of Knuth's multiplicative hashing, 2^32 over the golden
	// ratio: neighbouring index slots must not share a place.
	return &g.prints[print*2654435769>>g.shift]
}

func (g *ghosts) add(print uint32) { *g.place(print) = print }

// take says whether print was there, and forgets it.
func (g *ghosts) take(print uint32) bool {
	p := g.place(print)
	if *p != print || print == 0 {
		return false
	}
	*p = 0
	return true
}
