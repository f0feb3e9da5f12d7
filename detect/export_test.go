package detect

import "encoding/binary"

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
	var s seenNames
	s.clear()
	hash := func(i int) uint64 { return site.hash(binary.LittleEndian.AppendUint64(nil, uint64(i))) }
	const all = 2 * seenCapacity
	for i := range all {
		s.add(hash(i))
	}
	for i := all - seenCapacity; i < all; i++ {
		if !s.has(hash(i)) {
			lost++
		}
	}
	wrong := 0
	for i := range 100_000 {
		if s.has(hash(all + i)) {
			wrong++
		}
	}
	return float64(wrong) / 100_000, lost
}
