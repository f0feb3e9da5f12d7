// Package dnswire reads and writes DNS messages as the octets that they are.
// Its reader works on untrusted bytes, in memory that the caller owns: every
// length is checked before use, compression pointers only go backwards and
// their number is bounded, and no count in a header sizes an allocation.
//
// It does not know what a message is for. Presentation form of rdata, which
// only records and tools need, is left to miekg/dns in this one package.
package dnswire

import (
	"encoding/binary"
	"errors"
)

// HeaderLen is the length of a message's header in octets.
const HeaderLen = 12

// Flag bits of the header's second word (RFC 1035, section 4.1.1; RFC 4035).
const (
	FlagQR uint16 = 1 << 15
	FlagAA uint16 = 1 << 10
	FlagTC uint16 = 1 << 9
	FlagRD uint16 = 1 << 8
	FlagRA uint16 = 1 << 7
	FlagZ  uint16 = 1 << 6
	FlagAD uint16 = 1 << 5
	FlagCD uint16 = 1 << 4
)

// Errors of the reader. ErrShort means that nothing of use is there, not even
// a header; the others that a header could be read.
var (
	ErrShort   = errors.New("message shorter than its header")
	ErrFormat  = errors.New("malformed message")
	ErrName    = errors.New("malformed name")
	ErrPointer = errors.New("compression pointer that does not go backwards, or too many of them")
	ErrCut     = errors.New("message ends inside a record")
)

// Header is the fixed part of a message.
type Header struct {
	ID, Flags      uint16
	QD, AN, NS, AR uint16 // the counts of the sections, as claimed
}

// Response says whether QR is set.
func (h Header) Response() bool { return h.Flags&FlagQR != 0 }

// Opcode is the kind of request (0 is QUERY).
func (h Header) Opcode() uint8 { return uint8(h.Flags >> 11 & 0xf) }

// Rcode is the low four bits of the response code; OPT may add eight more.
func (h Header) Rcode() uint16 { return h.Flags & 0xf }

// ReadHeader reads the header of msg.
func ReadHeader(msg []byte) (Header, error) {
	if len(msg) < HeaderLen {
		return Header{}, ErrShort
	}
	return Header{
		ID:    binary.BigEndian.Uint16(msg),
		Flags: binary.BigEndian.Uint16(msg[2:]),
		QD:    binary.BigEndian.Uint16(msg[4:]),
		AN:    binary.BigEndian.Uint16(msg[6:]),
		NS:    binary.BigEndian.Uint16(msg[8:]),
		AR:    binary.BigEndian.Uint16(msg[10:]),
	}, nil
}

// AppendHeader appends h in wire form.
func AppendHeader(dst []byte, h Header) []byte {
	dst = binary.BigEndian.AppendUint16(dst, h.ID)
	dst = binary.BigEndian.AppendUint16(dst, h.Flags)
	dst = binary.BigEndian.AppendUint16(dst, h.QD)
	dst = binary.BigEndian.AppendUint16(dst, h.AN)
	dst = binary.BigEndian.AppendUint16(dst, h.NS)
	return binary.BigEndian.AppendUint16(dst, h.AR)
}
