package dnsname

import (
	"bytes"
	"errors"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// ErrNotIDN is text in other scripts that is no internationalized name.
var ErrNotIDN = errors.New("not an internationalized domain name (RFC 5891)")

// fullStops are the dots that people type in other scripts (RFC 3490, section 3.1).
var fullStops = strings.NewReplacer("\u3002", ".", "\uff0e", ".", "\uff61", ".")

// ToASCII puts A-labels (xn--) in place of a name's U-labels, those in other
// scripts, which is how DNS asks for them. Labels in ASCII stay as they are, and
// so does text that is not UTF-8: who writes single octets means those.
func ToASCII(text string) (string, error) {
	if isASCII(text) || !utf8.ValidString(text) {
		return text, nil
	}
	labels := strings.Split(fullStops.Replace(text), ".")
	for i, l := range labels {
		if isASCII(l) {
			continue
		}
		a, err := idna.Lookup.ToASCII(l)
		if err != nil {
			return "", ErrNotIDN
		}
		labels[i] = a
	}
	return strings.Join(labels, "."), nil
}

// Unicode is a name in presentation form with U-labels in place of its A-labels,
// "" if it has none, or one that stands for nothing valid.
func (n Name) Unicode() string {
	if !bytes.Contains(n, []byte("xn--")) {
		return ""
	}
	text := n.String()
	u, err := idna.Lookup.ToUnicode(text)
	if back, again := ToASCII(u); err != nil || again != nil || u == text || back != text {
		return ""
	}
	return u
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
