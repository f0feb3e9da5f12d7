package capture_test

import (
	"encoding/binary"
	"testing"

	"github.com/gopacket/gopacket/layers"
	"github.com/miekg/dns"
)

// aggregate is a frame of IEEE 802.11 that holds several, each with LLC.
func aggregate(bodies ...[]byte) []byte {
	b := make([]byte, 26)
	b[0], b[1], b[24] = 0x88, 0x01, 0x80 // data with QoS, to the distribution system, an A-MSDU
	for i, body := range bodies {
		b = append(b, make([]byte, 12)...)
		b = binary.BigEndian.AppendUint16(b, uint16(len(body)))
		b = append(b, body...)
		for i+1 < len(bodies) && (len(b)-26)%4 != 0 {
			b = append(b, 0)
		}
	}
	return b
}

// Of a packet that holds several frames or messages, each counts as what it is,
// and the packet once.
func TestEveryPartOfAPacketIsCountedAsWhatItIs(t *testing.T) {
	snap := func(kind uint16, b []byte) []byte {
		return append(binary.BigEndian.AppendUint16([]byte{0xaa, 0xaa, 3, 0, 0, 0}, kind), b...)
	}
	ask := func(id uint16, name string) []byte {
		return snap(0x0800, udp(t, client4, server4, 40000+id, 53, query(t, id, name, dns.TypeA))[14:])
	}
	web := snap(0x0800, tcpFlow{client4, server4, 40000, 80, 1}.packet(t, 0, "S", nil)[14:])
	stream := snap(0x0800, tcpFlow{client4, server4, 40001, 53, 1}.packet(t, 0, "", framed(query(t, 3, "c.example.", dns.TypeA)))[14:])
	file := pcapFile(t, layers.LinkTypeIEEE802_11, frame{0, aggregate(snap(0x0806, make([]byte, 28)), ask(1, "a.example."), web, stream, ask(2, "b.example."))}, frame{ms, aggregate(ask(4, "d.example."))})
	s, got := read(t, file, nil)
	if s.Packets != 2 || s.DNSMessages != 4 || s.TCPMessages != 1 || s.Segments != 1 || s.Further != 4 || s.Drops["link"]["not_ip"] != 1 || s.Drops["tcp"]["other_port"] != 1 {
		t.Errorf("%+v", s)
	}
	if len(got) != 4 {
		t.Errorf("recorded: %v", names(got))
	}

	chunk := func(kind byte, tsn uint32, b []byte) []byte {
		out := binary.BigEndian.AppendUint32([]byte{kind, 3, 0, byte(16 + len(b))}, tsn)
		out = append(append(out, make([]byte, 8)...), b...)
		return append(out, make([]byte, -len(out)&3)...)
	}
	sctp := append([]byte{0x9c, 0x40, 0, 53}, make([]byte, 8)...)
	for i, name := range []string{"a.example.", "b.example.", "b.example."} {
		sctp = append(sctp, chunk(0, uint32(i), query(t, uint16(min(i, 1)), name, dns.TypeA))...)
	}
	s, got = read(t, pcapFile(t, layers.LinkTypeRaw, frame{0, ip4(132, append(sctp, 0, 3, 0, 99))}), withDuplicates)
	if s.Packets != 1 || s.DNSMessages != 3 || s.Further != 2 || len(got) != 3 {
		t.Errorf("SCTP: %+v, %v", s, names(got))
	}
}

// A packet full of compressed parts does not cost more than one.
func TestOnePacketIsWorthOneInflation(t *testing.T) {
	var bodies [][]byte
	for _, c := range layerCases(t) {
		for c.name == "ipcomp" && len(bodies) < 5 {
			bodies = append(bodies, append([]byte{0xaa, 0xaa, 3, 0, 0, 0, 8, 0}, c.data...))
		}
	}
	s, _ := read(t, pcapFile(t, layers.LinkTypeIEEE802_11, frame{0, aggregate(bodies...)}), nil)
	if len(bodies) != 5 || s.Packets != 1 || s.DNSMessages != 1 || s.Further != 4 || s.Drops["ip"]["tunnel"] != 4 {
		t.Errorf("%d frames: %+v", len(bodies), s)
	}
}
