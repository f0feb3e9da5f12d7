package capture

import (
	"encoding/binary"
	"hash/maphash"
	"time"
)

// maxEnded is how many fragments are remembered, in 128 KiB.
const maxEnded = 1 << 12

// ended remembers the fragments of datagrams that were put together lately, so
// that one that comes late once more is not taken for the beginning of another
// datagram under the same number (RFC 8200, section 4.5 lets exact duplicates be
// dropped). What finds its place taken replaces what is there.
type ended struct {
	seed  maphash.Seed
	seen  []endedFragment // nil until there is one
	bytes [48]byte        // scratch
}

type endedFragment struct {
	sum uint64
	at  time.Time // when its datagram was complete
}

// sum is a hash of all of a fragment.
func (e *ended) sum(key *fragmentKey, offset int, more bool, data []byte) uint64 {
	src, dst := key.src.As16(), key.dst.As16()
	b := append(append(e.bytes[:0], src[:]...), dst[:]...)
	b = binary.BigEndian.AppendUint32(b, key.net)
	b = binary.BigEndian.AppendUint32(b, key.id)
	where := uint32(offset) << 1
	if more {
		where |= 1
	}
	b = binary.BigEndian.AppendUint32(append(b, key.proto), where)
	return maphash.Bytes(e.seed, b) ^ maphash.Bytes(e.seed, data)*0x9e3779b97f4a7c15
}

// add remembers a fragment.
func (e *ended) add(key *fragmentKey, offset int, more bool, data []byte, now time.Time) {
	if e.seen == nil {
		e.seed, e.seen = maphash.MakeSeed(), make([]endedFragment, maxEnded)
	}
	sum := e.sum(key, offset, more, data)
	e.seen[sum%maxEnded] = endedFragment{sum, now}
}

// has says whether g is a fragment of a datagram that was complete within
// timeout of now.
func (e *ended) has(key *fragmentKey, g *fragment, now time.Time, timeout time.Duration) bool {
	if e.seen == nil {
		return false
	}
	sum := e.sum(key, g.offset, g.more, g.data)
	f := &e.seen[sum%maxEnded]
	return f.sum == sum && now.Sub(f.at).Abs() < timeout
}
