package capture

import "encoding/binary"

// Link types (tcpdump.org/linktypes) of networks that are rare today, and of
// systems that put a header of their own in front.
const (
	linkAX25      = 3
	linkTokenRing = 6
	linkARCnet    = 7
	linkFDDI      = 10
	linkATM11     = 11 // as some systems write linkATM
	linkPFLogOld  = 17
	linkATMClip   = 19
	linkATM       = 100
	linkATMClip6  = 106
	linkFRelay    = 107
	linkENC       = 109
	linkPFLog     = 117
	linkFC        = 122
	linkSunATM    = 123
	linkARCnetLx  = 129
	linkIEEE1394  = 138
	linkDOCSIS    = 143
	linkPKTAPUser = 149 // what Apple's tools wrote before there was a number
	linkERF       = 197
	linkAX25KISS  = 202
	linkCHDLCDir  = 205
	linkFRelayDir = 206
	linkMPLS      = 219
	linkIPNet     = 226
	linkNFLog     = 239
	linkNetAna    = 240
	linkNetAnaT   = 241
	linkIPoIB     = 242
	linkPKTAP     = 258
	linkEPON      = 259
	linkMPacket   = 274
)

// otherLink decodes the rarer link types.
func (d *decoder) otherLink(kind uint32, b []byte) drop {
	switch kind {
	case linkFDDI: // frame control and two addresses
		return behind(b, 13, d.llc)
	case linkTokenRing:
		return d.tokenRing(b)
	case linkARCnet:
		return d.arcnet(b, 2, 3)
	case linkARCnetLx:
		return d.arcnet(b, 4, 5)
	case linkATM, linkATM11:
		return d.llc(b)
	case linkATMClip, linkATMClip6:
		if len(b) > 2 && b[0] == sapSNAP && b[1] == sapSNAP {
			return d.llc(b)
		}
		return d.ip(b)
	case linkSunATM: // flags, path and circuit
		return behind(b, 4, d.llc)
	case linkFC: // two addresses
		return behind(b, 16, d.llc)
	case linkIEEE1394:
		return d.byEtherType(b, 16, 18)
	case linkIPoIB:
		return d.byEtherType(b, 40, 44)
	case linkFRelay:
		return d.frameRelay(b)
	case linkFRelayDir:
		return behind(b, 1, d.frameRelay)
	case linkCHDLCDir:
		return behind(b, 1, func(b []byte) drop { return d.link(linkCHDLC, b) })
	case linkMPLS:
		return d.mpls(b)
	case linkENC: // family, SPI, flags
		return behind(b, 12, d.ip)
	case linkPFLogOld:
		return behind(b, 28, d.ip)
	case linkPFLog:
		if len(b) == 0 {
			return dropLinkShort
		}
		return behind(b, (int(b[0])+3)&^3, d.ip)
	case linkIPNet:
		return behind(b, 24, d.ip)
	case linkDOCSIS:
		return behind(b, 6, d.ethernet)
	case linkNetAna:
		return behind(b, 4, d.ethernet)
	case linkNetAnaT: // and a preamble
		return behind(b, 12, d.ethernet)
	case linkEPON, linkMPacket: // a preamble
		return behind(b, 8, d.ethernet)
	case linkNFLog:
		return d.nflog(b)
	case linkPKTAP, linkPKTAPUser:
		return d.pktap(b)
	case linkERF:
		return d.erf(b)
	case linkAX25:
		return d.ax25(b)
	case linkAX25KISS:
		return behind(b, 1, d.ax25)
	case linkExported:
		return d.exported(b)
	}
	if why := d.wireless(kind, b); why != dropLinkType {
		return why
	}
	return d.juniper(kind, b)
}

// behind decodes what follows n octets.
func behind(b []byte, n int, decode func([]byte) drop) drop {
	if len(b) < n {
		return dropLinkShort
	}
	return decode(b[n:])
}

// nested decodes a layer that may hold itself again, within the bound.
func (d *decoder) nested(decode func() drop) drop {
	if d.left--; d.left < 0 {
		return dropNested
	}
	return decode()
}

// tokenRing is IEEE 802.5: access and frame control, two addresses, and the
// route if the source's first bit says so.
func (d *decoder) tokenRing(b []byte) drop {
	const header, routed, routeLength = 14, 0x80, 0x1f
	if len(b) < header {
		return dropLinkShort
	}
	n := header
	if b[8]&routed != 0 && len(b) > header {
		n += int(b[header] & routeLength)
	}
	return behind(b, n, d.llc)
}

// arcnet is RFC 1201, which has three octets behind the protocol's, or RFC 1051,
// which has none.
func (d *decoder) arcnet(b []byte, protoAt, header int) drop {
	const old, current, sequence = 0xf0, 0xd4, 3
	if len(b) < header {
		return dropLinkShort
	}
	switch b[protoAt] {
	case old:
		return d.ip(b[header:])
	case current:
		return behind(b, header+sequence, d.ip)
	}
	return dropNotIP
}

// nflog is a message of Linux' netfilter log: a header and attributes, in the
// byte order of the machine, which in effect is little-endian.
func (d *decoder) nflog(b []byte) drop {
	const header, attribute, payload, bridge = 4, 4, 9, 7
	if len(b) < header {
		return dropLinkShort
	}
	family := b[0]
	for b = b[header:]; len(b) >= attribute; {
		size, kind := int(binary.LittleEndian.Uint16(b)), binary.LittleEndian.Uint16(b[2:])&0x7fff
		if size < attribute {
			return dropLinkShort
		}
		if kind == payload {
			if b = b[attribute:min(size, len(b))]; family == bridge {
				return d.ethernet(b)
			}
			return d.ip(b)
		}
		b = b[min((size+3)&^3, len(b)):]
	}
	return dropNotIP
}

// pktap is Apple's header: its length, whether a packet follows, and of what
// link type.
func (d *decoder) pktap(b []byte) drop {
	const least, isPacket = 12, 1
	if len(b) < least {
		return dropLinkShort
	}
	n, kind, link := binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:]), binary.LittleEndian.Uint32(b[8:])
	if kind != isPacket || n < least {
		return dropNotIP
	}
	if uint64(n) > uint64(len(b)) {
		return dropLinkShort
	}
	return d.nested(func() drop { return d.link(link, b[n:]) })
}

// ax25 is a frame of amateur packet radio: addresses of seven octets, the last
// of which is odd, control, and a protocol.
func (d *decoder) ax25(b []byte) drop {
	const address, maxAddresses, control, ip = 7, 10, 0x03, 0xcc
	for range maxAddresses {
		if len(b) < address+2 {
			return dropLinkShort
		}
		last := b[address-1]&1 != 0
		if b = b[address:]; !last {
			continue
		}
		if b[0] == control && b[1] == ip {
			return d.ip(b[2:])
		}
		return dropNotIP
	}
	return dropNotIP
}
