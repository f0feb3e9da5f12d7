package dnswire

import (
	"strconv"
	"strings"

	"github.com/miekg/dns"
)

// Types that weir treats in a way of their own; all others pass as bytes.
const (
	TypeA     uint16 = 1
	TypeNS    uint16 = 2
	TypeCNAME uint16 = 5
	TypeSOA   uint16 = 6
	TypePTR   uint16 = 12
	TypeHINFO uint16 = 13
	TypeMX    uint16 = 15
	TypeTXT   uint16 = 16
	TypeAAAA  uint16 = 28
	TypeDNAME uint16 = 39
	TypeOPT   uint16 = 41
	TypeDS    uint16 = 43
	TypeRRSIG uint16 = 46
	TypeNSEC  uint16 = 47
	TypeSVCB  uint16 = 64
	TypeHTTPS uint16 = 65
	// TypeNXNAME stands in NSEC records only (RFC 9824, section 3.5).
	TypeNXNAME uint16 = 128
	TypeTKEY   uint16 = 249
	TypeTSIG   uint16 = 250
	TypeIXFR   uint16 = 251
	TypeAXFR   uint16 = 252
	TypeMAILB  uint16 = 253
	TypeMAILA  uint16 = 254
	TypeANY    uint16 = 255
)

// Classes.
const (
	ClassIN   uint16 = 1
	ClassCH   uint16 = 3
	ClassNONE uint16 = 254
	ClassANY  uint16 = 255
)

// OpcodeQuery is the only opcode that weir answers.
const OpcodeQuery uint8 = 0

// Response codes. Those over 15 need OPT.
const (
	RcodeSuccess   uint16 = 0
	RcodeFormErr   uint16 = 1
	RcodeServFail  uint16 = 2
	RcodeNXDomain  uint16 = 3
	RcodeNotImp    uint16 = 4
	RcodeRefused   uint16 = 5
	RcodeBadVers   uint16 = 16
	RcodeBadCookie uint16 = 23
)

// EDNS option codes.
const (
	OptionECS       uint16 = 8
	OptionCookie    uint16 = 10
	OptionKeepalive uint16 = 11
	OptionPadding   uint16 = 12
	OptionEDE       uint16 = 15
)

// Extended DNS Errors (RFC 8914, section 4) that weir sends.
const (
	EDEOther            uint16 = 0
	EDEStaleAnswer      uint16 = 3
	EDEForged           uint16 = 4
	EDECachedError      uint16 = 13
	EDENotReady         uint16 = 14
	EDEBlocked          uint16 = 15
	EDECensored         uint16 = 16
	EDEFiltered         uint16 = 17
	EDEProhibited       uint16 = 18
	EDEStaleNXDOMAIN    uint16 = 19
	EDENotAuthoritative uint16 = 20
	EDENotSupported     uint16 = 21
	EDENoReachable      uint16 = 22
	EDENetworkError     uint16 = 23
	EDEInvalidData      uint16 = 24
)

// TypeString is the mnemonic of a type, TYPE123 where there is none (RFC 3597).
func TypeString(t uint16) string {
	if s, ok := dns.TypeToString[t]; ok && t != 0 {
		return s
	}
	return "TYPE" + strconv.Itoa(int(t))
}

// ParseType reads a mnemonic as TypeString writes it.
func ParseType(s string) (t uint16, ok bool) {
	if t, ok := dns.StringToType[s]; ok {
		return t, t != 0
	}
	return parseNumber(s, "TYPE")
}

// ClassString is the mnemonic of a class, CLASS123 where there is none.
func ClassString(c uint16) string {
	if s, ok := dns.ClassToString[c]; ok {
		return s
	}
	return "CLASS" + strconv.Itoa(int(c))
}

// RcodeString is the mnemonic of a response code, RCODE123 where there is none.
func RcodeString(r uint16) string {
	if r == RcodeBadVers {
		return "BADVERS" // the table calls 16 BADSIG, its meaning in TSIG
	}
	if s, ok := dns.RcodeToString[int(r)]; ok {
		return s
	}
	return "RCODE" + strconv.Itoa(int(r))
}

// ParseClass reads a mnemonic of ClassString.
func ParseClass(s string) (c uint16, ok bool) {
	if c, ok = dns.StringToClass[s]; ok {
		return c, true
	}
	return parseNumber(s, "CLASS")
}

// ParseRcode reads a mnemonic of RcodeString.
func ParseRcode(s string) (r uint16, ok bool) {
	if n, ok := dns.StringToRcode[s]; ok {
		return uint16(n), true
	}
	return parseNumber(s, "RCODE")
}

func parseNumber(s, prefix string) (uint16, bool) {
	digits, ok := strings.CutPrefix(s, prefix)
	n, err := strconv.ParseUint(digits, 10, 16)
	return uint16(n), ok && err == nil
}
