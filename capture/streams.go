package capture

import (
	"net/netip"
	"time"

	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/internal/dnsname"
)

const (
	// maxAhead bounds what one direction of a connection may hold behind a
	// hole: the largest window without scaling (RFC 9293, section 3.1). DNS
	// clients send little, and servers rarely more at once.
	maxAhead = 64 << 10
	// maxAheadSegments bounds the same in segments: 64 KiB of full ones are 45.
	maxAheadSegments = 64
	// maxPast is what is kept of what was read, to tell a repetition from
	// something else in its place.
	maxPast = 1 << 10
	// window is how far from where a direction is a segment may be believed to
	// belong to it.
	window = 1 << 20
	// reordered is how long a segment may have been overtaken by those behind
	// it and by their acknowledgement, as on a mirror port; then it was missed.
	reordered = 100 * time.Millisecond
	// What a connection and a held segment cost beside their buffers, with
	// their places in maps and lists.
	connCost    = 700
	segmentCost = 96
)

// direction is who sends: an index of conn.half.
type direction uint8

const (
	fromClient direction = iota
	fromServer
	fromEither // both ports speak DNS: it cannot be told
)

// connKey is a connection. The client is who does not use a port of DNS, or
// the lower address if both do.
type connKey struct{ client, server netip.AddrPort }

// conn is a connection, or the place where one was: repetitions still come
// when it is over.
type conn struct {
	entry entry[conn]
	key   connKey
	both  bool // ports speak DNS
	half  [2]half
	next  *conn // of the spare ones
}

// state is what is known of one direction.
type state uint8

const (
	unseen state = iota
	inStep       // next is an octet of a message whose beginning is known
	lost         // next is only where a repetition ends
)

// half is one direction of a connection.
type half struct {
	state     state
	from      direction
	start     uint32 // sequence number of the first octet, if its SYN was seen
	next      uint32 // of the octet that is to come
	ended     bool   // a FIN came: the octets end at end
	end       uint32
	held      *held // by sequence number; at most maxAhead octets
	heldBytes int
	heldCount int
	past      []byte // of slabs: the octets before next, at most maxPast
	unsure    int    // segments in past of which it is not clear yet whether a message begins with them
	framing   framing
}

// held is a segment that came before what belongs in front of it.
type held struct {
	seq     uint32
	data    []byte // of slabs
	missing int
	at      time.Time
	next    *held
}

// streams puts the octets of TCP connections in order and takes the messages
// out of them. It is bounded in octets, for each client and in all, and by the
// time of the packets; what has to go is the connection that was silent
// longest.
//
// Where segments overlap, the octets that came first count. A segment counts
// once: as one of segments when its octets were taken, as waiting while it is
// held, or as a drop.
type streams struct {
	counts *counters
	ports  map[uint16]bool
	idle   time.Duration
	emit   func(d *datagram) // takes a message; good until it returns
	index  map[connKey]*conn
	ledger ledger[conn]
	slabs  *slabs
	name   [dnsname.MaxWire]byte
	out    datagram // what emit is handed

	spareConns *conn
	conns      int
	spareHeld  *held
	helds      int
}

func newStreams(most int64, idle time.Duration, ports map[uint16]bool, n *counters, s *slabs, emit func(*datagram)) *streams {
	return &streams{
		counts: n, ports: ports, idle: idle, emit: emit, index: map[connKey]*conn{}, slabs: s,
		ledger: ledger[conn]{max: most, sources: map[netip.Addr]*account[conn]{}},
	}
}

// add takes a segment and counts it.
func (s *streams) add(g *segment, now time.Time) {
	c, from := s.find(g, now)
	if c == nil {
		s.counts.drop(dropTCPEmpty)
		return
	}
	s.ledger.touch(&c.entry, now)
	h, other := &c.half[from], &c.half[1-from]
	if g.flags&flagRST != 0 {
		s.counts.drop(dropTCPEmpty)
		s.end(c, h, now)
		s.end(c, other, now)
		return
	}
	seq := g.seq
	if g.flags&flagSYN != 0 {
		switch seq++; {
		case h.state == unseen && h.unsure > 0 && seq == h.next-uint32(len(h.past)): // it was overtaken
			s.believe(c, h, now)
		case h.state == unseen || h.start != seq:
			s.end(c, h, now)
			h.state, h.ended, h.start, h.next = inStep, false, seq, seq
		}
	}
	if g.flags&flagACK != 0 {
		s.acknowledged(c, other, g.ack, now)
	}
	size := len(g.data) + g.missing
	if size == 0 {
		s.counts.drop(dropTCPEmpty)
	} else {
		s.data(c, h, seq, g.data, g.missing, now)
	}
	if g.flags&flagFIN != 0 && h.state == inStep {
		h.ended, h.end = true, seq+uint32(size)
	}
	if h.ended && h.state == inStep && int32(h.next-h.end) >= 0 {
		s.end(c, h, now)
	}
	for old := s.ledger.surplus(&c.entry); old != nil; old = s.ledger.surplus(&c.entry) {
		s.evict(old)
	}
}

