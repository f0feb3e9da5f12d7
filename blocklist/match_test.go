package blocklist_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"github.com/weirdns/weir/blocklist"
	"github.com/weirdns/weir/internal/dnsname"
)

func TestDomainListMatchesTheNameAndBelow(t *testing.T) {
	l := load(t, blocklist.Config{Name: "d", Inline: []string{"bad.example", "*.below.example", ".dot.example", "UPPER.Example."}})
	wantHits(t, l, "bad.example", "d bad.example")
	wantHits(t, l, "a.b.bad.example", "d bad.example")
	wantHits(t, l, "notbad.example")
	wantHits(t, l, "example")
	wantHits(t, l, "below.example")
	wantHits(t, l, "x.below.example", "d *.below.example")
	wantHits(t, l, "x.y.below.example", "d *.below.example")
	wantHits(t, l, "dot.example", "d dot.example")
	wantHits(t, l, "x.dot.example", "d dot.example")
	wantHits(t, l, "upper.example", "d upper.example")
	wantHits(t, l, ".")
}

func TestHostsListMatchesOnlyTheHost(t *testing.T) {
	l := load(t, blocklist.Config{Name: "h", Inline: []string{"0.0.0.0 bad.example worse.example # why", "::1 v6.example"}})
	wantHits(t, l, "bad.example", "h bad.example")
	wantHits(t, l, "worse.example", "h worse.example")
	wantHits(t, l, "v6.example", "h v6.example")
	wantHits(t, l, "www.bad.example")
	wantAddrHits(t, l, "0.0.0.0")
}

func TestMatchModeIsObeyed(t *testing.T) {
	l := load(t,
		blocklist.Config{Name: "exact", Match: blocklist.MatchExact, Inline: []string{"bad.example", "*.deep.example"}},
		blocklist.Config{Name: "subtree", Match: blocklist.MatchSubtree, Inline: []string{"0.0.0.0 bad.example"}})
	wantHits(t, l, "bad.example", "exact bad.example", "subtree bad.example")
	wantHits(t, l, "x.bad.example", "subtree bad.example")
	wantHits(t, l, "x.deep.example", "exact *.deep.example")
}

func TestEveryListThatMatchesIsNamedInOrder(t *testing.T) {
	l := load(t,
		blocklist.Config{Name: "z", Inline: []string{"example.net", "a.b.example.net"}},
		blocklist.Config{Name: "m", Kind: blocklist.Allow, Inline: []string{"b.example.net"}},
		blocklist.Config{Name: "a", Inline: []string{"other.example", "*.b.example.net", "example.net"}})
	wantHits(t, l, "a.b.example.net",
		"z a.b.example.net", "z example.net", "m b.example.net", "a *.b.example.net", "a example.net")
	if got := l.Snapshot().Match(nil, dnsname.MustParse("b.example.net"))[1].List.Kind; got != blocklist.Allow {
		t.Errorf("the hit's list is of kind %q, want allow", got)
	}
}

func TestMatchAppends(t *testing.T) {
	l := load(t, blocklist.Config{Name: "d", Inline: []string{"bad.example", "192.0.2.1"}})
	dst := l.Snapshot().Match(nil, dnsname.MustParse("bad.example"))
	dst = l.Snapshot().MatchAddr(dst, netip.MustParseAddr("192.0.2.1"))
	if got := show(dst); fmt.Sprint(got) != "[d bad.example d 192.0.2.1]" {
		t.Errorf("hits %q, want both", got)
	}
}

func TestEntriesForOneNameBecomeOne(t *testing.T) {
	l := load(t, blocklist.Config{Name: "d", Match: blocklist.MatchExact,
		Inline: []string{"*.twice.example", "twice.example", "twice.example", "*.star.example", "*.star.example"}})
	wantHits(t, l, "twice.example", "d twice.example")
	wantHits(t, l, "x.twice.example", "d twice.example")
	wantHits(t, l, "x.star.example", "d *.star.example")
	wantHits(t, l, "star.example")
	if got := list(t, l, "d").Entries; got != 2 {
		t.Errorf("%d entries, want 2", got)
	}
}

func TestRuleIsPresentationForm(t *testing.T) {
	// A dot and a space inside a label, and a label that looks like two.
	l := load(t, blocklist.Config{Name: "d", Inline: []string{`odd\.dot.sp\032ace.example`, `plain.example`, `*.st\042ar.example`}})
	name := dnsname.Name("\x07odd.dot\x06sp ace\x07example\x00")
	got := show(l.Snapshot().Match(nil, name))
	if want := []string{"d " + name.String()}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("hits %q, want %q", got, want)
	}
	wantHits(t, l, `odd.dot.sp\032ace.example`)
	wantHits(t, l, `a.st\*ar.example`, `d *.st*ar.example`)
	if got := l.Snapshot().Match(nil, dnsname.Name("\x0dplain.example\x00")); len(got) != 0 {
		t.Errorf("one label with a dot in it matched %q", show(got))
	}
}

