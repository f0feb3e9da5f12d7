package dnswire

import (
	"encoding/binary"

	"github.com/weirdns/weir/internal/dnsname"
)

// Question is one entry of the question section.
type Question struct {
	Name        dnsname.Name // canonical; memory of the caller's buffer
	Type, Class uint16
	Start, End  int // its octets in the message, as sent
}

// EDNS is what the OPT record says (RFC 6891). The zero value: there is none.
type EDNS struct {
	Present  bool
	UDPSize  uint16 // as sent; values under 512 mean 512
	Version  uint8
	ExtRcode uint8 // the upper eight bits of the response code
	DO       bool
	Options  []byte // the options in wire form, aliasing the message
}

// Query is a request as read by ReadQuery.
type Query struct {
	Header
	Question
	EDNS EDNS
	buf  [dnsname.MaxWire]byte
}

// ReadQuestion reads the first question of a message. buf backs its Name.
func ReadQuestion(q *Question, buf, msg []byte) error {
	name, next, err := ReadCanonical(buf[:0], msg, HeaderLen)
	if err != nil {
		return err
	}
	if next+4 > len(msg) {
		return ErrCut
	}
	*q = Question{
		Name:  name,
		Type:  binary.BigEndian.Uint16(msg[next:]),
		Class: binary.BigEndian.Uint16(msg[next+2:]),
		Start: HeaderLen,
		End:   next + 4,
	}
	return nil
}

// maxOptions bounds the options of one OPT: no client needs more, and each
// costs time (reliability: long option lists were used to burn CPU).
const maxOptions = 32

// ReadQuery reads a request: header, exactly one question, and the records
// behind it, of which only OPT means something to a forwarder. ErrShort: there
// is not even a header to answer with. Any other error leaves the header in q,
// and the question too if that much could be read (q.End > 0): answer FORMERR.
// The caller looks at QR and the opcode itself, in q.Header, before it believes
// an error about the rest.
func ReadQuery(q *Query, msg []byte) error {
	q.Question, q.EDNS = Question{}, EDNS{}
	var err error
	if q.Header, err = ReadHeader(msg); err != nil {
		return err
	}
	if q.QD != 1 {
		return ErrFormat // RFC 9619: a query has exactly one question
	}
	if err := ReadQuestion(&q.Question, q.buf[:], msg); err != nil {
		return err
	}
	if q.End-q.Start != len(q.Name)+4 {
		// All that a pointer here can point to is the header, which is another
		// in the answer; and the question could not be given back as it was.
		q.Question = Question{}
		return ErrPointer
	}
	if q.AN == 0 && q.NS == 0 && q.AR == 0 {
		return nil
	}
	walk := Walk(msg, q.Header, q.End)
	for r := (Record{}); walk.Next(&r); {
		if r.Type != TypeOPT {
			continue
		}
		if r.Section != Additional || q.EDNS.Present || msg[r.Start] != 0 {
			return ErrFormat // RFC 6891, section 6.1.1: one OPT, additional section, owner root
		}
		if err := readOPT(&q.EDNS, &r, msg); err != nil {
			return err
		}
	}
	return walk.Err()
}

// ReadEDNS finds the OPT record of any message; it is tolerant, as for answers
// of others: a malformed one counts as absent.
func ReadEDNS(msg []byte, h Header, off int) EDNS {
	walk := Walk(msg, h, off)
	for r := (Record{}); walk.Next(&r); {
		var e EDNS
		if r.Type == TypeOPT && r.Section == Additional && readOPT(&e, &r, msg) == nil {
			return e
		}
	}
	return EDNS{}
}

func readOPT(e *EDNS, r *Record, msg []byte) error {
	*e = EDNS{
		Present:  true,
		UDPSize:  r.Class,
		ExtRcode: uint8(r.TTL >> 24),
		Version:  uint8(r.TTL >> 16),
		DO:       r.TTL&(1<<15) != 0,
		Options:  msg[r.Data:r.End],
	}
	count := 0
	for rest := e.Options; len(rest) > 0; {
		_, value, tail, ok := NextOption(rest)
		if count++; !ok || count > maxOptions {
			return ErrFormat
		}
		_ = value
		rest = tail
	}
	return nil
}

// NextOption takes the first EDNS option off options. ok is false where they
// are cut.
func NextOption(options []byte) (code uint16, value, rest []byte, ok bool) {
	if len(options) < 4 {
		return 0, nil, nil, false
	}
	end := 4 + int(binary.BigEndian.Uint16(options[2:]))
	if end > len(options) {
		return 0, nil, nil, false
	}
	return binary.BigEndian.Uint16(options), options[4:end], options[end:], true
}
