package blocklist

import (
	"bytes"
	"errors"
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
	shop := workshop{seed: 11}
	f.Fuzz(func(t *testing.T, source []byte) {
		for _, mode := range []MatchMode{MatchAuto, MatchExact, MatchSubtree} {
			c := (&Config{Format: format, Match: mode}).withDefaults()
			d, err := compile(bytes.NewReader(source), &c, newGuard([]dnsname.Name{own}), shop)
			if err != nil {
				if _, ok := errors.AsType[*refusal](err); !ok {
					t.Fatalf("error %v is no refusal", err)
				}
				continue
			}
			s := newSnapshot(shop.seed, []*List{{set: d.set}}, nil)
			names, addrs := 0, 0
			passes := 0
			for e := range d.set.all {
				if e.own.passes() {
					passes++
				}
				if e.own.policy() == LocalData && (int(e.local) >= len(d.set.locals) || len(d.set.locals[e.local].V4) > maxLocalAddrs) {
					t.Errorf("entry %q has answer %d of %d, or one too long", e.rule(), e.local, len(d.set.locals))
				}
				if len(e.info) > maxInfo || strings.ContainsFunc(string(e.info), func(r rune) bool { return r < ' ' || r > '~' }) {
					t.Errorf("info %q", e.info)
				}
				if e.flags&flagAddr != 0 {
					addrs++
					kind, p := networkOf(e.key)
					got := s.MatchAddr(nil, p.Addr())
					if kind == clientNetwork {
						got = s.MatchFrom(nil, dnsname.Root(), p.Addr())
					} else if !listable(p.Addr()) {
						t.Errorf("address %q is not public", e.rule())
					}
					if len(got) != 1 {
						t.Errorf("address %q is not found again", e.rule())
					}
					continue
				}
				names++
				name := appendName(nil, e.key)
				if name.Check() != nil {
					t.Fatalf("entry %q is no name: %v", e.rule(), name.Check())
				}
				if suffixes.IsSuffix(name) || endsInNumber(name) {
					t.Errorf("entry %q is a public suffix or an address", e.rule())
				}
				if got, ok := d.set.lookup(name, e.flags&flagScope); !ok || got.at != e.at {
					t.Errorf("entry %q is not found again", e.rule())
				}
			}
			if passes != d.set.passes {
				t.Errorf("%d entries let pass, but the set says %d", passes, d.set.passes)
			}
			if names != d.set.names || addrs != d.set.addrs {
				t.Errorf("%d names and %d addresses, but the set says %d and %d", names, addrs, d.set.names, d.set.addrs)
			}
			for _, name := range []string{"com", "x.co.uk", "lists.example.net", "y.github.io"} {
				for _, h := range s.Match(nil, dnsname.MustParse(name)) {
					if h.Policy == Passthru {
						continue
					}
					if h.Rule != name && h.Rule[0] != '/' || name == "com" || name == "lists.example.net" {
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
	f.Add([]byte(`{"1":[{"dateadded":"2025-04-21 12:35:06 UTC","url":"http://bad.example/","threat":"malware_download","tags":["elf",""],"urlhaus_link":"https://x.example/"},{"url":7}],"2":[]}`))
	fuzzFormat(f, FormatURLhaus)
}

func FuzzAdblock(f *testing.F) {
	for _, s := range []string{
		"[Adblock Plus 2.0]\n! x\n||bad.example^\n@@||good.bad.example^\n||bad.example^$important\n|one.example^\n||*.b.example^|\n",
		"||a.example^$denyallow=b.a.example|c.example,important\n@@||a.example^$important\n||b.a.example^\n", "||192.0.2.1^\n||[2001:db8::1]^\n@@192.0.2.1\n",
		"x.example##.ad\n##.ad\n/re/\n/path\n?a=b\n||x.example/p\nads*\n||ads.\n||com^\n@@||net^\n0.0.0.0 h.example\nplain.example\n",
		"||x.example^$a,b=c,,\n||x.example^$\n$$\n@@\n||\n|\n||[::1\n||lists.example.net^\n@@||lists.example.net^",
	} {
		f.Add([]byte(s))
	}
	fuzzFormat(f, FormatAdblock)
}

func FuzzRegex(f *testing.F) {
	for _, s := range []string{
		"^ad[sx]?[0-9]*\\.\ntracker\\.example$\n(?i)X\n# c\n", ".*\n[\n(a{9}){9}\n\\.com$\nlists\n^lists[.]example[.]net$\n", "(a|b|)*\n\\pL\n\\x00\n(?s:.)\n\u00fc\n",
	} {
		f.Add([]byte(s))
	}
	fuzzFormat(f, FormatRegex)
}

func FuzzRPZ(f *testing.F) {
	for _, s := range []string{
		"$TTL 30\n$ORIGIN rpz.local.\n@ IN SOA a. b. (\n1 2 3\n4 5 )\n NS localhost.\nbad.example CNAME .\n*.bad.example CNAME rpz-passthru.\nx.bad.example 60 IN CNAME *.\n",
		"a.example CNAME rpz-drop.\na.example CNAME rpz-tcp-only.\nb.example A 192.0.2.1\n  AAAA 2001:db8::1\n A 192.0.2.2\nb.example A 0.0.0.0\n",
		"32.1.2.0.192.rpz-ip CNAME .\n128.1.zz.db8.2001.rpz-ip CNAME .\n128.zz.rpz-ip CNAME .\n24.0.2.0.192.rpz-ip CNAME .\n1.rpz-client-ip CNAME .\n24.0.0.0.10.rpz-client-ip CNAME .\nx.rpz-nsdname CNAME .\n",
		"$ORIGIN .\nrpz.local SOA . . 1\n$ORIGIN rpz.local.\ncom CNAME .\n*.co.uk CNAME .\nlists.example.net CNAME .\n*.net CNAME rpz-passthru.\n",
		"$INCLUDE x\n$GENERATE 1-9 $ A 192.0.2.$\n$ORIGIN\n@\n. CNAME .\n( ( (\nx SOA (\n\\. CNAME .\n\"a;b\" TXT \"x;y\" ; z\n",
	} {
		f.Add([]byte(s))
	}
	fuzzFormat(f, FormatRPZ)
}

func FuzzDnsmasq(f *testing.F) {
	for _, s := range []string{
		"address=/a.example/b.example/0.0.0.0\naddress=/a.example/192.0.2.1\naddress=/a.example/2001:db8::1\naddress=/n.example/\naddress=/h.example/# # x\n",
		"server=/ok.a.example/#\nlocal=/l.example/\nserver=/x/192.0.2.1\nserver=1\n=\naddress=//\naddress=/#/\naddress=/com/\nlocal=/lists.example.net/\n",
	} {
		f.Add([]byte(s))
	}
	fuzzFormat(f, FormatDnsmasq)
}

func FuzzUnbound(f *testing.F) {
	for _, s := range []string{
		"server:\nlocal-zone: \"a.example\" redirect\nlocal-data: \"a.example A 192.0.2.1\"\nlocal-data: 'a.example. 60 IN AAAA 2001:db8::1'\nlocal-zone: x.a.example always_transparent\n",
		"local-data: \"b.example A 192.0.2.1\"\nlocal-zone: \"b.example\" redirect\nlocal-zone: b.example. deny # x\nlocal-zone: \"c.example\" redirect\nlocal-data: \"c.example A 0.0.0.0\"\n",
		"local-zone: \"com\" static\nlocal-zone: \"lists.example.net\" refuse\nlocal-zone: \"\nlocal-zone:\nlocal-data: \"x\"\nlocal-data: 'y TXT z'\n:\nx",
	} {
		f.Add([]byte(s))
	}
	fuzzFormat(f, FormatUnbound)
}

func FuzzBIND(f *testing.F) {
	for _, s := range []string{
		"zone \"a.example\" { type master; notify no; file \"null.zone.file\"; };\nzone 'b.example' IN {type primary;};\n",
		"zone \"com\" { type master; };\nzone \"x\" }{\nzone x {}\nzone\n}\nzone \"lists.example.net\" { type master; };\nzone \"f.example\" { type forward; };",
	} {
		f.Add([]byte(s))
	}
	fuzzFormat(f, FormatBIND)
}

func FuzzThreatFox(f *testing.F) {
	row := func(value, kind, confidence string) string {
		return `"2026-08-30 01:39:33", "1", "` + value + `", "` + kind + `", "botnet_cc", "win.x", "None", "X Y", "", "` + confidence + `", "True", "https://r.example/1", "c2", "0", "z"` + "\n"
	}
	for _, s := range []string{
		row("c2.example.org", "domain", "100") + row("http://dl.example.org/", "url", "50") + row("192.0.2.1:80", "ip:port", "75") + row("[2001:db8::1]:443", "ip:port", "75"),
		row("com", "domain", "100") + row("lists.example.net", "domain", "100") + row("x", "md5_hash", "100") + row("1.2", "ip:port", "100") + row("a.example", "domain", "-1"),
		"\"first_seen_utc\",\"ioc_id\"\n\"a\", \"b\"\n\"",
	} {
		f.Add([]byte(s))
	}
	fuzzFormat(f, FormatThreatFox)
}

func FuzzAuto(f *testing.F) {
	for _, s := range []string{"bad.example\n", "0.0.0.0 bad.example\n", "http://bad.example/\n", "<html>", "\x00", "a.example\n||b.example^\n", "$TTL 1\na.example CNAME .\n", "local=/a.example/\n", "local-zone: a.example deny\n", "zone \"a.example\" { type master; };\n", "# x\n\n192.0.2.1\n"} {
		f.Add([]byte(s))
	}
	fuzzFormat(f, FormatAuto)
}
