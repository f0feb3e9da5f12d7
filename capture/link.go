package capture

import "encoding/binary"

// Link types (tcpdump.org/linktypes) that are read.
const (
	linkNull     = 0
	linkEthernet = 1
	linkPPP      = 9
	linkRaw12    = 12 // DLT_RAW, as some systems write it
	linkRaw14    = 14
	linkPPPHDLC  = 50
	linkPPPEther = 51
	linkRaw      = 101
	linkCHDLC    = 104
	linkLoop     = 108
	linkSLL      = 113
	linkPPPDir   = 204
	linkIPv4     = 228
	linkIPv6     = 229
	linkSLL2     = 276
	linkCooked   = 1 << 31 // ours: no link header, packet.proto says what data is
)

// vlanID is the part of a tag that is the ID (IEEE 802.1Q, section 9.6).
const vlanID = 0x0fff

// EtherTypes.
const (
	lastLength   = 1500 // of 802.3: a length up to here, a type above
	etherIPv4    = 0x0800
	etherBridged = 0x6558 // an Ethernet frame
	etherVLAN    = 0x8100
	etherIPv6    = 0x86dd
	etherMPLS    = 0x8847
	etherMPLSm   = 0x8848
	etherPPPoE   = 0x8864
	etherPPP     = 0x880b
	etherQinQ    = 0x88a8
	etherBEB     = 0x88e7 // 802.1ah
	etherQinQOld = 0x9100
)

// Protocols of PPP.
const (
	pppIPv4  = 0x0021
	pppIPv6  = 0x0057
	pppMPLS  = 0x0281
	pppMPLSm = 0x0283
)

// link strips the link layer.
func (d *decoder) link(kind uint32, b []byte) drop {
	switch kind {
	case linkRaw, linkRaw12, linkRaw14, linkIPv4, linkIPv6:
		return d.ip(b)
	case linkNull, linkLoop:
		// The family's number depends on the system that wrote it; the version
		// in the IP header does not.
		if len(b) < 4 {
			return dropLinkShort
		}
		return d.ip(b[4:])
	case linkEthernet:
		return d.ethernet(b)
	case linkSLL:
		return d.byEtherType(b, 14, 16)
	case linkSLL2:
		return d.byEtherType(b, 0, 20)
	case linkPPP:
		return d.ppp(b)
	case linkPPPHDLC, linkCHDLC:
		if len(b) >= 4 && (b[0] == 0x0f || b[0] == 0x8f) { // Cisco's: unicast, multicast
			return d.byEtherType(b, 2, 4)
		}
		return d.ppp(b)
	case linkPPPDir: // the direction in front
		if len(b) < 1 {
			return dropLinkShort
		}
		return d.ppp(b[1:])
	case linkPPPEther:
		return d.pppoe(b)
	}
	return dropLinkType
}

// cooked decodes a packet that the kernel has named the type of. Of one with two
// tags it takes off the first and names what is behind the second, which is
// still there.
func (d *decoder) cooked(p *packet) drop {
	d.enter(uint32(p.vlan))
	b := p.data
	if p.proto == etherIPv4 || p.proto == etherIPv6 {
		for range maxNested {
			if len(b) < 5 || isIP(p.proto, b) {
				break
			}
			switch inner := binary.BigEndian.Uint16(b[2:]); {
			case inner == etherVLAN || inner == etherQinQ || inner == etherQinQOld:
			case inner == p.proto && isIP(p.proto, b[4:]):
			default:
				return d.ether(p.proto, b)
			}
			d.enter(uint32(binary.BigEndian.Uint16(b) & vlanID))
			b = b[4:]
		}
	}
	return d.ether(p.proto, b)
}

// isIP says whether b begins with an IP header whose length is there.
func isIP(proto uint16, b []byte) bool {
	if proto == etherIPv6 {
		return len(b) >= 40 && b[0]>>4 == 6 && 40+int(binary.BigEndian.Uint16(b[4:])) <= len(b)
	}
	return len(b) >= 20 && b[0]>>4 == 4 && b[0]&0xf >= 5 && int(binary.BigEndian.Uint16(b[2:])) <= len(b)
}

