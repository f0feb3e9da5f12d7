package feature

import (
	"fmt"
	"slices"
)

// packed is a hash from n-grams to 16 bits of what is said of them, in four
// octets a slot, so that all tables of a model together stay in the processor's
// caches: a name asks about a hundred n-grams that lie all over them.
//
// Keys are 27 bits. Multiplying by an odd number shuffles them without loss: the
// high bits are where a key's search begins, so only the low ones have to be
// kept, beside how far from there it had to move. Keys that moved less make room
// (Robin Hood hashing; P. Celis, 1986), which keeps the moves few and ends most
// searches for what is not there at the first slot.
//
// A slot, from the top: 16 bits of value, 16 bits of the key's low bits and the
// move plus one; zero is free. The nil packed is empty.
type packed struct {
	slots []uint32
	rest  uint8 // bits of a key that its slot keeps
	size  int
}

const (
	keyBits = 27
	keyMask = 1<<keyBits - 1
	tagBits = 16
	tagMask = 1<<tagBits - 1
	// At least so many bits are told by the place: then four are left for the
	// move. At most so many: 64 MiB, for more n-grams than a file has room for.
	minPlaceBits = 15
	maxPlaceBits = 24
	shuffle      = 0x9e3779b1
)

// newPacked takes keys, none of them twice, with their values. It fails for more
// keys than there is room for, or such that crowd at a few places.
func newPacked(keys []uint32, values []uint16) (*packed, error) {
	bits := minPlaceBits
	for bits < maxPlaceBits && len(keys) > 3<<bits/4 {
		bits++
	}
	for ; bits <= maxPlaceBits; bits++ {
		p := &packed{slots: make([]uint32, 1<<bits), rest: uint8(keyBits - bits), size: len(keys)}
		if p.fill(keys, values) {
			return p, nil
		}
	}
	return nil, fmt.Errorf("%d n-grams do not fit the largest table", len(keys))
}

func (p *packed) fill(keys []uint32, values []uint16) (ok bool) {
	most := p.moves()
	for i, key := range keys {
		at, tag := p.place(key)
		slot := uint32(values[i])<<tagBits | tag
		for p.slots[at] != 0 {
			if p.slots[at]&most < slot&most {
				p.slots[at], slot = slot, p.slots[at]
			}
			// One less than fits, so that a search ends before its own count
			// runs over.
			if slot++; slot&most == most {
				return false
			}
			at = (at + 1) & uint32(len(p.slots)-1)
		}
		p.slots[at] = slot
	}
	return true
}

// moves masks the bits of a slot that say how far its key moved, plus one.
func (p *packed) moves() uint32 { return 1<<((tagBits-p.rest)&31) - 1 }

// place is where the search for a key begins, and the tag of a slot there.
func (p *packed) place(key uint32) (at, tag uint32) {
	h := key * shuffle & keyMask
	return h >> (p.rest & 31), h<<((tagBits-p.rest)&31)&tagMask | 1
}

func (p *packed) find(key uint32) (value uint16, ok bool) {
	slots, most := p.slots, p.moves()
	for at, tag := p.place(key); ; at, tag = at+1, tag+1 {
		s := slots[at&uint32(len(slots)-1)]
		if s&tagMask == tag {
			return uint16(s >> tagBits), true
		}
		if s&most < tag&most { // free, or the key would stand here
			return 0, false
		}
	}
}

// pair is a key with its value.
type pair struct {
	key   uint32
	value uint16
}

// pairs are all keys, rising, with their values.
func (p *packed) pairs() []pair {
	if p == nil {
		return nil
	}
	inverse := uint32(shuffle) // Newton's iteration doubles the bits that are right
	for range 5 {
		inverse *= 2 - shuffle*inverse
	}
	out := make([]pair, 0, p.size)
	for i, s := range p.slots {
		if s == 0 {
			continue
		}
		at := (uint32(i) - (s&p.moves() - 1)) & uint32(len(p.slots)-1)
		low := s & tagMask >> ((tagBits - p.rest) & 31)
		out = append(out, pair{(at<<p.rest | low) * inverse & keyMask, uint16(s >> tagBits)})
	}
	slices.SortFunc(out, func(a, b pair) int { return int(a.key) - int(b.key) })
	return out
}

// len is the number of keys.
func (p *packed) len() int {
	if p == nil {
		return 0
	}
	return p.size
}
