package capture

import "encoding/binary"

// Service access points and protocols of LLC (IEEE 802.2) and of what stands in
// for it on frame relay: network layer protocol IDs (RFC 2427, section 4).
const (
	sapSNAP     = 0xaa
	sapIP       = 0x06
	unnumbered  = 0x03 // the control field of unnumbered information
	nlpidSNAP   = 0x80
	nlpidIPv6   = 0x8e
	nlpidIPv4   = 0xcc
	nlpidPPP    = 0xcf
	ouiEther    = 0x000000
	ouiBridged  = 0x0080c2 // IEEE 802.1
	ouiTunnel   = 0x0000f8 // 802.1H
	bridgedFCS  = 0x0001   // Ethernet with its check sequence, and without
	bridged     = 0x0007
	bridgedPad  = 2 // octets that align the frame behind LLC (RFC 2684, section 5.2)
	frelayNoPad = 0
)

// llc decodes what LLC names: IP by itself, or what SNAP does.
func (d *decoder) llc(b []byte) drop {
	switch {
	case len(b) < 3:
		return dropLinkShort
	case b[0] == sapSNAP && b[1] == sapSNAP && b[2] == unnumbered:
		return d.snap(b[3:], bridgedPad)
	case b[0] == sapIP && b[1] == sapIP && b[2] == unnumbered:
		return d.ip(b[3:])
	}
	return dropNotIP
}

// snap follows the organisation and the protocol of SNAP (RFC 1042). In front of
// a bridged frame are pad octets.
func (d *decoder) snap(b []byte, pad int) drop {
	if len(b) < 5 {
		return dropLinkShort
	}
	oui, kind, b := uint32(b[0])<<16|uint32(b[1])<<8|uint32(b[2]), binary.BigEndian.Uint16(b[3:]), b[5:]
	switch {
	case (oui == ouiEther || oui == ouiTunnel) && kind > lastLength:
		return d.nested(func() drop { return d.ether(kind, b) })
	case oui == ouiBridged && (kind == bridged || kind == bridgedFCS):
		if len(b) < pad {
			return dropLinkShort
		}
		return d.inside(b[pad:])
	}
	return dropNotIP
}

// frameRelay decodes a frame of Q.922 with RFC 2427's encapsulation or Cisco's,
// which has an EtherType.
func (d *decoder) frameRelay(b []byte) drop {
	const maxAddress = 4
	n := 0
	for n < len(b) && n < maxAddress && b[n]&1 == 0 { // the last octet of the address is odd
		n++
	}
	n++
	if len(b) < n+2 {
		return dropLinkShort
	}
	if b = b[n:]; b[0] != unnumbered {
		return d.byEtherType(b, 0, 2)
	}
	if b = b[1:]; b[0] == 0 && len(b) > 1 { // padding
		b = b[1:]
	}
	switch kind, b := b[0], b[1:]; kind {
	case nlpidIPv4, nlpidIPv6:
		return d.ip(b)
	case nlpidSNAP:
		return d.snap(b, frelayNoPad)
	case nlpidPPP:
		return d.ppp(b)
	}
	return dropNotIP
}
