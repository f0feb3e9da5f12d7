package capture

import (
	"encoding/binary"
	"net/netip"

	"github.com/weirdns/weir/detect"
)

// transport decodes what IP carries. missing is how many octets at the end of
// it the capture cut off.
func (d *decoder) transport(proto uint8, b []byte, missing int, a addresses) drop {
	switch proto {
	case protoUDP:
		return d.udp(b, a)
	case protoTCP:
		return d.tcpSegment(b, missing, a)
	case protoIPv4, protoIPv6:
		return within(dropTunnel, d.ip(b))
	case protoGRE:
		return within(dropTunnel, d.gre(b))
	case protoEtherIP:
		return within(dropTunnel, d.etherIP(b))
	case protoMPLS:
		return within(dropTunnel, d.mpls(b))
	case protoEthernet: // RFC 8986, section 10.1
		return within(dropTunnel, d.inside(b))
	case protoUDPLite: // RFC 3828: the length is of what the checksum covers
		return d.udpLite(b, a)
	case protoSCTP:
		return d.sctp(b, a)
	case protoIPComp:
		return within(dropTunnel, d.ipComp(b, missing, a))
	case protoAH: // in IPv4 no extension header, but like one
		return d.extensions(proto, b, missing, a)
	case protoICMP, protoICMPv6:
		return d.icmp(proto, b)
	}
	return dropProtocol
}

// udpHeader is the size of UDP's (RFC 768).
const udpHeader = 8

func (d *decoder) udp(b []byte, a addresses) drop {
	if len(b) < udpHeader {
		return dropUDPShort
	}
	from, to, length := binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:]), int(binary.BigEndian.Uint16(b[4:]))
	payload := b[udpHeader:]
	switch {
	case d.speaks(from, to):
	case tunnelPort(from) || tunnelPort(to):
		return d.udpTunnel(from, to, payload, a)
	default:
		switch d.elsewhere(from, to, payload, length-udpHeader) {
		case unlike:
			d.quic(from, to, payload, a)
			return dropUDPOther
		case doubtful:
			return dropUDPLike
		}
	}
	if length == 0 {
		length = len(b)
	}
	if length < udpHeader {
		return dropUDPMalformed
	}
	d.found(b[udpHeader:min(length, len(b))], from, to, a)
	return 0
}

func (d *decoder) udpLite(b []byte, a addresses) drop {
	if len(b) < 8 {
		return dropUDPShort
	}
	from, to := binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
	if !d.speaks(from, to) {
		switch d.elsewhere(from, to, b[udpHeader:], 0) {
		case unlike:
			return dropUDPOther
		case doubtful:
			return dropUDPLike
		}
	}
	d.found(b[udpHeader:], from, to, a)
	return 0
}

// found notes the message that the packet holds.
func (d *decoder) found(payload []byte, from, to uint16, a addresses) {
	d.tcp = false
	d.datagram = datagram{
		time: d.now, via: detect.Pcap, local: (multicastPort(from) || multicastPort(to)) && !d.ports[from] && !d.ports[to],
		src: netip.AddrPortFrom(a.src, from), dst: netip.AddrPortFrom(a.dst, to), payload: payload,
	}
}

// TCP's flags.
const (
	flagFIN = 1 << 0
	flagSYN = 1 << 1
	flagRST = 1 << 2
	flagACK = 1 << 4
)

// segment is a TCP segment on a port that speaks DNS.
type segment struct {
	src, dst netip.AddrPort
	seq, ack uint32
	flags    uint8
	data     []byte
	missing  int // octets behind data that the capture cut off
}

func (d *decoder) tcpSegment(b []byte, missing int, a addresses) drop {
	if len(b) < 4 {
		return dropTCPShort
	}
	from, to := binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
	if !d.tcpPorts[from] && !d.tcpPorts[to] {
		if len(b) >= 20 {
			d.hello(from, to, binary.BigEndian.Uint32(b[4:]), b[min(int(b[12]>>4)*4, len(b)):], a)
		}
		return dropTCPOther
	}
	if len(b) < 20 {
		return dropTCPShort
	}
	header := int(b[12]>>4) * 4
	if header < 20 || header > len(b)+missing {
		return dropTCPMalformed
	}
	if header > len(b) { // its options were cut off, and the octets behind them
		missing, b = missing-(header-len(b)), b[:20]
		header = len(b)
	}
	d.tcp = true
	d.segment = segment{
		src: netip.AddrPortFrom(a.src, from), dst: netip.AddrPortFrom(a.dst, to),
		seq: binary.BigEndian.Uint32(b[4:]), ack: binary.BigEndian.Uint32(b[8:]), flags: b[13],
		data: b[header:], missing: missing,
	}
	return 0
}
