package capture

import (
	"encoding/binary"
	"net/netip"
	"time"
)

// packet is one record of a capture.
type packet struct {
	time time.Time
	link uint32 // LINKTYPE_ number
	data []byte // good until the next is read; shorter than the packet was if the capture cut it
}

// Link types (tcpdump.org/linktypes) that are read.
const (
	linkNull     = 0
	linkEthernet = 1
	linkRaw12    = 12 // DLT_RAW, as some systems write it
	linkRaw14    = 14
	linkRaw      = 101
	linkLoop     = 108
	linkSLL      = 113
	linkIPv4     = 228
	linkIPv6     = 229
	linkSLL2     = 276
)

// EtherTypes.
const (
	etherIPv4    = 0x0800
	etherVLAN    = 0x8100
	etherIPv6    = 0x86dd
	etherMPLS    = 0x8847
	etherMPLSm   = 0x8848
	etherPPPoE   = 0x8864
	etherQinQ    = 0x88a8
	etherQinQOld = 0x9100
)

// IP protocols.
const (
	protoHopByHop = 0
	protoIPv4     = 4
	protoTCP      = 6
	protoUDP      = 17
	protoIPv6     = 41
	protoRouting  = 43
	protoFragment = 44
	protoGRE      = 47
	protoAH       = 51
	protoOptions  = 60
	protoMobility = 135
)

// maxNested bounds VLAN tags and IPv6 extension headers.
const maxNested = 8

// tunnelPorts are UDP ports whose payload is another packet: Teredo, VXLAN,
// Geneve, GTP-U.
var tunnelPorts = map[uint16]bool{3544: true, 4789: true, 6081: true, 2152: true}

// decode finds the UDP payload of p, or says why there is none for us.
func decode(p *packet, ports map[uint16]bool, d *datagram) drop {
	ip, why := network(p.link, p.data)
	if why != 0 {
		return why
	}
	if len(ip) == 0 {
		return dropIPShort
	}
	d.time = p.time
	switch ip[0] >> 4 {
	case 4:
		return decodeIPv4(ip, ports, d)
	case 6:
		return decodeIPv6(ip, ports, d)
	}
	return dropIPMalformed
}

// network strips the link layer.
func network(link uint32, b []byte) (ip []byte, why drop) {
	switch link {
	case linkRaw, linkRaw12, linkRaw14, linkIPv4, linkIPv6:
		return b, 0
	case linkNull, linkLoop:
		// The family's number depends on the system that wrote it; the version
		// in the IP header does not.
		if len(b) < 4 {
			return nil, dropLinkShort
		}
		return b[4:], 0
	case linkEthernet:
		return byEtherType(b, 12, 14)
	case linkSLL:
		return byEtherType(b, 14, 16)
	case linkSLL2:
		return byEtherType(b, 0, 20)
	}
	return nil, dropLinkType
}

// byEtherType follows the EtherType at an offset, and VLAN tags, to the packet
// that begins at another.
func byEtherType(b []byte, typeAt, begin int) (ip []byte, why drop) {
	if len(b) < begin {
		return nil, dropLinkShort
	}
	ether, b := binary.BigEndian.Uint16(b[typeAt:]), b[begin:]
	for range maxNested {
		switch ether {
		case etherIPv4, etherIPv6:
			return b, 0
		case etherVLAN, etherQinQ, etherQinQOld:
			if len(b) < 4 {
				return nil, dropLinkShort
			}
			ether, b = binary.BigEndian.Uint16(b[2:]), b[4:]
		case etherMPLS, etherMPLSm, etherPPPoE:
			return nil, dropEncapsulated
		default:
			return nil, dropNotIP
		}
	}
	return nil, dropEncapsulated
}

func decodeIPv4(b []byte, ports map[uint16]bool, d *datagram) drop {
	if len(b) < 20 {
		return dropIPShort
	}
	header, total := int(b[0]&0xf)*4, int(binary.BigEndian.Uint16(b[2:]))
	if total == 0 {
		total = len(b) // captured before the network card cut a large send to size
	}
	if header < 20 || total < header {
		return dropIPMalformed
	}
	if len(b) < header {
		return dropIPShort
	}
	if binary.BigEndian.Uint16(b[6:])&0x3fff != 0 { // MF or an offset
		return dropFragment
	}
	src, dst := netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20]))
	return transport(b[9], b[header:min(total, len(b))], src, dst, ports, d)
}

func decodeIPv6(b []byte, ports map[uint16]bool, d *datagram) drop {
	if len(b) < 40 {
		return dropIPShort
	}
	src, dst := netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40]))
	next, length := b[6], int(binary.BigEndian.Uint16(b[4:]))
	b = b[40:]
	if length > 0 { // 0: a jumbogram, or as in decodeIPv4
		b = b[:min(length, len(b))]
	}
	for range maxNested {
		size := 0
		switch next {
		case protoHopByHop, protoRouting, protoOptions, protoMobility:
			if len(b) < 8 {
				return dropIPShort
			}
			size = 8 + int(b[1])*8
		case protoAH:
			if len(b) < 8 {
				return dropIPShort
			}
			size = 8 + int(b[1])*4
		case protoFragment:
			if len(b) < 8 {
				return dropIPShort
			}
			if binary.BigEndian.Uint16(b[2:])&0xfff9 != 0 {
				return dropFragment
			}
			size = 8 // atomic (RFC 6946): the whole packet after all
		default:
			return transport(next, b, src, dst, ports, d)
		}
		if len(b) < size {
			return dropIPShort
		}
		next, b = b[0], b[size:]
	}
	return dropIPMalformed
}

func transport(proto byte, b []byte, src, dst netip.Addr, ports map[uint16]bool, d *datagram) drop {
	switch proto {
	case protoUDP:
	case protoTCP:
		switch {
		case len(b) < 4:
			return dropTCPShort
		case ports[binary.BigEndian.Uint16(b)] || ports[binary.BigEndian.Uint16(b[2:])]:
			return dropTCPDNS
		}
		return dropTCPOther
	case protoIPv4, protoIPv6, protoGRE:
		return dropTunnel
	default:
		return dropProtocol
	}
	if len(b) < 8 {
		return dropUDPShort
	}
	from, to, length := binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:]), int(binary.BigEndian.Uint16(b[4:]))
	switch {
	case ports[from] || ports[to]:
	case tunnelPorts[from] || tunnelPorts[to]:
		return dropUDPTunnel
	default:
		return dropUDPOther
	}
	if length == 0 {
		length = len(b)
	}
	if length < 8 {
		return dropUDPMalformed
	}
	d.src, d.dst = netip.AddrPortFrom(src, from), netip.AddrPortFrom(dst, to)
	d.payload = b[8:min(length, len(b))]
	return 0
}
