// Package dnsname holds domain names in the one form that the rest of weir
// works on: wire form, lower case. Comparing, hashing and walking suffixes are
// then plain byte operations, and a dot or a NUL inside a label can never be
// taken for something else. Presentation form exists only at the edges.
//
// It refuses to know about messages: compression belongs to internal/dnswire.
package dnsname

import (
	"bytes"
	"errors"
	"fmt"
)

// Limits of RFC 1035, section 2.3.4.
const (
	// MaxWire is the most octets a name takes on the wire, final zero included.
	MaxWire = 255
	// MaxLabel is the most octets one label holds.
	MaxLabel = 63
	// MaxText is the most bytes String can return: 250 label octets, each
	// written as a four byte escape, and the dots between them.
	MaxText = 4*(MaxWire-1) + 1
)

// Name is a domain name in canonical form: the wire form of RFC 1035, section
// 3.1, uncompressed, ASCII letters in lower case (RFC 4343), ending in the zero
// octet of the root. A suffix at a label boundary is itself a Name and shares
// memory with it. The nil Name means "no name"; the root is one zero octet.
//
// A Name is often borrowed from a buffer that is used again: whoever keeps one
// longer than the call that brought it keeps a Clone.
type Name []byte

// Errors of Parse and Check.
var (
	ErrEmpty       = errors.New("empty name")
	ErrEmptyLabel  = errors.New("empty label")
	ErrLongLabel   = errors.New("label longer than 63 octets")
	ErrLongName    = errors.New("name longer than 255 octets")
	ErrBadEscape   = errors.New(`bad escape: want \DDD up to 255, or \ and one character`)
	ErrUnfinished  = errors.New("name without a final root label")
	ErrCompression = errors.New("compression pointer in an uncompressed name")
)

// Root is the name of the root zone.
func Root() Name { return Name{0} }

// Parse reads presentation form (RFC 1035, section 5.1), with or without the
// final dot, in any case. "." is the root.
func Parse(s string) (Name, error) {
	return AppendParse(make([]byte, 0, len(s)+2), s)
}

// ErrNotHost is a name that DNS could carry but nobody would configure.
var ErrNotHost = errors.New("only letters, digits, dashes and underscores make a domain name; write others as A-labels (xn--)")

// ParseHost is Parse for names that people write into a configuration: a space
// or a slash in one is a mistake, although DNS would carry it.
func ParseHost(s string) (Name, error) {
	n, err := Parse(s)
	if err != nil {
		return nil, err
	}
	for at := n; len(at) > 1; at = at.Parent() {
		if !Hostlike(at.Label()) {
			return nil, ErrNotHost
		}
	}
	return n, nil
}

// Hostlike says whether a label has only letters, digits, dashes and
// underscores: what is registered and configured, not all that DNS can carry.
func Hostlike(label []byte) bool {
	for _, c := range label {
		if c != '-' && c != '_' && !digit(c) && (c < 'a' || c > 'z') {
			return false
		}
	}
	return true
}

// MustParse is Parse for constants and tests; it panics on a bad name.
func MustParse(s string) Name {
	n, err := Parse(s)
	if err != nil {
		panic(fmt.Sprintf("dnsname: %q: %v", s, err))
	}
	return n
}

// AppendParse is Parse into the spare capacity of dst; the Name returned is
// dst with the name appended.
func AppendParse(dst []byte, s string) (Name, error) {
	if s == "" {
		return nil, ErrEmpty
	}
	if s == "." {
		return append(dst, 0), nil
	}
	start := len(dst)
	label := len(dst) // where the length octet of the open label stands
	dst = append(dst, 0)
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch c {
		case '.':
			n := len(dst) - label - 1
			if n == 0 {
				return nil, ErrEmptyLabel
			}
			dst[label] = byte(n)
			label = len(dst)
			dst = append(dst, 0)
			continue
		case '\\':
			var width int
			if c, width = unescape(s[i+1:]); width == 0 {
				return nil, ErrBadEscape
			}
			i += width
		}
		dst = append(dst, lower(c))
		if len(dst)-label-1 > MaxLabel {
			return nil, ErrLongLabel
		}
		if len(dst)-start >= MaxWire {
			return nil, ErrLongName
		}
	}
	if n := len(dst) - label - 1; n > 0 {
		dst[label] = byte(n)
		dst = append(dst, 0)
	}
	return dst, nil
}

