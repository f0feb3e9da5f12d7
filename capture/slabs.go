package capture

import "math/bits"

const (
	minSlabBits = 8  // 256 octets
	maxSlabBits = 18 // maxPacket
	// maxKeptSlabs bounds the octets kept for the next use after a burst.
	maxKeptSlabs = 1 << 20
)

// slabs lends buffers whose capacities are powers of two, so that each can be
// used again. What is lent out is the borrower's to count.
type slabs struct {
	free [maxSlabBits + 1][][]byte
	kept int
}

// slabSize is the capacity of a buffer for n octets.
func slabSize(n int) int { return 1 << max(minSlabBits, bits.Len(uint(max(n, 1)-1))) }

// get is an empty buffer with room for n octets, at most maxPacket of them.
func (s *slabs) get(n int) []byte {
	size := slabSize(n)
	free := &s.free[bits.Len(uint(size))-1]
	if last := len(*free) - 1; last >= 0 {
		b := (*free)[last]
		*free = (*free)[:last]
		s.kept -= size
		return b
	}
	return make([]byte, 0, size)
}

// put gives back a buffer from get; nil is none.
func (s *slabs) put(b []byte) {
	if b == nil || s.kept+cap(b) > maxKeptSlabs {
		return
	}
	free := &s.free[bits.Len(uint(cap(b)))-1]
	*free = append(*free, b[:0])
	s.kept += cap(b)
}
