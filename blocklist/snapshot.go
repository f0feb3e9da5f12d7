package blocklist

import (
	"hash/maphash"
	"net/netip"
	"slices"

	"github.com/weirdns/weir/internal/dnsname"
)

// Snapshot is all lists at one moment. It is immutable and safe for use by
// many goroutines. The zero Snapshot has no lists.
type Snapshot struct {
	seed   maphash.Seed
	lists  []*List
	depths uint64 // of all lists: see set
	addrs  bool   // some list has addresses
}

// newSnapshot takes the lists in configuration order; their sets share seed.
func newSnapshot(seed maphash.Seed, lists []*List) *Snapshot {
	s := &Snapshot{seed: seed, lists: lists}
	for _, l := range lists {
		if l.set != nil {
			s.depths |= l.set.depths
			s.addrs = s.addrs || l.set.addrs > 0
		}
	}
	return s
}

// Lists is every list, in configuration order. The slice is the caller's.
func (s *Snapshot) Lists() []*List { return slices.Clone(s.lists) }

// Match appends to dst every entry of every list that matches name, which is
// canonical: lists in configuration order, and within one the longest rule
// first. An entry that another of its list overrules is there and says so. It
// does not allocate where dst has room.
func (s *Snapshot) Match(dst []Hit, name dnsname.Name) []Hit {
	if s.depths == 0 {
		return dst
	}
	start := len(dst)
	depth := name.Labels()
	for at := name; len(at) > 1; at, depth = at.Parent(), depth-1 {
		bit := depthBit(depth)
		if s.depths&bit == 0 {
			continue
		}
		wants := uint8(flagBelow)
		if len(at) == len(name) {
			wants = flagExact
		}
		h := maphash.Bytes(s.seed, at) // once for all lists
		for _, l := range s.lists {
			if l.set == nil || l.set.depths&bit == 0 {
				continue
			}
			if e, ok := l.set.find(h, at, wants); ok {
				dst = append(dst, hit(l, &e))
			}
		}
	}
	if hits := dst[start:]; len(hits) > 1 {
		s.inOrder(hits)
		for from, i := 0, 1; i <= len(hits); i++ {
			if i == len(hits) || hits[i].List != hits[from].List {
				overrule(hits[from:i])
				from = i
			}
		}
	}
	return dst
}

// MatchAddr appends to dst the entry of every list that is addr, in
// configuration order. It does not allocate where dst has room.
func (s *Snapshot) MatchAddr(dst []Hit, addr netip.Addr) []Hit {
	if !s.addrs || !addr.IsValid() {
		return dst
	}
	var buf [64]byte
	text := addrText(buf[:0], addr)
	h := maphash.Bytes(s.seed, text)
	for _, l := range s.lists {
		if l.set == nil || l.set.addrs == 0 {
			continue
		}
		if e, ok := l.set.findAddr(h, text); ok {
			dst = append(dst, hit(l, &e))
		}
	}
	return dst
}

func hit(l *List, e *entry) Hit {
	h := Hit{List: l, Rule: e.text, Info: e.info, ObserveOnly: e.flags&flagObserve != 0, Policy: e.own.policy(), own: e.own}
	if h.Policy == LocalData {
		h.Local = l.set.locals[e.local]
	}
	return h
}

// inOrder sorts hits by list. It is a stable insertion sort: there are a few
// hits at most, and they come sorted by length of rule.
func (s *Snapshot) inOrder(hits []Hit) {
	for i := 1; i < len(hits); i++ {
		for j := i; j > 0 && s.position(hits[j].List) < s.position(hits[j-1].List); j-- {
			hits[j], hits[j-1] = hits[j-1], hits[j]
		}
	}
}

func (s *Snapshot) position(l *List) int { return slices.Index(s.lists, l) }