// unescape reads what follows a backslash and says how many bytes it took; 0
// means that it is no escape.
func unescape(s string) (c byte, width int) {
	if s == "" {
		return 0, 0
	}
	if !digit(s[0]) {
		return s[0], 1
	}
	if len(s) < 3 || !digit(s[1]) || !digit(s[2]) {
		return 0, 0
	}
	v := int(s[0]-'0')*100 + int(s[1]-'0')*10 + int(s[2]-'0')
	if v > 255 {
		return 0, 0
	}
	return byte(v), 3
}

func digit(c byte) bool { return '0' <= c && c <= '9' }

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// AppendCanonical appends the canonical form of wire, an uncompressed name in
// any case, to dst. The caller has checked wire (see Check).
func AppendCanonical(dst, wire []byte) Name {
	for _, c := range wire {
		// Length octets are at most 63, below 'A', so they pass unchanged.
		dst = append(dst, lower(c))
	}
	return dst
}

// Check says what is wrong with n as an uncompressed wire name, in any case.
func (n Name) Check() error {
	if len(n) == 0 {
		return ErrEmpty
	}
	for i := 0; i < len(n); {
		l := int(n[i])
		switch {
		case l == 0 && i == len(n)-1:
			if len(n) > MaxWire {
				return ErrLongName
			}
			return nil
		case l == 0:
			return ErrEmptyLabel
		case l > MaxLabel:
			return ErrCompression
		}
		i += l + 1
	}
	return ErrUnfinished
}

// String is the presentation form without the final dot, "." for the root,
// with the escapes of RFC 1035, section 5.1: it is always printable ASCII on
// one line, and Parse gives the same Name back.
func (n Name) String() string {
	var buf [MaxWire]byte
	return string(n.AppendText(buf[:0]))
}

// AppendText appends String to dst.
func (n Name) AppendText(dst []byte) []byte {
	if len(n) <= 1 {
		if len(n) == 0 {
			return dst
		}
		return append(dst, '.')
	}
	for i := 0; n[i] != 0; {
		if i > 0 {
			dst = append(dst, '.')
		}
		end := i + 1 + int(n[i])
		dst = appendLabel(dst, n[i+1:end])
		i = end
	}
	return dst
}

func appendLabel(dst, label []byte) []byte {
	plain := 0
	for plain < len(label) && !escaped[label[plain]] {
		plain++
	}
	dst = append(dst, label[:plain]...)
	for _, c := range label[plain:] {
		switch {
		case !escaped[c]:
			dst = append(dst, c)
		case c <= ' ' || c >= 0x7f:
			dst = append(dst, '\\', '0'+c/100, '0'+c/10%10, '0'+c%10)
		default:
			dst = append(dst, '\\', c)
		}
	}
	return dst
}

// escaped are the octets that a label's text does not have as they are (RFC 1035,
// section 5.1; RFC 4343, section 2.1).
var escaped = func() (t [256]bool) {
	for c := range t {
		t[c] = c <= ' ' || c >= 0x7f
	}
	for _, c := range `.\"();@$` {
		t[c] = true
	}
	return t
}()

// IsRoot says whether n is the root.
func (n Name) IsRoot() bool { return len(n) == 1 }

// Clone is a copy that owns its memory.
func (n Name) Clone() Name { return bytes.Clone(n) }

// Equal says whether two names are the same.
func (n Name) Equal(o Name) bool { return bytes.Equal(n, o) }

// Label is the leftmost label without its length octet; nil for the root.
func (n Name) Label() []byte {
	if len(n) <= 1 {
		return nil
	}
	return n[1 : 1+int(n[0])]
}

// Parent is the name without its leftmost label; nil above the root.
func (n Name) Parent() Name {
	if len(n) <= 1 {
		return nil
	}
	return n[1+int(n[0]):]
}

// Labels counts the labels; the root has none.
func (n Name) Labels() int {
	count := 0
	for ; len(n) > 1; n = n.Parent() {
		count++
	}
	return count
}

// Within says whether n is zone itself or a name below it.
func (n Name) Within(zone Name) bool {
	for len(n) > len(zone) {
		n = n.Parent()
	}
	return len(zone) > 0 && bytes.Equal(n, zone)
}
