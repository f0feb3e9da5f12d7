package capture

import "encoding/binary"

// UDP ports whose payload is another packet.
const (
	portGTPU   = 2152
	portTeredo = 3544
	portVXLAN  = 4789
	portGeneve = 6081
)

func tunnelPort(p uint16) bool {
	return p == portGTPU || p == portTeredo || p == portVXLAN || p == portGeneve
}

// within is what became of a packet in a tunnel: a packet like others if there
// is an IP header that makes sense, otherwise a tunnel that is not read.
func within(tunnel, inner drop) drop {
	switch inner {
	case dropLinkShort, dropNotIP, dropEncapsulated, dropIPShort, dropIPMalformed:
		return tunnel
	}
	return inner
}

// udpTunnel decodes the payload of a datagram on a tunnel's port.
func (d *decoder) udpTunnel(from, to uint16, b []byte) drop {
	port := to
	if !tunnelPort(to) {
		port = from
	}
	inner := dropUDPTunnel
	switch port {
	case portVXLAN:
		inner = d.vxlan(b)
	case portGeneve:
		inner = d.geneve(b)
	case portGTPU:
		inner = d.gtpu(b)
	case portTeredo:
		inner = d.teredo(b)
	}
	return within(dropUDPTunnel, inner)
}

// vxlan is RFC 7348, section 5.
func (d *decoder) vxlan(b []byte) drop {
	const header, validVNI = 8, 0x08
	if len(b) < header || b[0]&validVNI == 0 {
		return dropUDPTunnel
	}
	d.enter(binary.BigEndian.Uint32(b[4:]) >> 8)
	return d.inside(b[header:])
}

// geneve is RFC 8926, section 3.4.
func (d *decoder) geneve(b []byte) drop {
	const header, optionUnit = 8, 4
	if len(b) < header || b[0]>>6 != 0 {
		return dropUDPTunnel
	}
	size := header + int(b[0]&0x3f)*optionUnit
	if len(b) < size {
		return dropUDPTunnel
	}
	d.enter(binary.BigEndian.Uint32(b[4:]) >> 8)
	return d.ether(binary.BigEndian.Uint16(b[2:]), b[size:])
}

// gtpu is a G-PDU of GTP-U (3GPP TS 29.281, section 5).
func (d *decoder) gtpu(b []byte) drop {
	const (
		header, optional  = 8, 4
		versionAndType    = 0x30 // version 1, GTP
		anyOptional       = 0x07
		hasExtensions     = 0x04
		gPDU              = 0xff
		nextExtension     = header + 3
		extensionUnit     = 4
		maxExtensionCount = maxNested
	)
	if len(b) < header || b[0]&0xf0 != versionAndType || b[1] != gPDU {
		return dropUDPTunnel
	}
	if b[0]&anyOptional == 0 {
		return d.ip(b[header:])
	}
	if len(b) < header+optional {
		return dropUDPTunnel
	}
	next := b[nextExtension]
	more := b[0]&hasExtensions != 0
	b = b[header+optional:]
	for range maxExtensionCount {
		if !more || next == 0 {
			return d.ip(b)
		}
		if len(b) == 0 || b[0] == 0 || len(b) < int(b[0])*extensionUnit {
			return dropUDPTunnel
		}
		size := int(b[0]) * extensionUnit
		next, b = b[size-1], b[size:]
	}
	return dropUDPTunnel
}

// teredo is RFC 4380, section 5.1.1: perhaps an authentication, perhaps an
// origin, and IPv6.
func (d *decoder) teredo(b []byte) drop {
	const authentication, authenticationSize, originSize = 1, 13, 8
	if len(b) >= 4 && b[0] == 0 && b[1] == authentication {
		size := authenticationSize + int(b[2]) + int(b[3])
		if len(b) < size {
			return dropUDPTunnel
		}
		b = b[size:]
	}
	if len(b) >= originSize && b[0] == 0 && b[1] == 0 {
		b = b[originSize:]
	}
	if len(b) == 0 || b[0]>>4 != 6 {
		return dropUDPTunnel
	}
	return d.ip(b)
}

// Protocols of GRE that are no EtherTypes of Ethernet.
const (
	greERSPAN    = 0x88be
	greERSPANIII = 0x22eb
)

// gre is RFC 2784 with RFC 2890, PPTP's version 1 (RFC 2637, section 4.1), and
// ERSPAN in it (draft-foschiano-erspan).
func (d *decoder) gre(b []byte) drop {
	const (
		checksum, routing, key, sequence = 0x8000, 0x4000, 0x2000, 0x1000
		acknowledged, version, field     = 0x0080, 0x0007, 4
	)
	if len(b) < field {
		return dropTunnel
	}
	flags, kind := binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
	v := flags & version
	if flags&routing != 0 || v > 1 || v == 1 && kind != etherPPP {
		return dropTunnel
	}
	size := field
	for _, f := range [3]uint16{checksum, key, sequence} {
		if flags&f != 0 {
			size += field
		}
	}
	if v == 1 && flags&acknowledged != 0 {
		size += field
	}
	if len(b) < size {
		return dropTunnel
	}
	switch b = b[size:]; kind {
	case greERSPAN:
		if flags&sequence == 0 {
			return d.inside(b) // type I
		}
		return d.erspan(b, 8, 1)
	case greERSPANIII:
		return d.erspan(b, 12, 2)
	}
	return d.ether(kind, b)
}

// erspan is type II, whose header has 8 octets, or III, with 12 and perhaps 8
// more.
func (d *decoder) erspan(b []byte, header int, version uint8) drop {
	const platform = 8
	if len(b) < header || b[0]>>4 != version {
		return dropTunnel
	}
	if version == 2 && b[11]&1 != 0 {
		header += platform
	}
	if len(b) < header {
		return dropTunnel
	}
	return d.inside(b[header:])
}

// etherIP is RFC 3378, section 3.
func (d *decoder) etherIP(b []byte) drop {
	const header, version = 2, 0x30
	if len(b) < header || b[0] != version {
		return dropTunnel
	}
	return d.inside(b[header:])
}
