package blocklist

import (
	"encoding/binary"
	"math/bits"
	"net/netip"

	"github.com/weirdns/weir/internal/dnsname"
)

// The key of a name's entry is its labels as on the wire up to a suffix that
// many names share, and one octet of 64 or more that stands for that suffix:
// no label is that long, so a key says itself where it ends.

// firstCode stands for the root, the codes after it for suffixes in order.
const firstCode = 64

// suffixCodes is the suffixes that have a code. Their order is part of the form
// of compiled files: change one, and change setVersion.
var suffixCodes = makeSuffixCodes(
	// By how many names are registered below them, about.
	"com", "net", "org", "info", "biz", "ru", "de", "cn", "uk", "nl", "br", "fr", "eu", "it", "au", "pl", "ca",
	"in", "jp", "es", "us", "ch", "be", "se", "at", "cz", "dk", "kr", "ir", "mx", "ua", "tr", "tw", "za", "hu",
	"ro", "gr", "no", "fi", "vn", "id", "pt", "ar", "cl", "co", "me", "tv", "cc", "io", "ws", "su", "kz", "by",
	"sk", "ie", "il", "hr", "lt", "lv", "ee", "si", "bg", "rs", "nz", "sg", "my", "th", "ph", "hk", "pk", "bd",
	"ga", "ml", "cf", "gq", "tk", "pw", "to", "sh", "ly", "gg", "fm", "am", "la", "ai", "so", "im", "is", "nu",
	"xyz", "top", "online", "site", "shop", "store", "club", "vip", "icu", "live", "app", "dev", "page", "work",
	"tech", "pro", "space", "website", "fun", "win", "bid", "loan", "men", "click", "link", "download", "stream",
	"party", "review", "trade", "date", "racing", "science", "cricket", "accountant", "faith", "buzz", "cyou",
	"bond", "sbs", "cfd", "rest", "monster", "quest", "lol", "best", "cam", "host", "press", "life", "world",
	"today", "cloud", "digital", "media", "news", "email", "network", "center", "agency", "solutions", "services",
	"group", "one", "name", "mobi", "asia", "cat", "xxx", "porn", "sex", "adult", "casino", "bet", "games", "ovh",
	// Below which others register.
	"co.uk", "org.uk", "com.br", "com.au", "co.jp", "co.in", "co.kr", "com.cn", "com.tr", "com.ua", "com.mx",
	"com.ar", "co.za", "com.tw", "com.vn", "com.pl",
)

// maxCodes is how many suffixes can have a code, the root among them.
const maxCodes = 256 - firstCode

type suffixTable struct {
	names [maxCodes]string // wire form, with the root
	codes map[string]byte
}

func makeSuffixCodes(suffixes ...string) *suffixTable {
	t := &suffixTable{codes: make(map[string]byte, len(suffixes))}
	for i := range t.names {
		t.names[i] = "\x00" // the root, also for codes that no suffix has
	}
	for i, s := range suffixes {
		wire := string(dnsname.MustParse(s))
		t.names[i+1], t.codes[wire] = wire, byte(firstCode+i+1)
	}
	return t
}

// maxSecond is how long the second-level label of a suffix with a code is at most.
const maxSecond = 3

// appendKey appends the key of a name.
func appendKey(dst []byte, name dnsname.Name) []byte {
	top, second := -1, -1 // where the last label begins, and the one before
	for at := 0; at < len(name)-1; at += int(name[at]) + 1 {
		second, top = top, at
	}
	if second > 0 && name[second] <= maxSecond {
		if c, ok := suffixCodes.codes[string(name[second:])]; ok {
			return append(append(dst, name[:second]...), c)
		}
	}
	if top > 0 {
		if c, ok := suffixCodes.codes[string(name[top:])]; ok {
			return append(append(dst, name[:top]...), c)
		}
	}
	return append(append(dst, name[:len(name)-1]...), firstCode)
}

// isKeyOf says whether key is that of name.
func isKeyOf(key []byte, name dnsname.Name) bool {
	last := len(key) - 1
	suffix := suffixCodes.names[key[last]-firstCode]
	return len(name) == last+len(suffix) && string(name[:last]) == string(key[:last]) && string(name[last:]) == suffix
}

// appendName appends the name whose key it is.
func appendName(dst, key []byte) dnsname.Name {
	last := len(key) - 1
	return append(append(dst, key[:last]...), suffixCodes.names[key[last]-firstCode]...)
}

