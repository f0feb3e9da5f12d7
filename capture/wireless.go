package capture

import "encoding/binary"

// Link types of IEEE 802.11, and of what cards and drivers put in front of it.
const (
	linkWiFi     = 105
	linkPrism    = 119
	linkRadiotap = 127
	linkAVS      = 163
	linkPPI      = 192
)

// wireless decodes the link types of wireless networks.
func (d *decoder) wireless(kind uint32, b []byte) drop {
	const avsVersion, avsMask, prismHeader = 0x80211000, 0xfffff000, 144
	switch kind {
	case linkWiFi:
		return d.wifi(b, false)
	case linkRadiotap:
		return d.radiotap(b)
	case linkPrism:
		if len(b) >= 8 && binary.BigEndian.Uint32(b)&avsMask != avsVersion {
			return behind(b, prismHeader, func(b []byte) drop { return d.wifi(b, false) })
		}
		return d.wireless(linkAVS, b)
	case linkAVS:
		if len(b) < 8 || binary.BigEndian.Uint32(b[4:]) > uint32(len(b)) {
			return dropLinkShort
		}
		return d.wifi(b[binary.BigEndian.Uint32(b[4:]):], false)
	case linkPPI: // version, flags, length, link type
		if len(b) < 8 || int(binary.LittleEndian.Uint16(b[2:])) > len(b) {
			return dropLinkShort
		}
		return d.nested(func() drop {
			return d.link(binary.LittleEndian.Uint32(b[4:]), b[binary.LittleEndian.Uint16(b[2:]):])
		})
	}
	return dropLinkType
}

// radiotap is the header of radiotap.org. Of its fields only the flags matter,
// which are behind the time stamp: they tell of padding.
func (d *decoder) radiotap(b []byte) drop {
	const header, more, hasTime, hasFlags, padded = 8, 1 << 31, 1 << 0, 1 << 1, 0x20
	if len(b) < header {
		return dropLinkShort
	}
	n := int(binary.LittleEndian.Uint16(b[2:]))
	if n < header || n > len(b) {
		return dropLinkShort
	}
	fields := binary.LittleEndian.Uint32(b[4:])
	at := header
	for last := fields; last&more != 0; at += 4 {
		if at+4 > n {
			return dropLinkShort
		}
		last = binary.LittleEndian.Uint32(b[at:])
	}
	if fields&hasTime != 0 {
		at = (at+7)&^7 + 8
	}
	return d.wifi(b[n:], fields&hasFlags != 0 && at < n && b[at]&padded != 0)
}

// wifi is a frame of IEEE 802.11 (section 9.2) that carries data, is whole and
// not encrypted. padded says that its header is filled up to four octets.
func (d *decoder) wifi(b []byte, padded bool) drop {
	const (
		header, address, qosControl, htControl = 24, 6, 2, 4
		typeMask, typeData                     = 0x0c, 0x08
		noData, qos                            = 0x40, 0x80 // of the subtype
		bothDS, moreFragments, protected       = 0x03, 0x04, 0x40
		order                                  = 0x80
		fragmentNumber                         = 0x0f
		aggregated                             = 0x80 // in QoS control
	)
	if len(b) < header {
		return dropLinkShort
	}
	kind, flags := b[0], b[1]
	if kind&typeMask != typeData || kind&noData != 0 || flags&(moreFragments|protected) != 0 || b[22]&fragmentNumber != 0 {
		return dropNotIP
	}
	n := header
	if flags&bothDS == bothDS {
		n += address
	}
	several := false
	if kind&qos != 0 {
		if len(b) < n+qosControl {
			return dropLinkShort
		}
		several = b[n]&aggregated != 0
		n += qosControl
		if flags&order != 0 {
			n += htControl
		}
	}
	if padded {
		n = (n + 3) &^ 3
	}
	if len(b) < n {
		return dropLinkShort
	}
	if several {
		return d.aggregate(b[n:])
	}
	return d.wifiBody(b[n:])
}

// lwapp is a data message between an access point and its controller (RFC 5412,
// section 3.2).
func (d *decoder) lwapp(b []byte) drop {
	const header, control = 6, 0x04
	if len(b) < header || b[0]&control != 0 {
		return dropNotIP
	}
	return d.wifi(b[header:], false)
}

// aggregate is an A-MSDU (section 9.3.2.2): frames, each behind two addresses
// and its length, filled up to four octets.
func (d *decoder) aggregate(b []byte) drop {
	const header, lengthAt, unit = 14, 12, 4
	var first []byte
	for len(b) > header {
		size := header + int(binary.BigEndian.Uint16(b[lengthAt:]))
		if size == header {
			break
		}
		frame := b[header:min(size, len(b))]
		if first == nil {
			first = frame
		} else {
			d.later(frame, d.wifiBody)
		}
		b = b[min((size+unit-1)&^(unit-1), len(b)):]
	}
	return d.wifiBody(first)
}

// wifiBody is what a frame holds: LLC, or as some write it an EtherType.
func (d *decoder) wifiBody(b []byte) drop {
	if len(b) < 2 {
		return dropLinkShort
	}
	switch kind := binary.BigEndian.Uint16(b); kind {
	case etherIPv4, etherIPv6, etherVLAN:
		return d.ether(kind, b[2:])
	}
	return d.llc(b)
}
