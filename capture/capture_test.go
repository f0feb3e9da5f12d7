package capture_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket/layers"
	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/weirdns/weir/capture"
	"github.com/weirdns/weir/detect"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const ms = time.Millisecond

func TestAQueryAndItsResponseAreOneTransaction(t *testing.T) {
	s, got := read(t, pcapFile(t, layers.LinkTypeEthernet,
		frame{0, udp(t, client4, server4, 40000, 53, query(t, 7, "WWW.Example.com.", dns.TypeA))},
		frame{12 * ms, udp(t, server4, client4, 53, 40000, answer(t, 7, "www.example.com.", dns.TypeA, 0x19, "www.example.com. 60 IN A 192.0.2.1"))},
	), nil)
	if s.Queries != 1 || s.Responses != 1 || s.Answered != 1 || len(got) != 1 {
		t.Fatalf("summary %+v, %d transactions", s, len(got))
	}
	g := got[0]
	if g.time != 0 || g.client != client4 || g.name != "www.example.com" || g.qtype != dns.TypeA || g.upstream != server4 ||
		g.latency != 12*ms || g.source != detect.FromWire || g.transport != detect.Pcap || g.rcode != 0x19 {
		t.Errorf("transaction %+v", g)
	}
	if !s.FirstPacket.Equal(start) || !s.LastPacket.Equal(start.Add(12*ms)) {
		t.Errorf("packets from %v to %v", s.FirstPacket, s.LastPacket)
	}
}

func TestPairing(t *testing.T) {
	ask := func(at time.Duration, port, id uint16, name string) frame {
		return frame{at, udp(t, client4, server4, port, 53, query(t, id, name, dns.TypeA))}
	}
	reply := func(at time.Duration, port, id uint16, name string) frame {
		return frame{at, udp(t, server4, client4, 53, port, answer(t, id, name, dns.TypeA, 0))}
	}
	withoutQuestion := func(at time.Duration, port, id uint16) frame {
		m := new(dns.Msg)
		m.Id, m.Response, m.Rcode = id, true, dns.RcodeFormatError
		return frame{at, udp(t, server4, client4, 53, port, pack(t, m))}
	}
	for _, c := range []struct {
		name                                        string
		frames                                      []frame
		answered, unanswered, unmatched, noQuestion uint64
	}{
		{"a response in another case", []frame{ask(0, 1024, 1, "a.example."), reply(1, 1024, 1, "A.eXample.")}, 1, 0, 0, 0},
		{"another ID", []frame{ask(0, 1024, 1, "a.example."), reply(1, 1024, 2, "a.example.")}, 0, 1, 1, 0},
		{"another port", []frame{ask(0, 1024, 1, "a.example."), reply(1, 1025, 1, "a.example.")}, 0, 1, 1, 0},
		{"another question", []frame{ask(0, 1024, 1, "a.example."), reply(1, 1024, 1, "b.example.")}, 0, 1, 1, 0},
		{"a response before its query", []frame{reply(0, 1024, 1, "a.example."), ask(1, 1024, 1, "a.example.")}, 0, 1, 1, 0},
		{"two responses to one query", []frame{ask(0, 1024, 1, "a.example."), reply(1, 1024, 1, "a.example."), reply(2, 1024, 1, "a.example.")}, 1, 0, 1, 0},
		{"a query repeated and answered twice", []frame{ask(0, 1024, 1, "a.example."), ask(1, 1024, 1, "a.example."), reply(2, 1024, 1, "a.example."), reply(3, 1024, 1, "a.example.")}, 2, 0, 0, 0},
		{"two questions with one ID, answered crosswise", []frame{ask(0, 1024, 1, "a.example."), ask(1, 1024, 1, "b.example."), reply(2, 1024, 1, "b.example."), reply(3, 1024, 1, "a.example.")}, 2, 0, 0, 0},
		{"a response without a question", []frame{ask(0, 1024, 1, "a.example."), withoutQuestion(1, 1024, 1)}, 1, 0, 0, 0},
		{"a response without a question, to nobody", []frame{withoutQuestion(1, 1024, 1)}, 0, 0, 0, 1},
		{"a response just in time", []frame{ask(0, 1024, 1, "a.example."), reply(10*time.Second-1, 1024, 1, "a.example.")}, 1, 0, 0, 0},
		{"a response too late", []frame{ask(0, 1024, 1, "a.example."), reply(10*time.Second, 1024, 1, "a.example.")}, 0, 1, 1, 0},
		{"a jump back in time", []frame{ask(time.Hour, 1024, 1, "a.example."), reply(0, 1024, 1, "a.example.")}, 0, 1, 1, 0},
	} {
		s, _ := read(t, pcapFile(t, layers.LinkTypeEthernet, c.frames...), nil)
		if s.Answered != c.answered || s.Unanswered != c.unanswered || s.Unmatched != c.unmatched || s.NoQuestion != c.noQuestion {
			t.Errorf("%s: answered %d unanswered %d unmatched %d without question %d; want %d %d %d %d",
				c.name, s.Answered, s.Unanswered, s.Unmatched, s.NoQuestion, c.answered, c.unanswered, c.unmatched, c.noQuestion)
		}
	}
}

