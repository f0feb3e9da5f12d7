package pdns

import (
	"bytes"
	"encoding/binary"
	"hash/maphash"
)

// sums counts observations by their keys, in the order of their first sight, so
// that equal input gives equal files. All of it is two slices without pointers:
// an observation costs its key and 48 octets, nothing of it is for the garbage
// collector, and one that is known costs two places in memory to find.
type sums struct {
	seed  maphash.Seed
	slots []slot // open-addressed, at most half full; as many as a power of two
	// data holds each observation as first, last and count, eight octets each,
	// the key's length in four, and the key, filled up to a multiple of eight.
	data  []byte
	count int
}

// slot says where an observation begins, in units of eight octets plus one: zero
// is free.
type slot struct{ hash, at uint32 }

const (
	sumsHead  = 3*8 + 4
	leastSums = 64 // slots
	// maxSums is how much data slots can point into.
	maxSums = 8 * (1<<32 - 2)
	padding = "\x00\x00\x00\x00\x00\x00\x00"
)

// observation is one key and how often it was seen.
type observation struct {
	key         []byte // of the sums
	first, last int64  // Unix seconds
	count       uint64
}

// bytes is what all observations take: twice a slot each, since half are free.
func (s *sums) bytes() int64 { return int64(len(s.data)) + int64(s.count)*16 }

// add counts one sight of key at now.
func (s *sums) add(key []byte, now int64) {
	if 2*s.count >= len(s.slots) {
		s.grow()
	}
	hash := uint32(maphash.Bytes(s.seed, key))
	at := s.find(key, hash)
	if s.slots[at].at != 0 {
		o := s.data[s.slots[at].offset():]
		if first := int64(binary.LittleEndian.Uint64(o)); now < first {
			binary.LittleEndian.PutUint64(o, uint64(now))
		}
		if last := int64(binary.LittleEndian.Uint64(o[8:])); now > last {
			binary.LittleEndian.PutUint64(o[8:], uint64(now))
		}
		binary.LittleEndian.PutUint64(o[16:], binary.LittleEndian.Uint64(o[16:])+1)
		return
	}
	s.slots[at] = slot{hash, uint32(len(s.data)/8) + 1}
	s.count++
	s.data = binary.LittleEndian.AppendUint64(s.data, uint64(now))
	s.data = binary.LittleEndian.AppendUint64(s.data, uint64(now))
	s.data = binary.LittleEndian.AppendUint64(s.data, 1)
	s.data = binary.LittleEndian.AppendUint32(s.data, uint32(len(key)))
	s.data = append(s.data, key...)
	s.data = append(s.data, padding[:-len(s.data)&7]...)
}

func (p slot) offset() int { return int(p.at-1) * 8 }

// find is the slot of a key, or the free one where it would stand.
func (s *sums) find(key []byte, hash uint32) int {
	mask := len(s.slots) - 1
	at := int(hash) & mask
	for ; s.slots[at].at != 0; at = (at + 1) & mask {
		if s.slots[at].hash == hash && bytes.Equal(s.keyAt(s.slots[at].offset()), key) {
			return at
		}
	}
	return at
}

func (s *sums) keyAt(offset int) []byte {
	o := s.data[offset:]
	return o[sumsHead:][:binary.LittleEndian.Uint32(o[3*8:])]
}

// grow makes room for twice as many.
func (s *sums) grow() {
	if len(s.slots) == 0 {
		s.seed = maphash.MakeSeed()
	}
	s.slots = make([]slot, max(2*len(s.slots), leastSums))
	s.index()
}

// index puts all of data into slots, which are free.
func (s *sums) index() {
	s.count = 0
	mask := len(s.slots) - 1
	for offset := 0; offset < len(s.data); {
		key := s.keyAt(offset)
		hash := uint32(maphash.Bytes(s.seed, key))
		at := int(hash) & mask
		for s.slots[at].at != 0 {
			at = (at + 1) & mask
		}
		s.slots[at] = slot{hash, uint32(offset/8) + 1}
		s.count++
		offset = s.after(offset, key)
	}
}

func (s *sums) after(offset int, key []byte) int { return (offset + sumsHead + len(key) + 7) &^ 7 }

// flush hands out the observations in their order and forgets each that take
// says it took. ok is false if it refused one: that and those behind it stay.
func (s *sums) flush(take func(observation) bool) (ok bool) {
	offset := 0
	for offset < len(s.data) {
		o, key := s.data[offset:], s.keyAt(offset)
		if !take(observation{
			key:   key,
			first: int64(binary.LittleEndian.Uint64(o)),
			last:  int64(binary.LittleEndian.Uint64(o[8:])),
			count: binary.LittleEndian.Uint64(o[16:]),
		}) {
			break
		}
		offset = s.after(offset, key)
	}
	if offset > 0 {
		s.data = s.data[:copy(s.data, s.data[offset:])]
		clear(s.slots)
		s.index()
	}
	return len(s.data) == 0
}
