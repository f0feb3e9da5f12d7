package capture

import (
	"fmt"

	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/internal/dnswire"
)

// Ports of the DNS of the local link: mDNS (RFC 6762) and LLMNR (RFC 4795).
const (
	portMDNS  = 5353
	portLLMNR = 5355
)

// Multicast says what is done with mDNS and LLMNR over UDP, where their ports
// are not among those that are configured.
type Multicast string

// What can be done with it.
const (
	MulticastOff    Multicast = "off"    // packets on other ports
	MulticastCount  Multicast = "count"  // messages are counted
	MulticastRecord Multicast = "record" // each message is a transaction of its own
)

func (m Multicast) validate() error {
	switch m {
	case MulticastOff, MulticastCount, MulticastRecord:
		return nil
	}
	return fmt.Errorf("multicast: must be off, count or record, got %q", m)
}

func multicastPort(p uint16) bool { return p == portMDNS || p == portLLMNR }

// local counts a message of the local link, and records it if that is wanted.
// It is paired with none: one question may have many answers or none, and the
// answers carry no question.
func (w *worker) local(d *datagram) {
	w.counts.multicast.Add(1)
	if w.cfg.Multicast != MulticastRecord || w.message.header.Opcode() != dnswire.OpcodeQuery {
		return
	}
	m, t := &w.message, &w.tx
	t.Query = detect.Query{Time: d.time, Client: d.src.Addr(), Name: m.question.Name, Type: m.question.Type, Class: m.question.Class &^ unicastBit, Transport: d.via}
	t.Source, t.Response, t.Rcode, t.Latency, t.Upstream = detect.FromNowhere, nil, 0, 0, ""
	if m.header.Response() {
		t.Source, t.Response, t.Rcode, t.Upstream = detect.FromWire, d.payload, m.header.Rcode(), w.server(d.src.Addr())
		t.Query.Client = d.dst.Addr()
	}
	if m.question.End == 0 && !w.nameFromAnswer(d.payload) {
		return
	}
	w.counts.multicastRecorded.Add(1)
	w.record()
}

// unicastBit is the upper bit of the class in mDNS, which asks for a unicast
// answer or makes others forget what they know (RFC 6762, sections 5.4, 10.2).
const unicastBit = 0x8000

// nameFromAnswer gives the transaction the name and type of the first record.
func (w *worker) nameFromAnswer(payload []byte) bool {
	_, walk, err := dnswire.WalkMessage(payload)
	var r dnswire.Record
	if err != nil || !walk.Next(&r) {
		return false
	}
	name, err := r.Owner(w.message.buf[:0], payload)
	if err != nil {
		return false
	}
	q := &w.tx.Query
	q.Name, q.Type, q.Class = dnsname.Name(name), r.Type, r.Class&^unicastBit
	return true
}
