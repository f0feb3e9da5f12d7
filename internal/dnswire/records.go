package dnswire

import (
	"encoding/binary"

	"github.com/weirdns/weir/internal/dnsname"
)

// Section is a part of a message that holds records.
type Section uint8

// The sections of RFC 1035, section 4.1, in their order on the wire.
const (
	Answer Section = iota
	Authority
	Additional
)

// Record is one resource record where it stands in a message. Offsets count
// from the message's first octet.
type Record struct {
	Section     Section
	Type, Class uint16
	TTL         uint32 // as sent; for OPT the extended rcode, version and flags
	Start       int    // of the owner name
	TTLAt       int    // of the TTL's four octets
	Data, End   int    // rdata is msg[Data:End]
}

// Owner reads the record's owner name into dst, in lower case.
func (r *Record) Owner(dst, msg []byte) (dnsname.Name, error) {
	name, _, err := ReadCanonical(dst, msg, r.Start)
	return name, err
}

// Records walks the records of a message in order. Its zero value walks
// nothing; begin with Walk.
type Records struct {
	msg  []byte
	off  int
	left [3]uint16
	sec  Section
	err  error
}

// Walk begins at off, the first octet behind the question section, with the
// counts of h.
func Walk(msg []byte, h Header, off int) Records {
	return Records{msg: msg, off: off, left: [3]uint16{h.AN, h.NS, h.AR}}
}

// WalkMessage reads the header of any message and walks the records behind its
// questions, of which there may be any number. It is the tolerant way in, for
// messages that others exchanged: an error means that there is no header, or
// no way past the questions, and then the header alone may still be of use.
func WalkMessage(msg []byte) (Header, Records, error) {
	h, err := ReadHeader(msg)
	if err != nil {
		return Header{}, Records{}, err
	}
	off := HeaderLen
	for range h.QD {
		if off, err = skipName(msg, off); err != nil {
			return h, Records{}, err
		}
		if off += 4; off > len(msg) {
			return h, Records{}, ErrCut
		}
	}
	return h, Walk(msg, h, off), nil
}

// Next reads the next record. It returns false at the end of the message's
// records and at the first record that is malformed: ask Err which.
func (w *Records) Next(r *Record) bool {
	for w.left[w.sec] == 0 {
		if w.sec == Additional {
			return false
		}
		w.sec++
	}
	start := w.off
	at, err := skipName(w.msg, start)
	switch {
	case err != nil:
		return w.stop(err)
	case at+10 > len(w.msg):
		return w.stop(ErrCut)
	}
	data := at + 10
	end := data + int(binary.BigEndian.Uint16(w.msg[at+8:]))
	if end > len(w.msg) {
		return w.stop(ErrCut)
	}
	*r = Record{
		Section: w.sec,
		Type:    binary.BigEndian.Uint16(w.msg[at:]),
		Class:   binary.BigEndian.Uint16(w.msg[at+2:]),
		TTL:     binary.BigEndian.Uint32(w.msg[at+4:]),
		Start:   start, TTLAt: at + 4, Data: data, End: end,
	}
	w.left[w.sec]--
	w.off = end
	return true
}

func (w *Records) stop(err error) bool {
	w.err, w.left, w.sec = err, [3]uint16{}, Additional
	return false
}

// Err is what ended the walk early; nil when every record was read.
func (w *Records) Err() error { return w.err }

// Offset is where the walk stands: behind the last record read.
func (w *Records) Offset() int { return w.off }
