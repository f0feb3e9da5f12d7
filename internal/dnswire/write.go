package dnswire

import (
	"encoding/binary"
	"net/netip"
	"time"
)

// OPT is what a message that we send says about itself and, in an answer,
// about why it is as it is. The zero value of a field leaves its option out.
type OPT struct {
	UDPSize   uint16
	Rcode     uint16 // the whole response code; the upper eight bits go here
	DO        bool
	EDE       *EDE
	Cookie    []byte        // the client's, with the server's behind it (RFC 7873)
	Keepalive time.Duration // how long an idle connection stays open (RFC 7828)
	PadTo     int           // the message's length becomes a multiple of this (RFC 7830)
}

// EDE is an Extended DNS Error (RFC 8914). Text carries no client data.
type EDE struct {
	Code uint16
	Text []byte
}

// MaxEDEText bounds EXTRA-TEXT, in octets: it shares a datagram with the answer,
// and what an upstream sends in it is not ours.
const MaxEDEText = 64

// AppendOPT appends an OPT record to the message in dst. The caller counts it in ARCOUNT.
func AppendOPT(dst []byte, o OPT) []byte {
	dst = append(dst, 0) // owner: the root
	dst = binary.BigEndian.AppendUint16(dst, TypeOPT)
	dst = binary.BigEndian.AppendUint16(dst, o.UDPSize)
	ttl := uint32(o.Rcode>>4) << 24
	if o.DO {
		ttl |= 1 << 15
	}
	dst = binary.BigEndian.AppendUint32(dst, ttl)
	at := len(dst)
	dst = append(dst, 0, 0)
	if len(o.Cookie) > 0 {
		dst = appendOption(dst, OptionCookie, len(o.Cookie))
		dst = append(dst, o.Cookie...)
	}
	if o.Keepalive > 0 {
		dst = appendOption(dst, OptionKeepalive, 2)
		dst = binary.BigEndian.AppendUint16(dst, uint16(min(o.Keepalive/(100*time.Millisecond), 1<<16-1)))
	}
	if o.EDE != nil {
		text := o.EDE.Text[:min(len(o.EDE.Text), MaxEDEText)]
		dst = appendOption(dst, OptionEDE, 2+len(text))
		dst = binary.BigEndian.AppendUint16(dst, o.EDE.Code)
		dst = append(dst, text...)
	}
	if o.PadTo > 0 {
		dst = appendPadding(dst, o.PadTo)
	}
	binary.BigEndian.PutUint16(dst[at:], uint16(len(dst)-at-2))
	return dst
}

func appendOption(dst []byte, code uint16, length int) []byte {
	dst = binary.BigEndian.AppendUint16(dst, code)
	return binary.BigEndian.AppendUint16(dst, uint16(length))
}

// appendPadding fills a message up to a multiple of block, unless it would get
// longer than a message can be.
func appendPadding(dst []byte, block int) []byte {
	n := (block - (len(dst)+4)%block) % block
	if len(dst)+4+n >= 1<<16 {
		return dst
	}
	dst = appendOption(dst, OptionPadding, n)
	for range n {
		dst = append(dst, 0)
	}
	return dst
}

// OPTLen is how many octets AppendOPT will append, without padding.
func OPTLen(o OPT) int {
	n := 11
	if len(o.Cookie) > 0 {
		n += 4 + len(o.Cookie)
	}
	if o.Keepalive > 0 {
		n += 6
	}
	if o.EDE != nil {
		n += 6 + min(len(o.EDE.Text), MaxEDEText)
	}
	return n
}

// AppendQuestion appends a question for name, which is uncompressed and in any
// case.
func AppendQuestion(dst, name []byte, qtype, qclass uint16) []byte {
	dst = append(dst, name...)
	dst = binary.BigEndian.AppendUint16(dst, qtype)
	return binary.BigEndian.AppendUint16(dst, qclass)
}

// questionPointer is the compressed form of the name of the one question.
const questionPointer = 0xc000 | HeaderLen

// AppendAddress appends an A or AAAA record, by the family of addr, whose
// owner is the question's name.
func AppendAddress(dst []byte, addr netip.Addr, class uint16, ttl uint32) []byte {
	return appendAddress(binary.BigEndian.AppendUint16(dst, questionPointer), addr, class, ttl)
}