func TestAResponseWithoutItsQueryIsATransactionOfItsClient(t *testing.T) {
	_, got := read(t, pcapFile(t, layers.LinkTypeEthernet,
		frame{5 * ms, udp(t, server6, client6, 53, 40000, answer(t, 7, "a.example.", dns.TypeAAAA, 3))}), nil)
	if g := got[0]; g.client != client6 || g.upstream != server6 || g.name != "a.example" || g.rcode != 3 || g.latency != 0 || g.time != 5*ms || g.source != detect.FromWire {
		t.Errorf("transaction %+v", g)
	}
}

func TestAQueryWithoutResponseIsATransactionFromNowhere(t *testing.T) {
	_, got := read(t, pcapFile(t, layers.LinkTypeEthernet,
		frame{0, udp(t, client6, server6, 40000, 53, query(t, 7, "a.example.", dns.TypeA))}), nil)
	if g := got[0]; g.client != client6 || g.upstream != server6 || g.source != detect.FromNowhere || g.response != nil {
		t.Errorf("transaction %+v", g)
	}
}

// The table of queries that wait is bounded: the oldest makes room, and is
// recorded as unanswered and counted as evicted.
func TestTheTableOfWaitingQueriesIsBounded(t *testing.T) {
	var frames []frame
	for i := range 100 {
		frames = append(frames, frame{time.Duration(i), udp(t, client4, server4, 1024+uint16(i), 53, query(t, 1, "a.example.", dns.TypeA))})
	}
	for i := range 100 {
		frames = append(frames, frame{time.Second, udp(t, server4, client4, 53, 1024+uint16(i), answer(t, 1, "a.example.", dns.TypeA, 0))})
	}
	s, _ := read(t, pcapFile(t, layers.LinkTypeEthernet, frames...), func(c *capture.Config, _ *capture.Deps) { c.MaxPending = 10 })
	if s.Answered != 10 || s.Unanswered != 90 || s.Evicted != 90 || s.Unmatched != 90 {
		t.Errorf("answered %d unanswered %d evicted %d unmatched %d; want 10 90 90 90", s.Answered, s.Unanswered, s.Evicted, s.Unmatched)
	}
}

// Equal addresses, ports and IDs share one chain; it must not grow with what a
// hostile client sends, or each packet would cost more than the one before.
func TestAChainOfEqualQueriesIsBounded(t *testing.T) {
	var frames []frame
	for i := range 200 {
		frames = append(frames, frame{time.Duration(i), udp(t, client4, server4, 1024, 53, query(t, 1, fmt.Sprintf("n%d.example.", i), dns.TypeA))})
	}
	frames = append(frames, frame{time.Second, udp(t, server4, client4, 53, 1024, answer(t, 1, "n199.example.", dns.TypeA, 0))})
	s, _ := read(t, pcapFile(t, layers.LinkTypeEthernet, frames...), nil)
	if s.Answered != 1 || s.Unanswered != 199 || s.Evicted != 200-64 {
		t.Errorf("answered %d unanswered %d evicted %d; want 1 199 136", s.Answered, s.Unanswered, s.Evicted)
	}
}

