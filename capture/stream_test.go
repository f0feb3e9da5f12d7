package capture_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/miekg/dns"
	"github.com/weirdns/weir/capture"
	"pgregory.net/rapid"
)

// A flow is one direction of a TCP connection in these tests; its first octet
// has the number isn + 1.
type tcpFlow struct {
	from, to     string
	sport, dport uint16
	isn          uint32
}

var (
	toServer = tcpFlow{client4, server4, 40000, 53, 4294967000} // the numbers wrap
	toClient = tcpFlow{server4, client4, 53, 40000, 77}
)

// packet is a segment that begins at octet at of the flow, flags as text.
func (f tcpFlow) packet(tb testing.TB, at int, flags string, data []byte, ack ...uint32) []byte {
	tb.Helper()
	src, dst := netip.MustParseAddr(f.from), netip.MustParseAddr(f.to)
	seg := &layers.TCP{SrcPort: layers.TCPPort(f.sport), DstPort: layers.TCPPort(f.dport), Seq: f.isn + 1 + uint32(at), Window: 65535}
	for _, c := range flags {
		switch c {
		case 'S':
			seg.SYN, seg.Seq = true, f.isn+uint32(at)
		case 'F':
			seg.FIN = true
		case 'R':
			seg.RST = true
		case 'P':
			seg.PSH = true
		}
	}
	if len(ack) > 0 {
		seg.ACK, seg.Ack = true, ack[0]
	}
	ip := &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolTCP, SrcIP: src.AsSlice(), DstIP: dst.AsSlice()}
	_ = seg.SetNetworkLayerForChecksum(ip)
	return serialize(tb, &layers.Ethernet{SrcMAC: make([]byte, 6), DstMAC: make([]byte, 6), EthernetType: layers.EthernetTypeIPv4}, ip, seg, gopacket.Payload(data))
}

// framed puts messages behind their lengths.
func framed(messages ...[]byte) []byte {
	var b []byte
	for _, m := range messages {
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(m))), m...)
	}
	return b
}

// queries are n messages, n0.example to the last.
func queries(tb testing.TB, n int) [][]byte {
	tb.Helper()
	var all [][]byte
	for i := range n {
		all = append(all, query(tb, uint16(i), fmt.Sprintf("n%d.example.", i), dns.TypeA))
	}
	return all
}

func names(got []seen) []string {
	var all []string
	for _, g := range got {
		all = append(all, g.name)
	}
	slices.Sort(all)
	return all
}

func TestAConversationOverTCPIsTransactions(t *testing.T) {
	ask := framed(query(t, 7, "a.example.", dns.TypeA), query(t, 8, "b.example.", dns.TypeA))
	big := large(t, 8, 5000)
	reply := framed(answer(t, 7, "a.example.", dns.TypeA, 0, "a.example. 60 IN A 192.0.2.1"))
	frames := inOrder(
		toServer.packet(t, 0, "S", nil), toClient.packet(t, 0, "S", nil, toServer.isn+1), toServer.packet(t, 0, "", nil, toClient.isn+1),
		toServer.packet(t, 0, "", ask), toClient.packet(t, 0, "", reply),
		toClient.packet(t, len(reply), "", framed(big)[:1460]), toClient.packet(t, len(reply)+1460, "", framed(big)[1460:]),
		toServer.packet(t, len(ask), "F", nil), toClient.packet(t, len(reply)+2+len(big), "F", nil),
	)
	s, got := read(t, pcapFile(t, layers.LinkTypeEthernet, frames...), nil)
	if s.TCPMessages != 4 || s.Segments != 4 || s.Drops["tcp"]["no_data"] != 5 || s.Answered != 1 || s.Unmatched != 1 || s.Unanswered != 1 {
		t.Errorf("%+v", s)
	}
	if g := got[0]; g.name != "a.example" || g.latency != ms || g.client != client4 || g.upstream != server4 || !bytes.Equal(g.response, reply[2:]) {
		t.Errorf("%+v", g)
	}
	if g := got[1]; g.name != "large.example" || g.time != 6*ms || !bytes.Equal(g.response, big) {
		t.Errorf("%+v", g)
	}
}

