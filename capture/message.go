package capture

import (
	"net/netip"
	"time"

	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/internal/dnswire"
)

// datagram is the payload of one UDP packet on a port that speaks DNS, or one
// message of a TCP connection.
type datagram struct {
	time     time.Time // of the packet, or the one that completed the message
	tcp      bool
	src, dst netip.AddrPort
	payload  []byte // may be cut where the capture is
}

// message is what of a datagram pairing wants to know.
type message struct {
	header   dnswire.Header
	question dnswire.Question // End is 0 if it could not be read
	buf      [dnsname.MaxWire]byte
}

// read reads the header and the first question; ok is false if there is no
// header.
func (m *message) read(payload []byte) (ok bool) {
	m.question = dnswire.Question{}
	var err error
	if m.header, err = dnswire.ReadHeader(payload); err != nil {
		return false
	}
	if m.header.QD > 0 {
		_ = dnswire.ReadQuestion(&m.question, m.buf[:], payload) // End stays 0
	}
	return true
}

// handle sorts the message into exactly one of queries, responses, other
// opcodes and those without a question.
func (c *Capture) handle(d *datagram) {
	m := &c.message
	readable := m.question.End > 0
	switch {
	case m.header.Opcode() != dnswire.OpcodeQuery:
		c.counts.otherOpcodes.Add(1)
	case !m.header.Response() && readable:
		c.counts.queries.Add(1)
		if full := c.pending.add(d, m); full != nil {
			c.counts.evicted.Add(1)
			c.unanswered(full)
		}
	case m.header.Response():
		// A response may come without a question, as FORMERR often does: then
		// addresses, ports and ID have to be enough.
		p := c.pending.take(d, m)
		if p == nil && !readable {
			c.counts.noQuestion.Add(1)
			return
		}
		c.counts.responses.Add(1)
		c.response(d, m, p)
	default:
		c.counts.noQuestion.Add(1)
	}
}

// response records a response, with the query p that it answers or, if p is
// nil, by itself.
func (c *Capture) response(d *datagram, m *message, p *pending) {
	t := &c.tx
	t.Query = detect.Query{
		Time: d.time, Client: d.dst.Addr(), Name: m.question.Name,
		Type: m.question.Type, Class: m.question.Class, Transport: detect.Pcap,
	}
	t.Latency = 0
	if p != nil {
		c.counts.answered.Add(1)
		t.Query = p.query()
		t.Latency = max(0, d.time.Sub(p.time))
	} else {
		c.counts.unmatched.Add(1)
	}
	t.Source, t.Response, t.Upstream = detect.FromWire, d.payload, c.server(d.src.Addr())
	t.Rcode = m.header.Rcode()
	if h, records, err := dnswire.WalkMessage(d.payload); err == nil && h.AR > 0 {
		t.Rcode |= uint16(dnswire.ReadEDNS(d.payload, h, records.Offset()).ExtRcode) << 4
	}
	c.record()
	c.pending.release(p)
}

// unanswered records a query that got no response. Its upstream is the server
// that was asked.
func (c *Capture) unanswered(p *pending) {
	c.counts.unanswered.Add(1)
	t := &c.tx
	t.Query = p.query()
	t.Source, t.Response, t.Rcode, t.Latency = detect.FromNowhere, nil, 0, 0
	t.Upstream = c.server(p.server.Addr())
	c.record()
	c.pending.release(p)
}

// record has the transaction judged and hands it to the sinks.
func (c *Capture) record() {
	c.counts.transactions.Add(1)
	c.judge()
	for _, s := range c.deps.Sinks {
		s.Record(&c.tx)
	}
}

// judge fills in the verdict. A detector that panics leaves the query "not
// judged".
func (c *Capture) judge() {
	t := &c.tx
	v := &t.Verdict
	*v = detect.Verdict{Unscored: detect.NotAsked, Matches: v.Matches[:0]}
	in := c.deps.Inspector
	if in == nil {
		return
	}
	defer func() {
		if r := recover(); r != nil {
			c.panicked(r)
			*v = detect.Verdict{Unscored: detect.Failed, Matches: v.Matches[:0]}
		}
	}()
	in.Inspect(&t.Query, v)
	if t.Response != nil {
		in.InspectAnswer(&t.Query, t.Response, v)
	}
	v.Enforced = false // who only watches enforces nothing
}

// maxServers bounds the texts of servers' addresses: there are few, and making
// them anew is only slow.
const maxServers = 1024

func (c *Capture) server(addr netip.Addr) string {
	s, ok := c.servers[addr]
	if !ok {
		if len(c.servers) >= maxServers {
			clear(c.servers)
		}
		s = addr.String()
		c.servers[addr] = s
	}
	return s
}
