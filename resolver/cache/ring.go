package cache

import (
	"encoding/binary"

	"github.com/weirdns/weir/internal/dnswire"
)

// An entry is a run of octets in a ring, a multiple of eight long:
//
//	 0  size    u32  of all of it, padding included
//	 4  live    u8   0: dead, to be skipped when the ring's tail gets here
//	 5  asked   u8   two bits of hits, since it was last looked at for eviction, at
//	                 most maxHits; six bits of uses, since it was stored, at most maxUses
//	 6  flags   u8   DO and CD of the question, and the bits of an entry below
//	 7  failed  u8   how often in a row the question has failed to resolve; with
//	                 the top bit, the entry itself is such a failure
//	 8  print   u32  fingerprint: the lower half of the question's hash
//	12  life    u32  seconds
//	16  stored  i64  nanoseconds since the cache's epoch
//	24  held    u32  seconds since the epoch: until then do not try a refresh
//	28  msgLen  u16
//	30  records u16
//	32  the message
//	    records times u16: where the TTLs stand in it
//	    with flagEDE: u16 code, u8 length, text
//
// Plain octets hold no pointers, so the garbage collector never looks inside.
type entry []byte

const (
	entryHeader = 32
	// maxEntry is the most octets an entry may have: the longest message, with
	// the table of as many TTLs as fit into one.
	maxEntry = 80 << 10
	// maxHits is how often an entry is spared eviction without being asked for
	// again.
	maxHits = 3
)

// Bits of an entry's flags, besides those of its question.
const (
	flagEDE      = 1 << (2 + iota) // an Extended DNS Error came with it
	flagOutage                     // the last failure was while no upstream was up
	flagPrefetch                   // it is being fetched anew
)

const (
	failureBit  = 0x80
	maxFailures = 0x7f
	maxUses     = 63
)

func entrySize(msgLen, records int, ede *dnswire.EDE) int {
	n := entryHeader + msgLen + 2*records
	if ede != nil {
		n += 3 + len(ede.Text)
	}
	return (n + 7) &^ 7
}

func (e entry) size() int          { return int(binary.LittleEndian.Uint32(e)) }
func (e entry) live() bool         { return e[4] != 0 }
func (e entry) kill()              { e[4] = 0 }
func (e entry) hits() uint8        { return e[5] & maxHits }
func (e entry) setHits(n uint8)    { e[5] = e[5]&^maxHits | n }
func (e entry) uses() uint8        { return e[5] >> 2 }
func (e entry) setUses(n uint8)    { e[5] = e[5]&maxHits | n<<2 }
func (e entry) question() uint8    { return e[6] & (flagDO | flagCD) }
func (e entry) is(flag uint8) bool { return e[6]&flag != 0 }
func (e entry) mark(flag uint8)    { e[6] |= flag }
func (e entry) failure() bool      { return e[7]&failureBit != 0 }
func (e entry) failures() uint8    { return e[7] & maxFailures }
func (e entry) print() uint32      { return binary.LittleEndian.Uint32(e[8:]) }
func (e entry) life() int64        { return int64(binary.LittleEndian.Uint32(e[12:])) * second }
func (e entry) stored() int64      { return int64(binary.LittleEndian.Uint64(e[16:])) }
func (e entry) held() int64        { return int64(binary.LittleEndian.Uint32(e[24:])) * second }
func (e entry) setHeld(at uint32)  { binary.LittleEndian.PutUint32(e[24:], at) }
func (e entry) records() int       { return int(binary.LittleEndian.Uint16(e[30:])) }

// ede is what stands behind the table of TTLs.
func (e entry) ede() (code uint16, text []byte) {
	at := e[entryHeader+len(e.msg())+2*e.records():]
	return binary.LittleEndian.Uint16(at), at[3 : 3+int(at[2])]
}

func (e entry) setEDE(ede *dnswire.EDE) {
	at := e[entryHeader+len(e.msg())+2*e.records():]
	binary.LittleEndian.PutUint16(at, ede.Code)
	at[2] = uint8(len(ede.Text))
	copy(at[3:], ede.Text)
}

func (e entry) msg() []byte {
	return e[entryHeader : entryHeader+int(binary.LittleEndian.Uint16(e[28:]))]
}

func (e entry) ttlAt(i int) int {
	return int(binary.LittleEndian.Uint16(e[len(e.msg())+entryHeader+2*i:]))
}

func (e entry) setTTLAt(i, at int) {
	binary.LittleEndian.PutUint16(e[len(e.msg())+entryHeader+2*i:], uint16(at))
}

// setHeader makes e, whose size is set, a live entry.
func (e entry) setHeader(p *plan, flags uint8, print uint32, stored int64, msgLen int) {
	e[4], e[5], e[6], e[7] = 1, 0, flags, 0
	if p.failure {
		e[7] = failureBit | p.failures
		if p.outage {
			e.mark(flagOutage)
		}
	}
	if p.ede != nil {
		e.mark(flagEDE)
	}
	binary.LittleEndian.PutUint32(e[8:], print)
	binary.LittleEndian.PutUint32(e[12:], p.life)
	binary.LittleEndian.PutUint64(e[16:], uint64(stored))
	binary.LittleEndian.PutUint32(e[24:], 0)
	binary.LittleEndian.PutUint16(e[28:], uint16(msgLen))
	binary.LittleEndian.PutUint16(e[30:], uint16(p.records))
}

// ring is a first-in first-out run of entries in data[base:base+size]. An
// entry never wraps: one that does not fit before the end begins at the start,
// and a dead entry fills the gap.
type ring struct {
	data       []byte
	base, size int
	head, tail int // offsets from base: where the next goes, where the oldest is
	used       int // octets from tail to head, dead ones and gaps included
}

// at is the entry at offset off of data.
func (r *ring) at(off int) entry {
	return r.data[off : off+int(binary.LittleEndian.Uint32(r.data[off:]))]
}

// room says where n more octets would go, and how many must be skipped for it.
func (r *ring) room(n int) (off, skip int, ok bool) {
	switch {
	case r.used == 0:
		r.head, r.tail = 0, 0
		return 0, 0, n <= r.size
	case r.used == r.size:
		return 0, 0, false
	case r.head < r.tail:
		return r.head, 0, r.tail-r.head >= n
	case r.size-r.head >= n:
		return r.head, 0, true
	}
	return 0, r.size - r.head, r.tail >= n
}

// fits says whether n more octets would go without dropping anything.
func (r *ring) fits(n int) bool {
	_, _, ok := r.room(n)
	return ok
}

// take makes the n octets that room found an entry, dead and without contents
// but for what was there.
func (r *ring) take(off, skip, n int) entry {
	if skip > 0 {
		gap := r.data[r.base+r.head:]
		binary.LittleEndian.PutUint32(gap, uint32(skip))
		gap[4] = 0
	}
	r.head = off + n
	r.used += skip + n
	e := r.data[r.base+off : r.base+off+n]
	binary.LittleEndian.PutUint32(e, uint32(n))
	return e
}

// oldest is the entry at the tail and its offset in data.
func (r *ring) oldest() (entry, int) { return r.at(r.base + r.tail), r.base + r.tail }

// drop frees the oldest entry.
func (r *ring) drop() {
	e, _ := r.oldest()
	r.used -= e.size()
	if r.tail += e.size(); r.tail == r.size {
		r.tail = 0
	}
}

func (r *ring) reset() { r.head, r.tail, r.used = 0, 0, 0 }

// holds says whether offset off of data is in this ring.
func (r *ring) holds(off int) bool { return off >= r.base && off < r.base+r.size }