func (d *decoder) ethernet(b []byte) drop { return d.byEtherType(b, 12, 14) }

// byEtherType decodes what begins at an offset, of the EtherType at another.
func (d *decoder) byEtherType(b []byte, typeAt, begin int) drop {
	if len(b) < begin {
		return dropLinkShort
	}
	return d.ether(binary.BigEndian.Uint16(b[typeAt:]), b[begin:])
}

// ether follows EtherTypes and VLAN tags to the packet in b.
func (d *decoder) ether(kind uint16, b []byte) drop {
	for range maxNested {
		switch kind {
		case etherIPv4, etherIPv6:
			return d.ip(b)
		case etherVLAN, etherQinQ, etherQinQOld:
			if len(b) < 4 {
				return dropLinkShort
			}
			d.enter(uint32(binary.BigEndian.Uint16(b) & vlanID))
			kind, b = binary.BigEndian.Uint16(b[2:]), b[4:]
		case etherMPLS, etherMPLSm:
			return d.mpls(b)
		case etherPPPoE:
			return d.pppoe(b)
		case etherPPP:
			return d.ppp(b)
		case etherBridged:
			return d.inside(b)
		case etherBEB:
			if len(b) < 4 {
				return dropLinkShort
			}
			return d.inside(b[4:])
		default:
			if kind > lastLength || len(b) < 8 || [6]byte(b) != [6]byte{0xaa, 0xaa, 3, 0, 0, 0} {
				return dropNotIP
			}
			kind, b = binary.BigEndian.Uint16(b[6:]), b[8:] // SNAP (RFC 1042)
		}
	}
	return dropEncapsulated
}

// inside is an Ethernet frame in something else.
func (d *decoder) inside(b []byte) drop {
	if d.left--; d.left < 0 {
		return dropNested
	}
	return d.ethernet(b)
}

// mpls passes over labels (RFC 3032).
func (d *decoder) mpls(b []byte) drop {
	for range maxNested {
		if len(b) < 4 {
			return dropLinkShort
		}
		bottom := b[2]&1 != 0
		if b = b[4:]; !bottom {
			continue
		}
		return d.pseudowire(b)
	}
	return dropEncapsulated
}

// pseudowire is what labels carry. They do not say what that is: the first
// octet tells IP (RFC 4928) and Ethernet's control word (RFC 4448), if it is not
// the address that Ethernet without one begins with.
func (d *decoder) pseudowire(b []byte) drop {
	const controlWord = 4
	left := d.left
	why := drop(dropEncapsulated)
	switch {
	case len(b) < controlWord:
		return dropLinkShort
	case b[0]>>4 == 4 || b[0]>>4 == 6:
		why = within(dropEncapsulated, d.ip(b))
	case b[0]>>4 == 0:
		why = within(dropEncapsulated, d.inside(b[controlWord:]))
	}
	if why == dropEncapsulated {
		d.left = left
		why = within(dropEncapsulated, d.inside(b))
	}
	return why
}

// pppoe is a session packet of PPPoE (RFC 2516, section 4).
func (d *decoder) pppoe(b []byte) drop {
	const header, versionAndType, session = 6, 0x11, 0
	if len(b) < header {
		return dropLinkShort
	}
	if b[0] != versionAndType || b[1] != session {
		return dropEncapsulated
	}
	b = b[header:min(len(b), header+int(binary.BigEndian.Uint16(b[4:])))]
	return d.ppp(b)
}

// ppp is a frame of PPP, with or without address and control (RFC 1661, section
// 6.6), its protocol in one octet or two (section 6.5).
func (d *decoder) ppp(b []byte) drop {
	if len(b) >= 2 && b[0] == 0xff && b[1] == 0x03 {
		b = b[2:]
	}
	if len(b) < 2 {
		return dropLinkShort
	}
	proto, size := uint16(b[0]), 1
	if b[0]&1 == 0 {
		proto, size = binary.BigEndian.Uint16(b), 2
	}
	switch proto {
	case pppIPv4, pppIPv6:
		return d.ip(b[size:])
	case pppMPLS, pppMPLSm:
		return d.mpls(b[size:])
	}
	return dropNotIP
}
