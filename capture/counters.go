package capture

import (
	"errors"
	"math"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// drop is why a packet is no DNS message to us. The zero value: it is one.
type drop uint8

const (
	_ drop = iota
	dropCut
	dropLinkType
	dropLinkShort
	dropNotIP
	dropEncapsulated
	dropIPShort
	dropIPMalformed
	dropFragment
	dropFragmentCut
	dropFragmentDuplicate
	dropFragmentOverlap
	dropFragmentMalformed
	dropFragmentEvicted
	dropNested
	dropTunnel
	dropProtocol
	dropTCPShort
	dropTCPMalformed
	dropTCPEmpty
	dropTCPRepeated
	dropTCPUnsynchronised
	dropTCPWindow
	dropTCPEvicted
	dropTCPOther
	dropUDPShort
	dropUDPMalformed
	dropUDPOther
	dropUDPTunnel
	dropDNSShort
	dropPanic
	dropCount

	counted // no drop: the packet has been counted as something else
)

// dropNames are the stage and the reason of each drop; docs/formats.md says
// what they mean.
var dropNames = [dropCount]struct{ stage, reason string }{
	dropCut:               {"file", "cut"},
	dropLinkType:          {"link", "unknown_type"},
	dropLinkShort:         {"link", "short"},
	dropNotIP:             {"link", "not_ip"},
	dropEncapsulated:      {"link", "encapsulated"},
	dropIPShort:           {"ip", "short"},
	dropIPMalformed:       {"ip", "malformed"},
	dropFragment:          {"ip", "fragment"},
	dropFragmentCut:       {"ip", "fragment_cut"},
	dropFragmentDuplicate: {"ip", "fragment_duplicate"},
	dropFragmentOverlap:   {"ip", "fragment_overlap"},
	dropFragmentMalformed: {"ip", "fragment_malformed"},
	dropFragmentEvicted:   {"ip", "fragment_evicted"},
	dropNested:            {"ip", "nested"},
	dropTunnel:            {"ip", "tunnel"},
	dropProtocol:          {"ip", "other_protocol"},
	dropTCPShort:          {"tcp", "short"},
	dropTCPMalformed:      {"tcp", "malformed"},
	dropTCPEmpty:          {"tcp", "no_data"},
	dropTCPRepeated:       {"tcp", "retransmission"},
	dropTCPUnsynchronised: {"tcp", "unsynchronised"},
	dropTCPWindow:         {"tcp", "out_of_window"},
	dropTCPEvicted:        {"tcp", "evicted"},
	dropTCPOther:          {"tcp", "other_port"},
	dropUDPShort:          {"udp", "short"},
	dropUDPMalformed:      {"udp", "malformed"},
	dropUDPOther:          {"udp", "other_port"},
	dropUDPTunnel:         {"udp", "tunnel"},
	dropDNSShort:          {"dns", "short"},
	dropPanic:             {"panic", "recovered"},
}

// counters are written by the reader and read by anybody.
type counters struct {
	packets      atomic.Uint64
	merged       atomic.Uint64
	segments     atomic.Uint64
	waiting      atomic.Int64
	messages     atomic.Uint64
	tcpMessages  atomic.Uint64
	conflicts    atomic.Uint64
	gaps         atomic.Uint64
	lost         atomic.Uint64
	unfinished   atomic.Uint64
	queries      atomic.Uint64
	responses    atomic.Uint64
	otherOpcodes atomic.Uint64
	noQuestion   atomic.Uint64
	quoted       atomic.Uint64
	transactions atomic.Uint64
	answered     atomic.Uint64
	unanswered   atomic.Uint64
	unmatched    atomic.Uint64
	evicted      atomic.Uint64
	panics       atomic.Uint64
	drops        [dropCount]atomic.Uint64
	first, last  atomic.Int64 // of all packets' times, Unix microseconds; noTime if there was none
}

const noTime = math.MinInt64

// accounted is the packets whose fate is known or that wait for it.
func (c *counters) accounted() uint64 {
	n := c.messages.Load() - c.tcpMessages.Load() + c.segments.Load() + c.merged.Load() + uint64(max(0, c.waiting.Load()))
	for d := range c.drops {
		n += c.drops[d].Load()
	}
	return n
}

func (c *counters) drop(d drop) { c.drops[d].Add(1) }

// seen keeps the earliest and the latest time of a packet. Only the one reader
// calls it.
func (c *counters) seen(at time.Time) {
	us := max(at.UnixMicro(), noTime+1)
	if first := c.first.Load(); first == noTime || us < first {
		c.first.Store(us)
	}
	if us > c.last.Load() {
		c.last.Store(us)
	}
}

// moment is a time as JSON can write it, or nil.
func moment(us int64) *time.Time {
	if us == noTime {
		return nil
	}
	at := time.UnixMicro(us).UTC()
	switch {
	case at.Year() < 0:
		at = time.Time{}
	case at.Year() > 9999:
		at = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
	}
	return &at
}

func (c *counters) register(reg prometheus.Registerer) error {
	c.first.Store(noTime)
	c.last.Store(noTime)
	errs := []error{reg.Register(prometheus.NewCounterFunc(
		prometheus.CounterOpts{Name: "weir_capture_packets_total", Help: "Packets seen in captures."},
		func() float64 { return float64(c.packets.Load()) }))}
	for _, m := range []struct {
		name, help string
		n          *atomic.Uint64
	}{
		{"weir_capture_merged_total", "Fragments put together with the one that completed their datagram, which counts as what it is.", &c.merged},
		{"weir_capture_segments_total", "TCP segments on a DNS port whose octets were read.", &c.segments},
		{"weir_capture_stream_conflicts_total", "Segments that repeat octets of a TCP stream and change them; those that came first are read.", &c.conflicts},
		{"weir_capture_stream_gaps_total", "Holes in TCP streams that were given up.", &c.gaps},
		{"weir_capture_stream_lost_total", "Times that it became unknown where in a TCP stream a message begins.", &c.lost},
		{"weir_capture_stream_unfinished_total", "Messages of TCP streams that miss their end.", &c.unfinished},
	} {
		errs = append(errs, reg.Register(prometheus.NewCounterFunc(
			prometheus.CounterOpts{Name: m.name, Help: m.help}, func() float64 { return float64(m.n.Load()) })))
	}
	errs = append(errs, reg.Register(prometheus.NewGaugeFunc(
		prometheus.GaugeOpts{Name: "weir_capture_waiting_packets", Help: "Fragments and segments that wait for others."},
		func() float64 { return float64(c.waiting.Load()) })))
	for d := dropCut; d < dropCount; d++ {
		errs = append(errs, reg.Register(prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "weir_capture_dropped_total", Help: "Packets that are no DNS message that is read, by stage and reason.",
			ConstLabels: prometheus.Labels{"stage": dropNames[d].stage, "reason": dropNames[d].reason},
		}, func() float64 { return float64(c.drops[d].Load()) })))
	}
	return errors.Join(errs...)
}

