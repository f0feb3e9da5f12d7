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
	dropTCPDNS
	dropTCPOther
	dropUDPShort
	dropUDPMalformed
	dropUDPOther
	dropUDPTunnel
	dropDNSShort
	dropPanic
	dropCount

	// No drops: the packet is counted elsewhere.
	waits     // for others, and counts when it has them or gives up
	recovered // from a panic, with all that waited
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
	dropTCPDNS:            {"tcp", "dns_port"},
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
	waiting      atomic.Int64
	messages     atomic.Uint64
	queries      atomic.Uint64
	responses    atomic.Uint64
	otherOpcodes atomic.Uint64
	noQuestion   atomic.Uint64
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
	n := c.messages.Load() + c.merged.Load() + uint64(max(0, c.waiting.Load()))
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
	errs = append(errs, reg.Register(prometheus.NewCounterFunc(
		prometheus.CounterOpts{Name: "weir_capture_merged_total", Help: "Fragments put together with the one that completed their datagram, which counts as what it is."},
		func() float64 { return float64(c.merged.Load()) })),
		reg.Register(prometheus.NewGaugeFunc(
			prometheus.GaugeOpts{Name: "weir_capture_waiting_packets", Help: "Packets that wait for others of their datagram."},
			func() float64 { return float64(c.waiting.Load()) })))
	for d := dropCut; d < dropCount; d++ {
		errs = append(errs, reg.Register(prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "weir_capture_dropped_total", Help: "Packets that are no DNS message that is read, by stage and reason.",
			ConstLabels: prometheus.Labels{"stage": dropNames[d].stage, "reason": dropNames[d].reason},
		}, func() float64 { return float64(c.drops[d].Load()) })))
	}
	return errors.Join(errs...)
}

// Summary counts what a Capture has read. It always holds that
//
//	packets      = dns_messages + merged + waiting + all drops
//	dns_messages = queries + responses + other_opcodes + no_question
//	queries      = answered + unanswered, when reading is over
//	responses    = answered + unmatched
//	transactions = answered + unanswered + unmatched
type Summary struct {
	Packets      uint64                       `json:"packets"`
	Merged       uint64                       `json:"merged"`  // fragments of a datagram but the one that completed it
	Waiting      uint64                       `json:"waiting"` // for others of their datagram; 0 when reading is over
	DNSMessages  uint64                       `json:"dns_messages"`
	Queries      uint64                       `json:"queries"`
	Responses    uint64                       `json:"responses"`
	OtherOpcodes uint64                       `json:"other_opcodes"`
	NoQuestion   uint64                       `json:"no_question"`
	Transactions uint64                       `json:"transactions"`
	Answered     uint64                       `json:"answered"`
	Unanswered   uint64                       `json:"unanswered"`
	Unmatched    uint64                       `json:"unmatched"`
	Evicted      uint64                       `json:"evicted"` // of the unanswered, those that had to make room
	Panics       uint64                       `json:"panics"`  // recovered: each is a bug
	FirstPacket  *time.Time                   `json:"first_packet"`
	LastPacket   *time.Time                   `json:"last_packet"`
	Drops        map[string]map[string]uint64 `json:"drops"` // by stage, then reason; only those over 0
}

// Summary reads the counters.
func (c *Capture) Summary() Summary {
	n := &c.counts
	s := Summary{
		Packets: n.packets.Load(), Merged: n.merged.Load(), Waiting: uint64(max(0, n.waiting.Load())), DNSMessages: n.messages.Load(), Queries: n.queries.Load(), Responses: n.responses.Load(),
		OtherOpcodes: n.otherOpcodes.Load(), NoQuestion: n.noQuestion.Load(),
		Transactions: n.transactions.Load(), Answered: n.answered.Load(), Unanswered: n.unanswered.Load(), Unmatched: n.unmatched.Load(),
		Evicted: n.evicted.Load(), Panics: n.panics.Load(),
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