// keyLen is how long the key at the front of b is, 0 if there is none.
func keyLen(b []byte, flags uint8) int {
	if flags&flagAddr != 0 {
		if len(b) < 2 || 2+octets(b[1]) > len(b) {
			return 0
		}
		return 2 + octets(b[1])
	}
	for at := 0; at < len(b) && at < dnsname.MaxWire; at += int(b[at]) + 1 {
		if b[at] >= firstCode {
			return at + 1
		}
	}
	return 0
}

// The key of a network is its kind and family, its length in bits, and as many
// octets of the address as that takes. No wire name begins as it does.
const (
	answerNetwork = 0x80 // met by addresses in answers
	clientNetwork = 0x90 // met by the addresses of clients
	maxNetworkKey = 2 + 16
)

func octets(bits byte) int { return (int(bits) + 7) / 8 }

// appendNetwork appends the key of the first n bits of addr, which is not a
// mapped one.
func appendNetwork(dst []byte, kind byte, addr netip.Addr, n int) []byte {
	if addr.Is4() {
		a := addr.As4()
		masked := binary.BigEndian.Uint32(a[:]) & ^uint32(uint64(1)<<(32-n)-1)
		binary.BigEndian.PutUint32(a[:], masked)
		return append(append(dst, kind|4, byte(n)), a[:octets(byte(n))]...)
	}
	a := addr.As16()
	dst = append(append(dst, kind|6, byte(n)), a[:octets(byte(n))]...)
	if rest := n % 8; rest != 0 {
		dst[len(dst)-1] &= ^byte(0xff >> rest)
	}
	return dst
}

// networkOf is the network whose key it is.
func networkOf(key []byte) (kind byte, p netip.Prefix) {
	var a [16]byte
	copy(a[:], key[2:])
	if key[0]&0x0f == 4 {
		return key[0] & 0xf0, netip.PrefixFrom(netip.AddrFrom4([4]byte(a[:4])), int(key[1]))
	}
	return key[0] & 0xf0, netip.PrefixFrom(netip.AddrFrom16(a), int(key[1]))
}

// lengths is which lengths of networks there are, so that a lookup tries no others.
type lengths struct {
	V4 uint64    `json:"v4,omitempty"`
	V6 [3]uint64 `json:"v6,omitzero"`
}

func (l *lengths) add(p netip.Prefix) {
	if p.Addr().Is4() {
		l.V4 |= 1 << p.Bits()
		return
	}
	l.V6[p.Bits()/64] |= 1 << (p.Bits() % 64)
}

func (l *lengths) union(o *lengths) {
	l.V4 |= o.V4
	for i := range l.V6 {
		l.V6[i] |= o.V6[i]
	}
}

func (l *lengths) none() bool { return *l == lengths{} }

// longest is the longest length for addr's family, -1 for none.
func (l *lengths) longest(addr netip.Addr) int { return l.next(addr, addr.BitLen()+1) }

// next is the longest length below n, -1 for none.
func (l *lengths) next(addr netip.Addr, n int) int {
	if addr.Is4() {
		return bits.Len64(l.V4&(1<<n-1)) - 1
	}
	for i := 2; i >= 0; i-- {
		w := l.V6[i]
		if n < 64*i+64 {
			if n <= 64*i {
				continue
			}
			w &= 1<<(n-64*i) - 1
		}
		if w != 0 {
			return 64*i + bits.Len64(w) - 1
		}
	}
	return -1
}

// rule is the entry as a list would write it.
func (f *found) rule() string {
	var buf [dnsname.MaxText + 4]byte
	b := buf[:0]
	if f.own.passes() {
		b = append(b, passMark...)
	}
	if f.flags&flagAddr != 0 {
		kind, p := networkOf(f.key)
		if kind == clientNetwork {
			b = append(b, clientMark...)
		}
		if p.IsSingleIP() {
			return string(p.Addr().AppendTo(b))
		}
		return string(p.AppendTo(b))
	}
	if f.flags&flagScope == flagBelow {
		b = append(b, starMark...)
	}
	var wire [dnsname.MaxWire]byte
	return string(appendName(wire[:0], f.key).AppendText(b))
}

// What stands before the key in a rule, in this order.
const (
	passMark   = "@@"
	starMark   = "*."
	clientMark = "client "
)