// Any way to cut a stream of messages into segments, in any order, some of them
// again and again, gives the same messages, each once.
func TestAnySegmentationGivesTheSameMessages(t *testing.T) {
	all := queries(t, 12)
	all = append(all, large(t, 99, 3000))
	stream := framed(all...)
	rapid.Check(t, func(rt *rapid.T) {
		cuts := rapid.SliceOfN(rapid.IntRange(0, len(stream)), 0, 40).Draw(rt, "cuts")
		cuts = append(cuts, 0, len(stream))
		slices.Sort(cuts)
		packets := [][]byte{}
		for i := range len(cuts) - 1 {
			// A repetition may reach into what is before and behind it.
			from, to := cuts[i], cuts[i+1]
			if from == to {
				continue
			}
			packets = append(packets, toServer.packet(t, from, "", stream[from:to]))
			if rapid.Bool().Draw(rt, "again") {
				from = max(0, from-rapid.IntRange(0, 100).Draw(rt, "before"))
				to = min(len(stream), to+rapid.IntRange(0, 100).Draw(rt, "behind"))
				packets = append(packets, toServer.packet(t, from, "", stream[from:to]))
			}
		}
		if len(packets) > 60 {
			packets = packets[:0]
			packets = append(packets, toServer.packet(t, 0, "", stream))
		}
		packets = rapid.Permutation(packets).Draw(rt, "order")
		packets = append([][]byte{toServer.packet(t, 0, "S", nil)}, packets...)
		s, got := read(t, pcapFile(t, layers.LinkTypeEthernet, inOrder(packets...)...), nil)
		if s.TCPMessages != uint64(len(all)) || len(got) != len(all) || s.Streams != (capture.Streams{}) {
			rt.Fatalf("%d messages, want %d: %+v", s.TCPMessages, len(all), s)
		}
		for i, g := range got[:1] {
			if g.name != "large.example" || !bytes.Equal(g.response, all[12]) {
				rt.Fatalf("message %d is %s", i, g.name)
			}
		}
		if got, want := names(got[1:]), names12(); !slices.Equal(got, want) {
			rt.Fatalf("%v, want %v", got, want)
		}
	})
}

func names12() []string {
	var all []string
	for i := range 12 {
		all = append(all, fmt.Sprintf("n%d.example", i))
	}
	slices.Sort(all)
	return all
}

func TestTheLengthAndTheMessageMayComeOctetByOctet(t *testing.T) {
	stream := framed(queries(t, 3)...)
	packets := [][]byte{toServer.packet(t, 0, "S", nil)}
	for i := range stream {
		packets = append(packets, toServer.packet(t, i, "", stream[i:i+1]))
	}
	s, _ := read(t, pcapFile(t, layers.LinkTypeEthernet, inOrder(packets...)...), nil)
	if s.Queries != 3 || s.Segments != uint64(len(stream)) {
		t.Errorf("%+v", s)
	}
}

