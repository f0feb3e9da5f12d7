package capture_test

import (
	"testing"

	"github.com/gopacket/gopacket/layers"
	"github.com/miekg/dns"
	"github.com/weirdns/weir/capture"
)

var ports53 = []uint16{53}

func TestTheFilterLetsThroughWhatHoldsDNS(t *testing.T) {
	q := query(t, 7, "a.example.", dns.TypeA)
	frames := map[string][]byte{
		"IPv4":      udp(t, client4, server4, 40000, 53, q),
		"answer":    udp(t, server4, client4, 53, 40000, q),
		"IPv6":      udp(t, client6, server6, 40000, 53, q),
		"VLAN":      udp(t, client4, server4, 40000, 53, q, 11),
		"VLAN IPv6": udp(t, client6, server6, 40000, 53, q, 11),
		"QinQ":      udp(t, client4, server4, 40000, 53, q, 11, 12),
		"3 tags":    udp(t, client4, server4, 40000, 53, q, 11, 12, 13),
		"4 tags":    udp(t, client4, server4, 40000, 53, q, 11, 12, 13, 14),
		"SYN":       tcpFlow{client4, server4, 40000, 53, 1}.packet(t, 0, "S", nil),
		"TCP":       tcpFlow{server4, client4, 53, 40000, 1}.packet(t, 1, "", framed(q)),
	}
	for i, part := range fragmented(udp(t, server4, client4, 53, 40000, large(t, 7, 400)), 7, 256) {
		frames["fragment "+string(rune('0'+i))] = part
	}
	for i, part := range fragmented(udp(t, server6, client6, 53, 40000, large(t, 7, 400)), 7, 256) {
		frames["IPv6 fragment "+string(rune('0'+i))] = part
	}
	for name, frame := range frames {
		if !capture.Passes(t, ports53, false, false, frame) {
			t.Errorf("%s: not let through", name)
		}
	}
	const macs = "\x02\x00\x00\x00\x00\x02\x02\x00\x00\x00\x00\x01"
	for name, p := range layered(t) {
		frame := p.data
		switch p.link {
		case layers.LinkTypeEthernet:
		case layers.LinkTypeRaw:
			kind := "\x08\x00"
			if frame[0]>>4 == 6 {
				kind = "\x86\xdd"
			}
			frame = prefix(macs+kind, frame)
		default:
			continue // the kernel tells these by type
		}
		if !capture.Passes(t, ports53, true, false, frame) {
			t.Errorf("%s: not let through", name)
		}
	}
}

func TestTheFilterKeepsOutWhatIsNone(t *testing.T) {
	clientHello := append([]byte{22, 3, 1, 0, 100, 1}, make([]byte, 99)...)
	tls := tcpFlow{client4, server4, 40000, 443, 1}
	for name, c := range map[string]struct {
		frame                               []byte
		want, wantEncrypted, wantWithTunnel bool
	}{
		"other port":     {frame: udp(t, client4, server4, 40000, 123, nil)},
		"IPv6":           {frame: udp(t, client6, server6, 40000, 123, nil)},
		"VLAN":           {frame: udp(t, client4, server4, 40000, 123, nil, 5)},
		"QinQ":           {frame: udp(t, client4, server4, 40000, 123, nil, 5, 6)},
		"TCP":            {frame: tcpFlow{client4, server4, 40000, 80, 1}.packet(t, 0, "S", nil)},
		"TLS, SYN":       {frame: tls.packet(t, 0, "S", nil)},
		"TLS, data":      {frame: tls.packet(t, 1, "", []byte("\x17\x03\x03\x00\x10................"))},
		"TLS, begin":     {frame: tls.packet(t, 1, "", clientHello), wantEncrypted: true},
		"TLS, rest":      {frame: tls.packet(t, 1400, "P", []byte("the rest of a ClientHello")), wantEncrypted: true},
		"TLS, upload":    {frame: tls.packet(t, 1400, "", []byte("in the middle of a record"))},
		"TLS, written":   {frame: tls.packet(t, 1, "P", []byte("\x17\x03\x03\x00\x10................"))},
		"TLS, finished":  {frame: tls.packet(t, 1, "P", []byte("\x16\x03\x03\x00\x10\x14..............."))},
		"TLS, ACK":       {frame: tls.packet(t, 1, "", nil)},
		"TLS, response":  {frame: tcpFlow{server4, client4, 443, 40000, 1}.packet(t, 1, "", clientHello)},
		"QUIC, begin":    {frame: udp(t, client4, server4, 40000, 443, []byte("\xc3\x00\x00\x00\x01")), wantEncrypted: true},
		"QUIC, data":     {frame: udp(t, client4, server4, 40000, 443, []byte("\x43\x00\x00\x00\x01"))},
		"VXLAN":          {frame: udp(t, client4, server4, 40000, 4789, nil), wantWithTunnel: true},
		"GRE":            {frame: prefix("\x02\x00\x00\x00\x00\x02\x02\x00\x00\x00\x00\x01\x08\x00", ip4(47, make([]byte, 8))), wantWithTunnel: true},
		"ICMP echo":      {frame: prefix("\x02\x00\x00\x00\x00\x02\x02\x00\x00\x00\x00\x01\x08\x00", ip4(1, make([]byte, 8)))},
		"ICMP error":     {frame: prefix("\x02\x00\x00\x00\x00\x02\x02\x00\x00\x00\x00\x01\x08\x00", ip4(1, append([]byte{3}, make([]byte, 7)...))), want: true},
		"ICMPv6 error":   {frame: prefix("\x02\x00\x00\x00\x00\x02\x02\x00\x00\x00\x00\x01\x86\xdd", ip6(58, append([]byte{1}, make([]byte, 7)...))), want: true},
		"ICMPv6 ND":      {frame: prefix("\x02\x00\x00\x00\x00\x02\x02\x00\x00\x00\x00\x01\x86\xdd", ip6(58, append([]byte{135}, make([]byte, 7)...)))},
		"ARP":            {frame: prefix("\x02\x00\x00\x00\x00\x02\x02\x00\x00\x00\x00\x01\x08\x06", make([]byte, 28))},
		"spanning tree":  {frame: prefix("\x01\x80\xc2\x00\x00\x00\x02\x00\x00\x00\x00\x01\x00\x26", append([]byte("\x42\x42\x03"), make([]byte, 35)...))},
		"cut":            {frame: udp(t, client4, server4, 40000, 53, nil)[:30]},
		"other protocol": {frame: prefix("\x02\x00\x00\x00\x00\x02\x02\x00\x00\x00\x00\x01\x08\x00", ip4(99, make([]byte, 8)))},
	} {
		for i, want := range []bool{c.want, c.want || c.wantWithTunnel, c.want || c.wantEncrypted} {
			if got := capture.Passes(t, ports53, i == 1, i == 2, c.frame); got != want {
				t.Errorf("%s (tunnels %v, encrypted %v): let through %v, want %v", name, i == 1, i == 2, got, want)
			}
		}
	}
}
