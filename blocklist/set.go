package blocklist

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
	"runtime"

	"github.com/weirdns/weir/internal/dnsname"
	"github.com/zeebo/xxh3"
)

// flags of an entry.
const (
	flagExact   = 1 << iota // matches the name itself
	flagBelow               // matches what is below the name
	flagAddr                // the key is a network and not a name
	flagObserve             // Hit.ObserveOnly
	flagInfo                // an info string follows the key
	flagOwn                 // an own octet follows the flags
	flagSplit               // another entry has the same key and the other scope
	flagURL                 // seen in URLs alone, which mean no site that everybody knows
)

// Scopes of a name's entry.
const flagScope = flagExact | flagBelow

// set is one list, compiled. It is immutable, and as good in a mapped file as
// in memory: three arrays of octets, without a pointer in them.
//
// A keyed hash of the key gives an entry its bucket, by its high bits. For a
// bucket, filter has a word with four bits set for each of its entries, so
// that a miss seldom looks any further, and offsets has where its entries
// begin in data, 32 bits each, one more than there are buckets. An entry is
//
//	tag, flags [, own [, uvarint local]], key [, uvarint length, info]
//
// with eight bits of the hash as the tag. What the tag lets through is checked
// against the key, so a hash is never taken on trust. A name has one entry, or
// two where the name itself and what is below it are treated differently.
type set struct {
	seed                  uint64
	filter, offsets, data []byte
	buckets               uint64
	// depths has bit min(n, 63) set if there is a name of n labels, so that
	// other suffixes of a qname need no hash.
	depths       uint64
	answers      lengths // of the networks that answers are checked for
	clients      lengths // of those that clients are checked for
	locals       []*Local
	names, addrs int
	passes       int       // of those, how many let a name pass
	patterns     *patterns // nil: none
	recent       recent
	file         *setFile // where the arrays are mapped from; nil: they are Go's own memory
}

const (
	// perBucket is how many entries share a bucket on average. With six, the
	// filter lets one miss in fifty through.
	perBucket = 6
	// partitions of the hash space are built one after the other. A bucket is
	// never in two.
	partitionBits = 6
	partitions    = 1 << partitionBits
)

// entry is what a list says of a key.
type entry struct {
	flags uint8
	own   own
	local uint16 // the number of its answer, for LocalData
	info  string // of a built set: shares its memory, see found
}

// alike says whether two entries want the same.
func (e *entry) alike(o *entry) bool { return e.own == o.own && e.local == o.local }

// found is an entry of a set. Its key and info share the set's memory, which
// may be a mapped file: they are good only while the set is held, and what
// leaves the package is a copy.
type found struct {
	flags, tag uint8
	own        own
	local      uint16
	key, info  []byte
	at         uint32 // where it begins in the set's data
}

// blocks says whether the entry may keep a name of the given scope from being
// resolved.
func (f *found) blocks(scope uint8) bool { return f.flags&scope != 0 && !f.own.passes() }

// entry is f with an info of its own.
func (f *found) entry() entry {
	return entry{flags: f.flags, own: f.own, local: f.local, info: string(f.info)}
}

// hashName and hashNetwork are what the set is looked up by.
func hashName(seed uint64, name dnsname.Name) uint64 { return xxh3.HashSeed(name, seed) }

// hashNetwork is of a network's key. No name begins with its first octet.
func hashNetwork(seed uint64, key []byte) uint64 { return xxh3.HashSeed(key, seed) }

// tagOf and maskOf use the low bits of a hash, bucketOf the high ones.
func tagOf(h uint64) uint8 { return uint8(h >> 24) }

func maskOf(h uint64) uint64 {
	return 1<<(h&63) | 1<<(h>>6&63) | 1<<(h>>12&63) | 1<<(h>>18&63)
}

func bucketOf(h, buckets uint64) uint64 {
	b, _ := bits.Mul64(h, buckets)
	return b
}

// passes says whether a filter lets h through, whose mask it is.
func passes(filter []byte, buckets, h, mask uint64) bool {
	return binary.LittleEndian.Uint64(filter[8*bucketOf(h, buckets):])&mask == mask
}

// bucket is the entries that h may be among, nil if the filter knows that it is not.
func (s *set) bucket(h uint64) (data []byte, at uint32) {
	if !passes(s.filter, s.buckets, h, maskOf(h)) {
		return nil, 0
	}
	b := bucketOf(h, s.buckets)
	from, to := binary.LittleEndian.Uint32(s.offsets[4*b:]), binary.LittleEndian.Uint32(s.offsets[4*b+4:])
	return s.data[from:to], from
}