func TestWhatIsWrongWithSegmentsIsCounted(t *testing.T) {
	q := queries(t, 6)
	stream := framed(q...)
	one := len(framed(q[0]))
	syn := toServer.packet(t, 0, "S", nil)
	// cut is the octets of messages i to j, as a segment.
	cut := func(i, j int) []byte {
		return toServer.packet(t, len(framed(q[:i]...)), "", framed(q[i:j]...))
	}
	octets := func(i, j int) []byte { return toServer.packet(t, i, "", stream[i:j]) }
	changed := bytes.Replace(framed(q[1]), []byte("n1"), []byte("x1"), 1)
	forged := toServer.packet(t, one, "", changed)
	notDNS := toServer.packet(t, 0, "", []byte("\x00\x05hello, this is not DNS at all"))
	for _, c := range []struct {
		name    string
		packets [][]byte
		queries uint64
		streams capture.Streams
		drops   map[string]uint64 // of stage tcp
	}{
		{"a segment twice", [][]byte{syn, cut(0, 2), cut(0, 2)}, 2, capture.Streams{}, map[string]uint64{"no_data": 1, "retransmission": 1}},
		{"again, with other octets", [][]byte{syn, cut(0, 2), forged}, 2, capture.Streams{Conflicts: 1}, map[string]uint64{"no_data": 1, "retransmission": 1}},
		{"again while it is held, with other octets", [][]byte{syn, cut(1, 2), forged, cut(0, 1)}, 2, capture.Streams{Conflicts: 1}, map[string]uint64{"no_data": 1, "retransmission": 1}},
		{"no beginning", [][]byte{cut(2, 4), cut(4, 6)}, 4, capture.Streams{}, nil},
		{"no beginning, and inside of a message", [][]byte{octets(10, one), cut(1, 3)}, 2, capture.Streams{}, map[string]uint64{"unsynchronised": 1}},
		{"no beginning, and never one of a message", [][]byte{octets(10, one+10), octets(one+10, 2*one+10)}, 0, capture.Streams{}, map[string]uint64{"unsynchronised": 2}},
		{"a hole of whole messages", [][]byte{syn, cut(0, 1), cut(3, 6)}, 4, capture.Streams{Gaps: 1, Lost: 1}, map[string]uint64{"no_data": 1}},
		{"a hole inside of a message", [][]byte{syn, octets(0, 24), octets(26, one), cut(1, 6)}, 5, capture.Streams{Gaps: 1, Unfinished: 1}, map[string]uint64{"no_data": 1}},
		{"a hole, and behind it no beginning", [][]byte{syn, cut(0, 1), octets(one+5, 2*one)}, 1, capture.Streams{Gaps: 1, Lost: 1}, map[string]uint64{"no_data": 1, "unsynchronised": 1}},
		{"the end inside of a question", [][]byte{syn, octets(0, 20)}, 0, capture.Streams{Unfinished: 1}, map[string]uint64{"no_data": 1}},
		{"something else than DNS", [][]byte{syn, notDNS}, 0, capture.Streams{Unfinished: 1}, map[string]uint64{"no_data": 1}},
		{"shorter than a header", [][]byte{syn, toServer.packet(t, 0, "", append([]byte("\x00\x00\x00\x05hello"), framed(q[0])...))}, 1, capture.Streams{}, map[string]uint64{"no_data": 1}},
		{"no beginning, and the length alone", [][]byte{octets(0, 2), octets(2, one), cut(1, 2)}, 2, capture.Streams{}, nil},
		{"no beginning, and half a length", [][]byte{octets(0, 1), octets(1, one), cut(1, 2)}, 2, capture.Streams{}, nil},
		{"no beginning, and the question in two", [][]byte{octets(0, 18), octets(18, 20), octets(20, one+5), octets(one+5, 2*one)}, 2, capture.Streams{}, nil},
		{"no beginning, the length twice", [][]byte{octets(0, 2), octets(0, 2), octets(2, one)}, 1, capture.Streams{}, map[string]uint64{"retransmission": 1}},
		{"no beginning, the length and its message again", [][]byte{octets(0, 2), octets(1, one), cut(1, 2)}, 1, capture.Streams{}, map[string]uint64{"unsynchronised": 2}},
		{"no beginning, and a length that is none", [][]byte{octets(one-2, one), cut(1, 2)}, 1, capture.Streams{}, map[string]uint64{"unsynchronised": 1}},
		{"no beginning, the length, and a hole", [][]byte{octets(0, 2), cut(1, 2)}, 1, capture.Streams{}, map[string]uint64{"unsynchronised": 1}},
		{"no beginning, the length, and the end", [][]byte{octets(0, 2), toServer.packet(t, 2, "R", nil)}, 0, capture.Streams{}, map[string]uint64{"no_data": 1, "unsynchronised": 1}},
		{"the SYN overtaken by the length", [][]byte{octets(0, 2), syn, octets(2, one), cut(1, 2)}, 2, capture.Streams{}, map[string]uint64{"no_data": 1}},
		{"a hole, and behind it the length alone", [][]byte{syn, cut(0, 1), octets(2*one, 2*one+2), octets(2*one+2, 3*one)}, 2, capture.Streams{Gaps: 1, Lost: 1}, map[string]uint64{"no_data": 1}},
		{"far away", [][]byte{syn, cut(0, 1), toServer.packet(t, 2<<20, "", q[1])}, 1, capture.Streams{}, map[string]uint64{"no_data": 1, "out_of_window": 1}},
		{"behind the end", [][]byte{syn, toServer.packet(t, 0, "F", framed(q[0])), octets(one, one+20)}, 1, capture.Streams{}, map[string]uint64{"no_data": 1, "unsynchronised": 1}},
		{"behind an end that is not reached yet", [][]byte{syn, toServer.packet(t, one, "F", stream[one:2*one]), cut(2, 3), cut(0, 1)}, 2, capture.Streams{}, map[string]uint64{"no_data": 1, "out_of_window": 1}},
		{"again behind the end", [][]byte{syn, toServer.packet(t, 0, "F", framed(q[0])), cut(0, 1)}, 1, capture.Streams{}, map[string]uint64{"no_data": 1, "retransmission": 1}},
		{"a reset, and again what was before", [][]byte{syn, cut(0, 1), toServer.packet(t, one, "R", nil), cut(0, 1), cut(1, 2)}, 2, capture.Streams{}, map[string]uint64{"no_data": 2, "retransmission": 1}},
		{"the SYN again", [][]byte{syn, cut(0, 1), syn, cut(1, 2)}, 2, capture.Streams{}, map[string]uint64{"no_data": 2}},
		{"the SYN overtaken", [][]byte{cut(0, 1), syn, cut(1, 2)}, 2, capture.Streams{}, map[string]uint64{"no_data": 1}},
		{"data with the SYN", [][]byte{toServer.packet(t, 0, "S", framed(q[0])), cut(1, 2)}, 2, capture.Streams{}, nil},
		{"ports used again", [][]byte{syn, cut(0, 1), toServer.packet(t, 5000, "S", nil), toServer.packet(t, 5000, "", framed(q[1]))}, 2, capture.Streams{}, map[string]uint64{"no_data": 2}},
		{"a response from the client, without beginning", [][]byte{toServer.packet(t, 0, "", framed(answer(t, 1, "a.example.", dns.TypeA, 0)))}, 0, capture.Streams{}, map[string]uint64{"unsynchronised": 1}},
		{"cut by the snap length in a message, and the next segment", [][]byte{syn, cut(0, 1)[:14+20+20+24], cut(1, 2)}, 2 - 1, capture.Streams{Gaps: 1, Unfinished: 1}, map[string]uint64{"no_data": 1}},
	} {
		s, _ := read(t, pcapFile(t, layers.LinkTypeEthernet, inOrder(c.packets...)...), nil)
		if s.Queries != c.queries || s.Streams != c.streams || fmt.Sprint(s.Drops["tcp"]) != fmt.Sprint(c.drops) {
			t.Errorf("%s: %d queries, %+v, %v; want %d, %+v, %v", c.name, s.Queries, s.Streams, s.Drops, c.queries, c.streams, c.drops)
		}
	}
}

