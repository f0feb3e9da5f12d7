package enrich

import (
	"cmp"
	"encoding/binary"
	"iter"
	"math/bits"
	"net/netip"
)

// lastOf is the last address of p.
func lastOf(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for bit := p.Bits(); bit < len(b)*8; bit++ {
		b[bit/8] |= 0x80 >> (bit % 8)
	}
	last, _ := netip.AddrFromSlice(b) // of the length of an address
	return last
}

// prefixes are the fewest that together have every address from first to last.
// Both are of one family, and last is not before first.
func prefixes(first, last netip.Addr) iter.Seq[netip.Prefix] {
	return func(yield func(netip.Prefix) bool) {
		for {
			// The largest one that begins here and does not end behind last.
			p := netip.PrefixFrom(first, first.BitLen())
			for p.Bits() > 0 {
				wider := netip.PrefixFrom(first, p.Bits()-1)
				if wider.Masked().Addr() != first || last.Less(lastOf(wider)) {
					break
				}
				p = wider
			}
			if !yield(p) {
				return
			}
			if first = lastOf(p).Next(); !first.IsValid() || last.Less(first) {
				return
			}
		}
	}
}

// compareSizes says which span has more addresses.
func compareSizes(a, b span) int {
	aHigh, aLow := a.size()
	bHigh, bLow := b.size()
	return cmp.Or(cmp.Compare(aHigh, bHigh), cmp.Compare(aLow, bLow))
}

// size is the number of addresses behind the first, as 128 bits.
func (s span) size() (high, low uint64) {
	first, last := s.first.As16(), s.last.As16()
	low, borrow := bits.Sub64(binary.BigEndian.Uint64(last[8:]), binary.BigEndian.Uint64(first[8:]), 0)
	high, _ = bits.Sub64(binary.BigEndian.Uint64(last[:]), binary.BigEndian.Uint64(first[:]), borrow)
	return high, low
}
