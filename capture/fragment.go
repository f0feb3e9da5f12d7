package capture

import (
	"bytes"
	"net/netip"
	"time"
)

// What fragments cost beside their octets, and how many of one datagram are
// kept: 65535 octets in fragments of the least MTU there is (576) are 119.
const (
	maxFragments  = 128
	datagramCost  = 400 // pieces, its place in the map and its source's account
	fragmentCost  = 64  // part, in a slice that doubles
	maxIPPayload  = 65535
	fragmentUnits = 8 // octets that all but the last fragment are a multiple of
)

// fragmentKey says which fragments belong together: within one virtual network,
// since private addresses are used in many. The protocol is part of it in IPv4
// (RFC 791, section 3.2) and 0 in IPv6 (RFC 8200, section 4.5).
type fragmentKey struct {
	net      uint32
	src, dst netip.Addr
	id       uint32
	proto    uint8
}

// fragment is one packet's part of a datagram, or of what comes apart like one.
type fragment struct {
	offset, length int // length is what it was on the wire
	more           bool
	proto          uint8  // what the whole holds, if this is the first
	data           []byte // shorter than length if the capture cut it
}

// fragments puts datagrams together. It is bounded in octets, for each source
// and in all, and by the time of the packets; what has to go is the oldest.
// As in RFC 5722, and for IPv4 as Linux does, fragments that overlap condemn
// their datagram: no reading of them is sure to be that of the receiver.
//
// Each fragment counts once: as waiting and then as merged or dropped, or at
// once as what add says.
type fragments struct {
	counts  *counters
	timeout time.Duration
	index   map[fragmentKey]*pieces
	ledger  ledger[pieces]
	slabs   *slabs
	ended   ended
	whole   []byte // the last datagram that was put together
	spare   *pieces
	spares  int
}

// pieces is a datagram in the making.
type pieces struct {
	entry entry[pieces]
	key   fragmentKey
	parts []part // by offset, without overlap; at most maxFragments
	have  int    // octets in parts
	end   int    // of the datagram; -1 as long as its last fragment is missing
	proto uint8
	// judged is why nothing of this datagram is of interest; what still comes
	// of it goes the same way, and parts is empty. 0 until there is a reason.
	judged drop
	// copies says that all there is of it repeats a datagram that was complete:
	// late duplicates, unless the others come again too.
	copies bool
	next   *pieces // of the spare ones
}

type part struct {
	offset int
	data   []byte // of slabs
}

func (p *part) end() int { return p.offset + len(p.data) }

func newFragments(most int64, timeout time.Duration, n *counters, s *slabs) *fragments {
	return &fragments{
		counts: n, timeout: timeout, index: map[fragmentKey]*pieces{}, slabs: s,
		ledger: ledger[pieces]{max: most, sources: map[netip.Addr]*account[pieces]{}},
	}
}

// add takes a fragment. If it completes a datagram, that is returned, good
// until the next call, with drop 0; otherwise why the packet is dropped, or
// waits. idle says why the datagram that begins so is of no interest, or 0.
func (f *fragments) add(key fragmentKey, g fragment, now time.Time, idle func(proto uint8, begin []byte) drop) ([]byte, uint8, drop) {
	end := g.offset + g.length
	if g.length == 0 || g.more && g.length%fragmentUnits != 0 || end > maxIPPayload {
		return nil, 0, dropFragmentMalformed
	}
	p := f.index[key]
	if p != nil && p.judged != 0 {
		if g.offset != 0 || p.judged == dropFragmentOverlap || p.judged == dropFragmentMalformed {
			return nil, 0, p.judged
		}
		f.remove(p) // the number was used again
		p = nil
	}
	if p != nil && p.copies && !f.ended.has(&key, &g, now, f.timeout) {
		f.discard(p, dropFragmentDuplicate) // this is another datagram
		p = nil
	}
	if p == nil {
		p = f.open(key, now)
		p.copies = f.ended.has(&key, &g, now, f.timeout)
	}
	if g.offset == 0 {
		if why := idle(g.proto, g.data); why != 0 {
			return nil, 0, f.condemn(p, why)
		}
		p.proto = g.proto
	}
	if len(g.data) < g.length {
		if g.offset != 0 {
			return nil, 0, dropFragmentCut
		}
		// It never gets whole, and what there is reads like any cut packet.
		f.whole = append(f.whole[:0], g.data...)
		f.condemn(p, dropFragmentCut)
		return f.whole, g.proto, 0
	}
	switch why := f.insert(p, g); {
	case why == dropFragmentDuplicate || why != 0 && f.ended.has(&key, &g, now, f.timeout):
		return nil, 0, dropFragmentDuplicate
	case why != 0:
		return nil, 0, f.condemn(p, why)
	}
	f.counts.waiting.Add(1)
	if p.have == p.end {
		f.assemble(p, now)
		return f.whole, p.proto, 0
	}
	for old := f.ledger.surplus(&p.entry); old != nil; old = f.ledger.surplus(&p.entry) {
		f.discard(old, dropFragmentEvicted)
	}
	return nil, 0, counted
}