// Of two segments that wait and differ, the first is read, wherever the second
// begins and ends.
func TestTheOctetsThatCameFirstAreRead(t *testing.T) {
	q := queries(t, 4)
	one := len(framed(q[0]))
	changed := bytes.ReplaceAll(framed(q[1:]...), []byte("\x02n2"), []byte("\x02x2"))
	for name, again := range map[string][]byte{
		"around it": toServer.packet(t, one, "", changed), "from its middle": toServer.packet(t, 2*one+15, "", changed[one+15:]),
		"to its middle": toServer.packet(t, one, "", changed[:2*one-4]),
		"from the hole": toServer.packet(t, 0, "", append(framed(q[0]), changed...)),
	} {
		packets := [][]byte{toServer.packet(t, 0, "S", nil), toServer.packet(t, 2*one, "", framed(q[2])), again,
			toServer.packet(t, 0, "", framed(q[0])), toServer.packet(t, one, "", framed(q[1])), toServer.packet(t, 3*one, "", framed(q[3]))}
		s, got := read(t, pcapFile(t, layers.LinkTypeEthernet, inOrder(packets...)...), nil)
		if want := []string{"n0.example", "n1.example", "n2.example", "n3.example"}; !slices.Equal(names(got), want) || s.Streams.Conflicts != 1 {
			t.Errorf("%s: %v, %+v", name, names(got), s)
		}
	}
}

