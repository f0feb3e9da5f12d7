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
	recentSets = 1 << 13
	recentWays = 4
)

// recents remembers datagrams by hash for a while: half a megabyte, and what
// finds its set full replaces the oldest.
type recents struct {
	window time.Duration // 0: nothing is remembered
	seed   maphash.Seed
	sets   [][recentWays]sighting
	key    [40]byte // scratch
}

type sighting struct {
	hash uint64
	at   int64 // Unix nanoseconds
}

func newRecents(window time.Duration) *recents {
	r := &recents{window: window}
	if window > 0 {
		r.seed, r.sets = maphash.MakeSeed(), make([][recentWays]sighting, recentSets)
	}
	return r
}

// again says whether d, of the packet with number ident, was seen within the
// window, and remembers it.
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
	now := d.time.UnixNano()
	set := &r.sets[hash%recentSets]
	oldest := 0
	for i := range set {
		s := &set[i]
		if s.hash == hash && s.at != 0 && max(now-s.at, s.at-now) < int64(r.window) {
			return true
		}
		if s.at < set[oldest].at {
			oldest = i
		}
	}
	set[oldest] = sighting{hash, now}
	return false
}
