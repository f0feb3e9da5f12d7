package capture

import "encoding/binary"

// What a sample of sFlow holds the beginning of (sflow.org, version 5,
// header_protocol).
const (
	sFlowEthernet = 1
	sFlowFRelay   = 5
	sFlowPPP      = 7
	sFlowIPv4     = 11
	sFlowIPv6     = 12
	sFlowMPLS     = 13
	sFlowWiFi     = 15
)

// maxSamples bounds the samples and the records that are looked at: of 65,535
// octets, none has less than 8.
const maxSamples = 65535 / 8

// sFlow looks for messages in the packets of which a switch tells samples, with
// their first octets (sFlow, version 5). One in many is told of, mostly without
// its other half: like those in ICMP errors they are counted and not read.
func (d *decoder) sFlow(b []byte) drop {
	const version, ipv4, ipv6, addressAt, header, word = 5, 1, 2, 8, 24, 4
	if len(b) < header || binary.BigEndian.Uint32(b) != version || d.quoting {
		return dropUDPTunnel
	}
	n := header
	switch binary.BigEndian.Uint32(b[4:]) {
	case ipv4:
		n += 4
	case ipv6:
		n += 16
	default:
		return dropUDPTunnel
	}
	d.quoting = true
	messages := uint64(0)
	var found datagram
	sFlowParts(b[min(n, len(b)):], func(kind uint32, sample []byte) {
		const flow, expanded, flowHeader, expandedHeader = 1, 3, 32, 44
		switch kind {
		case flow:
			sample = sample[min(flowHeader, len(sample)):]
		case expanded:
			sample = sample[min(expandedHeader, len(sample)):]
		default:
			return
		}
		sFlowParts(sample, func(kind uint32, record []byte) {
			const rawHeader = 1
			d.left = maxNested
			d.datagram, d.tcp = datagram{}, false
			if kind == rawHeader && d.sampled(record) == 0 {
				messages++
				found = d.datagram
			}
		})
	})
	if messages == 0 {
		return dropUDPTunnel
	}
	d.datagram, d.tcp, d.further = found, false, messages-1
	return 0
}

// sFlowParts hands on what stands behind its kind and its length.
func sFlowParts(b []byte, take func(kind uint32, part []byte)) {
	const header = 8
	for range maxSamples {
		if len(b) < header {
			return
		}
		kind, size := binary.BigEndian.Uint32(b), uint64(binary.BigEndian.Uint32(b[4:]))
		b = b[header:]
		part := b[:min(size, uint64(len(b)))]
		take(kind, part)
		b = b[len(part):]
	}
}

// sampled decodes the beginning of a packet: what it is, three lengths, and its
// octets.
func (d *decoder) sampled(b []byte) drop {
	const header = 16
	if len(b) < header {
		return dropProtocol
	}
	kind, size := binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[12:])
	b = b[header:]
	b = b[:min(uint64(size), uint64(len(b)))]
	switch kind {
	case sFlowEthernet:
		return d.quoted(d.ethernet(b))
	case sFlowFRelay:
		return d.quoted(d.frameRelay(b))
	case sFlowPPP:
		return d.quoted(d.ppp(b))
	case sFlowIPv4, sFlowIPv6:
		return d.quoted(d.ip(b))
	case sFlowMPLS:
		return d.quoted(d.mpls(b))
	case sFlowWiFi:
		return d.quoted(d.wifi(b, false))
	}
	return dropProtocol
}
