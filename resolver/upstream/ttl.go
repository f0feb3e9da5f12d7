package upstream

import (
	"bytes"
	"encoding/binary"
	"math"

	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/internal/dnswire"
)

// sane is a TTL as it may be handed on: with the top bit set it means zero (RFC
// 2181, section 8).
func sane(ttl uint32) uint32 {
	if ttl > math.MaxInt32 {
		return 0
	}
	return min(ttl, maxTTL)
}

// evenTTLs gives all records of an rrset the least TTL of them: an rrset with
// several is in error, and must not fall apart in a cache (RFC 2181, section
// 5.2). walk is at the first record of msg; records of a set stand together.
// Signatures are no such set: each has the TTL of what it covers.
func evenTTLs(msg []byte, walk dnswire.Records) {
	var first, rec dnswire.Record
	set, n, least, uneven := walk, 0, uint32(0), false
	for {
		before := walk
		more := walk.Next(&rec)
		if more && n > 0 && sameSet(msg, &first, &rec) {
			n++
			uneven = uneven || rec.TTL != least
			least = min(least, rec.TTL)
			continue
		}
		for r := (dnswire.Record{}); uneven && n > 0 && set.Next(&r); n-- {
			binary.BigEndian.PutUint32(msg[r.TTLAt:], least)
		}
		if !more {
			return
		}
		set, first, n, least, uneven = before, rec, 1, rec.TTL, false
	}
}

const typeRRSIG = 46

func sameSet(msg []byte, a, b *dnswire.Record) bool {
	if a.Section != b.Section || a.Type != b.Type || a.Class != b.Class || a.Type == typeRRSIG {
		return false
	}
	if bytes.Equal(msg[a.Start:a.TTLAt], msg[b.Start:b.TTLAt]) {
		return true
	}
	var bufA, bufB [dnsname.MaxWire]byte
	nameA, errA := a.Owner(bufA[:0], msg)
	nameB, errB := b.Owner(bufB[:0], msg)
	return errA == nil && errB == nil && bytes.Equal(nameA, nameB)
}