// What is broken behind the question costs nothing but itself.
func TestABrokenResponseKeepsItsQuestionAndItsGoodRecords(t *testing.T) {
	full := answer(t, 7, "a.example.", dns.TypeA, 0, "a.example. 60 IN A 192.0.2.1", "a.example. 60 IN A 192.0.2.2")
	for cut := range len(full) - 12 {
		part := full[:len(full)-cut]
		s, got := read(t, pcapFile(t, layers.LinkTypeEthernet,
			frame{0, udp(t, client4, server4, 40000, 53, query(t, 7, "a.example.", dns.TypeA))},
			frame{1, udp(t, server4, client4, 53, 40000, part)}), nil)
		if s.DNSMessages != 2 || s.Answered != 1 || got[0].name != "a.example" || !bytes.Equal(got[0].response, part) {
			t.Fatalf("cut by %d: %+v, %+v", cut, s, got)
		}
	}
}

func TestOtherMessagesAreCountedNotRecorded(t *testing.T) {
	update := new(dns.Msg)
	update.SetUpdate("example.")
	notify := new(dns.Msg)
	notify.SetNotify("example.")
	none := new(dns.Msg)
	two := query(t, 1, "a.example.", dns.TypeA)
	two[5] = 2 // QDCOUNT: the first question still counts
	s, got := read(t, pcapFile(t, layers.LinkTypeEthernet,
		frame{0, udp(t, client4, server4, 1, 53, pack(t, update))},
		frame{1, udp(t, client4, server4, 1, 53, pack(t, notify))},
		frame{2, udp(t, client4, server4, 1, 53, pack(t, none))},
		frame{3, udp(t, client4, server4, 1, 53, query(t, 1, "a.example.", dns.TypeA)[:20])},
		frame{4, udp(t, client4, server4, 1, 53, two)},
	), nil)
	if s.OtherOpcodes != 2 || s.NoQuestion != 2 || s.Queries != 1 || len(got) != 1 {
		t.Errorf("other opcodes %d, no question %d, queries %d; want 2 2 1", s.OtherOpcodes, s.NoQuestion, s.Queries)
	}
}

// Watching enforces nothing: the action says what would have happened.
func TestVerdictsAreTakenAndNeverEnforced(t *testing.T) {
	var order []string
	in := inspector{
		inspect: func(q *detect.Query, v *detect.Verdict) {
			if v.Unscored != detect.NotAsked || len(v.Matches) != 0 || v.Origin != detect.OriginNone {
				t.Errorf("verdict comes as %+v, want empty", v)
			}
			order = append(order, "query "+q.Name.String())
			v.Origin, v.Action, v.Enforced, v.Unscored = detect.OriginBlockList, detect.NXDOMAIN, true, detect.Scored
			v.Matches = append(v.Matches, detect.Match{List: "x"})
		},
		answer: func(q *detect.Query, response []byte, v *detect.Verdict) {
			if !v.Enforced || len(response) == 0 {
				t.Error("the answer's inspection does not see the query's verdict as it was")
			}
			order = append(order, "answer "+q.Name.String())
		},
	}
	_, got := read(t, pcapFile(t, layers.LinkTypeEthernet,
		frame{0, udp(t, client4, server4, 40000, 53, query(t, 7, "a.example.", dns.TypeA))},
		frame{1, udp(t, client4, server4, 40000, 53, query(t, 8, "b.example.", dns.TypeA))},
		frame{2, udp(t, server4, client4, 53, 40000, answer(t, 7, "a.example.", dns.TypeA, 0))},
	), func(_ *capture.Config, d *capture.Deps) { d.Inspector = in })
	for _, g := range got {
		if g.verdict.Action != detect.NXDOMAIN || g.verdict.Enforced {
			t.Errorf("%s: verdict %+v, want nxdomain, not enforced", g.name, g.verdict)
		}
	}
	if want := []string{"query a.example", "answer a.example", "query b.example"}; !slices.Equal(order, want) {
		t.Errorf("inspected %v, want %v", order, want)
	}
}

