package dnsname

import "testing"

// IsSuffix is quicker than Split and must say the same: of every rule of the
// list, what is above it, and names below it.
func TestIsSuffixAgreesWithSplit(t *testing.T) {
	s := DefaultSuffixes()
	check := func(n Name) {
		if got, want := s.IsSuffix(n), s.Split(n).Registered == nil; got != want {
			t.Errorf("%s: IsSuffix is %v, and Split says %v", n, got, want)
		}
	}
	for rule := range s.rules {
		for at := Name(rule); len(at) > 0; at = at.Parent() {
			check(at)
			for _, label := range []string{"\x01a", "\x03www", "\x04city\x01b"} {
				below := append(Name(label), at...)
				check(below)
				check(append(Name("\x01x"), below...))
			}
		}
	}
	check(MustParse("nowhere"))
	check(MustParse("a.nowhere"))
	check(nil)
}

func TestIsAboveKnowsWhatHasSuffixesBelow(t *testing.T) {
	s := DefaultSuffixes()
	for name, want := range map[string]bool{
		"amazonaws.com": true, "compute.amazonaws.com": true, "example.com": false, "co.uk": false, "com": false,
		"github.io": false, "x.github.io": false, "nowhere": false, "www.ck": false,
	} {
		if got := s.IsAbove(MustParse(name)); got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}
