package capture

import (
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
// and one of those with the same addresses, ports and ID, for its response.
type pairs struct {
	max     int
	timeout time.Duration

	index       map[flow]*pending
	first, last *pending // of all
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

// pending is one query that waits.
type pending struct {
	flow
	time         time.Time
	via          detect.Transport
	qtype, class uint16
	name         dnsname.Name // in buf
	buf          [dnsname.MaxWire]byte

	earlier, later *pending // of all
	same           *pending // the next with this flow
}

func newPairs(most int, timeout time.Duration) *pairs {
	return &pairs{max: most, timeout: timeout, index: map[flow]*pending{}}
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
	same := 0
	for p := q.index[key]; p != nil; p = p.same {
		same++
	}
	if same >= maxSame {
		evicted = q.index[key]
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
	p.flow = key
	p.time, p.via, p.qtype, p.class = d.time, d.via, m.question.Type, m.question.Class
	p.name = append(p.buf[:0], m.question.Name...)
	if p.earlier = q.last; q.last != nil {
		q.last.later = p
	} else {
		q.first = p
	}
	q.last = p
	q.waiting++
	at := q.index[p.flow]
	if at == nil {
		q.index[p.flow] = p
		return evicted
	}
	for at.same != nil {
		at = at.same
	}
	at.same = p
	return evicted
}

// take is the first query that a response answers, or nil.
func (q *pairs) take(d *datagram, m *message) *pending {
	for p := q.index[flow{client: d.dst, server: d.src, id: m.header.ID, tcp: d.tcp}]; p != nil; p = p.same {
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
	switch head := q.index[p.flow]; {
	case head != p:
		for head.same != p {
			head = head.same
		}
		head.same = p.same
	case p.same != nil:
		q.index[p.flow] = p.same
	default:
		delete(q.index, p.flow)
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
