package capture_test

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/gopacket/gopacket/layers"
	"github.com/miekg/dns"
)

// ip4 and ip6 put an IP header in front of a payload, and udpIn a UDP header
// below that.
func ip4(proto byte, payload []byte) []byte {
	b := []byte{0x45, 0, 0, 0, 0, 0, 0, 0, 64, proto, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2}
	binary.BigEndian.PutUint16(b[2:], uint16(20+len(payload)))
	return append(b, payload...)
}

func ip6(proto byte, payload []byte) []byte {
	b := make([]byte, 40, 40+len(payload))
	b[0], b[6], b[7], b[8], b[24] = 0x60, proto, 64, 0xfd, 0xfd
	binary.BigEndian.PutUint16(b[4:], uint16(len(payload)))
	return append(b, payload...)
}

func udpIn(port uint16, payload []byte) []byte {
	b := binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, 50000), port)
	b = binary.BigEndian.AppendUint16(b, uint16(8+len(payload)))
	return append(append(b, 0, 0), payload...)
}

// layered are packets with a query in them, by what is around it, as link type
// and octets.
func layered(tb testing.TB) map[string]struct {
	link layers.LinkType
	data []byte
} {
	frame4 := udp(tb, client4, server4, 40000, 53, query(tb, 7, "a.example.", dns.TypeA))
	frame6 := udp(tb, client6, server6, 40000, 53, query(tb, 7, "a.example.", dns.TypeA))
	in4, in6 := frame4[14:], frame6[14:]
	p := prefix
	const ether, raw = layers.LinkTypeEthernet, layers.LinkTypeRaw
	const macs = "\x02\x00\x00\x00\x00\x02\x02\x00\x00\x00\x00\x01"
	type packet = struct {
		link layers.LinkType
		data []byte
	}
	gtp := func(flags byte, fields string, in []byte) []byte {
		b := binary.BigEndian.AppendUint16([]byte{flags, 0xff}, uint16(len(fields)+len(in)))
		return ip4(17, udpIn(2152, p(string(b)+"\x00\x00\x00\x01"+fields, in)))
	}
	pppoeLength := func(b []byte) string { return string(binary.BigEndian.AppendUint16(nil, uint16(len(b)+2))) }
	return map[string]packet{
		"QinQ of old":                         {ether, p(macs+"\x91\x00\x00\x0b\x81\x00\x00\x0c\x08\x00", in4)},
		"802.1ah":                             {ether, p(macs+"\x88\xa8\x00\x0b\x88\xe7\x00\x00\x00\x01", frame4)},
		"SNAP":                                {ether, p(macs+"\x00\x50\xaa\xaa\x03\x00\x00\x00\x08\x00", in4)},
		"MPLS, IPv4":                          {ether, p(macs+"\x88\x47\x00\x01\x01\x40", in4)},
		"MPLS, three labels, IPv6":            {ether, p(macs+"\x88\x47\x00\x01\x00\x40\x00\x02\x00\x40\x00\x03\x01\x40", in6)},
		"MPLS, Ethernet and its control word": {ether, p(macs+"\x88\x47\x00\x01\x01\x40\x00\x00\x00\x00", frame4)},
		"MPLS, Ethernet to an address that is like a control word": {ether, p(macs+"\x88\x47\x00\x01\x01\x40", frame4)},
		"MPLS, Ethernet to an address that is like IPv4":           {ether, p(macs+"\x88\x47\x00\x01\x01\x40", append([]byte("\x42"), frame4[1:]...))},
		"MPLS, Ethernet":                    {ether, p(macs+"\x88\x47\x00\x01\x01\x40", append([]byte("\x12"), frame4[1:]...))},
		"PPPoE":                             {ether, p(macs+"\x88\x64\x11\x00\x00\x01"+pppoeLength(in4)+"\x00\x21", append(bytes.Clone(in4), "padding"...))},
		"PPPoE, IPv6 and a tag":             {ether, p(macs+"\x81\x00\x00\x0b\x88\x64\x11\x00\x00\x01"+pppoeLength(in6)+"\x00\x57", in6)},
		"PPP":                               {layers.LinkTypePPP, p("\xff\x03\x00\x21", in4)},
		"PPP, compressed":                   {layers.LinkTypePPP, p("\x21", in4)},
		"PPP with MPLS":                     {layers.LinkTypePPP, p("\xff\x03\x02\x81\x00\x01\x01\x40", in4)},
		"PPP in HDLC":                       {layers.LinkTypePPP_HDLC, p("\xff\x03\x00\x57", in6)},
		"Cisco's HDLC":                      {104, p("\x0f\x00\x08\x00", in4)},
		"PPP with the direction":            {204, p("\x01\xff\x03\x00\x21", in4)},
		"PPPoE as a link":                   {51, p("\x11\x00\x00\x01"+pppoeLength(in4)+"\x00\x21", in4)},
		"IP in IP":                          {raw, ip4(4, in4)},
		"6in4":                              {raw, ip4(41, in6)},
		"4in6":                              {raw, ip6(4, in4)},
		"6in6":                              {raw, ip6(41, in6)},
		"EtherIP":                           {raw, ip4(97, p("\x30\x00", frame4))},
		"MPLS in IP":                        {raw, ip4(137, p("\x00\x01\x01\x40", in4))},
		"GRE":                               {raw, ip4(47, p("\x00\x00\x08\x00", in4))},
		"GRE in IPv6":                       {raw, ip6(47, p("\x00\x00\x86\xdd", in6))},
		"GRE with all fields":               {raw, ip4(47, p("\xb0\x00\x86\xddccccKKKKssss", in6))},
		"GRE with Ethernet":                 {raw, ip4(47, p("\x20\x00\x65\x58KKKK", frame4))},
		"GRE with a tag":                    {raw, ip4(47, p("\x00\x00\x81\x00\x00\x0b\x08\x00", in4))},
		"GRE with MPLS":                     {raw, ip4(47, p("\x00\x00\x88\x47\x00\x01\x01\x40", in4))},
		"PPTP":                              {raw, ip4(47, p("\x30\x81\x88\x0bKKKKssssaaaa\xff\x03\x00\x21", in4))},
		"ERSPAN I":                          {raw, ip4(47, p("\x00\x00\x88\xbe", frame4))},
		"ERSPAN II":                         {raw, ip4(47, p("\x10\x00\x88\xbessss\x10\x0b\x00\x01\x00\x00\x00\x00", frame4))},
		"ERSPAN III":                        {raw, ip4(47, p("\x10\x00\x22\xebssss\x20\x0b\x00\x01tttt\x00\x00\x00\x00", frame4))},
		"ERSPAN III with a platform header": {raw, ip4(47, p("\x10\x00\x22\xebssss\x20\x0b\x00\x01tttt\x00\x00\x00\x01pppppppp", frame4))},
		"VXLAN":                             {raw, ip4(17, udpIn(4789, p("\x08\x00\x00\x00\x00\x00\x01\x00", frame4)))},
		"VXLAN with a tag, over IPv6":       {raw, ip6(17, udpIn(4789, p("\x08\x00\x00\x00\x00\x00\x01\x00"+macs+"\x81\x00\x00\x0b\x86\xdd", in6)))},
		"Geneve with Ethernet":              {raw, ip4(17, udpIn(6081, p("\x00\x00\x65\x58\x00\x00\x01\x00", frame4)))},
		"Geneve with options and IPv4":      {raw, ip4(17, udpIn(6081, p("\x02\x00\x08\x00\x00\x00\x01\x00oooooooo", in4)))},
		"GTP-U":                             {raw, gtp(0x30, "", in4)},
		"GTP-U with a number":               {raw, gtp(0x32, "\x00\x01\x00\x00", in6)},
		"GTP-U with extensions":             {raw, gtp(0x34, "\x00\x00\x00\x85\x01\x00\x00\x40\x02\x00\x00\x00\x00\x00\x00\x00", in4)},
		"Teredo":                            {raw, ip4(17, udpIn(3544, in6))},
		"Teredo with all that may be":       {raw, ip4(17, udpIn(3544, p("\x00\x01\x02\x01cca"+"nnnnnnnn"+"\x00"+"\x00\x00ppaaaa", in6)))},
		"VXLAN in GRE in MPLS":              {ether, p(macs+"\x88\x47\x00\x01\x01\x40", ip4(47, p("\x00\x00\x08\x00", ip4(17, udpIn(4789, p("\x08\x00\x00\x00\x00\x00\x01\x00", frame4))))))},
	}
}

