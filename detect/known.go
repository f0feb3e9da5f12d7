package detect

import (
	"hash/maphash"
	"sync/atomic"

	"github.com/weirdns/weir/internal/dnsname"
)

// knownWays is how many places a name may have: one cache line.
const knownWays = 4

// known remembers by whole name what the suffixes, the class, the model and the
// brands say of it, so that a name that is asked for again costs one look-up
// instead of five. It belongs to one state: a new policy or model begins anew.
//
// A place is two words, each read and written as a whole, without a lock. The
// first has 40 bits of a hash keyed afresh in each process and the score; the
// second has the rest and 28 bits that only the first word gives. Words of two
// writers do not fit each other, so what they make is a miss.
type known struct {
	seed maphash.Seed
	sets [][knownWays]knownPlace
}

type knownPlace struct{ first, second atomic.Uint64 }

// knownName is what is known of a name.
type knownName struct {
	score     uint32 // quantized, as scores keeps it
	lookalike uint32 // 24 bits of lookalike.Match.Pack
	start     uint8  // where the registered domain begins; noDomain: there is none
	unscored  Reason
}

const (
	noDomain   = 0xff // no name has a label there: dnsname.MaxWire is 255
	reasonBits = 4
	// The second word, from the top: look-alike, start, reason, check.
	knownCheckBits = 64 - scoreBits - 8 - reasonBits
	knownCheckMask = 1<<knownCheckBits - 1
)

// A Reason has to fit in its bits.
const _ = uint(1<<reasonBits - 1 - Failed)

func newKnown(entries int) *known {
	sets := 1
	for sets*knownWays < entries {
		sets *= 2
	}
	return &known{seed: maphash.MakeSeed(), sets: make([][knownWays]knownPlace, sets)}
}

// place is where a name stands: its set, its tag in the first word (never zero,
// which marks an empty place), and the way that is given up for it.
func (k *known) place(name dnsname.Name) (set *[knownWays]knownPlace, tag uint64, victim int) {
	h := maphash.Bytes(k.seed, name)
	return &k.sets[h&uint64(len(k.sets)-1)], (h>>scoreBits | 1) << scoreBits, int(h >> 16 % knownWays)
}

// knownCheck are the bits of the second word that the first gives.
func knownCheck(first uint64) uint64 {
	return first * 0x9e3779b97f4a7c15 >> (64 - knownCheckBits)
}

func (k *known) get(name dnsname.Name) (n knownName, ok bool) {
	set, tag, _ := k.place(name)
	for i := range set {
		first := set[i].first.Load()
		if first&^scoreMask != tag {
			continue
		}
		second := set[i].second.Load()
		if second&knownCheckMask != knownCheck(first) {
			return n, false
		}
		return knownName{
			score:     uint32(first & scoreMask),
			lookalike: uint32(second >> (64 - scoreBits)),
			start:     uint8(second >> (knownCheckBits + reasonBits)),
			unscored:  Reason(second >> knownCheckBits & (1<<reasonBits - 1)),
		}, true
	}
	return n, false
}

func (k *known) put(name dnsname.Name, n knownName) {
	set, tag, at := k.place(name)
	for i := range set {
		if w := set[i].first.Load(); w == 0 || w&^scoreMask == tag {
			at = i
			break
		}
	}
	first := tag | uint64(n.score)&scoreMask
	set[at].first.Store(first)
	set[at].second.Store(uint64(n.lookalike)<<(64-scoreBits) | uint64(n.start)<<(knownCheckBits+reasonBits) |
		uint64(n.unscored)<<knownCheckBits | knownCheck(first))
}
