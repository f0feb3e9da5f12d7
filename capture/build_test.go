package capture_test

import (
	"bytes"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/weirdns/weir/capture"
	"github.com/weirdns/weir/detect"
	"go.uber.org/zap"
)

// start is the time of the first packet in these tests.
var start = time.Date(2026, 3, 1, 12, 0, 0, 250_000_000, time.UTC)

const (
	client4, server4 = "192.0.2.10", "198.51.100.53"
	client6, server6 = "2001:db8:1::10", "2001:db8:53::53"
)

// frame is one packet of a test capture.
type frame struct {
	at   time.Duration // since start
	data []byte
}

// udp is an Ethernet frame with a datagram, built by gopacket: what others
// write is what has to be read.
func udp(tb testing.TB, from, to string, sport, dport uint16, payload []byte, tags ...uint16) []byte {
	tb.Helper()
	src, dst := netip.MustParseAddr(from), netip.MustParseAddr(to)
	eth := &layers.Ethernet{SrcMAC: net.HardwareAddr{2, 0, 0, 0, 0, 1}, DstMAC: net.HardwareAddr{2, 0, 0, 0, 0, 2}}
	stack := []gopacket.SerializableLayer{eth}
	next := &eth.EthernetType
	for i, tag := range tags {
		*next = layers.EthernetTypeDot1Q
		if i == 0 && len(tags) > 1 {
			*next = layers.EthernetTypeQinQ
		}
		q := &layers.Dot1Q{VLANIdentifier: tag}
		stack = append(stack, q)
		next = &q.Type
	}
	u := &layers.UDP{SrcPort: layers.UDPPort(sport), DstPort: layers.UDPPort(dport)}
	if src.Is4() {
		*next = layers.EthernetTypeIPv4
		ip := &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolUDP, SrcIP: src.AsSlice(), DstIP: dst.AsSlice()}
		_ = u.SetNetworkLayerForChecksum(ip)
		stack = append(stack, ip)
	} else {
		*next = layers.EthernetTypeIPv6
		ip := &layers.IPv6{Version: 6, HopLimit: 64, NextHeader: layers.IPProtocolUDP, SrcIP: src.AsSlice(), DstIP: dst.AsSlice()}
		_ = u.SetNetworkLayerForChecksum(ip)
		stack = append(stack, ip)
	}
	return serialize(tb, append(stack, u, gopacket.Payload(payload))...)
}

func serialize(tb testing.TB, stack ...gopacket.SerializableLayer) []byte {
	tb.Helper()
	b := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, stack...); err != nil {
		tb.Fatal(err)
	}
	return bytes.Clone(b.Bytes())
}

// query and answer are messages in wire form.
func query(tb testing.TB, id uint16, name string, qtype uint16) []byte {
	tb.Helper()
	m := new(dns.Msg)
	m.SetQuestion(name, qtype)
	m.Id = id
	return pack(tb, m)
}

func answer(tb testing.TB, id uint16, name string, qtype uint16, rcode int, records ...string) []byte {
	tb.Helper()
	m := new(dns.Msg)
	m.SetQuestion(name, qtype)
	m.Id, m.Response, m.RecursionAvailable, m.Rcode, m.Compress = id, true, true, rcode, true
	for _, s := range records {
		rr, err := dns.NewRR(s)
		if err != nil {
			tb.Fatalf("%q: %v", s, err)
		}
		m.Answer = append(m.Answer, rr)
	}
	if rcode > 15 {
		m.SetEdns0(1232, false)
	}
	return pack(tb, m)
}

