package capture_test

import (
	"bytes"
	"encoding/binary"
	"maps"
	"slices"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/miekg/dns"
	"github.com/weirdns/weir/capture"
)

// prefix puts octets in front of an IP packet.
func prefix(front string, ip []byte) []byte { return append([]byte(front), ip...) }

func TestEveryLinkLayerLeadsToTheMessage(t *testing.T) {
	v4 := udp(t, client4, server4, 40000, 53, query(t, 7, "a.example.", dns.TypeA))[14:]
	v6 := udp(t, client6, server6, 40000, 53, query(t, 7, "a.example.", dns.TypeA))[14:]
	tagged := udp(t, client6, server6, 40000, 53, query(t, 7, "a.example.", dns.TypeA), 11)
	stacked := udp(t, client4, server4, 40000, 53, query(t, 7, "a.example.", dns.TypeA), 11, 12)
	for _, c := range []struct {
		name string
		link layers.LinkType
		data []byte
	}{
		{"Ethernet, IPv4", layers.LinkTypeEthernet, udp(t, client4, server4, 40000, 53, query(t, 7, "a.example.", dns.TypeA))},
		{"Ethernet, padded to 60 octets and more", layers.LinkTypeEthernet, append(udp(t, client4, server4, 40000, 53, query(t, 7, "a.", dns.TypeA)), make([]byte, 40)...)},
		{"802.1Q", layers.LinkTypeEthernet, tagged},
		{"802.1ad and 802.1Q", layers.LinkTypeEthernet, stacked},
		{"raw, IPv4", layers.LinkTypeRaw, v4},
		{"raw, IPv6", layers.LinkTypeRaw, v6},
		{"raw as 12", 12, v4},
		{"raw as 14", 14, v6},
		{"IPv4", layers.LinkTypeIPv4, v4},
		{"IPv6", layers.LinkTypeIPv6, v6},
		{"null", layers.LinkTypeNull, prefix("\x02\x00\x00\x00", v4)},
		{"null, IPv6 on another system", layers.LinkTypeNull, prefix("\x00\x00\x00\x1e", v6)},
		{"loop", layers.LinkTypeLoop, prefix("\x00\x00\x00\x02", v4)},
		{"SLL", layers.LinkTypeLinuxSLL, prefix("\x00\x00\x00\x01\x00\x06\x02\x00\x00\x00\x00\x01\x00\x00\x08\x00", v4)},
		{"SLL with a tag", layers.LinkTypeLinuxSLL, prefix("\x00\x00\x00\x01\x00\x06\x02\x00\x00\x00\x00\x01\x00\x00\x81\x00\x00\x0b\x86\xdd", v6)},
		{"SLL2", layers.LinkTypeLinuxSLL2, prefix("\x86\xdd\x00\x00\x00\x00\x00\x01\x00\x01\x00\x06\x02\x00\x00\x00\x00\x01\x00\x00", v6)},
	} {
		s, got := read(t, pcapFile(t, c.link, frame{0, c.data}), nil)
		if len(got) != 1 || s.Queries != 1 {
			t.Errorf("%s: %+v", c.name, s)
		}
	}
}

