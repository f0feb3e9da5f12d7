package detect

import (
	"bytes"

	"github.com/weirdns/weir/internal/dnsname"
)

var idn = []byte("xn--")

// special says whether a top label is not part of the public DNS, whatever
// stands below it: RFC 6761 (test, localhost, invalid, example), 6762 (local),
// 7686 (onion), 9476 (alt), ICANN's internal, the suffixes that home software
// made customary, and those that RFC 6762, appendix G, names as in private use.
// (home.arpa and its like are below arpa, which is not judged either.)
func special(top []byte) bool {
	switch string(top) {
	case "test", "localhost", "invalid", "example", "local", "onion", "alt", "internal",
		"intranet", "private", "corp", "home", "lan", "localdomain", "workgroup":
		return true
	}
	return false
}

// classify says whether a name is one that the model can judge, and if not,
// why.
func classify(n dnsname.Name, split dnsname.Split, ownZones []dnsname.Name) Reason {
	if r := classifyName(n, split, ownZones); r != Scored {
		return r
	}
	return classifyDomain(split.Registered)
}

// classifyName is what the whole name says.
func classifyName(n dnsname.Name, split dnsname.Split, ownZones []dnsname.Name) Reason {
	top := topLabel(n)
	switch {
	case string(top) == "arpa":
		return ReverseZone
	case within(n, ownZones):
		return OwnZone
	case special(top):
		return SpecialUse
	case len(top)+2 >= len(n):
		if split.Known {
			return PublicSuffix // "com" is a suffix, "printer" a host
		}
		return SingleLabel
	case split.Registered == nil:
		return PublicSuffix
	}
	return Scored
}

// classifyDomain is what its registered domain says, which has a score only if
// this is Scored.
func classifyDomain(registered dnsname.Name) Reason {
	label := registered.Label()
	switch {
	case label[0] == '_':
		return ServiceLabel
	case bytes.HasPrefix(label, idn):
		return IDN
	case !dnsname.Hostlike(label) || onlyDigits(topLabel(registered)):
		return NotHost
	}
	return Scored
}

// topLabel is a name's rightmost label, empty for the root.
func topLabel(n dnsname.Name) []byte {
	for {
		parent := n.Parent()
		if len(parent) <= 1 {
			return n.Label()
		}
		n = parent
	}
}

// onlyDigits: no top level domain is a number, but the end of every IPv4
// address is.
func onlyDigits(label []byte) bool {
	for _, c := range label {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}
