package capture_test

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"

	"github.com/gopacket/gopacket/layers"
	"github.com/miekg/dns"
	"github.com/weirdns/weir/capture"
)

func withDuplicates(c *capture.Config, _ *capture.Deps) { c.DuplicateWindow = 20 * time.Millisecond }

// numbered gives an IPv4 packet in Ethernet a number, its checksum aside.
func numbered(eth []byte, id uint16) []byte {
	b := bytes.Clone(eth)
	binary.BigEndian.PutUint16(b[18:], id)
	return b
}

func TestWhatAMirrorPortShowsTwiceIsOneTransaction(t *testing.T) {
	q := udp(t, client4, server4, 40000, 53, query(t, 7, "a.example.", dns.TypeA))
	a := udp(t, server4, client4, 53, 40000, answer(t, 7, "a.example.", dns.TypeA, 0, "a.example. 60 IN A 192.0.2.1"))
	q6 := udp(t, client6, server6, 40000, 53, query(t, 7, "a.example.", dns.TypeA))
	tagged := udp(t, client4, server4, 40000, 53, query(t, 7, "a.example.", dns.TypeA), 11)
	for name, c := range map[string]struct {
		frames     []frame
		duplicates uint64
		records    uint64
	}{
		"both directions": {[]frame{{0, q}, {ms, q}, {5 * ms, a}, {6 * ms, a}}, 2, 1},
		"in another VLAN": {[]frame{{0, q}, {ms, tagged}, {5 * ms, a}}, 1, 1},
		"IPv6":            {[]frame{{0, q6}, {ms, q6}}, 1, 1},
		"three times":     {[]frame{{0, q}, {ms, q}, {2 * ms, q}}, 2, 1},
		"asked again":     {[]frame{{0, numbered(q, 1)}, {ms, numbered(q, 2)}}, 0, 2},
		"later":           {[]frame{{0, q}, {20 * ms, q}}, 0, 2},
		"time goes back":  {[]frame{{20 * ms, q}, {19 * ms, q}, {0, q}}, 1, 2},
		"another port":    {[]frame{{0, q}, {ms, udp(t, client4, server4, 40001, 53, query(t, 7, "a.example.", dns.TypeA))}}, 0, 2},
		"another answer":  {[]frame{{0, q}, {ms, a}, {2 * ms, udp(t, server4, client4, 53, 40000, answer(t, 7, "a.example.", dns.TypeA, 0, "a.example. 60 IN A 203.0.113.1"))}}, 0, 2},
	} {
		s, got := read(t, pcapFile(t, layers.LinkTypeEthernet, c.frames...), withDuplicates)
		if s.Duplicates != c.duplicates || uint64(len(got)) != c.records || s.DNSMessages != uint64(len(c.frames)) {
			t.Errorf("%s: %d duplicates, %d records, want %d, %d; %+v", name, s.Duplicates, len(got), c.duplicates, c.records, s)
		}
	}
	if s, _ := read(t, pcapFile(t, layers.LinkTypeEthernet, frame{0, q}, frame{ms, q}), nil); s.Duplicates != 0 || s.Queries != 2 {
		t.Errorf("without a window: %+v", s)
	}
}

// Addresses mean something else in another virtual network: fragments of two
// datagrams with equal addresses and numbers stay apart.
func TestFragmentsOfTwoNetworksStayApart(t *testing.T) {
	tag := func(b []byte, vlan byte) []byte {
		return append(append(bytes.Clone(b[:12]), 0x81, 0, 0, vlan), b[12:]...)
	}
	a := fragmented(udp(t, server4, client4, 53, 40000, large(t, 1, 400)), 9, 256)
	b := fragmented(udp(t, server4, client4, 53, 40001, large(t, 2, 400)), 9, 256)
	vxlan := func(b []byte, vni byte) []byte {
		return prefix("\x02\x00\x00\x00\x00\x02\x02\x00\x00\x00\x00\x01\x08\x00", ip4(17, udpIn(4789, prefix("\x08\x00\x00\x00\x00\x00"+string(rune(vni))+"\x00", b))))
	}
	for name, in := range map[string]func([]byte, byte) []byte{"VLAN": tag, "VXLAN": vxlan} {
		s, got := read(t, pcapFile(t, layers.LinkTypeEthernet, inOrder(in(a[0], 1), in(b[0], 2), in(b[1], 2), in(a[1], 1))...), nil)
		if s.Merged != 2 || len(got) != 2 {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

func TestTheLocalLinkIsCountedOrRecorded(t *testing.T) {
	announce := new(dns.Msg)
	announce.Response = true
	rr, err := dns.NewRR("printer.local. 120 IN A 192.0.2.9")
	if err != nil {
		t.Fatal(err)
	}
	announce.Answer = []dns.RR{rr}
	file := pcapFile(t, layers.LinkTypeEthernet, inOrder(
		udp(t, client4, "224.0.0.251", 5353, 5353, query(t, 0, "printer.local.", dns.TypeA)),
		udp(t, client4, "224.0.0.251", 5353, 5353, pack(t, announce)),
		udp(t, client4, "224.0.0.252", 50000, 5355, query(t, 9, "wpad.", dns.TypeA)),
	)...)
	for how, want := range map[capture.Multicast][3]uint64{capture.MulticastOff: {0, 0, 3}, capture.MulticastCount: {3, 0, 0}, capture.MulticastRecord: {3, 3, 0}} {
		s, got := read(t, file, func(c *capture.Config, _ *capture.Deps) { c.Multicast = how })
		if s.Multicast != want[0] || s.MulticastRecorded != want[1] || s.Drops["udp"]["other_port"] != want[2] {
			t.Errorf("%s: %+v", how, s)
		}
		if len(got) == 3 && (got[1].name != "printer.local" || len(got[1].response) == 0 || got[2].name != "wpad") {
			t.Errorf("%+v", got)
		}
	}
}