func TestIPv6ExtensionHeadersAreWalked(t *testing.T) {
	plain := udp(t, client6, server6, 40000, 53, query(t, 7, "a.example.", dns.TypeA))[14:]
	// with puts headers between IPv6 and UDP; each is its own first octet's
	// next header.
	with := func(first byte, headers ...string) []byte {
		b := bytes.Clone(plain[:40])
		b[6] = first
		for _, h := range headers {
			b = append(b, h...)
		}
		b = append(b, plain[40:]...)
		binary.BigEndian.PutUint16(b[4:], uint16(len(b)-40))
		return b
	}
	for name, data := range map[string][]byte{
		"hop by hop":          with(0, "\x11\x00\x01\x04\x00\x00\x00\x00"),
		"routing of 16":       with(43, "\x11\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"),
		"destination options": with(60, "\x11\x00\x01\x04\x00\x00\x00\x00"),
		"atomic fragment":     with(44, "\x11\x00\x00\x00\x00\x00\x00\x07"),
		"authentication":      with(51, "\x11\x04\x00\x00\x00\x00\x00\x01\x00\x00\x00\x01abcdefghijkl"),
		"three of them":       with(0, "\x3c\x00\x01\x04\x00\x00\x00\x00", "\x2c\x00\x01\x04\x00\x00\x00\x00", "\x11\x00\x00\x00\x00\x00\x00\x07"),
	} {
		if s, _ := read(t, pcapFile(t, layers.LinkTypeRaw, frame{0, data}), nil); s.Queries != 1 {
			t.Errorf("%s: %+v", name, s)
		}
	}
	endless := with(0, slices.Repeat([]string{"\x00\x00\x01\x04\x00\x00\x00\x00"}, 20)...)
	if s, _ := read(t, pcapFile(t, layers.LinkTypeRaw, frame{0, endless}), nil); s.Drops["ip"]["malformed"] != 1 {
		t.Errorf("20 headers: %+v, want ip malformed", s.Drops)
	}
}

// What is not read is counted under what it is.
func TestEveryDropHasItsStageAndReason(t *testing.T) {
	dnsQuery := query(t, 7, "a.example.", dns.TypeA)
	eth := udp(t, client4, server4, 40000, 53, dnsQuery)
	v6 := udp(t, client6, server6, 40000, 53, dnsQuery)
	edit := func(data []byte, at int, b ...byte) []byte {
		data = bytes.Clone(data)
		copy(data[at:], b)
		return data
	}
	tcp := func(port layers.TCPPort) []byte {
		ip := &layers.IPv4{Version: 4, Protocol: layers.IPProtocolTCP, SrcIP: []byte{192, 0, 2, 1}, DstIP: []byte{192, 0, 2, 2}}
		seg := &layers.TCP{SrcPort: 40000, DstPort: port, SYN: true}
		payload := gopacket.Payload("x")
		if port == 53 {
			payload = nil
		}
		_ = seg.SetNetworkLayerForChecksum(ip)
		return serialize(t, &layers.Ethernet{SrcMAC: make([]byte, 6), DstMAC: make([]byte, 6), EthernetType: layers.EthernetTypeIPv4}, ip, seg, payload)
	}
	many := bytes.Repeat([]byte{0x81, 0, 0, 1}, 20)
	for _, c := range []struct {
		stage, reason string
		link          layers.LinkType
		data          []byte
	}{
		{"link", "unknown_type", 200, eth},
		{"link", "short", layers.LinkTypeEthernet, eth[:13]},
		{"link", "short", layers.LinkTypeNull, eth[:3]},
		{"link", "short", layers.LinkTypeEthernet, udp(t, client4, server4, 1, 53, nil, 11)[:16]},
		{"link", "not_ip", layers.LinkTypeEthernet, edit(eth, 12, 0x08, 0x06)},
		{"link", "encapsulated", layers.LinkTypeEthernet, edit(eth, 12, 0x88, 0x47)},
		{"link", "encapsulated", layers.LinkTypeEthernet, append(bytes.Clone(eth[:12]), many...)},
		{"ip", "short", layers.LinkTypeEthernet, eth[:14]},
		{"ip", "short", layers.LinkTypeEthernet, eth[:33]},
		{"ip", "short", layers.LinkTypeEthernet, v6[:53]},
		{"ip", "short", layers.LinkTypeEthernet, edit(v6, 14+6, 0)[:14+44]},
		{"ip", "malformed", layers.LinkTypeEthernet, edit(eth, 14, 0x55)},
		{"ip", "malformed", layers.LinkTypeEthernet, edit(eth, 14, 0x44)},
		{"ip", "malformed", layers.LinkTypeEthernet, edit(eth, 16, 0, 19)},
		{"ip", "fragment_malformed", layers.LinkTypeEthernet, edit(eth, 20, 0x20, 0)},
		{"ip", "fragment", layers.LinkTypeEthernet, edit(eth, 20, 0, 100)},
		{"ip", "tunnel", layers.LinkTypeEthernet, edit(eth, 23, 47)},
		{"ip", "tunnel", layers.LinkTypeEthernet, edit(eth, 23, 4)},
		{"ip", "other_protocol", layers.LinkTypeEthernet, edit(eth, 23, 1)},
		{"tcp", "no_data", layers.LinkTypeEthernet, tcp(53)},
		{"tcp", "other_port", layers.LinkTypeEthernet, tcp(443)},
		{"tcp", "short", layers.LinkTypeEthernet, tcp(53)[:14+20+3]},
		{"udp", "short", layers.LinkTypeEthernet, eth[:14+20+7]},
		{"udp", "malformed", layers.LinkTypeEthernet, edit(eth, 14+20+4, 0, 7)},
		{"udp", "other_port", layers.LinkTypeEthernet, udp(t, client4, server4, 40000, 443, dnsQuery[:12])},
		{"udp", "like_dns", layers.LinkTypeEthernet, udp(t, client4, server4, 40000, 443, append(bytes.Clone(dnsQuery[:12]), make([]byte, 8)...))},
		{"udp", "tunnel", layers.LinkTypeEthernet, udp(t, client4, server4, 40000, 4789, dnsQuery)},
		{"dns", "short", layers.LinkTypeEthernet, udp(t, client4, server4, 40000, 53, dnsQuery[:3])},
	} {
		s, _ := read(t, pcapFile(t, c.link, frame{0, c.data}), nil)
		if s.Drops[c.stage][c.reason] != 1 {
			t.Errorf("want a drop at %s for %s, got %v of %+v", c.stage, c.reason, s.Drops, s)
		}
	}
}

