package detect

import (
	"hash/maphash"
	"math"
	"sync/atomic"

	"github.com/weirdns/weir/internal/dnsname"
)

const (
	minScoreEntries = 1 << 10
	maxScoreEntries = 1 << 26
	// ways is how many places a domain may have: one cache line.
	ways = 8
	// scoreBits of a slot hold the score, in steps of 6e-8; the other 40 bits
	// tell domains apart.
	scoreBits = 24
	scoreMask = 1<<scoreBits - 1
)

// scores keeps the scores of registered domains for one model: a new model
// brings a new, empty cache. It is one array of words, each read and written
// as a whole, so there is no lock and nothing for the garbage collector.
//
// A word holds 40 bits of a hash keyed afresh in each process, not the name. A
// stranger's score is returned when 40 bits and the set agree: for 8 places, 7
// in 10^12 lookups, and nobody outside can aim at it.
type scores struct {
	seed maphash.Seed
	sets [][ways]atomic.Uint64
}

func newScores(entries int) *scores {
	sets := 1
	for sets*ways < entries {
		sets *= 2
	}
	return &scores{seed: maphash.MakeSeed(), sets: make([][ways]atomic.Uint64, sets)}
}

// quantize rounds a score to what the cache can keep. Every score goes through
// it, cached or not, so that the two never differ.
func quantize(score float64) uint32 { return uint32(math.Round(score * scoreMask)) }

func unquantize(n uint32) float64 { return float64(n) / scoreMask }

func (s *scores) place(domain dnsname.Name) (set *[ways]atomic.Uint64, tag uint64, victim int) {
	h := maphash.Bytes(s.seed, domain)
	// Zero marks an empty slot, so the tag never is.
	tag = (h>>scoreBits | 1) << scoreBits
	set = &s.sets[h&uint64(len(s.sets)-1)]
	return set, tag, int(h >> 20 % ways)
}

func (s *scores) load(name dnsname.Name) (uint32, bool) {
	set, tag, _ := s.place(name)
	for i := range set {
		if w := set[i].Load(); w&^scoreMask == tag {
			return uint32(w & scoreMask), true
		}
	}
	return 0, false
}

// store puts it in an empty place, or instead of another.
func (s *scores) store(name dnsname.Name, n uint32) {
	set, tag, victim := s.place(name)
	w := tag | uint64(n)&scoreMask
	for i := range set {
		if set[i].CompareAndSwap(0, w) {
			return
		}
	}
	set[victim].Store(w)
}