// What the other side has, the capture missed; it does not wait for the end.
func TestAnAcknowledgedHoleIsGivenUp(t *testing.T) {
	q := queries(t, 3)
	one := len(framed(q[0]))
	reply := framed(answer(t, 2, "n2.example.", dns.TypeA, 0))
	frames := []frame{
		{0, toServer.packet(t, 0, "S", nil)}, {ms, toServer.packet(t, 0, "", framed(q[0]))},
		{2 * ms, toServer.packet(t, 2*one, "", framed(q[2]))},
		{200 * ms, toClient.packet(t, 0, "", reply, toServer.isn+1+uint32(3*one))},
	}
	s, got := read(t, pcapFile(t, layers.LinkTypeEthernet, frames...), nil)
	if s.Answered != 1 || s.Streams.Gaps != 1 || got[0].name != "n2.example" || got[0].latency != 198*ms {
		t.Errorf("%+v %+v", s, got)
	}
	// An acknowledgement that overtakes what it is for is none of a hole.
	frames[3].at = 3 * ms
	frames = append(frames, frame{4 * ms, toServer.packet(t, one, "", framed(q[1]))})
	if s, _ := read(t, pcapFile(t, layers.LinkTypeEthernet, frames...), nil); s.Queries != 3 || s.Streams.Gaps != 0 {
		t.Errorf("%+v", s)
	}
}

func TestConnectionsAreRememberedByTheTimeOfThePackets(t *testing.T) {
	q := framed(queries(t, 1)...)
	for _, c := range []struct {
		at      time.Duration
		queries uint64
	}{{time.Minute - 1, 1}, {time.Minute, 0}} {
		s, _ := read(t, pcapFile(t, layers.LinkTypeEthernet,
			frame{0, toServer.packet(t, 0, "S", nil)}, frame{0, toServer.packet(t, 0, "", q[:10])}, frame{c.at, toServer.packet(t, 10, "", q[10:])}), nil)
		if s.Queries != c.queries || s.Streams.Unfinished != 1-c.queries {
			t.Errorf("after %v: %+v", c.at, s)
		}
	}
}