// A capture with a short snap length keeps the names that are whole.
func TestSnapLengthKeepsWholeQuestions(t *testing.T) {
	data := udp(t, client4, server4, 40000, 53, query(t, 7, "a.rather.long.name.for.a.short.snap.length.example.", dns.TypeA))
	for snap := range len(data) {
		s, _ := read(t, pcapFile(t, layers.LinkTypeEthernet, frame{0, data[:snap]}), nil)
		if s.Queries != 0 || s.Packets != 1 {
			t.Fatalf("cut to %d of %d: %+v", snap, len(data), s)
		}
		if snap >= 14+20+8+12 && s.NoQuestion != 1 {
			t.Fatalf("cut to %d of %d: %+v, want a message without a question", snap, len(data), s)
		}
	}
}

// FuzzPacket: any octets as a packet of any link type are counted once.
func FuzzPacket(f *testing.F) {
	f.Add(uint16(1), udp(f, client4, server4, 40000, 53, query(f, 7, "a.example.", dns.TypeA)))
	f.Add(uint16(101), udp(f, client6, server6, 53, 40000, answer(f, 7, "a.example.", dns.TypeA, 0, "a.example. 60 IN A 192.0.2.1"))[14:])
	f.Add(uint16(276), []byte{})
	for _, c := range layered(f) {
		f.Add(uint16(c.link), c.data)
	}
	for _, c := range layerCases(f) {
		if !c.file {
			f.Add(uint16(c.link), c.data)
		}
	}
	f.Fuzz(func(t *testing.T, link uint16, data []byte) {
		if len(data) > 65535 || link > 400 {
			return
		}
		s, _ := read(t, pcapFile(t, layers.LinkType(link), frame{0, data}, frame{1, data}), nil)
		if s.Packets != 2 || s.Panics != 0 {
			t.Fatalf("%+v", s)
		}
	})
}

