package behaviour

// sketchBits is enough to tell apart some 1,400 things. Then a sketch is full and
// begins anew, so that more things still count, some of them twice.
const (
	sketchBits = 512
	sketchFull = sketchBits - sketchBits/16
)

// sketch says which things are new to it, by hash, in constant memory. A thing
// whose bit another has set is taken for known; novelty makes up for it.
type sketch struct {
	bits [sketchBits / 64]uint64
	set  uint16
}

// novelty is 0 for a thing that is known, and otherwise for how many new ones
// this one stands: those that met a set bit are made up for by the inverse of
// the chance to find a free one (Horvitz and Thompson), so that the sum over
// all things is right on average.
func (s *sketch) novelty(hash uint64) float64 {
	if s.set >= sketchFull {
		*s = sketch{}
	}
	word, bit := &s.bits[hash>>6%(sketchBits/64)], uint64(1)<<(hash&63)
	if *word&bit != 0 {
		return 0
	}
	stands := float64(sketchBits) / float64(sketchBits-int(s.set))
	*word |= bit
	s.set++
	return stands
}
