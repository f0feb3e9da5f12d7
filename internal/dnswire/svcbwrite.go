package dnswire

import (
	"encoding/binary"
	"net/netip"
)

// ServiceParams is a service binding (RFC 9460) of a DNS server (RFC 9461).
type ServiceParams struct {
	Priority uint16 // not 0
	Target   []byte // uncompressed
	ALPN     string
	Port     uint16 // 0: the usual one
	Hints    []netip.Addr
	DoHPath  string // "": not over HTTPS
}

// Keys of service parameters; they stand in ascending order.
const (
	svcALPN     = 1
	svcPort     = 3
	svcIPv4Hint = 4
	svcIPv6Hint = 6
	svcDoHPath  = 7
)

// AppendSVCB appends an SVCB record whose owner is the question's name.
func AppendSVCB(dst []byte, s *ServiceParams, ttl uint32) []byte {
	dst = binary.BigEndian.AppendUint16(dst, questionPointer)
	dst = binary.BigEndian.AppendUint16(dst, TypeSVCB)
	dst = binary.BigEndian.AppendUint16(dst, ClassIN)
	dst = binary.BigEndian.AppendUint32(dst, ttl)
	at := len(dst)
	dst = append(dst, 0, 0)
	dst = binary.BigEndian.AppendUint16(dst, s.Priority)
	dst = append(dst, s.Target...)
	var v4, v6 []byte
	for _, a := range s.Hints {
		if a.Is4() {
			v4 = append(v4, a.AsSlice()...)
		} else {
			v6 = append(v6, a.AsSlice()...)
		}
	}
	dst = appendParam(dst, svcALPN, append([]byte{byte(len(s.ALPN))}, s.ALPN...))
	if s.Port != 0 {
		dst = appendParam(dst, svcPort, binary.BigEndian.AppendUint16(nil, s.Port))
	}
	dst = appendParam(dst, svcIPv4Hint, v4)
	dst = appendParam(dst, svcIPv6Hint, v6)
	dst = appendParam(dst, svcDoHPath, []byte(s.DoHPath))
	binary.BigEndian.PutUint16(dst[at:], uint16(len(dst)-at-2))
	return dst
}

// appendParam appends a parameter that has a value.
func appendParam(dst []byte, key uint16, value []byte) []byte {
	if len(value) == 0 {
		return dst
	}
	dst = binary.BigEndian.AppendUint16(dst, key)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(value)))
	return append(dst, value...)
}
