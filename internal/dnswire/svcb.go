package dnswire

import (
	"encoding/binary"
	"net/netip"

	"github.com/weirdns/weir/internal/dnsname"
)

// Parameters of SVCB and HTTPS records that hold addresses (RFC 9460, section
// 14.3.2).
const (
	svcbIPv4Hint = 4
	svcbIPv6Hint = 6
)

// Service reads an SVCB or HTTPS record (RFC 9460): its TargetName into dst, in
// lower case, and the addresses of its hints. target is nil where it is the
// owner itself, or says that the service is not there. ok is false for other
// types and where the target cannot be read.
func (r *Record) Service(dst, msg []byte) (target dnsname.Name, hints Hints, ok bool) {
	if r.Type != TypeSVCB && r.Type != TypeHTTPS || r.End-r.Data < 3 {
		return nil, Hints{}, false
	}
	target, next, err := ReadCanonical(dst, msg[:r.End], r.Data+2)
	if err != nil || next > r.End {
		return nil, Hints{}, false
	}
	if len(target) <= 1 {
		target = nil
	}
	return target, Hints{params: msg[next:r.End]}, true
}

// Hints are the addresses in the parameters of an SVCB or HTTPS record.
type Hints struct {
	params []byte // what is left of the parameters
	hints  []byte // what is left of a list of addresses
	size   int    // octets of one address in it
}

// Next is the next address. ok is false at the end and at the first parameter
// that is malformed.
func (s *Hints) Next() (addr netip.Addr, ok bool) {
	for len(s.hints) < max(s.size, 1) {
		if len(s.params) < 4 {
			return netip.Addr{}, false
		}
		key, size := binary.BigEndian.Uint16(s.params), int(binary.BigEndian.Uint16(s.params[2:]))
		if size > len(s.params)-4 {
			return netip.Addr{}, false
		}
		value := s.params[4 : 4+size]
		s.params = s.params[4+size:]
		switch key {
		case svcbIPv4Hint:
			s.hints, s.size = value, 4
		case svcbIPv6Hint:
			s.hints, s.size = value, 16
		default:
			s.hints = nil
		}
	}
	addr, ok = netip.AddrFromSlice(s.hints[:s.size])
	s.hints = s.hints[s.size:]
	return addr, ok
}
