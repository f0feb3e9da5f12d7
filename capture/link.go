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
	etherTRILL   = 0x22f3
	etherBATMAN  = 0x4305
	etherBPQ     = 0x08ff // AX.25
	etherBridged = 0x6558 // an Ethernet frame
	etherFRelay  = 0x6559 // in GRE
	etherVLAN    = 0x8100
	etherIPv6    = 0x86dd
	etherMPLS    = 0x8847
	etherMPLSm   = 0x8848
	etherPPPoE   = 0x8864
	etherJumbo   = 0x8870 // LLC in a frame that is longer than a length can say
	etherPPP     = 0x880b
	etherFabric  = 0x8903 // Cisco's FabricPath
	etherCMD     = 0x8909 // Cisco's metadata
	etherQinQ    = 0x88a8
	etherLWAPP   = 0x88bb
	etherMACsec  = 0x88e5
	etherBEB     = 0x88e7 // 802.1ah
	etherVNTag   = 0x8926 // 802.1Qbh
	etherHSR     = 0x892f // IEC 62439-3
	etherETag    = 0x893f // 802.1BR
	etherNSH     = 0x894f
	etherQinQOld = 0x9100
	etherQinQDEC = 0x9104
	etherLWAPPCi = 0xbbbb // Cisco's
	etherArista  = 0xd28b // time stamps
	etherRTag    = 0xf1c1 // 802.1CB
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
		return d.linuxCooked(b, 2, 14, 16)
	case linkSLL2:
		return d.linuxCooked(b, 8, 0, 20)
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
	return d.otherLink(kind, b)
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

// linuxCooked is the header that Linux' capture of all interfaces has: what kind
// of hardware, and a protocol, whose meaning depends on it.
func (d *decoder) linuxCooked(b []byte, hardwareAt, typeAt, begin int) drop {
	const frad, wifi, prism, radiotap = 770, 801, 802, 803             // ARPHRD_
	const raw8023, ethernet, llc, ppp = 0x0001, 0x0003, 0x0004, 0x0007 // ETH_P_
	if len(b) < begin {
		return dropLinkShort
	}
	hardware, kind, b := binary.BigEndian.Uint16(b[hardwareAt:]), binary.BigEndian.Uint16(b[typeAt:]), b[begin:]
	switch hardware {
	case frad:
		return d.frameRelay(b)
	case wifi:
		return d.wireless(linkWiFi, b)
	case prism:
		return d.wireless(linkPrism, b)
	case radiotap:
		return d.wireless(linkRadiotap, b)
	}
	switch kind {
	case ethernet:
		return d.ethernet(b)
	case ppp:
		return d.ppp(b)
	case raw8023, llc:
		return d.llc(b)
	}
	return d.ether(kind, b)
}

func (d *decoder) ethernet(b []byte) drop {
	const isl = 26 // octets of the header that Cisco's Inter-Switch Link puts in front
	if len(b) >= isl && (b[0] == 0x01 || b[0] == 0x03) && b[1] == 0 && b[2] == 0x0c && b[3] == 0 && b[4] == 0 {
		return d.inside(b[isl:])
	}
	return d.byEtherType(b, 12, 14)
}

// byEtherType decodes what begins at an offset, of the EtherType at another.
func (d *decoder) byEtherType(b []byte, typeAt, begin int) drop {
	if len(b) < begin {
		return dropLinkShort
	}
	return d.ether(binary.BigEndian.Uint16(b[typeAt:]), b[begin:])
}

// ether follows EtherTypes and tags to the packet in b.
func (d *decoder) ether(kind uint16, b []byte) drop {
	for range maxHeaders {
		switch kind {
		case etherIPv4, etherIPv6:
			return d.ip(b)
		case etherVLAN, etherQinQ, etherQinQOld, etherQinQDEC:
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
		default:
			n := tagSize(kind, b)
			if n == 0 {
				return d.carrier(kind, b)
			}
			if len(b) < n {
				return dropLinkShort
			}
			kind, b = binary.BigEndian.Uint16(b[n-2:]), b[n:]
		}
	}
	return dropEncapsulated
}

// tagSize is the size of a tag that ends with the EtherType of what follows, or
// 0 if kind is none.
func tagSize(kind uint16, b []byte) int {
	switch kind {
	case etherVNTag, etherRTag, etherHSR:
		return 6
	case etherETag, etherCMD:
		return 8
	case etherArista: // a kind, its form, and a time in 64 bits or in 48
		const stamp, long, short = 0x0001, 0x10, 0x20
		switch {
		case len(b) < 4 || binary.BigEndian.Uint16(b) != stamp:
		case b[3] == long:
			return 14
		case b[3] == short:
			return 12
		}
		return 0
	case etherMACsec: // IEEE 802.1AE, section 9.5: authenticated only
		const encrypted, hasSCI = 0x0c, 0x20
		switch {
		case len(b) > 0 && b[0]&encrypted != 0:
			return 0
		case len(b) > 0 && b[0]&hasSCI != 0:
			return 16
		}
		return 8
	}
	return 0
}

// carrier decodes the EtherTypes of frames within frames, and lengths, behind
// which there is LLC.
func (d *decoder) carrier(kind uint16, b []byte) drop {
	switch kind {
	case etherBEB:
		return behind(b, 4, d.inside)
	case etherFabric:
		return behind(b, 2, d.inside)
	case etherTRILL: // RFC 6325, section 3
		const header, optionUnit = 6, 4
		if len(b) < header {
			return dropLinkShort
		}
		return behind(b, header+int(binary.BigEndian.Uint16(b)>>6&0x1f)*optionUnit, d.inside)
	case etherBATMAN:
		return d.batman(b)
	case etherNSH:
		return d.nsh(b)
	case etherJumbo:
		return d.llc(b)
	case etherLWAPP, etherLWAPPCi:
		return d.lwapp(b)
	case etherBPQ: // a length
		return behind(b, 2, d.ax25)
	}
	if kind <= lastLength {
		return d.llc(b)
	}
	return dropNotIP
}

// batman is a data packet of B.A.T.M.A.N. advanced, version 15.
func (d *decoder) batman(b []byte) drop {
	const version, broadcast, unicast, unicast4 = 15, 0x01, 0x40, 0x42
	if len(b) < 2 || b[1] != version {
		return dropNotIP
	}
	switch b[0] {
	case broadcast:
		return behind(b, 14, d.inside)
	case unicast:
		return behind(b, 10, d.inside)
	case unicast4:
		return behind(b, 18, d.inside)
	}
	return dropNotIP
}

// nsh is a network service header (RFC 8300, section 2).
func (d *decoder) nsh(b []byte) drop {
	const base, unit = 8, 4
	if len(b) < base {
		return dropLinkShort
	}
	n := int(b[1]&0x3f) * unit
	if n < base || len(b) < n {
		return dropLinkShort
	}
	return d.nextProtocol(b[3], b[n:])
}

// nextProtocol decodes by the numbers that NSH and VXLAN-GPE have for what they
// hold.
func (d *decoder) nextProtocol(kind uint8, b []byte) drop {
	switch kind {
	case 1, 2:
		return d.ip(b)
	case 3:
		return d.inside(b)
	case 4:
		return d.nested(func() drop { return d.nsh(b) })
	case 5:
		return d.mpls(b)
	}
	return dropNotIP
}

// inside is an Ethernet frame in something else.
func (d *decoder) inside(b []byte) drop {
	if d.left--; d.left < 0 {
		return dropNested
	}
	return d.ethernet(b)
}
