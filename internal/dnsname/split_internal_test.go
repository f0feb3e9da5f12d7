package dnsname

import (
	"fmt"
	"testing"
)

// splitPlainly is Split as the list's own text tells it: of all rules that
// match the longest wins, exceptions first.
func splitPlainly(s *Suffixes, n Name) Split {
	var above, above2 Name
	for at := n; len(at) > 1; at = at.Parent() {
		rule := s.rules[string(at)]
		switch {
		case rule.exception:
			return Split{Registered: at, Suffix: at.Parent(), Private: rule.private, Known: true}
		case rule.wildcard && above != nil:
			return Split{Registered: above2, Suffix: above, Private: rule.private, Known: true}
		case rule.exact:
			return Split{Registered: above, Suffix: at, Private: rule.private, Known: true}
		}
		above2, above = above, at
	}
	return Split{Registered: above2, Suffix: above}
}

// Split reads from the right and stops early. For every rule of the list, and
// what stands around it, that must make no difference.
func TestSplitStopsEarlyOnlyWhereNothingFollows(t *testing.T) {
	s := DefaultSuffixes()
	for rule := range s.rules {
		for _, prefix := range []string{"", "\x01a", "\x01b\x01a", "\x03www\x01b\x01a", "\x04_tcp\x03www\x01b\x01a"} {
			for n := Name(prefix + rule); len(n) > 0; n = n.Parent() {
				if got, want := fmt.Sprint(s.Split(n)), fmt.Sprint(splitPlainly(s, n)); got != want {
					t.Fatalf("%s: %s, want %s", n, got, want)
				}
			}
		}
	}
	for _, n := range []string{"nobody", "a.nobody", "b.a.nobody", "."} {
		name := MustParse(n)
		if got, want := fmt.Sprint(s.Split(name)), fmt.Sprint(splitPlainly(s, name)); got != want {
			t.Errorf("%s: %s, want %s", n, got, want)
		}
	}
}
