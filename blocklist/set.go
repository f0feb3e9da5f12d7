package blocklist

import (
	"encoding/binary"
	"hash/maphash"
	"math/bits"
	"net/netip"

	"github.com/weirdns/weir/internal/dnsname"
)

// flags of an entry.
const (
	flagExact   = 1 << iota // matches the name itself
	flagBelow               // matches what is below the name
	flagAddr                // the text is an address
	flagObserve             // Hit.ObserveOnly
	flagInfo                // an info string follows the text
	flagStar                // "*." stands before the key
	flagOwn                 // an own octet follows the flags
	flagSplit               // another entry has the same key and the other scope
)

// Scopes of a name's entry.
const flagScope = flagExact | flagBelow

// set is one list, compiled. It is immutable.
//
// The arena is a row of strings of at most blockSize octets, so that it grows
// without ever being copied. An entry in it is
//
//	flags [, own [, uvarint local]], uvarint length, text [, uvarint length, info]
//
// with the text in presentation form, so that a Hit's strings are substrings;
// "@@" stands before what lets a name pass. A name has one entry, or two where
// the name itself and what is below it are treated differently. An entry is found through an open addressing table with linear probing: tags[i] is
// eight bits of the hash of the entry whose arena offset is in slots[i], 0 if
// the slot is free. A miss seldom looks at anything but one cache line of
// tags; a tag that fits is checked against the text, so a hash is never taken
// on trust.
type set struct {
	seed   maphash.Seed
	blocks []string
	tags   []uint8
	slots  []uint32 // block<<blockBits | position in it
	// depths has bit min(n, 63) set if there is a name of n labels, so that
	// other suffixes of a qname need no hash.
	depths       uint64
	locals       []*Local
	names, addrs int
	passes       int // of those, how many let a name pass
}

const (
	blockBits = 18
	blockSize = 1 << blockBits
	// maxBlocks is what 32 bit offsets can address.
	maxBlocks = 1 << (32 - blockBits)
)

// entry is one record of the arena.
type entry struct {
	flags      uint8
	own        own
	local      uint16 // the number of its answer, for LocalData
	text, info string
}

// key is the text that is looked up: without what stands before it in a rule.
func (e *entry) key() string {
	at := 0
	if e.own.passes() {
		at = len(passMark)
	}
	if e.flags&flagStar != 0 {
		at += len(starMark)
	}
	return e.text[at:]
}

// What stands before the key in a rule, in this order.
const (
	passMark = "@@"
	starMark = "*."
)

// alike says whether two entries want the same.
func (e *entry) alike(o *entry) bool { return e.own == o.own && e.local == o.local }

// blocks says whether the entry may keep a name of the given scope from being
// resolved.
func (e *entry) blocks(scope uint8) bool { return e.flags&scope != 0 && !e.own.passes() }

// readEntry reads the entry at the front of s and says how long it is.
func readEntry(s string) (e entry, size int) {
	e.flags = s[0]
	n, at := 0, 1
	if e.flags&flagOwn != 0 {
		e.own, at = own(s[1]), 2
		if e.own.policy() == LocalData {
			n, at = readLen(s, at)
			e.local = uint16(n)
		}
	}
	n, at = readLen(s, at)
	e.text = s[at : at+n]
	at += n
	if e.flags&flagInfo != 0 {
		n, at = readLen(s, at)
		e.info = s[at : at+n]
		at += n
	}
	return e, at
}

// readLen reads a uvarint of at most two octets, which is what appendLen writes.
func readLen(s string, at int) (n, next int) {
	if c := s[at]; c < 0x80 {
		return int(c), at + 1
	}
	return int(s[at]&0x7f) | int(s[at+1])<<7, at + 2
}

// appendLen appends n, below 1<<14.
func appendLen(b []byte, n int) []byte { return binary.AppendUvarint(b, uint64(n)) }

// home is where a hash begins to probe, in a table of n slots, and its tag. The
// place comes from the high bits and the tag from the low ones.
func home(h uint64, n int) (i int, tag uint8) {
	hi, _ := bits.Mul64(h, uint64(n))
	return int(hi), max(uint8(h), 1)
}

func (s *set) entry(slot uint32) entry {
	e, _ := readEntry(s.blocks[slot>>blockBits][slot&(blockSize-1):])
	return e
}

// find is the entry of a name, whose hash is h, for the scope that is wanted.
func (s *set) find(h uint64, name dnsname.Name, scope uint8) (entry, bool) {
	i, tag := home(h, len(s.tags))
	for s.tags[i] != 0 { // the table is never full
		if s.tags[i] == tag {
			if e := s.entry(s.slots[i]); e.flags&flagAddr == 0 && sameName(e.key(), name) {
				if e.flags&scope != 0 {
					return e, true
				}
				if e.flags&flagSplit == 0 {
					return entry{}, false
				}
			}
		}
		if i++; i == len(s.tags) {
			i = 0
		}
	}
	return entry{}, false
}

// lookup is find for callers that have no hash.
func (s *set) lookup(name dnsname.Name, scope uint8) (entry, bool) {
	return s.find(maphash.Bytes(s.seed, name), name, scope)
}

// sameName compares in presentation form. It has a frame of its own because of
// its buffer, which a miss need not clear.
//
//go:noinline
func sameName(key string, name dnsname.Name) bool {
	var buf [dnsname.MaxText]byte
	return string(name.AppendText(buf[:0])) == key
}

// findAddr is the entry of an address, whose text hashes to h.
func (s *set) findAddr(h uint64, text []byte) (entry, bool) {
	i, tag := home(h, len(s.tags))
	for s.tags[i] != 0 {
		if s.tags[i] == tag {
			if e := s.entry(s.slots[i]); e.flags&flagAddr != 0 && e.key() == string(text) {
				return e, true
			}
		}
		if i++; i == len(s.tags) {
			i = 0
		}
	}
	return entry{}, false
}

// memory is how many octets the set keeps alive.
func (s *set) memory() int64 {
	n := len(s.tags) + 4*len(s.slots)
	for _, b := range s.blocks {
		n += len(b)
	}
	for _, l := range s.locals {
		n += localSize + addrSize*(len(l.V4)+len(l.V6))
	}
	return int64(n)
}

// What an answer of its own and each of its addresses take, about.
const localSize, addrSize = 64, 24

// all yields every entry, in no useful order.
func (s *set) all(yield func(entry) bool) {
	for i, tag := range s.tags {
		if tag != 0 && !yield(s.entry(s.slots[i])) {
			return
		}
	}
}

// depthBit is the bit of set.depths for a name of n labels.
func depthBit(n int) uint64 { return 1 << min(n, 63) }

// addrText is what addresses are stored and looked up as.
func addrText(buf []byte, addr netip.Addr) []byte {
	return addr.Unmap().WithZone("").AppendTo(buf)
}
