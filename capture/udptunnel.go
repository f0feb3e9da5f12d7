package capture

import "encoding/binary"

// UDP ports whose payload is another packet.
const (
	portMobileIP = 434
	portL2TP     = 1701
	portGTPC     = 2123 // some send packets of users there
	portGTPU     = 2152
	portAMT      = 2268
	portGTPOld   = 3386
	portTeredo   = 3544
	portLISP     = 4341
	portGRE      = 4754
	portVXLAN    = 4789
	portVXLANGPE = 4790
	portAYIYA    = 5072
	portCAPWAP   = 5247
	portGeneve   = 6081
	portSFlow    = 6343
	portMPLS     = 6635
	portSCTP     = 9899
	portVXLANLx  = 8472  // Linux' own
	portLLCFirst = 12000 // LLC of DLSw and HPR
	portLLCLast  = 12004
	portLWAPP    = 12222
	portTZSP     = 37008
)

// tunnelPorts are those that the kernel's filter lets through.
var tunnelPorts = [...]uint16{
	portMobileIP, portL2TP, portGTPC, portGTPU, portAMT, portGTPOld, portTeredo, portLISP, portGRE, portVXLAN, portVXLANLx, portVXLANGPE, portAYIYA,
	portCAPWAP, portGeneve, portSFlow, portMPLS, portSCTP, portLLCFirst, portLLCFirst + 1, portLLCFirst + 2, portLLCFirst + 3, portLLCLast, portLWAPP, portTZSP,
}

func tunnelPort(p uint16) bool {
	switch p {
	case portMobileIP, portL2TP, portGTPC, portGTPU, portAMT, portGTPOld, portTeredo, portLISP, portGRE, portVXLAN, portVXLANLx, portVXLANGPE, portAYIYA,
		portCAPWAP, portGeneve, portSFlow, portMPLS, portSCTP, portLWAPP, portTZSP:
		return true
	}
	return p >= portLLCFirst && p <= portLLCLast
}

// within is what became of a packet in a tunnel: a packet like others if there
// is an IP header that makes sense, otherwise a tunnel that is not read.
func within(tunnel, inner drop) drop {
	switch inner {
	case dropLinkType, dropLinkShort, dropNotIP, dropEncapsulated, dropIPShort, dropIPMalformed:
		return tunnel
	}
	return inner
}

// udpTunnel decodes the payload of a datagram on a tunnel's port.
func (d *decoder) udpTunnel(from, to uint16, b []byte, a addresses) drop {
	port := to
	if !tunnelPort(to) {
		port = from
	}
	return within(dropUDPTunnel, d.tunnelled(port, b, a))
}

func (d *decoder) tunnelled(port uint16, b []byte, a addresses) drop {
	switch port {
	case portVXLAN, portVXLANLx, portVXLANGPE:
		return d.vxlan(b, port == portVXLANGPE)
	case portGeneve:
		return d.geneve(b)
	case portGTPU, portGTPC, portGTPOld:
		return d.gtpu(b)
	case portTeredo:
		return d.teredo(b)
	case portL2TP:
		return d.l2tp(b)
	case portGRE: // RFC 8086
		return d.gre(b)
	case portSFlow:
		return d.sFlow(b)
	case portMPLS: // RFC 7510
		return d.mpls(b)
	case portLISP: // RFC 9300, section 5.1
		return behind(b, 8, d.ip)
	case portTZSP:
		return d.tzsp(b)
	case portCAPWAP:
		return d.capwap(b)
	case portLWAPP:
		return d.lwapp(b)
	case portAYIYA:
		return d.ayiya(b)
	case portAMT: // RFC 7450, section 5.1.6
		const multicastData = 6
		if len(b) == 0 || b[0] != multicastData {
			return dropUDPTunnel
		}
		return behind(b, 2, d.ip)
	case portMobileIP: // RFC 3519, section 3.3
		const tunnelData = 4
		if len(b) == 0 || b[0] != tunnelData {
			return dropUDPTunnel
		}
		return behind(b, 4, d.ip)
	case portSCTP: // RFC 6951
		return d.sctp(b, a)
	}
	return d.llc(b)
}

// vxlan is RFC 7348, section 5, or its generic extension
// (draft-ietf-nvo3-vxlan-gpe, section 3), which may hold other than Ethernet.
// The flag of a valid network is not asked for: others do not.
func (d *decoder) vxlan(b []byte, generic bool) drop {
	const header, hasNext = 8, 0x04
	if len(b) < header {
		return dropUDPTunnel
	}
	d.enter(binary.BigEndian.Uint32(b[4:]) >> 8)
	if generic && b[0]&hasNext != 0 {
		return d.nextProtocol(b[3], b[header:])
	}
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
	return d.nested(func() drop { return d.ether(binary.BigEndian.Uint16(b[2:]), b[size:]) })
}

