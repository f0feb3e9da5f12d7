package capture

import (
	"time"

	"github.com/weirdns/weir/detect"
)

// Streams counts what happened to TCP streams.
type Streams struct {
	Conflicts  uint64 `json:"conflicts"`  // repetitions with other octets: the first are read
	Gaps       uint64 `json:"gaps"`       // holes that were given up
	Lost       uint64 `json:"lost"`       // times that it became unknown where a message begins
	Unfinished uint64 `json:"unfinished"` // messages that miss their end; with ID and flags they are among dns_messages
}

// Kernel is what the kernel counted on interfaces.
type Kernel struct {
	Received uint64 `json:"received"` // packets that passed the filter
	Dropped  uint64 `json:"dropped"`  // of them, those that found the ring full; they are among the drops too
}

// Summary counts what a Capture has read. (Who writes what the sinks got may add
// the stage sink to Drops, in lines.) It always holds that
//
//	packets      = dns_messages - tcp_messages - further + segments + merged + waiting + all drops
//	dns_messages = queries + responses + other_opcodes + no_question + quoted + duplicates + multicast
//	queries      = answered + unanswered, when reading is over
//	responses    = answered + unmatched
//	transactions = answered + unanswered + unmatched + multicast_recorded
type Summary struct {
	Packets           uint64                       `json:"packets"`
	Merged            uint64                       `json:"merged"`   // fragments of a datagram but the one that completed it
	Segments          uint64                       `json:"segments"` // of TCP, whose octets were read
	Waiting           uint64                       `json:"waiting"`  // fragments and segments; 0 when reading is over
	DNSMessages       uint64                       `json:"dns_messages"`
	TCPMessages       uint64                       `json:"tcp_messages"` // of dns_messages
	Further           uint64                       `json:"further"`      // parts of packets beyond the first: messages of SCTP and sFlow, frames of an A-MSDU
	Queries           uint64                       `json:"queries"`
	Responses         uint64                       `json:"responses"`
	OtherOpcodes      uint64                       `json:"other_opcodes"`
	NoQuestion        uint64                       `json:"no_question"`
	Quoted            uint64                       `json:"quoted"`     // in ICMP errors and samples of sFlow: counted, not recorded
	Duplicates        uint64                       `json:"duplicates"` // of packets seen before: counted, not recorded again
	Multicast         uint64                       `json:"multicast"`  // mDNS and LLMNR
	Transactions      uint64                       `json:"transactions"`
	Answered          uint64                       `json:"answered"`
	Unanswered        uint64                       `json:"unanswered"`
	Unmatched         uint64                       `json:"unmatched"`
	Evicted           uint64                       `json:"evicted"` // of the unanswered, those that had to make room
	MulticastRecorded uint64                       `json:"multicast_recorded"`
	Streams           Streams                      `json:"streams"`
	Kernel            *Kernel                      `json:"kernel,omitempty"`   // nil: no interface was read
	Findings          map[string]uint64            `json:"findings,omitempty"` // by kind, only those over 0
	Panics            uint64                       `json:"panics"`             // recovered: each is a bug
	FirstPacket       *time.Time                   `json:"first_packet"`
	LastPacket        *time.Time                   `json:"last_packet"`
	Drops             map[string]map[string]uint64 `json:"drops"` // by stage, then reason; only those over 0
}

// Summary reads the counters.
func (c *Capture) Summary() Summary {
	n := c.total()
	s := Summary{
		Packets: n.packets.Load(), Merged: n.merged.Load(), Segments: n.segments.Load(), TCPMessages: n.tcpMessages.Load(), Further: n.further.Load(), Waiting: uint64(max(0, n.waiting.Load())), DNSMessages: n.messages.Load(), Queries: n.queries.Load(), Responses: n.responses.Load(),
		OtherOpcodes: n.otherOpcodes.Load(), NoQuestion: n.noQuestion.Load(), Quoted: n.quoted.Load(),
		Transactions: n.transactions.Load(), Answered: n.answered.Load(), Unanswered: n.unanswered.Load(), Unmatched: n.unmatched.Load(),
		Evicted: n.evicted.Load(), Duplicates: n.duplicates.Load(), Multicast: n.multicast.Load(), MulticastRecorded: n.multicastRecorded.Load(),
		Streams:     Streams{Conflicts: n.conflicts.Load(), Gaps: n.gaps.Load(), Lost: n.lost.Load(), Unfinished: n.unfinished.Load()},
		Panics:      n.panics.Load(),
		FirstPacket: moment(n.first.Load()), LastPacket: moment(n.last.Load()), Drops: map[string]map[string]uint64{},
	}
	for k := range detect.FindingKinds {
		if c.watch == nil || c.watch.found[k].Load() == 0 {
			continue
		}
		if s.Findings == nil {
			s.Findings = map[string]uint64{}
		}
		s.Findings[k.String()] = c.watch.found[k].Load()
	}
	if c.live.Load() {
		s.Kernel = &Kernel{Received: n.received.Load(), Dropped: n.drops[dropKernel].Load()}
	}
	for d := firstDrop; d < dropCount; d++ {
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
