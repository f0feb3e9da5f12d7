// Package seen remembers which things were seen, by hash, in constant memory: the
// latest 262,144 to 524,288 of them. It refuses to know what they are; who aims
// at places of it must not know the key of the hashes.
package seen

import (
	"encoding/binary"
	"errors"
)

const (
	// Capacity is how many a generation remembers, in 2^22 bits, 16 each, four of
	// which are set: about 1 in 200 new ones is taken for known when it is full (a
	// test measures it).
	Capacity = 1 << 18
	blocks   = 1 << 13
	bits     = 4
	// WordsLen is the length of AppendWords in octets.
	WordsLen = 2 * blocks * 8 * 8
)

// Names remembers hashes as two Bloom filters: a full one becomes the old one,
// and the old one is forgotten. The bits of a hash are in one block of 512, a
// cache line. Clear it before use.
type Names struct {
	added      uint32 // to the young one
	young, old *generation
}

type generation [blocks][8]uint64

// Clear forgets all.
func (s *Names) Clear() { *s = Names{young: new(generation), old: new(generation)} }

// Has says whether a hash was added lately.
func (s *Names) Has(hash uint64) bool { return s.young.has(hash) || s.old.has(hash) }

// Add remembers a hash.
func (s *Names) Add(hash uint64) {
	s.room(1)
	s.added++
	block := &s.young[hash%blocks]
	for h, i := hash>>13, 0; i < bits; h, i = h>>9, i+1 {
		block[h>>6&7] |= 1 << (h & 63)
	}
}

// room begins a generation if the young one cannot take n more.
func (s *Names) room(n uint32) {
	if s.added > 0 && s.added+n > Capacity {
		s.young, s.old, s.added = s.old, s.young, 0
		*s.young = generation{}
	}
}

// Merge adds all that o remembers of its latest generation.
func (s *Names) Merge(o *Names) {
	s.room(o.added)
	s.added = min(Capacity, s.added+o.added)
	for i := range s.young {
		for j := range s.young[i] {
			s.young[i][j] |= o.young[i][j]
		}
	}
}

func (g *generation) has(hash uint64) bool {
	block := &g[hash%blocks]
	for h, i := hash>>13, 0; i < bits; h, i = h>>9, i+1 {
		if block[h>>6&7]&(1<<(h&63)) == 0 {
			return false
		}
	}
	return true
}

// Added is how many the young generation has taken.
func (s *Names) Added() uint32 { return s.added }

// AppendWords appends both generations.
func (s *Names) AppendWords(dst []byte) []byte {
	for _, g := range []*generation{s.young, s.old} {
		for i := range g {
			for _, word := range g[i] {
				dst = binary.LittleEndian.AppendUint64(dst, word)
			}
		}
	}
	return dst
}

// ErrForm is that words and count are not those of a Names.
var ErrForm = errors.New("seen: not what AppendWords wrote")

// SetWords takes what Added and AppendWords gave.
func (s *Names) SetWords(added uint32, words []byte) error {
	if added > Capacity || len(words) != WordsLen {
		return ErrForm
	}
	s.Clear()
	s.added = added
	for _, g := range []*generation{s.young, s.old} {
		for i := range g {
			for j := range g[i] {
				g[i][j] = binary.LittleEndian.Uint64(words)
				words = words[8:]
			}
		}
	}
	return nil
}
