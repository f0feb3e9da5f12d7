package capture

import "encoding/binary"

// Link types of Juniper's routers.
const (
	linkJuniperMLPPP    = 130
	linkJuniperGGSN     = 133
	linkJuniperEthernet = 178
	linkJuniperPPP      = 179
	linkJuniperFRelay   = 180
	linkJuniperCHDLC    = 181
	linkJuniperVP       = 183
)

// juniper decodes what Juniper's routers write: a header, perhaps extensions,
// and the frame, or the packet alone.
func (d *decoder) juniper(kind uint32, b []byte) drop {
	const magic, header, noLink, extended, number, ggsn, vp, bundle = 0x4d4743, 4, 0x02, 0x80, 4, 4, 18, 2
	switch kind {
	case linkJuniperMLPPP, linkJuniperGGSN, linkJuniperEthernet, linkJuniperPPP, linkJuniperFRelay, linkJuniperCHDLC, linkJuniperVP:
	default:
		return dropLinkType
	}
	if len(b) < header+2 {
		return dropLinkShort
	}
	if binary.BigEndian.Uint32(b)>>8 != magic {
		return dropNotIP
	}
	n := header
	if b[3]&extended != 0 {
		n += 2 + int(binary.BigEndian.Uint16(b[header:]))
	}
	if b[3]&noLink != 0 { // a number says what the packet is; its header does too
		return behind(b, n+number, d.ip)
	}
	switch kind {
	case linkJuniperEthernet:
		return behind(b, n, d.ethernet)
	case linkJuniperFRelay:
		return behind(b, n, d.frameRelay)
	case linkJuniperCHDLC:
		return behind(b, n, func(b []byte) drop { return d.link(linkCHDLC, b) })
	case linkJuniperGGSN:
		return behind(b, n+ggsn, d.ip)
	case linkJuniperVP:
		return behind(b, n+vp, d.ip)
	case linkJuniperMLPPP:
		return behind(b, n+bundle, d.ppp)
	}
	return behind(b, n, d.ppp)
}