func TestUnicodeNamesMatchTheirALabels(t *testing.T) {
	l := load(t, blocklist.Config{Name: "d", Inline: []string{"Bücher.example", "*.почта.example"}})
	wantHits(t, l, "www.xn--bcher-kva.example", "d xn--bcher-kva.example")
	wantHits(t, l, "a.xn--80a1acny.example", "d *.xn--80a1acny.example")
}

func TestAddressesMatchAnswersNotNames(t *testing.T) {
	l := load(t, blocklist.Config{Name: "ip", Inline: []string{"192.0.2.7", "2001:DB8:0::7"}})
	wantAddrHits(t, l, "192.0.2.7", "ip 192.0.2.7")
	wantAddrHits(t, l, "::ffff:192.0.2.7", "ip 192.0.2.7")
	wantAddrHits(t, l, "2001:db8::7", "ip 2001:db8::7")
	wantAddrHits(t, l, "192.0.2.8")
	wantHits(t, l, "192.0.2.7")
	wantHits(t, l, "x.192.0.2.7")
	if v := list(t, l, "ip"); v.Entries != 0 || v.Addresses != 2 {
		t.Errorf("%d names and %d addresses, want 0 and 2", v.Entries, v.Addresses)
	}
	if got := l.Snapshot().MatchAddr(nil, netip.Addr{}); len(got) != 0 {
		t.Errorf("no address matched %q", show(got))
	}
}

// synthetic is n names like those of large feeds: 8 to 24 characters before
// the suffix, every third with a subdomain.
func synthetic(n int) []string {
	const letters = "abcdefghijklmnopqrstuvwxyz0123456789-"
	suffixes := []string{".com", ".net", ".info", ".xyz", ".co.uk", ".top"}
	rng := rand.New(rand.NewPCG(1, 2))
	label := func(n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = letters[rng.IntN(len(letters))]
		}
		return string(b)
	}
	seen := make(map[string]bool, n)
	names := make([]string, 0, n)
	for len(names) < n {
		name := label(8+rng.IntN(12)) + suffixes[rng.IntN(len(suffixes))]
		if len(names)%3 == 0 {
			name = label(1+rng.IntN(6)) + "." + name
		}
		if !seen[name] {
			seen[name] = true
			names = append(names, name)
		}
	}
	return names
}

func TestLargeListFindsExactlyItsNames(t *testing.T) {
	names := synthetic(120_000)
	in := names[:60_000]
	l := load(t, blocklist.Config{Name: "big", File: file(t, in...)})
	if got := list(t, l, "big").Entries; got != len(in) {
		t.Fatalf("%d entries, want %d", got, len(in))
	}
	set := make(map[string]bool)
	for _, n := range in {
		set[n] = true
	}
	s := l.Snapshot()
	for _, n := range names {
		var want []string
		for at := n; at != ""; {
			if set[at] {
				want = append(want, "big "+at)
			}
			_, at, _ = strings.Cut(at, ".")
		}
		if got := show(s.Match(nil, dnsname.MustParse(n))); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("%s: hits %q, want %q", n, got, want)
		}
	}
}

func TestMatchDoesNotAllocate(t *testing.T) {
	names := synthetic(50_000)
	l := load(t,
		blocklist.Config{Name: "big", File: file(t, names...)},
		blocklist.Config{Name: "small", Inline: []string{names[7], "*." + names[9], "192.0.2.1"}})
	s := l.Snapshot()
	dst := make([]blocklist.Hit, 0, 8)
	long := dnsname.MustParse(strings.Repeat("a.", 126) + "b")
	odd := dnsname.Name("\x03\x00.\xff\x07example\x03com\x00")
	for what, name := range map[string]dnsname.Name{
		"hit in two lists": dnsname.MustParse(names[7]), "hit below": dnsname.MustParse("x." + names[9]),
		"miss": dnsname.MustParse("www.innocent.example"), "longest": long, "odd octets": odd,
	} {
		if got := testing.AllocsPerRun(100, func() { dst = s.Match(dst[:0], name) }); got != 0 {
			t.Errorf("%s: %v allocations a lookup, want 0", what, got)
		}
	}
	for what, addr := range map[string]netip.Addr{
		"hit": netip.MustParseAddr("192.0.2.1"), "miss": netip.MustParseAddr("2001:db8::1"),
		"mapped": netip.MustParseAddr("::ffff:192.0.2.1"),
	} {
		if got := testing.AllocsPerRun(100, func() { dst = s.MatchAddr(dst[:0], addr) }); got != 0 {
			t.Errorf("address %s: %v allocations a lookup, want 0", what, got)
		}
	}
}
