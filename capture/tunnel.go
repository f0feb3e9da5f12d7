package capture

import "encoding/binary"

// Protocols of GRE that are no EtherTypes of Ethernet.
const (
	greERSPAN    = 0x88be
	greERSPANIII = 0x22eb
	greEthernet  = 0x6400 // MikroTik's EoIP is that in version 1
	greWCCP      = 0x883e // IP, perhaps behind a header of redirection
	greCDMA      = 0x8881 // PPP in frames of HDLC (3GPP2 A.S0012)
	greHDLC      = 0x88d2
	greWiFiFirst = 0x8200 // Aruba's tunnels, in steps of 16
	greWiFiLast  = 0x8370
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
	if v > 1 || v == 1 && (kind != etherPPP && kind != greEthernet || flags&routing != 0) {
		return dropTunnel
	}
	size := field
	for _, f := range [3]uint16{checksum | routing, key, sequence} {
		if flags&f != 0 {
			size += field
		}
	}
	if flags&routing != 0 { // RFC 1701: source routes until one is empty
		for more := true; more; {
			if len(b) < size+field {
				return dropTunnel
			}
			n := int(b[size+3])
			more = n != 0
			size += field + n
		}
	}
	if v == 1 && flags&acknowledged != 0 {
		size += field
	}
	if len(b) < size {
		return dropTunnel
	}
	b = b[size:]
	switch {
	case kind == greERSPAN && flags&sequence == 0:
		return d.inside(b) // type I
	case kind == greERSPAN || kind == greERSPANIII:
		return d.erspan(b)
	case kind == greEthernet:
		return d.inside(b)
	case kind == etherFRelay:
		return d.frameRelay(b)
	case kind == greWCCP && len(b) > field && b[0]>>4 != 4:
		return d.ip(b[field:])
	case kind == greWCCP:
		return d.ip(b)
	case kind == greCDMA || kind == greHDLC:
		return d.stuffed(b)
	case kind >= greWiFiFirst && kind <= greWiFiLast && kind&0xf == 0:
		return d.wifi(b, false)
	}
	return d.ether(kind, b)
}

// stuffed is a frame of PPP in HDLC for octets (RFC 1662, section 4), the first
// if there are several.
func (d *decoder) stuffed(b []byte) drop {
	const flag, escape, flip = 0x7e, 0x7d, 0x20
	out := d.unstuffed[:0]
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case c == flag && len(out) == 0:
		case c == flag:
			i = len(b)
		case c == escape && i+1 < len(b):
			i++
			out = append(out, b[i]^flip)
		default:
			out = append(out, c)
		}
	}
	d.unstuffed = out
	return d.ppp(out)
}

// erspan is type II, whose header has 8 octets, or III, with 12 and perhaps 8
// more.
func (d *decoder) erspan(b []byte) drop {
	const header2, header3, platform = 8, 12, 8
	if len(b) < header2 {
		return dropTunnel
	}
	n := header2
	switch b[0] >> 4 {
	case 1:
	case 2:
		if n = header3; len(b) < n {
			return dropTunnel
		}
		if b[11]&1 != 0 {
			n += platform
		}
	default:
		return dropTunnel
	}
	if len(b) < n {
		return dropTunnel
	}
	return d.inside(b[n:])
}

// etherIP is RFC 3378, section 3.
func (d *decoder) etherIP(b []byte) drop {
	const header, version = 2, 0x30
	if len(b) < header || b[0] != version {
		return dropTunnel
	}
	return d.inside(b[header:])
}
