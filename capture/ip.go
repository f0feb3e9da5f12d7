package capture

import (
	"encoding/binary"
	"net/netip"
)

// IP protocols.
const (
	protoHopByHop = 0
	protoICMP     = 1
	protoIPv4     = 4
	protoTCP      = 6
	protoUDP      = 17
	protoIPv6     = 41
	protoRouting  = 43
	protoFragment = 44
	protoGRE      = 47
	protoAH       = 51
	protoICMPv6   = 58
	protoOptions  = 60
	protoEtherIP  = 97
	protoIPComp   = 108
	protoSCTP     = 132
	protoMobility = 135
	protoUDPLite  = 136
	protoMPLS     = 137
	protoHIP      = 139
	protoShim6    = 140
	protoEthernet = 143
)

// addresses are those of an IP header.
type addresses struct{ src, dst netip.Addr }

// ip decodes an IP packet by its version.
func (d *decoder) ip(b []byte) drop {
	if len(b) == 0 {
		return dropIPShort
	}
	if d.left--; d.left < 0 {
		return dropNested
	}
	switch b[0] >> 4 {
	case 4:
		return d.ipv4(b)
	case 6:
		return d.ipv6(b)
	}
	return dropIPMalformed
}

func (d *decoder) ipv4(b []byte) drop {
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
	a := addresses{netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20]))}
	proto, payload := b[9], b[header:min(total, len(b))]
	at := binary.BigEndian.Uint16(b[6:])
	d.ident = 1<<16 | uint32(binary.BigEndian.Uint16(b[4:]))
	if at&0x3fff == 0 { // neither MF nor an offset
		return d.transport(proto, payload, total-header-len(payload), a)
	}
	key := fragmentKey{net: d.net, src: a.src, dst: a.dst, id: uint32(binary.BigEndian.Uint16(b[4:])), proto: proto}
	return d.fragment(key, fragment{
		offset: int(at&0x1fff) * fragmentUnits, length: total - header, more: at&0x2000 != 0, proto: proto, data: payload,
	}, a)
}

func (d *decoder) ipv6(b []byte) drop {
	if len(b) < 40 {
		return dropIPShort
	}
	a := addresses{netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40]))}
	d.ident = 0
	next, length := b[6], int(binary.BigEndian.Uint16(b[4:]))
	b = b[40:]
	if length == 0 { // a jumbogram, or as in ipv4
		length = len(b)
	}
	b = b[:min(length, len(b))]
	return d.extensions(next, b, length-len(b), a)
}

// extensions walks the extension headers of IPv6 (RFC 8200, section 4) to the
// transport. missing is how many octets at the end the capture cut off.
func (d *decoder) extensions(next uint8, b []byte, missing int, a addresses) drop {
	for range maxHeaders {
		size := 0
		switch next {
		case protoHopByHop, protoRouting, protoOptions, protoMobility, protoHIP, protoShim6:
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
			at := binary.BigEndian.Uint16(b[2:])
			if at&0xfff9 != 0 {
				key := fragmentKey{net: d.net, src: a.src, dst: a.dst, id: binary.BigEndian.Uint32(b[4:])}
				return d.fragment(key, fragment{
					offset: int(at & 0xfff8), length: len(b) - 8 + missing, more: at&1 != 0, proto: b[0], data: b[8:],
				}, a)
			}
			size = 8 // atomic (RFC 6946): the whole packet after all
		default:
			return d.transport(next, b, missing, a)
		}
		if len(b) < size {
			return dropIPShort
		}
		next, b = b[0], b[size:]
	}
	return dropIPMalformed
}

// fragment has the datagram put together, and decodes it when it is whole.
func (d *decoder) fragment(key fragmentKey, g fragment, a addresses) drop {
	if d.quoting {
		return dropProtocol
	}
	whole, proto, why := d.fragments.add(key, g, d.now, d.idle)
	if why != 0 {
		return why
	}
	if a.src.Is6() {
		return d.extensions(proto, whole, 0, a)
	}
	return d.transport(proto, whole, 0, a)
}

// idle says by its first octets why a datagram is of no interest. If they do
// not tell, it is.
func (d *decoder) idle(proto uint8, b []byte) drop {
	switch proto {
	case protoUDP, protoTCP, protoUDPLite:
		if len(b) < 4 {
			return 0
		}
		from, to := binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
		switch {
		case proto != protoTCP && d.speaks(from, to) || proto == protoTCP && (d.tcpPorts[from] || d.tcpPorts[to]):
			return 0
		case proto == protoTCP:
			return dropTCPOther
		case tunnelPort(from) || tunnelPort(to):
			return 0
		case len(b) > udpHeader && d.elsewhere(from, to, b[udpHeader:], maxIPPayload) == certain:
			return 0
		}
		return dropUDPOther
	case protoIPv4, protoIPv6, protoGRE, protoEtherIP, protoMPLS, protoEthernet, protoIPComp, protoICMP, protoICMPv6, protoSCTP,
		protoHopByHop, protoRouting, protoOptions, protoMobility, protoHIP, protoShim6, protoAH, protoFragment:
		return 0
	}
	return dropProtocol
}