// insert puts g in its place, or says what is wrong with it.
func (f *fragments) insert(p *pieces, g fragment) drop {
	end := g.offset + g.length
	at := len(p.parts)
	for at > 0 && p.parts[at-1].offset >= g.offset {
		at--
	}
	// at is the first part that does not begin before g does.
	for _, i := range [2]int{at - 1, at} {
		if i < 0 || i >= len(p.parts) {
			continue
		}
		q := &p.parts[i]
		if g.offset >= q.offset && end <= q.end() && bytes.Equal(g.data, q.data[g.offset-q.offset:end-q.offset]) {
			return dropFragmentDuplicate
		}
		if g.offset < q.end() && q.offset < end {
			return dropFragmentOverlap
		}
	}
	switch n := len(p.parts); {
	case n == maxFragments:
		return dropFragmentMalformed
	case p.end >= 0 && (end > p.end || !g.more): // two ends, or something behind it
		return dropFragmentMalformed
	case !g.more && n > 0 && p.parts[n-1].end() > end:
		return dropFragmentMalformed
	}
	if !g.more {
		p.end = end
	}
	p.have += g.length
	b := append(f.slabs.get(g.length), g.data...)
	p.parts = append(p.parts, part{})
	copy(p.parts[at+1:], p.parts[at:])
	p.parts[at] = part{offset: g.offset, data: b}
	f.ledger.grow(&p.entry, int64(cap(b))+fragmentCost)
	return 0
}

// assemble makes p the whole datagram and ends it. All of its packets but the
// one that came last are merged; that one is what the datagram is.
func (f *fragments) assemble(p *pieces, now time.Time) {
	f.whole = f.whole[:0]
	for i := range p.parts {
		q := &p.parts[i]
		f.whole = append(f.whole, q.data...)
		f.ended.add(&p.key, q.offset, q.end() < p.end, q.data, now)
	}
	n := len(p.parts)
	f.counts.merged.Add(uint64(n - 1))
	f.counts.waiting.Add(-int64(n))
	f.empty(p)
	f.remove(p)
}

// condemn drops what waits of p, and what will come.
func (f *fragments) condemn(p *pieces, why drop) drop {
	f.dropParts(p, why)
	p.judged = why
	return why
}

func (f *fragments) dropParts(p *pieces, why drop) {
	n := len(p.parts)
	f.counts.drops[why].Add(uint64(n))
	f.counts.waiting.Add(-int64(n))
	f.empty(p)
}

func (f *fragments) empty(p *pieces) {
	for i := range p.parts {
		b := p.parts[i].data
		f.ledger.grow(&p.entry, -int64(cap(b))-fragmentCost)
		f.slabs.put(b)
		p.parts[i].data = nil
	}
	p.parts = p.parts[:0]
}

// discard drops what waits of p and forgets it.
func (f *fragments) discard(p *pieces, why drop) {
	f.dropParts(p, why)
	f.remove(p)
}

func (f *fragments) open(key fragmentKey, now time.Time) *pieces {
	p := f.spare
	if p != nil {
		f.spare, p.next = p.next, nil
		f.spares--
	} else {
		p = new(pieces)
		p.entry.of = p
	}
	p.key, p.have, p.end, p.proto, p.judged, p.copies = key, 0, -1, 0, 0, false
	f.index[key] = p
	f.ledger.add(&p.entry, key.src, datagramCost, now)
	return p
}

func (f *fragments) remove(p *pieces) {
	delete(f.index, p.key)
	f.ledger.remove(&p.entry)
	if f.spares < maxSpares && cap(p.parts) <= 16 {
		p.next, f.spare = f.spare, p
		f.spares++
	}
}

// expire drops what waits for too long.
func (f *fragments) expire(now time.Time) {
	for p := f.ledger.expired(now, f.timeout); p != nil; p = f.ledger.expired(now, f.timeout) {
		f.giveUp(p)
	}
}

// finish drops all that waits.
func (f *fragments) finish() {
	for p := f.ledger.oldest(); p != nil; p = f.ledger.oldest() {
		f.giveUp(p)
	}
}

// giveUp drops what waits of a datagram that does not become whole.
func (f *fragments) giveUp(p *pieces) {
	why := drop(dropFragment)
	if p.copies {
		why = dropFragmentDuplicate
	}
	f.discard(p, why)
}
