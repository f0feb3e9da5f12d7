package capture

import (
	"encoding/binary"
	"net/netip"
)

// linkExported is what Wireshark and tshark write when they export the payload
// of a protocol (wireshark.org, "exported PDUs").
const linkExported = 252

// Tags in front of an exported payload.
const (
	tagEnd      = 0
	tagProtocol = 12
	tagGuess    = 13 // a protocol that was recognised by its octets
	tagTable    = 14
	tagSource4  = 20
	tagDest4    = 21
	tagSource6  = 22
	tagDest6    = 23
	tagFrom     = 25
	tagTo       = 26
	tagNumber   = 32 // in the table
)

// exported decodes an exported payload by the name of its protocol.
func (d *decoder) exported(b []byte) drop {
	const header = 4
	name, number := "", uint32(0)
	unknown := netip.IPv4Unspecified()
	a, from, to := addresses{unknown, unknown}, uint16(0), uint16(0)
	for {
		if len(b) < header {
			return dropLinkShort
		}
		kind, size := binary.BigEndian.Uint16(b), int(binary.BigEndian.Uint16(b[2:]))
		if b = b[header:]; kind == tagEnd {
			break
		}
		if len(b) < size {
			return dropLinkShort
		}
		v := b[:size]
		switch {
		case kind == tagProtocol || kind == tagGuess || kind == tagTable:
			for len(v) > 0 && v[len(v)-1] == 0 {
				v = v[:len(v)-1]
			}
			name = string(v)
		case kind == tagSource4 && size == 4 || kind == tagSource6 && size == 16:
			a.src, _ = netip.AddrFromSlice(v)
		case kind == tagDest4 && size == 4 || kind == tagDest6 && size == 16:
			a.dst, _ = netip.AddrFromSlice(v)
		case kind == tagFrom && size == 4:
			from = uint16(binary.BigEndian.Uint32(v))
		case kind == tagTo && size == 4:
			to = uint16(binary.BigEndian.Uint32(v))
		case kind == tagNumber && size == 4:
			number = binary.BigEndian.Uint32(v)
		}
		b = b[size:]
	}
	switch name {
	case "ip", "ipv6":
		return d.ip(b)
	case "eth", "eth_withoutfcs", "eth_maybefcs", "eth_withfcs":
		return d.ethernet(b)
	case "llc":
		return d.llc(b)
	case "wlan", "wlan_withfcs", "wlan_withoutfcs":
		return d.wifi(b, false)
	case "udp":
		return d.udp(b, a)
	case "tcp":
		return d.tcpSegment(b, 0, a)
	case "ethertype":
		return d.ether(uint16(number), b)
	case "ip.proto":
		return d.transport(uint8(number), b, 0, a)
	case "udp.port":
		if number > 0xffff || !d.speaks(uint16(number), uint16(number)) {
			return dropUDPOther
		}
	case "dns", "dns_udp", "mdns", "llmnr":
	default:
		return dropNotIP
	}
	d.found(b, from, to, a)
	d.datagram.local = name == "mdns" || name == "llmnr" || d.datagram.local
	return 0
}