// find is the connection of g and who sends, or nil if there is no such
// connection and no reason to begin one.
func (s *streams) find(g *segment, now time.Time) (*conn, direction) {
	key, from := connKey{client: g.src, server: g.dst}, fromClient
	both := s.ports[g.src.Port()] && s.ports[g.dst.Port()]
	if !both && s.ports[g.src.Port()] || both && g.dst.Compare(g.src) < 0 {
		key, from = connKey{client: g.dst, server: g.src}, fromServer
	}
	c := s.index[key]
	if c != nil || g.flags&flagRST != 0 || g.flags&flagSYN == 0 && len(g.data) == 0 {
		return c, from
	}
	if c = s.spareConns; c != nil {
		s.spareConns = c.next
		s.conns--
	} else {
		c = new(conn)
	}
	*c = conn{key: key, both: both}
	c.entry.of = c
	c.half[0].from, c.half[1].from = fromClient, fromServer
	if both {
		c.half[0].from, c.half[1].from = fromEither, fromEither
	}
	s.index[key] = c
	s.ledger.add(&c.entry, key.client.Addr(), connCost, now)
	return c, from
}

// message hands on a message of h, if there is enough of it to be one.
func (s *streams) message(c *conn, h *half, payload []byte, at time.Time) {
	if len(payload) < leastMessage {
		return
	}
	d := &s.out
	*d = datagram{time: at, via: detect.Pcap, tcp: true, src: c.key.client, dst: c.key.server, payload: payload}
	if h == &c.half[1] {
		d.src, d.dst = d.dst, d.src
	}
	s.emit(d)
}

// end reads what there is of a direction that is over: no hole is filled any
// more. What still comes has to begin with a message to be believed.
func (s *streams) end(c *conn, h *half, now time.Time) {
	for h.held != nil {
		s.giveUp(c, h, now)
	}
	s.unfinished(c, h, now)
	s.disbelieve(c, h)
	h.framing.skip = 0
	if h.state != unseen {
		h.state = lost
	}
}

// evict forgets a connection before its time. What it holds is dropped.
func (s *streams) evict(c *conn) {
	at := c.entry.seen
	for i := range c.half {
		h := &c.half[i]
		for h.held != nil {
			s.counts.waiting.Add(-1)
			s.counts.drop(dropTCPEvicted)
			s.recycle(c, s.unlink(c, h))
		}
		s.end(c, h, at)
	}
	s.remove(c)
}

// close ends a connection.
func (s *streams) close(c *conn) {
	for i := range c.half {
		s.end(c, &c.half[i], c.entry.seen)
	}
	s.remove(c)
}

func (s *streams) remove(c *conn) {
	delete(s.index, c.key)
	s.ledger.remove(&c.entry)
	if s.conns < maxSpares {
		c.next, s.spareConns = s.spareConns, c
		s.conns++
	}
}

// expire ends connections that were silent for too long.
func (s *streams) expire(now time.Time) {
	for c := s.ledger.expired(now, s.idle); c != nil; c = s.ledger.expired(now, s.idle) {
		s.close(c)
	}
}

// finish ends all connections.
func (s *streams) finish() {
	for c := s.ledger.oldest(); c != nil; c = s.ledger.oldest() {
		s.close(c)
	}
}

// grab is a buffer on the account of c, and release gives it back.
func (s *streams) grab(c *conn, n int) []byte {
	b := s.slabs.get(n)
	s.ledger.grow(&c.entry, int64(cap(b)))
	return b
}

func (s *streams) release(c *conn, b []byte) {
	s.ledger.grow(&c.entry, -int64(cap(b)))
	s.slabs.put(b)
}
