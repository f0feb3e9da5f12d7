package capture

// ICMP's types of errors, which quote the packet that they are about (RFC 792;
// RFC 4443, section 2.1).
const (
	icmpHeader      = 8
	icmpUnreachable = 3
	icmpQuench      = 4
	icmpRedirect    = 5
	icmpExceeded    = 11
	icmpProblem     = 12
	icmpv6LastError = 4
	icmpv6Redirect  = 137
)

// icmp looks for a message that an error quotes. It is not one that anybody
// sent now, so it is counted and not read.
func (d *decoder) icmp(proto uint8, b []byte) drop {
	if len(b) < icmpHeader {
		return dropProtocol
	}
	quoted := b[icmpHeader:]
	switch kind := b[0]; {
	case proto == protoICMPv6 && kind >= 1 && kind <= icmpv6LastError:
	case proto == protoICMPv6 && kind == icmpv6Redirect:
		quoted = redirected(b)
	case proto == protoICMP && (kind >= icmpUnreachable && kind <= icmpRedirect || kind == icmpExceeded || kind == icmpProblem):
	default:
		return dropProtocol
	}
	if d.quoting {
		return dropProtocol
	}
	d.quoting = true
	return d.quoted(d.ip(quoted))
}

// quoted is what became of a quoted packet: a message counts, of TCP one that a
// segment begins with.
func (d *decoder) quoted(why drop) drop {
	switch {
	case why != 0:
		return dropProtocol
	case d.tcp && begins(d.segment.data, fromEither, &d.name) == beginsSo:
		d.found(d.segment.data[prefixSize:], d.segment.src.Port(), d.segment.dst.Port(), addresses{d.segment.src.Addr(), d.segment.dst.Addr()})
	case d.tcp || len(d.datagram.payload) < leastMessage:
		return dropProtocol
	}
	return 0
}

// redirected is the packet that a redirect of IPv6 holds among its options
// (RFC 4861, sections 4.5 and 4.6.3).
func redirected(b []byte) []byte {
	const options, unit, header, optionHeader = 40, 8, 4, 8
	for b = b[min(options, len(b)):]; len(b) >= optionHeader && b[1] > 0; b = b[min(int(b[1])*unit, len(b)):] {
		if b[0] == header {
			return b[optionHeader:min(int(b[1])*unit, len(b))]
		}
	}
	return nil
}
