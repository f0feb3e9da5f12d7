package behaviour

import (
	"encoding/binary"
	"net/netip"

	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/internal/dnswire"
)

// maxAddresses bounds the addresses that are looked at in one answer.
const maxAddresses = 32

// said is what an answer says, as far as detections want it.
type said struct {
	exists    bool // NOERROR, with an address or not
	missing   bool // NXDOMAIN of the DNS, not of an upstream's policy
	blockedBy string
	ttl       uint32 // the least of the answers; 0: there are none
	addresses [maxAddresses]netip.Addr
	count     int
}

// read reads the answer of a transaction. Addresses beyond count are those of
// another.
func (s *said) read(e *event) {
	s.exists, s.missing, s.blockedBy, s.ttl, s.count = false, false, "", 0, 0
	if !e.Answered() {
		return
	}
	h, walk, err := dnswire.WalkMessage(e.Response)
	if err != nil {
		return
	}
	unspecified, others := 0, 0
	records := 0
	for r := (dnswire.Record{}); walk.Next(&r); {
		switch {
		case r.Section == dnswire.Answer:
			if records++; records == 1 || r.TTL < s.ttl {
				s.ttl = r.TTL
			}
			switch a := r.Address(e.Response).Unmap(); {
			case !a.IsValid():
			case a.IsUnspecified():
				unspecified++
			default:
				others++
				if s.count < maxAddresses {
					s.addresses[s.count] = a
					s.count++
				}
			}
		case r.Type == dnswire.TypeOPT && r.Section == dnswire.Additional:
			s.blockedBy = blockedByEDE(e.Response[r.Data:r.End])
		}
	}
	switch {
	case s.blockedBy != "":
	case unspecified > 0 && others == 0:
		s.blockedBy = "unspecified address"
	case e.Rcode == dnswire.RcodeNXDomain && h.Flags&(dnswire.FlagRA|dnswire.FlagAA) == 0:
		// Resolvers that filter say so by not being recursive for the name.
		s.blockedBy = "NXDOMAIN without RA"
	}
	s.exists = s.blockedBy == "" && e.Rcode == dnswire.RcodeSuccess
	s.missing = s.blockedBy == "" && e.Rcode == dnswire.RcodeNXDomain
}

// parked says whether a target or a name server in the answer is a parking
// service's. It is asked for what is told alone.
func (e *event) parked() bool {
	if !e.Answered() {
		return false
	}
	_, walk, err := dnswire.WalkMessage(e.Response)
	if err != nil {
		return false
	}
	var buf [dnsname.MaxWire]byte
	for r := (dnswire.Record{}); walk.Next(&r); {
		name, err := r.Target(buf[:0], e.Response)
		switch {
		case r.Section == dnswire.Answer:
		case r.Section == dnswire.Authority && r.Type == dnswire.TypeNS:
			name, _, err = dnswire.ReadCanonical(buf[:0], e.Response, r.Data)
		default:
			continue
		}
		if err == nil && isParking(name) {
			return true
		}
	}
	return false
}

// blockedByEDE says which Extended DNS Error (RFC 8914) tells of a block.
func blockedByEDE(options []byte) string {
	for {
		code, value, rest, ok := dnswire.NextOption(options)
		if !ok {
			return ""
		}
		if code == dnswire.OptionEDE && len(value) >= 2 {
			switch binary.BigEndian.Uint16(value) {
			case dnswire.EDEBlocked:
				return "EDE 15 (blocked)"
			case dnswire.EDECensored:
				return "EDE 16 (censored)"
			case dnswire.EDEFiltered:
				return "EDE 17 (filtered)"
			}
		}
		options = rest
	}
}
