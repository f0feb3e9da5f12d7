package capture

import (
	"encoding/binary"
	"hash/maphash"
	"net/netip"
	"time"

	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/internal/dnsname"
)

// pairs are the queries that wait for a response: at most max of them, each
// for at most timeout of the packets' time. Equal queries wait one behind the
// other, and a response goes to the first of them.
//
// A query stands in two lists: one of all, in the order of arrival, for expiry,
// and one of those whose addresses, ports and ID hash alike, for its response.
type pairs struct {
	max     int
	timeout time.Duration

	seed        maphash.Seed
	index       map[uint64]*pending // by hash of the flow: the first that has it
	first, last *pending            // of all
	waiting     int
	spare       *pending // linked by later
	spares      int
}

// flow is what a query and its response have in common outside of the question.
type flow struct {
	client, server netip.AddrPort
	id             uint16
	tcp            bool
}

// hash is keyed afresh in each process, so that nobody outside can make others'
// flows meet.
func (q *pairs) hash(f *flow) uint64 {
	var key [16 + 16 + 2 + 2 + 2 + 1]byte
	client, server := f.client.Addr().As16(), f.server.Addr().As16()
	copy(key[:], client[:])
	copy(key[16:], server[:])
	binary.BigEndian.PutUint16(key[32:], f.client.Port())
	binary.BigEndian.PutUint16(key[34:], f.server.Port())
	binary.BigEndian.PutUint16(key[36:], f.id)
	if f.tcp {
		key[38] = 1
	}
	return maphash.Bytes(q.seed, key[:])
}

// pending is one query that waits.
type pending struct {
	flow
	hash         uint64
	time         time.Time
	via          detect.Transport
	qtype, class uint16
	name         dnsname.Name // in buf
	buf          [dnsname.MaxWire]byte

	earlier, later *pending // of all
	same           *pending // the next with this hash
}

func newPairs(most int, timeout time.Duration) *pairs {
	return &pairs{max: most, timeout: timeout, seed: maphash.MakeSeed(), index: map[uint64]*pending{}}
}

func (p *pending) query() detect.Query {
	return detect.Query{Time: p.time, Client: p.client.Addr(), Name: p.name, Type: p.qtype, Class: p.class, Transport: p.via}
}

// maxSame bounds the queries that wait with equal addresses, ports and ID:
// each is walked past by those behind it, and a client that asks so much on
// one socket with one ID means harm.
const maxSame = 64

// add lets a query wait. If there is no room, the oldest one has to go and is
// returned.
func (q *pairs) add(d *datagram, m *message) (evicted *pending) {
	key := flow{client: d.src, server: d.dst, id: m.header.ID, tcp: d.tcp}
	hash := q.hash(&key)
	same, head := 0, q.index[hash]
	for p := head; p != nil; p = p.same {
		same++
	}
	if same >= maxSame {
		evicted = head
		q.remove(evicted)
	} else if q.waiting >= q.max {
		evicted = q.oldest()
	}
	p := q.spare
	if p != nil {
		q.spare, p.later = p.later, nil
		q.spares--
	} else {
		p = new(pending)
	}
	p.flow, p.hash = key, hash
	p.time, p.via, p.qtype, p.class = d.time, d.via, m.question.Type, m.question.Class
	p.name = append(p.buf[:0], m.question.Name...)
	if p.earlier = q.last; q.last != nil {
		q.last.later = p
	} else {
		q.first = p
	}
	q.last = p
	q.waiting++
	if evicted != nil { // which may have been the head
		head = q.index[hash]
	}
	if head == nil {
		q.index[hash] = p
		return evicted
	}
	at := head
	for at.same != nil {
		at = at.same
	}
	at.same = p
	return evicted
}

// take is the first query that a response answers, or nil.
func (q *pairs) take(d *datagram, m *message) *pending {
	key := flow{client: d.dst, server: d.src, id: m.header.ID, tcp: d.tcp}
	for p := q.index[q.hash(&key)]; p != nil; p = p.same {
		if p.flow != key {
			continue
		}
		if m.question.End == 0 || p.qtype == m.question.Type && p.class == m.question.Class && p.name.Equal(m.question.Name) {
			q.remove(p)
			return p
		}
	}
	return nil
}

// expired is the oldest query if its time is over at now, or nil. Where time
// jumps back, as between two captures put end to end, a query from the far
// side of the jump has expired too.
func (q *pairs) expired(now time.Time) *pending {
	if q.first == nil || now.Sub(q.first.time).Abs() < q.timeout {
		return nil
	}
	return q.oldest()
}

// oldest takes the query that came first, or nil.
func (q *pairs) oldest() *pending {
	p := q.first
	if p != nil {
		q.remove(p)
	}
	return p
}

func (q *pairs) remove(p *pending) {
	if p.earlier != nil {
		p.earlier.later = p.later
	} else {
		q.first = p.later
	}
	if p.later != nil {
		p.later.earlier = p.earlier
	} else {
		q.last = p.earlier
	}
	q.waiting--
	switch head := q.index[p.hash]; {
	case head != p:
		for head.same != p {
			head = head.same
		}
		head.same = p.same
	case p.same != nil:
		q.index[p.hash] = p.same
	default:
		delete(q.index, p.hash)
	}
	p.earlier, p.later, p.same = nil, nil, nil
}

// maxSpares bounds the memory kept after a burst.
const maxSpares = 4096

// release gives back a query that was removed; nothing may point into it.
func (q *pairs) release(p *pending) {
	if p == nil || q.spares >= maxSpares {
		return
	}
	p.later, q.spare = q.spare, p
	q.spares++
}
