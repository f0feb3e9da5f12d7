package dnswire

import (
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"strconv"
	"strings"

	"github.com/miekg/dns"
	"github.com/weirdns/weir/internal/dnsname"
)

// Address is the address of an A or AAAA record; the zero Addr for any other
// record or a wrong length.
func (r *Record) Address(msg []byte) netip.Addr {
	data := msg[r.Data:r.End]
	switch {
	case r.Type == TypeA && r.Class == ClassIN && len(data) == 4,
		r.Type == TypeAAAA && r.Class == ClassIN && len(data) == 16:
		addr, _ := netip.AddrFromSlice(data)
		return addr
	}
	return netip.Addr{}
}

// Target reads the one name that is the rdata of CNAME, DNAME, NS or PTR, in
// lower case, into dst.
func (r *Record) Target(dst, msg []byte) (dnsname.Name, error) {
	// Only what lies before the record's end may be read as its name.
	name, next, err := ReadCanonical(dst, msg[:r.End], r.Data)
	if err == nil && next != r.End {
		err = ErrName
	}
	return name, err
}

// RdataText is a record's rdata in presentation form: one line of printable
// ASCII. What cannot be read as its type comes in the form for unknown types
// (RFC 3597, section 5), so hostile rdata is kept, not lost.
func (r *Record) RdataText(msg []byte) string {
	if addr := r.Address(msg); addr.IsValid() {
		return addr.String()
	}
	switch r.Type {
	case TypeCNAME, TypeDNAME, TypeNS, TypePTR:
		var buf [dnsname.MaxWire]byte
		if name, err := r.Target(buf[:0], msg); err == nil {
			return fqdn(name)
		}
		return unknownText(msg[r.Data:r.End])
	}
	rr, next, err := dns.UnpackRR(msg[:r.End], r.Start)
	if err != nil || next != r.End {
		return unknownText(msg[r.Data:r.End])
	}
	if _, ok := rr.(*dns.RFC3597); ok {
		return unknownText(msg[r.Data:r.End])
	}
	text := strings.TrimPrefix(rr.String(), rr.Header().String())
	for i := 0; i < len(text); i++ {
		if text[i] < ' ' || text[i] >= 0x7f {
			return unknownText(msg[r.Data:r.End])
		}
	}
	return text
}

func fqdn(n dnsname.Name) string {
	if n.IsRoot() {
		return "."
	}
	return n.String() + "."
}

func unknownText(data []byte) string {
	if len(data) == 0 {
		return `\# 0`
	}
	return `\# ` + strconv.Itoa(len(data)) + " " + hex.EncodeToString(data)
}

// MinimumTTL is the negative TTL that a SOA record grants: the smaller of its
// own TTL and its MINIMUM field (RFC 2308, section 5).
func (r *Record) MinimumTTL(msg []byte) (uint32, bool) {
	if r.Type != TypeSOA || r.End-r.Data < 22 {
		return 0, false
	}
	return min(r.TTL, binary.BigEndian.Uint32(msg[r.End-4:])), true
}
