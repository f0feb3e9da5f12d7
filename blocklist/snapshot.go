package blocklist

import (
	"net/netip"
	"runtime"
	"slices"
	"sync"

	"github.com/weirdns/weir/internal/dnsname"
)

// Snapshot is all lists at one moment. It is immutable and safe for use by
// many goroutines. The zero Snapshot has no lists.
type Snapshot struct {
	seed             uint64
	lists            []*List
	tables           []table   // of the lists that have names, in order
	depths           uint64    // of all lists: see set
	answers, clients lengths   // the same
	patterns         bool      // some list has regular expressions
	texts            sync.Pool // of names in presentation form, which regexp lets escape
	popular          Popular   // may be nil
}

// newSnapshot takes the lists in configuration order; their sets share seed.
func newSnapshot(seed uint64, lists []*List, popular Popular) *Snapshot {
	s := &Snapshot{seed: seed, lists: lists, popular: popular}
	for _, l := range lists {
		if l.set != nil {
			s.depths |= l.set.depths
			if l.set.depths != 0 {
				s.tables = append(s.tables, table{l.set.filter, l.set.buckets, l.set.depths, l})
			}
			s.answers.union(&l.set.answers)
			s.clients.union(&l.set.clients)
			s.patterns = s.patterns || l.set.patterns != nil
		}
	}
	return s
}

// Lists is every list, in configuration order. The slice is the caller's.
func (s *Snapshot) Lists() []*List { return slices.Clone(s.lists) }

// Match appends to dst every entry of every list that matches name, which is
// canonical: lists in configuration order, and within one the longest rule
// first, regular expressions last. An entry that another of its list overrules
// is there and says so. It does not allocate where dst has room, but for the
// text of a rule that was not met lately.
func (s *Snapshot) Match(dst []Hit, name dnsname.Name) []Hit {
	return s.MatchFrom(dst, name, netip.Addr{})
}

// MatchFrom is Match for a query of that client: what a list says of the client
// comes before what it says of the name. An invalid address is nobody's.
func (s *Snapshot) MatchFrom(dst []Hit, name dnsname.Name, client netip.Addr) []Hit {
	start := len(dst)
	dst = s.matchNetwork(dst, clientNetwork, client, &s.clients)
	if s.depths != 0 {
		dst = s.matchName(dst, name)
	}
	if s.patterns && len(name.Parent()) > 1 { // a top-level domain is nobody's to match
		dst = s.matchText(dst, name)
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
	runtime.KeepAlive(s) // its sets may be mapped
	return dst
}

// table is what a look-up needs of a list before it knows that there may be a hit.
type table struct {
	filter          []byte
	buckets, depths uint64
	list            *List
}

func (s *Snapshot) matchName(dst []Hit, name dnsname.Name) []Hit {
	depth := name.Labels()
	wants := uint8(flagExact)
	for at := 0; at < len(name)-1; at += int(name[at]) + 1 {
		bit := depthBit(depth)
		depth--
		if s.depths&bit != 0 {
			suffix := name[at:]
			h := hashName(s.seed, suffix) // once for all lists
			mask := maskOf(h)
			for i := range s.tables {
				t := &s.tables[i]
				if t.depths&bit == 0 || !passes(t.filter, t.buckets, h, mask) {
					continue
				}
				if f, ok := t.list.set.find(h, suffix, wants); ok {
					dst = append(dst, s.hit(t.list, &f))
				}
			}
		}
		wants = flagBelow
	}
	return dst
}

// matchText tries the lists' regular expressions.
func (s *Snapshot) matchText(dst []Hit, name dnsname.Name) []Hit {
	buf, _ := s.texts.Get().(*[dnsname.MaxText]byte)
	if buf == nil {
		buf = new([dnsname.MaxText]byte)
	}
	defer s.texts.Put(buf)
	text := name.AppendText(buf[:0])
	for _, l := range s.lists {
		if l.set != nil && l.set.patterns != nil {
			dst = l.set.patterns.match(dst, l, text)
		}
	}
	return dst
}

// MatchAddr appends to dst, for every list, the entry of the smallest network
// that holds addr, an address of an answer; in configuration order. It does not
// allocate where dst has room.
func (s *Snapshot) MatchAddr(dst []Hit, addr netip.Addr) []Hit {
	return s.matchNetwork(dst, answerNetwork, addr, &s.answers)
}

func (s *Snapshot) matchNetwork(dst []Hit, kind byte, addr netip.Addr, lens *lengths) []Hit {
	if lens.none() || !addr.IsValid() {
		return dst
	}
	addr = addr.Unmap().WithZone("")
	for _, l := range s.lists {
		if l.set == nil {
			continue
		}
		if f, ok := l.set.findNetwork(kind, addr); ok {
			dst = append(dst, s.hit(l, &f))
		}
	}
	runtime.KeepAlive(s)
	return dst
}

func (s *Snapshot) hit(l *List, f *found) Hit {
	t := l.set.recent.of(f)
	h := Hit{List: l, Rule: t.rule, Info: t.info, ObserveOnly: f.flags&flagObserve != 0, Policy: f.own.policy(), own: f.own}
	if t.site != nil && s.popular != nil {
		h.ObserveOnly = h.ObserveOnly || s.popular.Has(t.site)
	}
	if h.Policy == LocalData && int(f.local) < len(l.set.locals) {
		h.Local = l.set.locals[f.local]
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
