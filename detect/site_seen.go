package detect

const (
	// A generation remembers 2^18 domains in 2^22 bits, 16 each, four of which
	// are set: about 1 in 200 new ones is taken for known when it is full (a
	// test measures it), whatever its score, so no figure leans.
	seenCapacity = 1 << 18
	seenBlocks   = 1 << 13
	seenBits     = 4
)

// seenNames remembers the latest domains, as two Bloom filters: a full one
// becomes the old one, and the old one is forgotten. The bits of a domain are in
// one block of 512, a cache line.
type seenNames struct {
	added      uint32 // in the young one
	young, old *seenGeneration
}

type seenGeneration [seenBlocks][8]uint64

func (s *seenNames) clear() { *s = seenNames{young: new(seenGeneration), old: new(seenGeneration)} }

func (s *seenNames) has(hash uint64) bool { return s.young.has(hash) || s.old.has(hash) }

func (s *seenNames) add(hash uint64) {
	if s.added >= seenCapacity {
		s.young, s.old, s.added = s.old, s.young, 0
		*s.young = seenGeneration{}
	}
	s.added++
	block := &s.young[hash%seenBlocks]
	for h, i := hash>>13, 0; i < seenBits; h, i = h>>9, i+1 {
		block[h>>6&7] |= 1 << (h & 63)
	}
}

func (g *seenGeneration) has(hash uint64) bool {
	block := &g[hash%seenBlocks]
	for h, i := hash>>13, 0; i < seenBits; h, i = h>>9, i+1 {
		if block[h>>6&7]&(1<<(h&63)) == 0 {
			return false
		}
	}
	return true
}
