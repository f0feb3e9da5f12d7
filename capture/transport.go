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
	case protoICMP, protoICMPv6:
		return d.icmp(proto, b)
	}
	return dropProtocol
}

func (d *decoder) udp(b []byte, a addresses) drop {
	if len(b) < 8 {
		return dropUDPShort
	}
	from, to, length := binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:]), int(binary.BigEndian.Uint16(b[4:]))
	switch {
	case d.speaks(from, to):
	case tunnelPort(from) || tunnelPort(to):
		return d.udpTunnel(from, to, b[8:])
	default:
		d.quic(from, to, b[8:], a)
		return dropUDPOther
	}
	if length == 0 {
		length = len(b)
	}
	if length < 8 {
		return dropUDPMalformed
	}
	d.tcp = false
	d.datagram = datagram{
		time: d.now, via: detect.Pcap, local: !d.ports[from] && !d.ports[to], src: netip.AddrPortFrom(a.src, from), dst: netip.AddrPortFrom(a.dst, to),
		payload: b[8:min(length, len(b))],
	}
	return 0
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
	if !d.ports[from] && !d.ports[to] {
		if len(b) >= 20 {
			d.hello(from, to, b[min(int(b[12]>>4)*4, len(b)):], a)
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
	if header > len(b) {
		return dropTCPShort
	}
	d.tcp = true
	d.segment = segment{
		src: netip.AddrPortFrom(a.src, from), dst: netip.AddrPortFrom(a.dst, to),
		seq: binary.BigEndian.Uint32(b[4:]), ack: binary.BigEndian.Uint32(b[8:]), flags: b[13],
		data: b[header:], missing: missing,
	}
	return 0
}

// ICMP's types of errors, which quote the packet that they are about (RFC 792;
// RFC 4443, section 2.1).
const (
	icmpHeader      = 8
	icmpUnreachable = 3
	icmpQuench      = 4
	icmpRedirect    = 5
	icmpExceeded    = 11
	icmpProblem     = 12
	icmpv6LastError = 4
)

// icmp looks for a message that an error quotes. It is not one that anybody
// sent now, so it is counted and not read.
func (d *decoder) icmp(proto uint8, b []byte) drop {
	if len(b) < icmpHeader {
		return dropProtocol
	}
	switch kind := b[0]; {
	case proto == protoICMPv6 && kind >= 1 && kind <= icmpv6LastError:
	case proto == protoICMP && (kind >= icmpUnreachable && kind <= icmpRedirect || kind == icmpExceeded || kind == icmpProblem):
	default:
		return dropProtocol
	}
	if d.quoting {
		return dropProtocol
	}
	d.quoting = true
	if d.ip(b[icmpHeader:]) != 0 || d.tcp || len(d.datagram.payload) < headerSize {
		return dropProtocol
	}
	return 0
}