func TestEveryTunnelLeadsToTheMessage(t *testing.T) {
	for name, c := range layered(t) {
		s, got := read(t, pcapFile(t, c.link, frame{0, c.data}), nil)
		if len(got) != 1 || got[0].name != "a.example" || got[0].client != client4 && got[0].client != client6 {
			t.Errorf("%s: %+v %+v", name, s, got)
		}
	}
}

// Cut anywhere, a tunnel is one packet that is dropped, or a message that is
// cut, and never a query of another name.
func TestACutTunnelIsCountedOnce(t *testing.T) {
	for name, c := range layered(t) {
		var packets [][]byte
		for cut := range len(c.data) {
			packets = append(packets, c.data[:cut])
		}
		s, got := read(t, pcapFile(t, c.link, inOrder(packets...)...), nil)
		for _, g := range got {
			if g.name != "a.example" || g.qtype != dns.TypeA {
				t.Fatalf("%s: %+v %+v", name, s, got)
			}
		}
		if s.Packets != uint64(len(packets)) || s.Panics != 0 {
			t.Fatalf("%s: %+v", name, s)
		}
	}
}

// What looks like a tunnel and holds nothing that makes sense is one that is
// not read.
func TestWhatIsNoPacketInATunnelIsATunnel(t *testing.T) {
	in4 := udp(t, client4, server4, 40000, 53, query(t, 7, "a.example.", dns.TypeA))[14:]
	for name, data := range map[string][]byte{
		"GRE with routing": ip4(47, prefix("\x40\x00\x08\x00", in4)), "GRE of ARP": ip4(47, prefix("\x00\x00\x08\x06", in4)), "GRE of version 2": ip4(47, prefix("\x00\x02\x08\x00", in4)),
		"ERSPAN of another version": ip4(47, prefix("\x10\x00\x88\xbessss\x30\x0b\x00\x01\x00\x00\x00\x00", make([]byte, 60))),
		"IP in IP that is none":     ip4(4, []byte("this is no packet, is it?")),
	} {
		if s, _ := read(t, pcapFile(t, layers.LinkTypeRaw, frame{0, data}), nil); s.Drops["ip"]["tunnel"] != 1 {
			t.Errorf("%s: %+v", name, s)
		}
	}
	for name, payload := range map[string][]byte{
		"VXLAN without a network": ip4(17, udpIn(4789, prefix("\x00\x00\x00\x00\x00\x00\x01\x00", in4))), "a port of Geneve": ip4(17, udpIn(6081, []byte("hello, hello, hello"))),
		"an echo of GTP-U": ip4(17, udpIn(2152, prefix("\x32\x01\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00", in4))), "Teredo of IPv4": ip4(17, udpIn(3544, in4)), "nothing": ip4(17, udpIn(4789, nil)),
	} {
		if s, _ := read(t, pcapFile(t, layers.LinkTypeRaw, frame{0, payload}), nil); s.Drops["udp"]["tunnel"] != 1 {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

func TestNestingIsBounded(t *testing.T) {
	data := udp(t, client4, server4, 40000, 53, query(t, 7, "a.example.", dns.TypeA))[14:]
	for depth := 1; depth < 12; depth++ {
		s, got := read(t, pcapFile(t, layers.LinkTypeRaw, frame{0, data}), nil)
		if want := depth <= 8; len(got) == 1 != want || s.Drops["ip"]["nested"] == 1 == want {
			t.Errorf("%d packets, one inside of the other: %+v", depth, s)
		}
		data = ip4(4, data)
	}
}

// Fragments of the tunnel, and fragments in it.
func TestFragmentsAndTunnelsNest(t *testing.T) {
	message := large(t, 7, 4000)
	inner := fragmented(udp(t, server4, client4, 53, 40000, message), 9, 2000)
	var packets [][]byte
	for i, part := range inner {
		outer := append(bytes.Clone(part[:14]), ip4(17, udpIn(4789, prefix("\x08\x00\x00\x00\x00\x00\x01\x00", part)))...)
		packets = append(packets, fragmented(outer, uint32(i), 800)...)
	}
	s, got := read(t, pcapFile(t, layers.LinkTypeEthernet, inOrder(packets...)...), nil)
	if len(got) != 1 || !bytes.Equal(got[0].response, message) || s.Merged != uint64(len(packets)-1) {
		t.Errorf("%+v", s)
	}
}

// An ICMP error quotes a message that was seen before, or elsewhere. It counts,
// and is no transaction.
func TestAMessageThatAnErrorQuotesIsCountedNotRecorded(t *testing.T) {
	v4 := udp(t, server4, client4, 53, 40000, answer(t, 7, "a.example.", dns.TypeA, 0))[14:]
	v6 := udp(t, server6, client6, 53, 40000, answer(t, 7, "a.example.", dns.TypeA, 0))[14:]
	for _, c := range []struct {
		name   string
		data   []byte
		quoted uint64
	}{
		{"port unreachable", ip4(1, prefix("\x03\x03\x00\x00\x00\x00\x00\x00", v4)), 1},
		{"port unreachable in IPv6", ip6(58, prefix("\x01\x04\x00\x00\x00\x00\x00\x00", v6)), 1},
		{"all but the header cut", ip4(1, prefix("\x03\x03\x00\x00\x00\x00\x00\x00", v4[:28])), 0},
		{"an echo", ip4(1, prefix("\x08\x00\x00\x00\x00\x00\x00\x00", v4)), 0},
		{"an error about an error", ip4(1, prefix("\x03\x03\x00\x00\x00\x00\x00\x00", ip4(1, prefix("\x03\x03\x00\x00\x00\x00\x00\x00", v4)))), 0},
		{"about a segment", ip4(1, prefix("\x03\x03\x00\x00\x00\x00\x00\x00", toServer.packet(t, 0, "", framed(query(t, 7, "a.example.", dns.TypeA)))[14:])), 1},
		{"about the middle of a stream", ip4(1, prefix("\x03\x03\x00\x00\x00\x00\x00\x00", toServer.packet(t, 0, "", framed(query(t, 7, "a.example.", dns.TypeA))[5:])[14:])), 0},
		{"of a redirect", ip6(58, prefix("\x89\x00\x00\x00\x00\x00\x00\x00"+string(make([]byte, 32))+"\x02\x01mmmmmm\x04\x0c\x00\x00\x00\x00\x00\x00", append(bytes.Clone(v6), make([]byte, 88-len(v6)%88)...))), 1},
		{"about a fragment", ip4(1, prefix("\x03\x03\x00\x00\x00\x00\x00\x00", fragmented(udp(t, server4, client4, 53, 40000, large(t, 7, 3000)), 9, 1480)[0][14:])), 0},
	} {
		s, got := read(t, pcapFile(t, layers.LinkTypeRaw, frame{0, c.data}), nil)
		if len(got) != 0 || s.Quoted != c.quoted || s.DNSMessages != c.quoted || s.Drops["ip"]["other_protocol"] != 1-c.quoted {
			t.Errorf("%s: %+v", c.name, s)
		}
	}
}
