package capture

import (
	"net/netip"
	"time"

	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/internal/dnswire"
)

// datagram is the payload of one UDP packet on a port that speaks DNS, one
// message of a TCP connection, or one that a resolver told of.
type datagram struct {
	time     time.Time // of the packet, or the one that completed the message
	asked    time.Time // of a response's query, where it comes with the response
	via      detect.Transport
	tcp      bool
	local    bool // mDNS or LLMNR
	src, dst netip.AddrPort
	payload  []byte // may be cut where the capture is
}

// message is what of a datagram pairing wants to know.
type message struct {
	header   dnswire.Header
	question dnswire.Question // End is 0 if it could not be read
	buf      [dnsname.MaxWire]byte
}

// read reads the header and the first question; ok is false if there is nothing
// to tell a message by. A header that is cut is one without a question.
func (m *message) read(payload []byte) (ok bool) {
	m.question = dnswire.Question{}
	var err error
	if m.header, err = dnswire.ReadHeader(payload); err != nil {
		m.header = dnswire.Header{}
		return len(payload) >= leastMessage
	}
	if m.header.QD > 0 {
		_ = dnswire.ReadQuestion(&m.question, m.buf[:], payload) // End stays 0
	}
	return true
}

// handle sorts the message into exactly one of queries, responses, other
// opcodes, those without a question and those of the local link.
func (w *worker) handle(d *datagram) {
	m := &w.message
	readable := m.question.End > 0
	switch {
	case d.local:
		w.local(d)
	case m.header.Opcode() != dnswire.OpcodeQuery:
		w.counts.otherOpcodes.Add(1)
	case !m.header.Response() && readable:
		w.counts.queries.Add(1)
		if w.watch != nil {
			w.watch.asked(d, m)
		}
		if full := w.pending.add(d, m); full != nil {
			w.counts.evicted.Add(1)
			w.unanswered(full)
		}
	case m.header.Response():
		// A response may come without a question, as FORMERR often does: then
		// addresses, ports and ID have to be enough.
		p := w.pending.take(d, m)
		if p == nil && !readable {
			w.counts.noQuestion.Add(1)
			return
		}
		w.counts.responses.Add(1)
		w.response(d, m, p)
	default:
		w.counts.noQuestion.Add(1)
	}
}

// response records a response, with the query p that it answers or, if p is
// nil, by itself.
func (w *worker) response(d *datagram, m *message, p *pending) {
	t := &w.tx
	t.Query = detect.Query{
		Time: d.time, Client: d.dst.Addr(), Name: m.question.Name,
		Type: m.question.Type, Class: m.question.Class, Transport: d.via,
	}
	t.Latency = 0
	if p != nil {
		w.counts.answered.Add(1)
		t.Query = p.query()
		t.Latency = max(0, d.time.Sub(p.time))
	} else {
		w.counts.unmatched.Add(1)
		if !d.asked.IsZero() {
			t.Query.Time, t.Latency = d.asked, max(0, d.time.Sub(d.asked))
		}
	}
	t.Source, t.Response, t.Upstream = detect.FromWire, d.payload, w.server(d.src.Addr())
	t.Rcode = m.header.Rcode()
	if w.watch != nil {
		w.watch.answered(d, m.header.ID, &t.Query, p != nil)
	}
	if h, records, err := dnswire.WalkMessage(d.payload); err == nil && h.AR > 0 {
		t.Rcode |= uint16(dnswire.ReadEDNS(d.payload, h, records.Offset()).ExtRcode) << 4
	}
	w.record()
	w.pending.release(p)
}

// unanswered records a query that got no response. Its upstream is the server
// that was asked.
func (w *worker) unanswered(p *pending) {
	w.counts.unanswered.Add(1)
	t := &w.tx
	t.Query = p.query()
	t.Source, t.Response, t.Rcode, t.Latency = detect.FromNowhere, nil, 0, 0
	t.Upstream = w.server(p.server.Addr())
	w.record()
	w.pending.release(p)
}

// record has the transaction judged and hands it to the sinks.
func (w *worker) record() {
	w.counts.transactions.Add(1)
	w.judge()
	for _, s := range w.deps.Sinks {
		s.Record(&w.tx)
	}
}

// judge fills in the verdict. A detector that panics leaves the query "not
// judged".
func (w *worker) judge() {
	t := &w.tx
	v := &t.Verdict
	*v = detect.Verdict{Unscored: detect.NotAsked, Matches: v.Matches[:0]}
	in := w.deps.Inspector
	if in == nil {
		return
	}
	defer func() {
		if r := recover(); r != nil {
			w.panicked(r)
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

func (w *worker) server(addr netip.Addr) string {
	s, ok := w.servers[addr]
	if !ok {
		if len(w.servers) >= maxServers {
			clear(w.servers)
		}
		s = addr.String()
		w.servers[addr] = s
	}
	return s
}
