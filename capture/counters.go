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
	dropKernel
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
	dropUDPLike
	dropUDPTunnel
	dropDNSShort
	dropTapMalformed
	dropTapOther
	dropTapEmpty
	dropTapLarge
	dropPanic
	dropCount

	counted // no drop: the packet has been counted as something else
)

const firstDrop = dropKernel

// dropNames are the stage and the reason of each drop; docs/formats.md says
// what they mean.
var dropNames = [dropCount]struct{ stage, reason string }{
	dropKernel:            {"kernel", "ring_full"},
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
	dropUDPLike:           {"udp", "like_dns"},
	dropUDPTunnel:         {"udp", "tunnel"},
	dropDNSShort:          {"dns", "short"},
	dropTapMalformed:      {"dnstap", "malformed"},
	dropTapOther:          {"dnstap", "other_type"},
	dropTapEmpty:          {"dnstap", "no_message"},
	dropTapLarge:          {"dnstap", "too_large"},
	dropPanic:             {"panic", "recovered"},
}

// counters are written by the reader and read by anybody.
type counters struct {
	packets           atomic.Uint64
	received          atomic.Uint64 // the kernel's count of packets for its ring, drops included
	merged            atomic.Uint64
	segments          atomic.Uint64
	waiting           atomic.Int64
	messages          atomic.Uint64
	tcpMessages       atomic.Uint64
	further           atomic.Uint64 // parts of packets beyond the first
	conflicts         atomic.Uint64
	gaps              atomic.Uint64
	lost              atomic.Uint64
	unfinished        atomic.Uint64
	queries           atomic.Uint64
	responses         atomic.Uint64
	otherOpcodes      atomic.Uint64
	noQuestion        atomic.Uint64
	quoted            atomic.Uint64
	transactions      atomic.Uint64
	answered          atomic.Uint64
	unanswered        atomic.Uint64
	unmatched         atomic.Uint64
	evicted           atomic.Uint64
	duplicates        atomic.Uint64
	multicast         atomic.Uint64
	multicastRecorded atomic.Uint64
	panics            atomic.Uint64
	drops             [dropCount]atomic.Uint64
	first, last       atomic.Int64 // of all packets' times, Unix microseconds; noTime if there was none
}

const noTime = math.MinInt64