// Without a detector, and with one that panics, the verdict says "not judged".
func TestNoVerdictIsNeverALowScore(t *testing.T) {
	file := pcapFile(t, layers.LinkTypeEthernet,
		frame{0, udp(t, client4, server4, 40000, 53, query(t, 7, "a.example.", dns.TypeA))},
		frame{1, udp(t, client4, server4, 40000, 53, query(t, 8, "b.example.", dns.TypeA))})
	_, got := read(t, file, nil)
	if got[0].verdict.Unscored != detect.NotAsked {
		t.Errorf("no detector: %v, want not_asked", got[0].verdict.Unscored)
	}
	s, got := read(t, file, func(_ *capture.Config, d *capture.Deps) {
		d.Inspector = inspector{inspect: func(*detect.Query, *detect.Verdict) { panic("bug") }}
	})
	if len(got) != 2 || got[0].verdict.Unscored != detect.Failed || s.Panics != 2 {
		t.Errorf("panicking detector: %d transactions, %v, %d panics; want 2, failed, 2", len(got), got[0].verdict.Unscored, s.Panics)
	}
}

func TestPortsAreThoseOfTheConfig(t *testing.T) {
	file := pcapFile(t, layers.LinkTypeEthernet,
		frame{0, udp(t, client4, server4, 40000, 53, query(t, 7, "a.example.", dns.TypeA))},
		frame{1, udp(t, client4, server4, 40000, 5353, query(t, 8, "b.example.", dns.TypeA))})
	_, got := read(t, file, func(c *capture.Config, _ *capture.Deps) { c.Ports, c.AnyPort = []uint16{5353}, false })
	if len(got) != 1 || got[0].name != "b.example" {
		t.Errorf("%+v, want b.example alone", got)
	}
}

func TestMetricsCountPacketsAndDrops(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	read(t, pcapFile(t, layers.LinkTypeEthernet,
		frame{0, udp(t, client4, server4, 40000, 80, nil)},
		frame{1, udp(t, client4, server4, 40000, 53, query(t, 8, "b.example.", dns.TypeA))},
	), func(_ *capture.Config, d *capture.Deps) { d.Registry = reg })
	want := "# HELP weir_capture_packets_total Packets seen in captures and on interfaces, those included that the kernel dropped.\n# TYPE weir_capture_packets_total counter\nweir_capture_packets_total 2\n"
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "weir_capture_packets_total"); err != nil {
		t.Error(err)
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			labels := fmt.Sprint(m.GetLabel())
			if f.GetName() == "weir_capture_dropped_total" && strings.Contains(labels, `"other_port"`) && strings.Contains(labels, `"udp"`) && m.GetCounter().GetValue() != 1 {
				t.Errorf("%s: %v, want 1", labels, m.GetCounter().GetValue())
			}
		}
	}
}

func TestValidateNamesEveryProblem(t *testing.T) {
	good := capture.DefaultConfig()
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	bad := capture.Config{Ports: []uint16{53, 0}, PairTimeout: -1}
	err := bad.Validate()
	for _, want := range []string{"ports[1]: must not be 0", "pair_timeout: must be over 0s, got -1ns", "max_pending: must be at least 1, got 0"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in %v", want, err)
		}
	}
}

// Packets come by the million: reading one must cost no memory of its own.
func TestReadingAPacketDoesNotAllocate(t *testing.T) {
	frames := func(n int) []byte {
		var all []frame
		for i := range n {
			port := 1024 + uint16(i%100)
			all = append(all, frame{time.Duration(2*i) * ms, udp(t, client4, server4, port, 53, query(t, uint16(i), "a.example.", dns.TypeA))},
				frame{time.Duration(2*i+1) * ms, udp(t, server4, client4, 53, port, answer(t, uint16(i), "a.example.", dns.TypeA, 0, "a.example. 60 IN A 192.0.2.1"))})
		}
		return pcapFile(t, layers.LinkTypeEthernet, all...)
	}
	cost := func(file []byte) float64 {
		c, _ := newCapture(t, func(_ *capture.Config, d *capture.Deps) { d.Sinks = nil })
		return testing.AllocsPerRun(5, func() { _ = c.Read(t.Context(), bytes.NewReader(file)) })
	}
	few, many := frames(10), frames(1000)
	if a, b := cost(few), cost(many); b > a+10 {
		t.Errorf("%v allocations for 20 packets, %v for 2000: want the same", a, b)
	}
}