// Streams counts what happened to TCP streams.
type Streams struct {
	Conflicts  uint64 `json:"conflicts"`  // repetitions with other octets: the first are read
	Gaps       uint64 `json:"gaps"`       // holes that were given up
	Lost       uint64 `json:"lost"`       // times that it became unknown where a message begins
	Unfinished uint64 `json:"unfinished"` // messages that miss their end; with a header they are among dns_messages
}

// Summary counts what a Capture has read. It always holds that
//
//	packets      = dns_messages - tcp_messages + segments + merged + waiting + all drops
//	dns_messages = queries + responses + other_opcodes + no_question + quoted
//	queries      = answered + unanswered, when reading is over
//	responses    = answered + unmatched
//	transactions = answered + unanswered + unmatched
type Summary struct {
	Packets      uint64                       `json:"packets"`
	Merged       uint64                       `json:"merged"`   // fragments of a datagram but the one that completed it
	Segments     uint64                       `json:"segments"` // of TCP, whose octets were read
	Waiting      uint64                       `json:"waiting"`  // fragments and segments; 0 when reading is over
	DNSMessages  uint64                       `json:"dns_messages"`
	TCPMessages  uint64                       `json:"tcp_messages"` // of dns_messages
	Queries      uint64                       `json:"queries"`
	Responses    uint64                       `json:"responses"`
	OtherOpcodes uint64                       `json:"other_opcodes"`
	NoQuestion   uint64                       `json:"no_question"`
	Quoted       uint64                       `json:"quoted"` // in ICMP errors: counted, not recorded
	Transactions uint64                       `json:"transactions"`
	Answered     uint64                       `json:"answered"`
	Unanswered   uint64                       `json:"unanswered"`
	Unmatched    uint64                       `json:"unmatched"`
	Evicted      uint64                       `json:"evicted"` // of the unanswered, those that had to make room
	Streams      Streams                      `json:"streams"`
	Panics       uint64                       `json:"panics"` // recovered: each is a bug
	FirstPacket  *time.Time                   `json:"first_packet"`
	LastPacket   *time.Time                   `json:"last_packet"`
	Drops        map[string]map[string]uint64 `json:"drops"` // by stage, then reason; only those over 0
}

// Summary reads the counters.
func (c *Capture) Summary() Summary {
	n := &c.counts
	s := Summary{
		Packets: n.packets.Load(), Merged: n.merged.Load(), Segments: n.segments.Load(), TCPMessages: n.tcpMessages.Load(), Waiting: uint64(max(0, n.waiting.Load())), DNSMessages: n.messages.Load(), Queries: n.queries.Load(), Responses: n.responses.Load(),
		OtherOpcodes: n.otherOpcodes.Load(), NoQuestion: n.noQuestion.Load(), Quoted: n.quoted.Load(),
		Transactions: n.transactions.Load(), Answered: n.answered.Load(), Unanswered: n.unanswered.Load(), Unmatched: n.unmatched.Load(),
		Evicted:     n.evicted.Load(),
		Streams:     Streams{Conflicts: n.conflicts.Load(), Gaps: n.gaps.Load(), Lost: n.lost.Load(), Unfinished: n.unfinished.Load()},
		Panics:      n.panics.Load(),
		FirstPacket: moment(n.first.Load()), LastPacket: moment(n.last.Load()), Drops: map[string]map[string]uint64{},
	}
	for d := dropCut; d < dropCount; d++ {
		if count := n.drops[d].Load(); count > 0 {
			name := dropNames[d]
			if s.Drops[name.stage] == nil {
				s.Drops[name.stage] = map[string]uint64{}
			}
			s.Drops[name.stage][name.reason] = count
		}
	}
	return s
}
