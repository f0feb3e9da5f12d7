package blocklist

import (
	"bytes"
	"errors"
	"hash/maphash"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/weirdns/weir/internal/dnsname"
)

// fuzzFormat checks for one format what no source may ever bring about,
// whatever it says.
func fuzzFormat(f *testing.F, format Format) {
	suffixes := dnsname.DefaultSuffixes()
	own := dnsname.MustParse("lists.example.net")
	seed := maphash.MakeSeed()
	f.Fuzz(func(t *testing.T, source []byte) {
		for _, mode := range []MatchMode{MatchAuto, MatchExact, MatchSubtree} {
			c := (&Config{Format: format, Match: mode}).withDefaults()
			d, err := compile(bytes.NewReader(source), &c, newGuard([]dnsname.Name{own}), seed)
			if err != nil {
				if _, ok := errors.AsType[*refusal](err); !ok {
					t.Fatalf("error %v is no refusal", err)
				}
				continue
			}
			s := newSnapshot(seed, []*List{{set: d.set}})
			names, addrs := 0, 0
			for e := range d.set.all {
				if len(e.info) > maxInfo || strings.ContainsFunc(e.info, func(r rune) bool { return r < ' ' || r > '~' }) {
					t.Errorf("info %q", e.info)
				}
				if e.flags&flagAddr != 0 {
					addrs++
					addr, err := netip.ParseAddr(e.text)
					if err != nil || !listable(addr) || len(s.MatchAddr(nil, addr)) != 1 {
						t.Errorf("address %q: %v, not public, or not found again", e.text, err)
					}
					continue
				}
				names++
				name, err := dnsname.Parse(e.key())
				if err != nil || name.Check() != nil || name.String() != e.key() {
					t.Fatalf("entry %q is not the presentation form of a name: %v", e.text, err)
				}
				if suffixes.IsSuffix(name) || endsInNumber(name) {
					t.Errorf("entry %q is a public suffix or an address", e.text)
				}
				if got, ok := d.set.lookup(name); !ok || got != e {
					t.Errorf("entry %q is not found again", e.text)
				}
			}
			if names != d.set.names || addrs != d.set.addrs {
				t.Errorf("%d names and %d addresses, but the set says %d and %d", names, addrs, d.set.names, d.set.addrs)
			}
			for _, name := range []string{"com", "x.co.uk", "lists.example.net", "y.github.io"} {
				for _, h := range s.Match(nil, dnsname.MustParse(name)) {
					if h.Rule != name || name == "com" || name == "lists.example.net" {
						t.Errorf("%s is blocked by %q", name, h.Rule)
					}
				}
			}
		}
	})
}

func FuzzDomains(f *testing.F) {
	for _, s := range []string{
		"bad.example\n*.below.example\n.dot.example # why\n", "192.0.2.1\n2001:db8::1\n10.0.0.1\n",
		"B\u00fccher.example\n\u3002\n*.\u043f\u043e\u0447\u0442\u0430.example", `odd\.dot\000.example` + "\n" + `\\\046.example`,
		"com\nco.uk\n*.github.io\nlocalhost\n1.2.3\n0x7f.1\n", "example.net\nlists.example.net\n*.net",
		"\ufeffbad.example\r\n\r\n", "a.example\na.example\n*.a.example\n", strings.Repeat("x", 70_000) + "\nok.example",
	} {
		f.Add([]byte(s))
	}
	fuzzFormat(f, FormatDomains)
}

func FuzzHosts(f *testing.F) {
	for _, s := range []string{
		"127.0.0.1 localhost\n0.0.0.0 bad.example worse.example # why\n", "::1\tip6-localhost\nfe80::1%lo0 localhost\n",
		"0.0.0.0 0.0.0.0\n0.0.0.0 com co.uk lists.example.net\n", "0.0.0.0\n0.0.0.0 # nothing\nx y\n",
	} {
		f.Add([]byte(s))
	}
	fuzzFormat(f, FormatHosts)
}

func FuzzURLhaus(f *testing.F) {
	sample, err := os.ReadFile("../testdata/scenario/urlhaus_agenttesla.csv")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sample)
	for _, s := range []string{
		"http://bad.example/x\nhttps://user:pw@bad.example:8443/?q#f\nftp://192.0.2.1\nhttp://[2001:db8::1]:80/\n",
		"http://info@192.0.2.7/\nhttp://info/\nhttp://co.uk/\nhttp://1.2.3/\nhttp://lists.example.net\n",
		`http://a.example\@b.example/` + "\nhttp://%41.example/\nhttp://*.example.org/\n",
		"id,dateadded,url,\n\"1\",\"2\",\"http://x.example/a,\"\"b\"\"\",\"4\",\"5\",\"6\",\"7,8,\xff\",\"https://9\",\"10\"\n\"unclosed",
		`"1","d","http://y.example/","s","threat","tag","https://l","r"`,
	} {
		f.Add([]byte(s))
	}
	fuzzFormat(f, FormatURLhaus)
}

func FuzzAuto(f *testing.F) {
	for _, s := range []string{"bad.example\n", "0.0.0.0 bad.example\n", "http://bad.example/\n", "<html>", "\x00", "# x\n\n192.0.2.1\n"} {
		f.Add([]byte(s))
	}
	fuzzFormat(f, FormatAuto)
}
