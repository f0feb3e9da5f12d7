package capture

import "encoding/binary"

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
		return d.byEtherType(b, 12, 14)
	case linkSLL:
		return d.byEtherType(b, 14, 16)
	case linkSLL2:
		return d.byEtherType(b, 0, 20)
	}
	return dropLinkType
}

// byEtherType follows the EtherType at an offset, and VLAN tags, to the packet
// that begins at another.
func (d *decoder) byEtherType(b []byte, typeAt, begin int) drop {
	if len(b) < begin {
		return dropLinkShort
	}
	ether, b := binary.BigEndian.Uint16(b[typeAt:]), b[begin:]
	for range maxNested {
		switch ether {
		case etherIPv4, etherIPv6:
			return d.ip(b)
		case etherVLAN, etherQinQ, etherQinQOld:
			if len(b) < 4 {
				return dropLinkShort
			}
			ether, b = binary.BigEndian.Uint16(b[2:]), b[4:]
		case etherMPLS, etherMPLSm, etherPPPoE:
			return dropEncapsulated
		default:
			return dropNotIP
		}
	}
	return dropEncapsulated
}