// gtpu is a G-PDU of GTP-U (3GPP TS 29.281, section 5), or a T-PDU of its
// version 0 (TS 09.60).
func (d *decoder) gtpu(b []byte) drop {
	const (
		header, optional  = 8, 4
		headerOld         = 20
		versionAndType    = 0x30 // version 1, GTP
		versionOld        = 0x10
		anyOptional       = 0x07
		hasExtensions     = 0x04
		gPDU              = 0xff
		nextExtension     = header + 3
		extensionUnit     = 4
		maxExtensionCount = maxNested
	)
	switch {
	case len(b) < header || b[1] != gPDU:
		return dropUDPTunnel
	case b[0]&0xf0 == versionOld:
		return behind(b, headerOld, d.ip)
	case b[0]&0xf0 != versionAndType:
		return dropUDPTunnel
	case b[0]&anyOptional == 0:
		return d.userData(b[header:])
	case len(b) < header+optional:
		return dropUDPTunnel
	}
	next := b[nextExtension]
	more := b[0]&hasExtensions != 0
	b = b[header+optional:]
	for range maxExtensionCount {
		if !more || next == 0 {
			return d.userData(b)
		}
		if len(b) == 0 || b[0] == 0 || len(b) < int(b[0])*extensionUnit {
			return dropUDPTunnel
		}
		size := int(b[0]) * extensionUnit
		next, b = b[size-1], b[size:]
	}
	return dropUDPTunnel
}

// userData is IP, or Ethernet if the session is one of that.
func (d *decoder) userData(b []byte) drop {
	if len(b) > 0 && b[0]>>4 != 4 && b[0]>>4 != 6 {
		return d.inside(b)
	}
	return d.ip(b)
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

// l2tp is a data message of version 2 (RFC 2661, section 3.1).
func (d *decoder) l2tp(b []byte) drop {
	const (
		control, hasLength, hasSequence, hasOffset, version = 0x8000, 0x4000, 0x0800, 0x0200, 0x000f
		header, length, sequence, offset                    = 6, 2, 4, 2
	)
	if len(b) < header {
		return dropUDPTunnel
	}
	flags := binary.BigEndian.Uint16(b)
	if flags&control != 0 || flags&version != 2 {
		return dropUDPTunnel
	}
	n := header
	if flags&hasLength != 0 {
		n += length
	}
	if flags&hasSequence != 0 {
		n += sequence
	}
	if flags&hasOffset != 0 {
		if len(b) < n+offset {
			return dropUDPTunnel
		}
		n += offset + int(binary.BigEndian.Uint16(b[n:]))
	}
	return behind(b, n, d.ppp)
}

// tzsp is a packet that a sensor took, behind tags (TaZmen Sniffer Protocol).
func (d *decoder) tzsp(b []byte) drop {
	const header, version, padding, end = 4, 1, 0, 1
	const ethernet, wifi, prism, avs = 1, 18, 119, 127
	if len(b) < header || b[0] != version {
		return dropUDPTunnel
	}
	kind := binary.BigEndian.Uint16(b[2:])
	for b = b[header:]; len(b) > 0 && b[0] != end; {
		n := 1
		if b[0] != padding {
			if len(b) < 2 {
				return dropUDPTunnel
			}
			n = 2 + int(b[1])
		}
		b = b[min(n, len(b)):]
	}
	if len(b) == 0 {
		return dropUDPTunnel
	}
	b = b[1:]
	switch kind {
	case ethernet:
		return d.inside(b)
	case wifi:
		return d.wifi(b, false)
	case prism:
		return d.wireless(linkPrism, b)
	case avs:
		return d.wireless(linkAVS, b)
	}
	return dropUDPTunnel
}

// capwap is a data packet between an access point and its controller (RFC 5415,
// section 4.3) that is no fragment.
func (d *decoder) capwap(b []byte) drop {
	const preamble, least, unit, native, fragment, swapped = 0, 8, 4, 0x01, 0x80, 2
	if len(b) < least || b[0]&0x0f != preamble || b[3]&fragment != 0 {
		return dropUDPTunnel
	}
	n := int(b[1]>>3) * unit
	if n < least || len(b) < n+swapped {
		return dropUDPTunnel
	}
	isWiFi := b[2]&native != 0
	if b = b[n:]; !isWiFi {
		return d.inside(b)
	}
	if b[0]&0x0f == 0x08 { // frame control as it is on the air
		return d.wifi(b, false)
	}
	d.unstuffed = append(append(d.unstuffed[:0], b[1], b[0]), b[swapped:]...)
	return d.wifi(d.unstuffed, false)
}

// ayiya is IPv6 behind an identity and a signature
// (draft-massar-v6ops-ayiya-02, section 3).
func (d *decoder) ayiya(b []byte) drop {
	const header, signatureUnit = 8, 4
	if len(b) < header || b[3] != protoIPv6 && b[3] != protoIPv4 {
		return dropUDPTunnel
	}
	return behind(b, header+1<<(b[0]>>4)+int(b[1]>>4)*signatureUnit, d.ip)
}
