package capture

import "encoding/binary"

// Protocols of PPP.
const (
	pppIPv4      = 0x0021
	pppBridged   = 0x0031
	pppMultilink = 0x003d
	pppLLC       = 0x004b
	pppIPv6      = 0x0057
	pppMPLS      = 0x0281
	pppMPLSm     = 0x0283
)

// mpls passes over labels (RFC 3032).
func (d *decoder) mpls(b []byte) drop {
	for range maxHeaders {
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
	case b[0]>>4 == 1: // an associated channel, whose type may be IP's in PPP (RFC 4385, section 5)
		if kind := binary.BigEndian.Uint16(b[2:]); kind == pppIPv4 || kind == pppIPv6 {
			why = within(dropEncapsulated, d.ip(b[controlWord:]))
		}
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
	b = b[size:]
	switch proto {
	case pppIPv4, pppIPv6, etherIPv4, etherIPv6: // some write EtherTypes
		return d.ip(b)
	case pppMPLS, pppMPLSm:
		return d.mpls(b)
	case pppLLC:
		return d.llc(b)
	case pppBridged: // RFC 3518, section 4: flags, perhaps a LAN ID, and Ethernet
		const control, lanID, ethernet = 0x10, 0x40, 1
		if len(b) < 2 || b[0]&control != 0 || b[1] != ethernet {
			return dropNotIP
		}
		if b[0]&lanID != 0 {
			return behind(b, 6, d.inside)
		}
		return d.inside(b[2:])
	case pppMultilink: // RFC 1990, section 3: a packet that is whole
		const header, whole = 4, 0xc0
		if len(b) < header || b[0]&whole != whole {
			return dropNotIP
		}
		return d.nested(func() drop { return d.ppp(b[header:]) })
	}
	return dropNotIP
}
