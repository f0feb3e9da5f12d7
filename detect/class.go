package detect

import (
	"bytes"
	"sync"

	"github.com/weirdns/weir/internal/dnsname"
)

// specialZones are the names that are not part of the public DNS, whatever
// stands below them: RFC 6761 (test, localhost, invalid, example), 6762
// (local), 7686 (onion), 8375 (home.arpa), 9476 (alt), ICANN's internal, the
// suffixes that cluster and home software made customary, and those that RFC
// 6762, appendix G, names as in private use.
var specialZones = sync.OnceValue(func() map[string]bool {
	zones := map[string]bool{}
	for _, s := range []string{
		"test", "localhost", "invalid", "example", "local", "onion", "home.arpa", "alt", "internal",
		"intranet", "private", "corp", "home", "lan", "localdomain", "workgroup", "cluster.local",
		"ipv4only.arpa", "resolver.arpa", "service.arpa",
	} {
		zones[string(dnsname.MustParse(s))] = true
	}
	return zones
})

var (
	arpa = dnsname.MustParse("arpa")
	idn  = []byte("xn--")
)

// classify says whether a name is one that the model can judge, and if not,
// why. special is specialZones, looked up once by the caller.
func classify(n dnsname.Name, split dnsname.Split, ownZones []dnsname.Name, special map[string]bool) Reason {
	switch {
	case n.Within(arpa):
		return ReverseZone
	case within(n, ownZones):
		return OwnZone
	}
	for at := n; len(at) > 1; at = at.Parent() {
		if special[string(at)] {
			return SpecialUse
		}
	}
	switch {
	case len(n) <= 1 || len(n.Parent()) <= 1:
		if split.Known {
			return PublicSuffix // "com" is a suffix, "printer" a host
		}
		return SingleLabel
	case split.Registered == nil:
		return PublicSuffix
	}
	label := split.Registered.Label()
	switch {
	case label[0] == '_':
		return ServiceLabel
	case bytes.HasPrefix(label, idn):
		return IDN
	case !dnsname.Hostlike(label) || onlyDigits(topLabel(n)):
		return NotHost
	}
	return Scored
}

// topLabel is a name's rightmost label.
func topLabel(n dnsname.Name) []byte {
	for len(n.Parent()) > 1 {
		n = n.Parent()
	}
	return n.Label()
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
