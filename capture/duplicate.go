package capture

import (
	"encoding/binary"
	"hash/maphash"
	"time"
)

// A mirror port that copies both directions, or two ports of one path, show a
// packet twice within microseconds to milliseconds. It is the same packet if
// addresses, ports, octets and, in IPv4, the number of the packet are: a client
// that asks again numbers anew.
const (
	recentSets = 1 << 12
	recentWays = 8 // one cache line
	// A sighting is a word, not zero: 39 bits of a hash keyed afresh in each process, and
	// below them when it was, in steps of 66 us, which come round after 18
	// minutes.
	sightingBits = 24
	sightingMask = 1<<sightingBits - 1
	sightingStep = 1 << 16 // nanoseconds
)

// recents remembers datagrams for a while: a quarter of a megabyte, and what
// finds its set full replaces the oldest. A datagram passes for another if 39
// bits of their hashes, the set and the time agree, and nobody outside can aim at
// it.
type recents struct {
	window time.Duration // 0: nothing is remembered
	seed   maphash.Seed
	sets   [][recentWays]uint64
	key    [40]byte // scratch
}

func newRecents(window time.Duration) *recents {
	r := &recents{window: window}
	if window > 0 {
		r.seed, r.sets = maphash.MakeSeed(), make([][recentWays]uint64, recentSets)
	}
	return r
}

// again says whether d, of the packet with number ident, was seen within the
// window (which is shorter by up to two steps), and remembers it.
func (r *recents) again(d *datagram, ident uint32) bool {
	if r.window == 0 {
		return false
	}
	src, dst := d.src.Addr().As16(), d.dst.Addr().As16()
	copy(r.key[:16], src[:])
	copy(r.key[16:32], dst[:])
	binary.BigEndian.PutUint16(r.key[32:], d.src.Port())
	binary.BigEndian.PutUint16(r.key[34:], d.dst.Port())
	binary.BigEndian.PutUint32(r.key[36:], ident)
	hash := maphash.Bytes(r.seed, r.key[:]) ^ maphash.Bytes(r.seed, d.payload)*0x9e3779b97f4a7c15
	now := uint64(d.time.UnixNano()/sightingStep) & sightingMask
	set := &r.sets[hash%recentSets]
	tag := (hash>>sightingBits | 1) << sightingBits
	oldest, age := 0, uint64(0)
	for i, s := range set {
		if s == 0 {
			oldest = i
			break
		}
		since := (now - s) & sightingMask
		since = min(since, sightingMask+1-since) // time may go back a little
		if s&^sightingMask == tag && (since+1)*sightingStep <= uint64(r.window) {
			return true
		}
		if since >= age {
			oldest, age = i, since
		}
	}
	set[oldest] = tag | now
	return false
}