// accounted is the packets whose fate is known or that wait for it.
func (c *counters) accounted() uint64 {
	n := c.messages.Load() - c.tcpMessages.Load() - c.further.Load() + c.segments.Load() + c.merged.Load() + uint64(max(0, c.waiting.Load()))
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

// each is all counters that only grow.
func (c *counters) each(do func(n *atomic.Uint64)) {
	for _, n := range [...]*atomic.Uint64{
		&c.packets, &c.received, &c.merged, &c.segments, &c.messages, &c.tcpMessages, &c.further, &c.conflicts, &c.gaps, &c.lost, &c.unfinished,
		&c.queries, &c.responses, &c.otherOpcodes, &c.noQuestion, &c.quoted, &c.transactions, &c.answered, &c.unanswered,
		&c.unmatched, &c.evicted, &c.panics, &c.duplicates, &c.multicast, &c.multicastRecorded,
	} {
		do(n)
	}
	for d := range c.drops {
		do(&c.drops[d])
	}
}

// total adds up what the workers have counted.
func (c *Capture) total() *counters {
	t := new(counters)
	t.first.Store(noTime)
	t.last.Store(noTime)
	var sums []*atomic.Uint64
	t.each(func(n *atomic.Uint64) { sums = append(sums, n) })
	for _, w := range *c.workers.Load() {
		i := 0
		w.counts.each(func(n *atomic.Uint64) { sums[i].Add(n.Load()); i++ })
		t.waiting.Add(w.counts.waiting.Load())
		if first := w.counts.first.Load(); first != noTime && (t.first.Load() == noTime || first < t.first.Load()) {
			t.first.Store(first)
		}
		t.last.Store(max(t.last.Load(), w.counts.last.Load()))
	}
	return t
}

// register makes the counters visible. They are read when they are asked for.
func (c *Capture) register(reg prometheus.Registerer) error {
	var errs []error
	counter := func(name, help string, labels prometheus.Labels, read func(*counters) *atomic.Uint64) {
		errs = append(errs, reg.Register(prometheus.NewCounterFunc(
			prometheus.CounterOpts{Name: name, Help: help, ConstLabels: labels},
			func() float64 { return float64(read(c.total()).Load()) })))
	}
	for _, m := range []struct {
		name, help string
		read       func(*counters) *atomic.Uint64
	}{
		{"weir_capture_packets_total", "Packets seen in captures and on interfaces, those included that the kernel dropped.", func(n *counters) *atomic.Uint64 { return &n.packets }},
		{"weir_capture_kernel_packets_total", "Packets that passed the kernel's filter on interfaces, by the kernel's own count.", func(n *counters) *atomic.Uint64 { return &n.received }},
		{"weir_capture_messages_total", "DNS messages found.", func(n *counters) *atomic.Uint64 { return &n.messages }},
		{"weir_capture_tcp_messages_total", "DNS messages found in TCP streams.", func(n *counters) *atomic.Uint64 { return &n.tcpMessages }},
		{"weir_capture_further_total", "Parts of packets beyond the first, each of which counts as what it is: messages in SCTP and sFlow, frames in an A-MSDU.", func(n *counters) *atomic.Uint64 { return &n.further }},
		{"weir_capture_transactions_total", "Transactions handed to the records.", func(n *counters) *atomic.Uint64 { return &n.transactions }},
		{"weir_capture_unanswered_total", "Queries that got no response in time.", func(n *counters) *atomic.Uint64 { return &n.unanswered }},
		{"weir_capture_unmatched_total", "Responses to no query that waited.", func(n *counters) *atomic.Uint64 { return &n.unmatched }},
		{"weir_capture_evicted_total", "Queries that had to make room for others; they count as unanswered.", func(n *counters) *atomic.Uint64 { return &n.evicted }},
		{"weir_capture_duplicates_total", "Messages of packets that were seen before, as a mirror port of both directions shows them; they are not recorded again.", func(n *counters) *atomic.Uint64 { return &n.duplicates }},
		{"weir_capture_multicast_total", "Messages of mDNS and LLMNR.", func(n *counters) *atomic.Uint64 { return &n.multicast }},
		{"weir_capture_merged_total", "Fragments put together with the one that completed their datagram, which counts as what it is.", func(n *counters) *atomic.Uint64 { return &n.merged }},
		{"weir_capture_segments_total", "TCP segments on a DNS port whose octets were read.", func(n *counters) *atomic.Uint64 { return &n.segments }},
		{"weir_capture_stream_conflicts_total", "Segments that repeat octets of a TCP stream and change them; those that came first are read.", func(n *counters) *atomic.Uint64 { return &n.conflicts }},
		{"weir_capture_stream_gaps_total", "Holes in TCP streams that were given up.", func(n *counters) *atomic.Uint64 { return &n.gaps }},
		{"weir_capture_stream_lost_total", "Times that it became unknown where in a TCP stream a message begins.", func(n *counters) *atomic.Uint64 { return &n.lost }},
		{"weir_capture_stream_unfinished_total", "Messages of TCP streams that miss their end.", func(n *counters) *atomic.Uint64 { return &n.unfinished }},
		{"weir_capture_panics_total", "Panics recovered while decoding: each is a bug.", func(n *counters) *atomic.Uint64 { return &n.panics }},
	} {
		counter(m.name, m.help, nil, m.read)
	}
	errs = append(errs, reg.Register(prometheus.NewGaugeFunc(
		prometheus.GaugeOpts{Name: "weir_capture_waiting_packets", Help: "Fragments and segments that wait for others."},
		func() float64 { return float64(c.total().waiting.Load()) })))
	errs = append(errs, reg.Register(prometheus.NewCounterFunc(
		prometheus.CounterOpts{Name: "weir_capture_dnstap_refused_total", Help: "Connections for dnstap that were closed since there were too many."},
		func() float64 { return float64(c.refused.Load()) })))
	if c.watch != nil {
		errs = append(errs, c.watch.register(reg)...)
	}
	for d := firstDrop; d < dropCount; d++ {
		counter("weir_capture_dropped_total", "Packets that are no DNS message that is read, by stage and reason.",
			prometheus.Labels{"stage": dropNames[d].stage, "reason": dropNames[d].reason},
			func(n *counters) *atomic.Uint64 { return &n.drops[d] })
	}
	return errors.Join(errs...)
}