// Connections that send the most they can and never what is missing: the oldest
// go, counted, and one client does not drive out another.
func TestConnectionsAreBounded(t *testing.T) {
	q := framed(queries(t, 1)...)
	small := func(c *capture.Config, _ *capture.Deps) { c.StreamBytes = 2 << 20 }
	flood := func(address func(i int) string) []frame {
		packets := [][]byte{toServer.packet(t, 0, "S", nil), toServer.packet(t, 0, "", q[:10])}
		for i := range 200 {
			f := tcpFlow{address(i), server4, uint16(2000 + i), 53, 0}
			packets = append(packets, f.packet(t, 0, "S", nil), f.packet(t, 10, "", make([]byte, 32000)))
		}
		return inOrder(append(packets, toServer.packet(t, 10, "", q[10:]))...)
	}
	s, _ := read(t, pcapFile(t, layers.LinkTypeEthernet, flood(func(int) string { return "192.0.2.66" })...), small)
	if n := s.Drops["tcp"]["evicted"]; s.Queries != 1 || n < 180 || n > 190 {
		t.Errorf("from one client: %+v; want the query of another, and about 185 of 200 to go", s)
	}
	s, _ = read(t, pcapFile(t, layers.LinkTypeEthernet, flood(func(i int) string { return fmt.Sprintf("10.0.0.%d", i) })...), small)
	if n := s.Drops["tcp"]["evicted"]; s.Queries != 0 || n < 130 || n > 140 {
		t.Errorf("from 200 clients: %+v; want the oldest to go, about 138 of them", s)
	}
}

// One direction holds 64 KiB behind a hole, then it is given up.
func TestWhatOneDirectionHoldsIsBounded(t *testing.T) {
	messages := queries(t, 3000)
	stream := framed(messages...)
	one := len(framed(messages[0]))
	packets := [][]byte{toServer.packet(t, 0, "S", nil)}
	at := one // the first is missing
	for i := 1; i < len(messages); i += 30 {
		b := framed(messages[i:min(i+30, len(messages))]...)
		packets = append(packets, toServer.packet(t, at, "", b))
		at += len(b)
	}
	packets = append(packets, toClient.packet(t, 0, "", framed(answer(t, 100, "n100.example.", dns.TypeA, 0))))
	if at != len(stream) || len(stream) < 64<<10 {
		t.Fatalf("the stream has %d octets", len(stream))
	}
	c, sink := newCapture(t, nil)
	file := pcapFile(t, layers.LinkTypeEthernet, inOrder(packets...)...)
	if err := c.Read(t.Context(), bytes.NewReader(file)); err != nil {
		t.Fatal(err)
	}
	s := c.Summary()
	checkSums(t, s)
	if s.Queries != 2999 || s.Streams.Gaps != 1 || len(sink.all) != 2999 {
		t.Errorf("%+v", s)
	}
	if s.Answered != 1 {
		t.Error("the questions were not read before the stream was over")
	}
}

// TCP in fragments, and over IPv6, is TCP.
func TestSegmentsMayComeInFragments(t *testing.T) {
	m := large(t, 7, 3000)
	eth := toClient.packet(t, 0, "", framed(m))
	packets := append([][]byte{toClient.packet(t, 0, "S", nil)}, fragmented(eth, 9, 1480)...)
	s, got := read(t, pcapFile(t, layers.LinkTypeEthernet, inOrder(packets...)...), nil)
	if len(got) != 1 || !bytes.Equal(got[0].response, m) || s.Segments != 1 || s.Merged != 2 {
		t.Errorf("%+v", s)
	}
}

// A message cut anywhere by the snap length or the end never makes up another.
func TestACutStreamMakesUpNothing(t *testing.T) {
	q := queries(t, 4)
	stream := framed(q...)
	random := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		from := random.IntN(len(stream))
		to := from + random.IntN(len(stream)-from)
		packets := [][]byte{}
		if random.IntN(2) == 0 {
			packets = append(packets, toServer.packet(t, 0, "S", nil))
		}
		packets = append(packets, toServer.packet(t, from, "", stream[from:to]), toServer.packet(t, to, "", stream[to:]))
		for i := range packets {
			if random.IntN(3) == 0 {
				packets[i] = packets[i][:54+random.IntN(len(packets[i])-53)]
			}
		}
		_, got := read(t, pcapFile(t, layers.LinkTypeEthernet, inOrder(packets...)...), nil)
		for _, g := range got {
			if !slices.Contains([]string{"n0.example", "n1.example", "n2.example", "n3.example"}, g.name) {
				t.Fatalf("from %d to %d: a query for %s", from, to, g.name)
			}
		}
	}
}
