package replay

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/internal/dnswire"
)

const typeNULL = 10 // RFC 1035, section 3.3.10

// record is one of an answer section.
type record struct {
	rtype  uint16 // 0: the log does not say
	text   string // in presentation form, or
	octets bool   // the octets of a text or of NULL
}

// address is an address, or the first of a network; the zero Addr if s is
// neither.
func address(s string) (addr netip.Addr, network bool) {
	if a, err := netip.ParseAddr(s); err == nil {
		return a.Unmap().WithZone(""), false
	}
	if prefix, err := netip.ParsePrefix(s); err == nil {
		return prefix.Addr().Unmap(), !prefix.IsSingleIP()
	}
	return netip.Addr{}, false
}

// answerTTL stands for the TTLs, which nothing here depends on.
const answerTTL = 60

// response is the answer in wire form, as far as it can be made of what the log
// says: all records are the question's own, as few logs say which is whose.
func (p *pairing) response(e *entry, name dnsname.Name) []byte {
	const maxMessage = 64 << 10
	flags := dnswire.FlagQR | dnswire.FlagRA | e.rcode&0xf
	b := dnswire.AppendHeader(p.wire[:0], dnswire.Header{Flags: flags, QD: 1})
	b = dnswire.AppendQuestion(b, name, e.qtype, e.class)
	count := uint16(0)
	for i := range e.answers {
		start := len(b)
		if b = e.appendRecord(b, &e.answers[i]); len(b) > maxMessage {
			b = b[:start]
			break
		}
		if len(b) > start {
			count++
		}
	}
	dnswire.SetCounts(b, count, 0, 0)
	p.wire = b
	return b
}

// appendRecord appends r, or nothing if it cannot be made.
func (e *entry) appendRecord(b []byte, r *record) []byte {
	rtype := r.rtype
	addr, err := netip.ParseAddr(r.text)
	if err == nil {
		addr = addr.Unmap().WithZone("")
	}
	switch {
	case err == nil && (rtype == 0 || rtype == dnswire.TypeA && addr.Is4() || rtype == dnswire.TypeAAAA && addr.Is6()):
		return dnswire.AppendAddress(b, addr, e.class, answerTTL)
	case rtype == 0 && e.qtype != dnswire.TypeA && e.qtype != dnswire.TypeAAAA && e.qtype != dnswire.TypeCNAME:
		return b // text, mail servers: no names that the answer leads to
	case rtype == 0:
		rtype = dnswire.TypeCNAME
	}
	const question = 0xc000 | dnswire.HeaderLen
	start := len(b)
	b = binary.BigEndian.AppendUint16(b, question)
	b = binary.BigEndian.AppendUint16(b, rtype)
	b = binary.BigEndian.AppendUint16(b, e.class)
	b = binary.BigEndian.AppendUint32(b, answerTTL)
	b = append(b, 0, 0)
	rdata := len(b)
	if r.octets {
		b = appendOctets(b, rtype, r.text)
	} else if b, err = dnswire.AppendRdata(b, rtype, r.text); err != nil {
		return b[:start]
	}
	if len(b)-rdata > 1<<16-1 {
		return b[:start]
	}
	binary.BigEndian.PutUint16(b[rdata-2:], uint16(len(b)-rdata))
	return b
}

// appendOctets appends what a TXT or NULL record holds.
func appendOctets(b []byte, rtype uint16, text string) []byte {
	if rtype != dnswire.TypeTXT {
		return append(b, text...)
	}
	for part := range slices.Chunk([]byte(text), 255) {
		b = append(append(b, byte(len(part))), part...)
	}
	if text == "" {
		b = append(b, 0)
	}
	return b
}