// AppendHostAddress is AppendAddress for another owner, which is uncompressed.
func AppendHostAddress(dst, owner []byte, addr netip.Addr, class uint16, ttl uint32) []byte {
	return appendAddress(append(dst, owner...), addr, class, ttl)
}

func appendAddress(dst []byte, addr netip.Addr, class uint16, ttl uint32) []byte {
	rtype, data := TypeA, addr.AsSlice()
	if addr.Is6() {
		rtype = TypeAAAA
	}
	dst = binary.BigEndian.AppendUint16(dst, rtype)
	dst = binary.BigEndian.AppendUint16(dst, class)
	dst = binary.BigEndian.AppendUint32(dst, ttl)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(data)))
	return append(dst, data...)
}

// AppendHINFO appends the answer to a question for all types of a name (RFC
// 8482, section 4.2): no data, and a word that says why.
func AppendHINFO(dst []byte, class uint16, ttl uint32) []byte {
	dst = binary.BigEndian.AppendUint16(dst, questionPointer)
	dst = binary.BigEndian.AppendUint16(dst, TypeHINFO)
	dst = binary.BigEndian.AppendUint16(dst, class)
	dst = binary.BigEndian.AppendUint32(dst, ttl)
	return append(dst, "\x00\x09\x07RFC8482\x00"...)
}

// AppendPTR appends a PTR record whose owner is the question's name. target is
// uncompressed.
func AppendPTR(dst, target []byte, class uint16, ttl uint32) []byte {
	dst = binary.BigEndian.AppendUint16(dst, questionPointer)
	dst = binary.BigEndian.AppendUint16(dst, TypePTR)
	dst = binary.BigEndian.AppendUint16(dst, class)
	dst = binary.BigEndian.AppendUint32(dst, ttl)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(target)))
	return append(dst, target...)
}

// CopySOA appends the SOA record of msg with its names written out, so that
// it can stand in any message.
func CopySOA(dst, msg []byte, rec *Record) ([]byte, error) {
	dst, _, err := ReadName(dst, msg, rec.Start)
	if err != nil {
		return nil, err
	}
	dst = append(dst, msg[rec.TTLAt-4:rec.TTLAt+4]...)
	at := len(dst)
	dst = append(dst, 0, 0)
	off := rec.Data
	for range 2 {
		if dst, off, err = ReadName(dst, msg[:rec.End], off); err != nil {
			return nil, err
		}
	}
	if off+20 != rec.End {
		return nil, ErrFormat
	}
	dst = append(dst, msg[off:rec.End]...)
	binary.BigEndian.PutUint16(dst[at:], uint16(len(dst)-at-2))
	return dst, nil
}

// AppendSOA appends a start of authority for a negative answer that we make
// ourselves (RFC 2308). Its owner is the question's name: nothing beside it is
// denied. ttl is also its MINIMUM, so stubs cache the answer just as long.
func AppendSOA(dst []byte, ttl uint32) []byte {
	dst = binary.BigEndian.AppendUint16(dst, questionPointer)
	dst = binary.BigEndian.AppendUint16(dst, TypeSOA)
	dst = binary.BigEndian.AppendUint16(dst, ClassIN)
	dst = binary.BigEndian.AppendUint32(dst, ttl)
	at := len(dst)
	dst = append(dst, 0, 0)
	dst = append(dst, "\x04weir\x07invalid\x00"...)         // MNAME
	dst = append(dst, "\x06nobody\x07invalid\x00"...)       // RNAME
	for _, v := range [5]uint32{1, 3600, 600, 86400, ttl} { // serial, refresh, retry, expire, minimum
		dst = binary.BigEndian.AppendUint32(dst, v)
	}
	binary.BigEndian.PutUint16(dst[at:], uint16(len(dst)-at-2))
	return dst
}

// SetID writes a message's ID.
func SetID(msg []byte, id uint16) { binary.BigEndian.PutUint16(msg, id) }

// SetFlags writes a message's second word.
func SetFlags(msg []byte, flags uint16) { binary.BigEndian.PutUint16(msg[2:], flags) }

// SetCounts writes the counts of the three record sections.
func SetCounts(msg []byte, an, ns, ar uint16) {
	binary.BigEndian.PutUint16(msg[6:], an)
	binary.BigEndian.PutUint16(msg[8:], ns)
	binary.BigEndian.PutUint16(msg[10:], ar)
}