func pack(tb testing.TB, m *dns.Msg) []byte {
	tb.Helper()
	b, err := m.Pack()
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// pcapFile is a classic capture with nanoseconds.
func pcapFile(tb testing.TB, link layers.LinkType, frames ...frame) []byte {
	tb.Helper()
	var b bytes.Buffer
	w := pcapgo.NewWriterNanos(&b)
	if err := w.WriteFileHeader(65535, link); err != nil {
		tb.Fatal(err)
	}
	for _, f := range frames {
		if err := w.WritePacket(info(f), f.data); err != nil {
			tb.Fatal(err)
		}
	}
	return b.Bytes()
}

func info(f frame) gopacket.CaptureInfo {
	return gopacket.CaptureInfo{Timestamp: start.Add(f.at), CaptureLength: len(f.data), Length: len(f.data)}
}

// collector is a sink that copies what it needs.
type collector struct{ all []seen }

type seen struct {
	time                   time.Duration // since start
	client, name, upstream string
	qtype, rcode           uint16
	source                 detect.Source
	latency                time.Duration
	response               []byte
	verdict                detect.Verdict
	transport              detect.Transport
}

func (c *collector) Record(t *detect.Transaction) {
	c.all = append(c.all, seen{
		time: t.Query.Time.Sub(start), client: t.Query.Client.String(), name: t.Query.Name.String(), upstream: t.Upstream,
		qtype: t.Query.Type, rcode: t.Rcode, source: t.Source, latency: t.Latency, response: bytes.Clone(t.Response),
		verdict: t.Verdict, transport: t.Query.Transport,
	})
}

// inspector is a struct of functions; those that are nil do nothing.
type inspector struct {
	inspect func(q *detect.Query, v *detect.Verdict)
	answer  func(q *detect.Query, response []byte, v *detect.Verdict)
}

func (i inspector) Inspect(q *detect.Query, v *detect.Verdict) {
	if i.inspect != nil {
		i.inspect(q, v)
	}
}

func (i inspector) InspectAnswer(q *detect.Query, response []byte, v *detect.Verdict) {
	if i.answer != nil {
		i.answer(q, response, v)
	}
}

// newCapture is a Capture with a collector behind it.
func newCapture(tb testing.TB, edit func(*capture.Config, *capture.Deps)) (*capture.Capture, *collector) {
	tb.Helper()
	sink := &collector{}
	cfg, deps := capture.DefaultConfig(), capture.Deps{Sinks: []detect.Sink{sink}, Log: zap.NewNop(), Registry: prometheus.NewPedanticRegistry()}
	cfg.DuplicateWindow = 0 // tests repeat packets, and mean it
	if edit != nil {
		edit(&cfg, &deps)
	}
	c, err := capture.New(cfg, deps)
	if err != nil {
		tb.Fatal(err)
	}
	return c, sink
}

// read reads a capture and checks that its numbers add up.
func read(tb testing.TB, file []byte, edit func(*capture.Config, *capture.Deps)) (capture.Summary, []seen) {
	tb.Helper()
	c, sink := newCapture(tb, edit)
	if err := c.Read(tb.Context(), bytes.NewReader(file)); err != nil {
		tb.Fatal(err)
	}
	s := c.Summary()
	checkSums(tb, s)
	if uint64(len(sink.all)) != s.Transactions {
		tb.Errorf("%d transactions recorded, %d counted", len(sink.all), s.Transactions)
	}
	return s, sink.all
}

func checkSums(tb testing.TB, s capture.Summary) {
	tb.Helper()
	var drops uint64
	for _, reasons := range s.Drops {
		for _, n := range reasons {
			drops += n
		}
	}
	if s.Packets != s.DNSMessages-s.TCPMessages-s.Further+s.Segments+s.Merged+drops || s.Waiting != 0 ||
		s.DNSMessages != s.Queries+s.Responses+s.OtherOpcodes+s.NoQuestion+s.Quoted+s.Duplicates+s.Multicast ||
		s.Queries != s.Answered+s.Unanswered || s.Responses != s.Answered+s.Unmatched ||
		s.Transactions != s.Answered+s.Unanswered+s.Unmatched+s.MulticastRecorded {
		tb.Errorf("numbers do not add up: %+v", s)
	}
}

// waitFor waits for a condition, long enough for a slow machine.
func waitFor(t *testing.T, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it does not come true")
		}
	}
}
