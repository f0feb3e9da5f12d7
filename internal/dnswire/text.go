package dnswire

import (
	"bytes"
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
// ASCII, never empty. Names in it end in a dot, and those that a sender may
// compress are in lower case: compressed against a question in random case
// they would read differently every time. What is not exactly what its type
// prescribes comes in the form for unknown types (RFC 3597, section 5), so
// hostile rdata is kept, not lost and not mended.
func (r *Record) RdataText(msg []byte) string {
	if addr := r.Address(msg); addr.IsValid() {
		return addr.String()
	}
	data := msg[r.Data:r.End]
	if len(data) == 0 || r.Type == TypeOPT {
		return unknownText(data)
	}
	switch r.Type {
	case TypeCNAME, TypeDNAME, TypeNS, TypePTR:
		var buf [dnsname.MaxWire]byte
		if name, err := r.Target(buf[:0], msg); err == nil {
			return fqdn(name)
		}
		return unknownText(data)
	}
	rr, next, err := dns.UnpackRR(msg[:r.End], r.Start)
	if err != nil || next != r.End {
		return unknownText(data)
	}
	if _, ok := rr.(*dns.RFC3597); ok {
		return unknownText(data)
	}
	// UnpackRR takes rdata that ends between two fields, and leaves the rest at
	// zero; such a record must not read as if its sender had said zero.
	shape, compressible := shapes[r.Type]
	if compressible && !shape.fits(r, msg) || !compressible && !packsTo(rr, data) {
		return unknownText(data)
	}
	if naptr, ok := rr.(*dns.NAPTR); ok {
		naptr.Replacement = strings.ToLower(naptr.Replacement)
	}
	text := strings.TrimPrefix(rr.String(), rr.Header().String())
	if compressible {
		text = strings.ToLower(text) // its only letters belong to names
	}
	if text == "" || strings.HasSuffix(text, " ") {
		return unknownText(data) // a last field of no octets cannot be written
	}
	for i := 0; i < len(text); i++ {
		if text[i] < ' ' || text[i] >= 0x7f {
			return unknownText(data)
		}
	}
	return text
}

// shape is rdata made of numbers, names and numbers.
type shape struct{ before, names, after int } // octets, names, octets

// shapes are the types whose names may come compressed (RFC 3597, section 4).
var shapes = map[uint16]shape{
	dns.TypeMD: {0, 1, 0}, dns.TypeMF: {0, 1, 0}, dns.TypeMB: {0, 1, 0}, dns.TypeMG: {0, 1, 0}, dns.TypeMR: {0, 1, 0},
	dns.TypeSOA: {0, 2, 20}, dns.TypeMINFO: {0, 2, 0}, dns.TypeMX: {2, 1, 0}, dns.TypeRP: {0, 2, 0}, dns.TypeAFSDB: {2, 1, 0},
	dns.TypeRT: {2, 1, 0}, dns.TypePX: {2, 2, 0}, dns.TypeSRV: {6, 1, 0}, dns.TypeKX: {2, 1, 0},
}

func (s shape) fits(r *Record, msg []byte) bool {
	var buf [dnsname.MaxWire]byte
	off, err := r.Data+s.before, error(nil)
	for range s.names {
		if _, off, err = ReadName(buf[:0], msg[:r.End], off); err != nil {
			return false
		}
	}
	return off+s.after == r.End
}

// packsTo says whether rr in wire form has exactly this rdata.
func packsTo(rr dns.RR, data []byte) bool {
	rr.Header().Name = "."
	const front = 1 + 10 // the root, and type to RDLENGTH
	wire := make([]byte, front+len(data))
	n, err := dns.PackRR(rr, wire, 0, nil, false)
	return err == nil && n == len(wire) && bytes.Equal(wire[front:], data)
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
