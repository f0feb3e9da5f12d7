package capture

import (
	"encoding/binary"
	"net/netip"
)

// tunnelPorts are UDP ports whose payload is another packet: Teredo, VXLAN,
// Geneve, GTP-U.
var tunnelPorts = map[uint16]bool{3544: true, 4789: true, 6081: true, 2152: true}

// transport decodes what IP carries. missing is how many octets at the end of
// it the capture cut off.
func (d *decoder) transport(proto uint8, b []byte, missing int, a addresses) drop {
	switch proto {
	case protoUDP:
		return d.udp(b, a)
	case protoTCP:
		return d.tcpSegment(b, missing, a)
	case protoIPv4, protoIPv6, protoGRE:
		return dropTunnel
	}
	return dropProtocol
}

func (d *decoder) udp(b []byte, a addresses) drop {
	if len(b) < 8 {
		return dropUDPShort
	}
	from, to, length := binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:]), int(binary.BigEndian.Uint16(b[4:]))
	switch {
	case d.ports[from] || d.ports[to]:
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
	d.tcp = false
	d.datagram = datagram{
		time: d.now, src: netip.AddrPortFrom(a.src, from), dst: netip.AddrPortFrom(a.dst, to),
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
