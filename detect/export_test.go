package detect

import (
	"encoding/binary"

	"github.com/weirdns/weir/internal/seen"
)

// HasWords says whether words.go knows what a feature is about.
func HasWords(feature string) bool {
	t, ok := topics[feature]
	return ok && phrases[t] != nil
}

// Grounds says in words what contributions come to.
func Grounds(all []Contribution) []Ground { return grounds(all) }

// SeenErrors fills the memory of domains twice over. taken is the share of new
// domains that it then takes for known, lost how many of the latest it has
// forgotten.
func SeenErrors() (taken float64, lost int) {
	var site Site
	var s seen.Names
	s.Clear()
	hash := func(i int) uint64 { return site.hash(binary.LittleEndian.AppendUint64(nil, uint64(i))) }
	const all = 2 * seen.Capacity
	for i := range all {
		s.Add(hash(i))
	}
	for i := all - seen.Capacity; i < all; i++ {
		if !s.Has(hash(i)) {
			lost++
		}
	}
	wrong := 0
	for i := range 100_000 {
		if s.Has(hash(all + i)) {
			wrong++
		}
	}
	return float64(wrong) / 100_000, lost
}

// TornWords writes two names over each other at every point where another
// processor could look, and counts what is read back that nobody wrote.
func TornWords(a, b []byte) (strangers int) {
	k := newKnown(1 << 16)
	write := map[string]knownName{
		string(a): {score: 1, lookalike: 0xabcdef, start: 3, unscored: Scored},
		string(b): {score: scoreMask, lookalike: 0x123456, start: 9, unscored: IDN},
	}
	// Both are made to take the same place.
	set, _, _ := k.place(a)
	for name, n := range write {
		k.put([]byte(name), n)
	}
	at := &set[0]
	other, _, _ := k.place(b)
	for _, first := range []uint64{at.first.Load(), other[0].first.Load()} {
		for _, second := range []uint64{at.second.Load(), other[0].second.Load()} {
			set[0].first.Store(first)
			set[0].second.Store(second)
			if got, ok := k.get(a); ok && got != write[string(a)] {
				strangers++
			}
		}
	}
	return strangers
}
