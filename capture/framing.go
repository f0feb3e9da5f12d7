package capture

import (
	"encoding/binary"
	"time"

	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/internal/dnswire"
)

// DNS over TCP: each message behind its length in two octets (RFC 1035,
// section 4.2.2).
const (
	prefixSize = 2
	headerSize = 12
	// leastMessage is what tells of a message at all, cut or not: ID and flags.
	leastMessage = 4
)

// framing is the message in the making of one direction of a connection.
type framing struct {
	prefix [prefixSize]byte
	got    int    // octets of prefix
	want   int    // of the message, once got is 2
	part   []byte // of slabs: what there is of it
	// skip is what still comes of a message with a hole in it; behind it the
	// next begins.
	skip int
}

func (f *framing) open() bool { return f.got > 0 }

// frame takes the next octets of a direction. Messages that are whole within
// them are read where they are.
func (s *streams) frame(c *conn, h *half, b []byte, at time.Time) {
	f := &h.framing
	for len(b) > 0 && h.state == inStep {
		switch {
		case f.skip > 0:
			n := min(f.skip, len(b))
			f.skip, b = f.skip-n, b[n:]
		case f.got < prefixSize:
			n := copy(f.prefix[f.got:], b)
			f.got, b = f.got+n, b[n:]
			if f.got < prefixSize {
				return
			}
			f.want = int(binary.BigEndian.Uint16(f.prefix[:]))
			if f.want == 0 { // some keep a connection alive so
				f.got = 0
			}
		case f.part == nil && len(b) >= f.want:
			whole := b[:f.want]
			f.got, b = 0, b[f.want:]
			s.message(c, h, whole, at)
		default:
			n := min(f.want-len(f.part), len(b))
			f.part = s.extend(c, f.part, b[:n])
			if b = b[n:]; len(f.part) == f.want {
				s.message(c, h, f.part, at)
				s.forget(c, f)
			}
		}
	}
}

// extend grows by what is there, not by what a length claims.
func (s *streams) extend(c *conn, part, b []byte) []byte {
	if n := len(part) + len(b); n > cap(part) {
		larger := append(s.grab(c, n), part...)
		s.release(c, part)
		part = larger
	}
	return append(part, b...)
}

// forget drops the message in the making.
func (s *streams) forget(c *conn, f *framing) {
	s.release(c, f.part)
	*f = framing{skip: f.skip}
}

// hole says that the next n octets do not come. If they are all of one message
// whose length is known, it is clear where the next begins; otherwise not.
func (s *streams) hole(c *conn, h *half, n int, at time.Time) {
	f := &h.framing
	skipped := min(n, f.skip)
	f.skip -= skipped
	if n -= skipped; n == 0 {
		return
	}
	rest := f.want - len(f.part)
	known := f.got == prefixSize && n <= rest
	s.unfinished(c, h, at)
	if known {
		f.skip = rest - n
	} else {
		f.skip = 0
		s.lose(h)
	}
}

// unfinished ends the message in the making. What there is of it is read as a
// packet is that the capture cut.
func (s *streams) unfinished(c *conn, h *half, at time.Time) {
	f := &h.framing
	if !f.open() {
		return
	}
	s.counts.unfinished.Add(1)
	if f.got == prefixSize && len(f.part) >= leastMessage {
		s.message(c, h, f.part, at)
	}
	s.forget(c, f)
}

// lose notes that it is unknown where a message begins.
func (s *streams) lose(h *half) {
	if h.state == inStep {
		s.counts.lost.Add(1)
	}
	h.state = lost
}

// verdict is whether octets begin with a message.
type verdict uint8

const (
	beginsNot verdict = iota
	mayBegin          // the octets behind them will tell
	beginsSo
)

// maxUnsure is how many octets are enough to tell: those up to the end of the
// first question.
const maxUnsure = prefixSize + headerSize + dnsname.MaxWire + 4

// begins says whether b is sure enough to begin with a message: a length that
// its counts agree with, a header without what is not in use, going in the
// right direction, and one question that can be read. A guess that fails costs
// a segment; one that is wrong would make up names.
func begins(b []byte, d direction, name *[dnsname.MaxWire]byte) verdict {
	const (
		reserved      = 0x0040 // RFC 1035, section 4.1.1: Z
		lastOpcode    = 6
		leastRecord   = 11
		leastQuestion = 5
	)
	if len(b) < prefixSize {
		return mayBegin
	}
	length := int(binary.BigEndian.Uint16(b))
	if length < headerSize+leastQuestion {
		return beginsNot
	}
	if len(b) < prefixSize+headerSize {
		return mayBegin
	}
	msg := b[prefixSize:]
	msg = msg[:min(length, len(msg))]
	h, err := dnswire.ReadHeader(msg)
	if err != nil {
		return beginsNot
	}
	records := int(h.AN) + int(h.NS) + int(h.AR)
	switch {
	case h.QD != 1 || h.Flags&reserved != 0 || h.Opcode() > lastOpcode || length < headerSize+leastQuestion+records*leastRecord:
		return beginsNot
	case d == fromClient && h.Response() || d == fromServer && !h.Response():
		return beginsNot
	case !h.Response() && (h.AN > 1 || h.Rcode() != 0) && h.Opcode() == dnswire.OpcodeQuery:
		return beginsNot
	}
	var q dnswire.Question
	switch err := dnswire.ReadQuestion(&q, name[:], msg); {
	case err != nil && len(msg) < length && len(b) < maxUnsure:
		return mayBegin
	case err != nil || !knownClass(q.Class):
		return beginsNot
	}
	return beginsSo
}

// fills says whether a segment is one message by the length in front, which no
// other two octets are by chance, and by what is fixed of a header. Its question
// may be broken, or cut off by the capture with what is missing.
func fills(b []byte, missing int, d direction) bool {
	const response, opcode, reserved, lastOpcode = 0x8000, 0x7800, 0x0040, 6
	if len(b) < prefixSize+leastMessage || int(binary.BigEndian.Uint16(b)) != len(b)+missing-prefixSize {
		return false
	}
	flags := binary.BigEndian.Uint16(b[prefixSize+2:])
	isResponse := flags&response != 0
	return flags&reserved == 0 && flags&opcode>>11 <= lastOpcode && (d == fromEither || isResponse == (d == fromServer))
}