func TestReadingASegmentDoesNotAllocate(t *testing.T) {
	frames := func(n int) []byte {
		all := []frame{{0, toServer.packet(t, 0, "S", nil)}, {0, toClient.packet(t, 0, "S", nil)}}
		out, in := 0, 0
		for i := range n {
			q, a := framed(query(t, uint16(i), "a.example.", dns.TypeA)), framed(answer(t, uint16(i), "a.example.", dns.TypeA, 0, "a.example. 60 IN A 192.0.2.1"))
			at := time.Duration(i) * ms
			// The question out of order and in two, the answer in two.
			all = append(all, frame{at, toServer.packet(t, out+9, "", q[9:])}, frame{at, toServer.packet(t, out, "", q[:9])},
				frame{at, toClient.packet(t, in, "", a[:20])}, frame{at, toClient.packet(t, in+20, "", a[20:])})
			out, in = out+len(q), in+len(a)
		}
		return pcapFile(t, layers.LinkTypeEthernet, all...)
	}
	cost := func(file []byte) float64 {
		c, _ := newCapture(t, func(_ *capture.Config, d *capture.Deps) { d.Sinks = nil })
		n := testing.AllocsPerRun(5, func() { _ = c.Read(t.Context(), bytes.NewReader(file)) })
		if s := c.Summary(); s.Answered == 0 || s.Answered != s.Queries {
			t.Errorf("%+v", s)
		}
		return n
	}
	few, many := frames(10), frames(1000)
	if a, b := cost(few), cost(many); b > a+10 {
		t.Errorf("%v allocations for 40 segments, %v for 4000: want the same", a, b)
	}
}

func BenchmarkRead(b *testing.B) {
	var all []frame
	for i := range 1000 {
		port := 1024 + uint16(i%100)
		all = append(all, frame{time.Duration(2*i) * ms, udp(b, client4, server4, port, 53, query(b, uint16(i), "a.example.", dns.TypeA))},
			frame{time.Duration(2*i+1) * ms, udp(b, server4, client4, 53, port, answer(b, uint16(i), "a.example.", dns.TypeA, 0, "a.example. 60 IN A 192.0.2.1"))})
	}
	file := pcapFile(b, layers.LinkTypeEthernet, all...)
	c, _ := newCapture(b, func(_ *capture.Config, d *capture.Deps) { d.Sinks = nil })
	b.SetBytes(int64(len(file)))
	b.ReportAllocs()
	for b.Loop() {
		if err := c.Read(b.Context(), bytes.NewReader(file)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkReadTCP(b *testing.B) {
	all := []frame{{0, toServer.packet(b, 0, "S", nil)}, {0, toClient.packet(b, 0, "S", nil)}}
	out, in := 0, 0
	for i := range 1000 {
		q, a := framed(query(b, uint16(i), "a.example.", dns.TypeA)), framed(answer(b, uint16(i), "a.example.", dns.TypeA, 0, "a.example. 60 IN A 192.0.2.1"))
		at := time.Duration(i) * ms
		all = append(all, frame{at, toServer.packet(b, out, "", q)}, frame{at, toClient.packet(b, in, "", a)})
		out, in = out+len(q), in+len(a)
	}
	file := pcapFile(b, layers.LinkTypeEthernet, all...)
	c, _ := newCapture(b, func(_ *capture.Config, d *capture.Deps) { d.Sinks = nil })
	b.SetBytes(int64(len(file)))
	b.ReportAllocs()
	for b.Loop() {
		if err := c.Read(b.Context(), bytes.NewReader(file)); err != nil {
			b.Fatal(err)
		}
	}
}
