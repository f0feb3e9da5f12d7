package capture

import (
	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/internal/dnswire"
)

// isMessage says whether the payload of a datagram on any port is a DNS message
// beyond doubt: a query or a response with one question that can be read, of a
// known class, and as many records as there is room for. They may be broken or,
// as length says, cut off by the capture.
func isMessage(b []byte, length int, name *[dnsname.MaxWire]byte) bool {
	const reserved, maxRecords, leastRecord, noType = 0x0040, 32, 11, 0
	if len(b) < headerSize {
		return false
	}
	h, err := dnswire.ReadHeader(b)
	switch {
	case err != nil || h.QD != 1 || h.Opcode() != dnswire.OpcodeQuery || h.Flags&reserved != 0:
		return false
	case !h.Response() && (h.AN != 0 || h.NS != 0 || h.AR > 2 || h.Rcode() != 0 || h.Flags&dnswire.FlagTC != 0):
		return false
	case h.AN > maxRecords || h.NS > maxRecords || h.AR > maxRecords:
		return false
	}
	var q dnswire.Question
	if dnswire.ReadQuestion(&q, name[:], b) != nil || q.Type == noType || !knownClass(q.Class) {
		return false
	}
	return q.End+leastRecord*int(h.AN+h.NS+h.AR) <= max(length, len(b))
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
