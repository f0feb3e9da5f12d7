package capture

import (
	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/internal/dnswire"
)

// likeness is how sure it is that a datagram on any port is a DNS message.
type likeness uint8

const (
	unlike likeness = iota
	doubtful
	certain
)

// elsewhere says whether a datagram on ports that are none of ours, with a
// payload of length octets, is a DNS message.
func (d *decoder) elsewhere(from, to uint16, b []byte, length int) likeness {
	if !d.anyPort || lookalikePort(from) || lookalikePort(to) {
		return unlike
	}
	return like(b, length, &d.name)
}

// like says whether the payload of a datagram on any port is a DNS message. It
// is for certain if it is a query or a response with one question, of a known
// class, flags that go together, and as many records as there is room for, unless
// it says itself that some were left out. They may be broken or, as length says,
// cut off by the capture; so may the question, which then names nothing. One
// question in a header whose rest is odd is doubtful: other protocols have such
// octets too.
func like(b []byte, length int, name *[dnsname.MaxWire]byte) likeness {
	const reserved, maxRecords, leastQuestion, leastRecord, noType = 0x0040, 128, 5, 11, 0
	if len(b) <= headerSize {
		return unlike
	}
	h, err := dnswire.ReadHeader(b)
	switch {
	case err != nil || h.QD != 1 || h.Opcode() != dnswire.OpcodeQuery || !h.Response() && (h.AN != 0 || h.NS != 0):
		return unlike
	case h.Flags&reserved != 0 || !h.Response() && (h.AR > 2 || h.Rcode() != 0 || h.Flags&dnswire.FlagTC != 0):
		return doubtful
	case h.AN > maxRecords || h.NS > maxRecords || h.AR > maxRecords:
		return doubtful
	}
	var q dnswire.Question
	end := headerSize + leastQuestion
	if dnswire.ReadQuestion(&q, name[:], b) == nil {
		if end = q.End; q.Type == noType || !knownClass(q.Class) {
			return doubtful
		}
	}
	records := int(h.AN + h.NS + h.AR)
	if records > 0 && h.Flags&dnswire.FlagTC == 0 && end+leastRecord*records > max(length, len(b)) {
		return doubtful
	}
	return certain
}

// lookalikePort says whether what has DNS's form on a port is something else: the
// name service of NetBIOS (RFC 1002), or what is switched off.
func lookalikePort(p uint16) bool {
	const netbios = 137
	return p == netbios || multicastPort(p)
}

func knownClass(c uint16) bool {
	switch c {
	case 1, 3, 4, 254, 255: // IN, CH, HS, NONE, ANY
		return true
	}
	return false
}