// FuzzDecode holds Ethernet to UDP against gopacket's decoders: where they find
// an unfragmented datagram on port 53, so do we, and with the same payload.
func FuzzDecode(f *testing.F) {
	f.Add(udp(f, client4, server4, 40000, 53, query(f, 7, "a.example.", dns.TypeA)))
	f.Add(udp(f, client6, server6, 53, 40000, answer(f, 7, "a.example.", dns.TypeA, 0), 11, 12))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 4000 {
			return
		}
		p := gopacket.NewPacket(data, layers.LinkTypeEthernet, gopacket.DecodeOptions{NoCopy: true})
		kinds := map[gopacket.LayerType]int{}
		for _, l := range p.Layers() {
			kinds[l.LayerType()]++
		}
		u, ok := p.TransportLayer().(*layers.UDP)
		if !ok || u.SrcPort != 53 && u.DstPort != 53 || len(u.Payload) < 12 {
			return
		}
		// Only what is plain: they follow tunnels, and take what we call
		// malformed.
		delete(kinds, layers.LayerTypeDot1Q)
		names := slices.Sorted(maps.Values(kinds))
		if kinds[layers.LayerTypeEthernet] != 1 || kinds[layers.LayerTypeIPv4]+kinds[layers.LayerTypeIPv6] != 1 || kinds[layers.LayerTypeUDP] != 1 ||
			names[len(names)-1] != 1 || kinds[layers.LayerTypeIPv6Fragment] != 0 || p.Metadata().Truncated || u.Length < 8 {
			return
		}
		for kind := range kinds {
			switch kind {
			case layers.LayerTypeEthernet, layers.LayerTypeIPv4, layers.LayerTypeIPv6, layers.LayerTypeUDP, layers.LayerTypeDNS, gopacket.LayerTypePayload, gopacket.LayerTypeDecodeFailure:
			default:
				return
			}
		}
		if ip, ok := p.NetworkLayer().(*layers.IPv4); ok && (ip.FragOffset != 0 || ip.Flags&layers.IPv4MoreFragments != 0 || ip.Version != 4) {
			return
		}
		if ip, ok := p.NetworkLayer().(*layers.IPv6); ok && ip.Version != 6 {
			return
		}
		s, _ := read(t, pcapFile(t, layers.LinkTypeEthernet, frame{0, data}), nil)
		if s.DNSMessages != 1 {
			t.Fatalf("gopacket finds %v\nwe: %+v", p, s)
		}
	})
}

// On other ports only what is DNS beyond doubt is read.
func TestWhatIsDNSBeyondDoubtIsReadOnAnyPort(t *testing.T) {
	q := query(t, 7, "a.example.", dns.TypeA)
	a := answer(t, 7, "a.example.", dns.TypeA, 0, "a.example. 60 IN A 192.0.2.1")
	edit := func(b []byte, at int, v byte) []byte {
		b = bytes.Clone(b)
		b[at] = v
		return b
	}
	for _, c := range []struct {
		name  string
		port  uint16
		data  []byte
		found uint64
	}{
		{"a query", 5300, q, 1},
		{"a response", 5300, a, 1},
		{"an update", 5300, edit(q, 2, 0x28), 0},
		{"two questions", 5300, edit(q, 5, 2), 0},
		{"a query with answers", 5300, edit(q, 7, 1), 0},
		{"a response without room for the records that it counts", 5300, edit(a, 7, 3), 0},
		{"a response whose records are broken", 5300, edit(a, len(a)-5, 200), 1},
		{"a class that nobody has", 5300, edit(q, len(q)-1, 9), 0},
		{"a question that is cut", 5300, q[:16], 1},
		{"a question whose name is broken", 5300, edit(q, 12, 0xff), 1},
		{"a broken question without room for what is counted", 5300, edit(edit(q, 12, 0xff), 11, 2), 0},
		{"a query with an rcode", 5300, edit(q, 3, 0x03), 0},
		{"no more than a header", 5300, q[:12], 0},
		{"the name service of NetBIOS", 137, q, 0},
	} {
		file := pcapFile(t, layers.LinkTypeEthernet, frame{0, udp(t, client4, server4, 40000, c.port, c.data)})
		if s, _ := read(t, file, nil); s.DNSMessages != c.found || s.DNSMessages+s.Drops["udp"]["other_port"]+s.Drops["udp"]["like_dns"] != 1 {
			t.Errorf("%s: %+v", c.name, s)
		}
		if s, got := read(t, file, nil); s.NoQuestion > 0 && len(got) > 0 {
			t.Errorf("%s: recorded without a question: %+v", c.name, got)
		}
		if s, _ := read(t, file, func(c *capture.Config, _ *capture.Deps) { c.AnyPort = false }); s.DNSMessages != 0 {
			t.Errorf("%s, with any_port off: %+v", c.name, s)
		}
	}
}
