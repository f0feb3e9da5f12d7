package dnsname_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/weirdns/weir/internal/dnsname"
	"pgregory.net/rapid"
)

func TestParseReadsPresentationForm(t *testing.T) {
	for in, want := range map[string]string{
		"example.com":           "\x07example\x03com\x00",
		"Example.COM.":          "\x07example\x03com\x00",
		".":                     "\x00",
		`a\.b.c`:                "\x03a.b\x01c\x00",
		`\000\255.x`:            "\x02\x00\xff\x01x\x00",
		`\065b.x`:               "\x02ab\x01x\x00",
		strings.Repeat("a", 63): "\x3f" + strings.Repeat("a", 63) + "\x00",
	} {
		got, err := dnsname.Parse(in)
		if err != nil || string(got) != want {
			t.Errorf("Parse(%q) = %q, %v; want %q", in, got, err, want)
		}
		if err := got.Check(); err != nil {
			t.Errorf("Parse(%q).Check() = %v", in, err)
		}
	}
}

func TestParseRefusesWhatIsNoName(t *testing.T) {
	long := strings.Repeat(strings.Repeat("a", 63)+".", 3)
	for in, want := range map[string]error{
		"":                              dnsname.ErrEmpty,
		"..":                            dnsname.ErrEmptyLabel,
		"a..b":                          dnsname.ErrEmptyLabel,
		".a":                            dnsname.ErrEmptyLabel,
		strings.Repeat("a", 64):         dnsname.ErrLongLabel,
		long + strings.Repeat("a", 62):  dnsname.ErrLongName,
		`a\`:                            dnsname.ErrBadEscape,
		`a\25`:                          dnsname.ErrBadEscape,
		`a\256`:                         dnsname.ErrBadEscape,
		long + strings.Repeat("b", 200): dnsname.ErrLongName,
	} {
		if got, err := dnsname.Parse(in); !errors.Is(err, want) {
			t.Errorf("Parse(%.20q) = %q, %v; want error %v", in, got, err, want)
		}
	}
	// 255 octets are the most that fits: 3*64 + 62 + 1.
	if n, err := dnsname.Parse(long + strings.Repeat("a", 61)); err != nil || len(n) != dnsname.MaxWire {
		t.Errorf("Parse of the longest name = %d octets, %v; want %d, nil", len(n), err, dnsname.MaxWire)
	}
}

func TestParseHostRefusesWhatNobodyMeans(t *testing.T) {
	for in, ok := range map[string]bool{
		"Example.com": true, "_dmarc.example.com.": true, "xn--bcher-kva.de": true, ".": true,
		"bad name": false, "a/b.com": false, "bücher.de": false, `a\.b`: false, "a..b": false,
	} {
		if _, err := dnsname.ParseHost(in); (err == nil) != ok {
			t.Errorf("ParseHost(%q) = %v, want ok %v", in, err, ok)
		}
	}
}

func TestEveryNameComesBackFromItsText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var wire []byte
		for _, label := range rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), 1, 63), 0, 3).Draw(t, "labels") {
			wire = append(append(wire, byte(len(label))), label...)
		}
		name := dnsname.AppendCanonical(nil, append(wire, 0))
		text := name.String()
		if strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
			t.Fatalf("%q.String() = %q: not printable ASCII", []byte(name), text)
		}
		back, err := dnsname.Parse(text)
		if err != nil || !back.Equal(name) {
			t.Fatalf("Parse(%q) = %q, %v; want %q", text, back, err, name)
		}
	})
}

func TestWithinStopsAtLabelBoundaries(t *testing.T) {
	for _, c := range []struct {
		name, zone string
		want       bool
	}{
		{"a.example.com", "example.com", true},
		{"example.com", "example.com", true},
		{"badexample.com", "example.com", false},
		{"com", "example.com", false},
		{"anything.at.all", ".", true},
	} {
		if got := dnsname.MustParse(c.name).Within(dnsname.MustParse(c.zone)); got != c.want {
			t.Errorf("%s within %s = %v, want %v", c.name, c.zone, got, c.want)
		}
	}
}

func TestSplitFindsTheRegisteredDomain(t *testing.T) {
	for _, c := range []struct {
		name, registered, suffix string
		private, known           bool
	}{
		{"www.example.co.uk", "example.co.uk", "co.uk", false, true},
		{"example.com", "example.com", "com", false, true},
		{"com", "", "com", false, true},
		{"a.b.ck", "a.b.ck", "b.ck", false, true},
		{"b.ck", "", "b.ck", false, true},
		{"a.www.ck", "www.ck", "ck", false, true},
		{"a.b.evil.duckdns.org", "evil.duckdns.org", "duckdns.org", true, true},
		{"host.corp", "host.corp", "corp", false, false},
		{"localhost", "", "localhost", false, false},
		{`a\.b.evil.github.io`, "evil.github.io", "github.io", true, true},
		{`a\.b.com`, `a\.b.com`, "com", false, true},
		{`x.a\.b`, `x.a\.b`, `a\.b`, false, false},
	} {
		got := dnsname.DefaultSuffixes().Split(dnsname.MustParse(c.name))
		if got.Registered.String() != c.registered || got.Suffix.String() != c.suffix ||
			got.Private != c.private || got.Known != c.known {
			t.Errorf("Split(%s) = registered %q suffix %q private %v known %v; want %q %q %v %v",
				c.name, got.Registered, got.Suffix, got.Private, got.Known, c.registered, c.suffix, c.private, c.known)
		}
	}
	if got := dnsname.DefaultSuffixes().Split(dnsname.Root()); got.Registered != nil || got.Suffix != nil {
		t.Errorf("Split of the root = %+v, want nothing", got)
	}
}

// The resolver splits a name for every query, so neither text nor slices may
// reach the heap.
func TestSplitDoesNotAllocate(t *testing.T) {
	n := dnsname.MustParse("a.fairly.long.name.with.many.labels.in.front.of.example.co.uk")
	if got := testing.AllocsPerRun(100, func() { dnsname.DefaultSuffixes().Split(n) }); got != 0 {
		t.Errorf("Split allocates %v times, want 0", got)
	}
}

func BenchmarkSplit(b *testing.B) {
	n := dnsname.MustParse("www.static.example.co.uk")
	b.ReportAllocs()
	for b.Loop() {
		dnsname.DefaultSuffixes().Split(n)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"example.com", `a\.b`, `\000.\255`, ".", "..", `\`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := dnsname.Parse(s)
		if err != nil {
			return
		}
		if err := n.Check(); err != nil {
			t.Fatalf("Parse(%q) = %q: %v", s, n, err)
		}
		back, err := dnsname.Parse(n.String())
		if err != nil || !back.Equal(n) {
			t.Fatalf("%q: %q, back as %q, %v", s, n, back, err)
		}
		sp := dnsname.DefaultSuffixes().Split(n)
		if sp.Registered != nil && !n.Within(sp.Registered) {
			t.Fatalf("%q: registered domain %q is no suffix", n, sp.Registered)
		}
	})
}

// TestDynamicZonesAreSuffixes: each customer of a free provider is a registered
// domain of its own.
func TestDynamicZonesAreSuffixes(t *testing.T) {
	for _, name := range []string{"www.kqvxz.mooo.com", "www.kqvxz.dynserv.com", "www.kqvxz.yi.org"} {
		n := dnsname.MustParse(name)
		s := dnsname.DefaultSuffixes().Split(n)
		if got, want := s.Registered.String(), name[len("www."):]; got != want || !s.Private || !s.Known {
			t.Errorf("%s: registered domain %q, private %v, known %v, want %q, private, known", name, got, s.Private, s.Known, want)
		}
	}
	if s := dnsname.DefaultSuffixes().Split(dnsname.MustParse("mooo.com")); s.Registered != nil {
		t.Errorf("mooo.com has the registered domain %q, want none", s.Registered)
	}
}