// find is the entry of a name, whose hash is h, for the scope that is wanted.
func (s *set) find(h uint64, name dnsname.Name, scope uint8) (found, bool) {
	data, at := s.bucket(h)
	tag := tagOf(h)
	for len(data) > 0 {
		f, n := readEntry(data)
		if n == 0 {
			break
		}
		if f.tag == tag && f.flags&flagAddr == 0 && isKeyOf(f.key, name) {
			if f.flags&scope != 0 {
				f.at = at
				return f, true
			}
			if f.flags&flagSplit == 0 {
				break
			}
		}
		data, at = data[n:], at+uint32(n)
	}
	return found{}, false
}

// lookup is find for callers that have no hash.
func (s *set) lookup(name dnsname.Name, scope uint8) (found, bool) {
	return s.find(hashName(s.seed, name), name, scope)
}

// findNetwork is the entry of the smallest network of that kind that holds addr.
func (s *set) findNetwork(kind byte, addr netip.Addr) (found, bool) {
	lens := &s.answers
	if kind == clientNetwork {
		lens = &s.clients
	}
	var buf [maxNetworkKey]byte
	for n := lens.longest(addr); n >= 0; n = lens.next(addr, n) {
		key := appendNetwork(buf[:0], kind, addr, n)
		h := hashNetwork(s.seed, key)
		data, at := s.bucket(h)
		tag := tagOf(h)
		for len(data) > 0 {
			f, n := readEntry(data)
			if n == 0 {
				break
			}
			if f.tag == tag && f.flags&flagAddr != 0 && string(f.key) == string(key) {
				f.at = at
				return f, true
			}
			data, at = data[n:], at+uint32(n)
		}
	}
	return found{}, false
}

// readEntry reads the entry at the front of b and says how long it is; 0 means
// that b holds none, which no file that passed its checks does.
func readEntry(b []byte) (f found, size int) {
	if len(b) < 3 {
		return f, 0
	}
	f.tag, f.flags = b[0], b[1]
	at := 2
	if f.flags&flagOwn != 0 {
		f.own, at = own(b[2]), 3
		if f.own.policy() == LocalData {
			n, w := readLen(b[at:])
			if w == 0 {
				return f, 0
			}
			f.local, at = uint16(n), at+w
		}
	}
	n := keyLen(b[at:], f.flags)
	if n == 0 {
		return f, 0
	}
	f.key = b[at : at+n]
	at += n
	if f.flags&flagInfo != 0 {
		n, w := readLen(b[at:])
		if w == 0 || n > len(b)-at-w {
			return f, 0
		}
		f.info = b[at+w : at+w+n]
		at += w + n
	}
	return f, at
}

// readLen reads a uvarint of at most two octets, which is what appendLen
// writes; a width of 0 means that there is none.
func readLen(b []byte) (n, width int) {
	switch {
	case len(b) > 0 && b[0] < 0x80:
		return int(b[0]), 1
	case len(b) > 1:
		return int(b[0]&0x7f) | int(b[1])<<7, 2
	}
	return 0, 0
}

// appendLen appends n, below 1<<14.
func appendLen(b []byte, n int) []byte { return binary.AppendUvarint(b, uint64(n)) }

// expressions is how many regular expressions there are.
func (s *set) expressions() int {
	if s.patterns == nil {
		return 0
	}
	return len(s.patterns.all)
}

// memory is how many octets the set keeps, in memory or mapped.
func (s *set) memory() int64 {
	n := len(s.filter) + len(s.offsets) + len(s.data)
	for _, l := range s.locals {
		n += localSize + addrSize*(len(l.V4)+len(l.V6))
	}
	return int64(n)
}

// What an answer of its own and each of its addresses take, about.
const localSize, addrSize = 64, 24

// all yields every entry, in no useful order.
func (s *set) all(yield func(found) bool) {
	defer runtime.KeepAlive(s)
	for at := 0; at < len(s.data); {
		f, n := readEntry(s.data[at:])
		if n == 0 {
			return
		}
		f.at = uint32(at)
		if !yield(f) {
			return
		}
		at += n
	}
}

// depthBit is the bit of set.depths for a name of n labels.
func depthBit(n int) uint64 { return 1 << min(n, 63) }
