package blocklist_test

import (
	"strings"
	"testing"

	"github.com/weirdns/weir/blocklist"
)

func TestFormatIsDetected(t *testing.T) {
	for _, c := range []struct {
		want  blocklist.Format
		lines []string
	}{
		{blocklist.FormatDomains, []string{"# Title: x", "", "! comment", "bad.example"}},
		{blocklist.FormatDomains, []string{"192.0.2.1", "192.0.2.2"}},
		{blocklist.FormatDomains, []string{"192.0.2.1 # why", "bad.example"}},
		{blocklist.FormatDomains, []string{"\ufeffbad.example"}},
		{blocklist.FormatHosts, []string{"# hosts", "127.0.0.1 localhost", "0.0.0.0 bad.example"}},
		{blocklist.FormatHosts, []string{"fe80::1%lo0\tlocalhost", "0.0.0.0\tbad.example"}},
		{blocklist.FormatURLhaus, []string{"# text", "http://bad.example/a"}},
		{blocklist.FormatURLhaus, []string{"id,dateadded,url,url_status,last_online,threat,tags,urlhaus_link,reporter",
			`"1","2025-01-01 00:00:00","http://bad.example/","online","None","malware_download","None","https://urlhaus.abuse.ch/url/1/","x"`}},
		{blocklist.FormatAdblock, []string{"! Title: x", "||bad.example^"}},
		{blocklist.FormatAdblock, []string{"[Adblock Plus 2.0]", "bad.example"}},
		{blocklist.FormatAdblock, []string{"site.example##.ad", "||bad.example^$all"}},
		{blocklist.FormatAdblock, []string{"@@||good.example^", "|bad.example^"}},
		{blocklist.FormatRPZ, []string{"$TTL 30", "@ IN SOA . . 1 2 3 4 5", "bad.example CNAME ."}},
		{blocklist.FormatRPZ, []string{"; zone", "bad.example CNAME ."}},
		{blocklist.FormatRPZ, []string{"rpz.local. 60 IN SOA . . 1 2 3 4 5", "bad.example.rpz.local. 60 IN CNAME ."}},
		{blocklist.FormatDnsmasq, []string{"# x", "address=/bad.example/0.0.0.0"}},
		{blocklist.FormatDnsmasq, []string{"local=/bad.example/"}},
		{blocklist.FormatUnbound, []string{"server:", `local-zone: "bad.example" always_null`}},
		{blocklist.FormatBIND, []string{"# BIND", `zone "bad.example" { type master; file "null"; };`}},
		{blocklist.FormatThreatFox, []string{foxRow("bad.example", "domain", "100")}},
	} {
		l := load(t, blocklist.Config{Name: "auto", File: file(t, c.lines...)})
		if got := list(t, l, "auto").Format; got != c.want {
			t.Errorf("%q: detected %s, want %s", c.lines, got, c.want)
		}
		if c.want != blocklist.FormatDomains || strings.Contains(c.lines[len(c.lines)-1], "bad") {
			if got := hits(l, "bad.example"); len(got) != 1 {
				t.Errorf("%q: bad.example has hits %q, want one", c.lines, got)
			}
		}
	}
}

func TestRefusedLinesAreCountedByReason(t *testing.T) {
	good := strings.Split(strings.Repeat("good.example\n", 60), "\n")[:60]
	l := load(t, blocklist.Config{Name: "d", File: file(t, append(good,
		"two words", "under_score.example", "a..example", strings.Repeat("x", 64)+".example", // 3 no names
		strings.Repeat("long", 1100)+".example", // long_line
		"# "+strings.Repeat("long comments are fine", 4000),
		"*.192.0.2.1", "12345", "1.2.3.0x1f", // ip_as_name
		"10.0.0.1", "127.0.0.1", "fe80::1", "0.0.0.0", // private_address
		"com", "co.uk", "*.github.io", ".duckdns.org", "..", // public_suffix
		"-", "localhost", "*.corp", // single_label
	)...)})
	wantRejected(t, l, "d", map[blocklist.Reason]int{
		blocklist.NotAName: 3, blocklist.LongLine: 1, blocklist.IPAsName: 3,
		blocklist.PrivateAddress: 4, blocklist.PublicSuffix: 5, blocklist.SingleLabel: 3,
	})
	for _, name := range []string{"com", "x.com", "x.co.uk", "tenant.github.io", "localhost", "a.corp"} {
		wantHits(t, l, name)
	}
	wantHits(t, l, "under_score.example", "d under_score.example")

	h := load(t, blocklist.Config{Name: "h", File: file(t,
		"127.0.0.1 localhost", "::1 ip6-localhost ip6-loopback", "0.0.0.0 0.0.0.0", "255.255.255.255 broadcasthost",
		"0.0.0.0 good.example com")})
	wantRejected(t, h, "h", map[blocklist.Reason]int{
		blocklist.SingleLabel: 4, blocklist.IPAsName: 1, blocklist.PublicSuffix: 1,
	})
	wantHits(t, h, "good.example", "h good.example")
}

func TestURLsAreReadAsBrowsersDo(t *testing.T) {
	l := load(t, blocklist.Config{Name: "u", Format: blocklist.FormatURLhaus, Inline: []string{
		"http://plain.example/a.exe",
		"HTTPS://Port.Example:8443/?q=http://other.example/",
		"http://user:pa:ss@userinfo.example/x",
		"http://info@192.0.2.7/",
		"http://[2001:db8::9]:8080/x",
		`http://backslash.example\@after.example/`,
		"http://bad-escape.example/%zz%",
		"http://bücher.example/",
		"ftp://ftp.example.net/x",
		"http://dot.example./",
	}})
	for _, name := range []string{"plain", "port", "userinfo", "backslash", "bad-escape", "xn--bcher-kva", "dot"} {
		wantHits(t, l, name+".example", "u "+name+".example")
		wantHits(t, l, "www."+name+".example")
	}
	wantHits(t, l, "ftp.example.net", "u ftp.example.net")
	wantAddrHits(t, l, "192.0.2.7", "u 192.0.2.7")
	wantAddrHits(t, l, "2001:db8::9", "u 2001:db8::9")
	for _, name := range []string{"info", "other.example", "after.example", "x.info"} {
		wantHits(t, l, name)
	}
}

func TestURLhausRowsOfOneHostAreJoined(t *testing.T) {
	row := func(id, date, url, tags string) string {
		return `"` + strings.Join([]string{id, date, url, "online", "None", "malware_download", tags,
			"https://urlhaus.abuse.ch/url/" + id + "/", "me"}, `","`) + `"`
	}
	l := load(t, blocklist.Config{Name: "u", File: file(t,
		row("7", "2025-01-02 00:00:00", "http://one.example/a", "exe,AgentTesla"),
		row("9", "2025-01-09 00:00:00", "http://one.example/b", "AgentTesla,zip"),
		row("8", "2025-01-05 00:00:00", "http://one.example/c", "None"),
		row("5", "2025-01-05 00:00:00", "http://hostile.example/", "a b\tc,\"\"quoted\"\",\xff"),
		row("4", "2025-01-05 00:00:00", "http://many.example/", strings.Repeat("taggedtaggedtagged1,taggedtaggedtagged2,", 50)),
		row("3", "2025-01-05 00:00:00", "http://many.example/", "a1234567890,b1234567890,c,d,e,f,g,h,i,j,k"),
		`"2","2019-01-01 00:00:00","http://old.example/","offline","malware_download","exe","https://urlhaus.abuse.ch/url/2/","me"`,
	)})
	wantHits(t, l, "one.example", "u one.example malware_download exe,AgentTesla,zip https://urlhaus.abuse.ch/url/9/ 2025-01-09")
	wantHits(t, l, "hostile.example", `u hostile.example malware_download a_b_c,"quoted",_ https://urlhaus.abuse.ch/url/5/ 2025-01-05`)
	wantHits(t, l, "old.example", "u old.example malware_download exe https://urlhaus.abuse.ch/url/2/ 2019-01-01")
	got := hits(l, "many.example")
	if len(got) != 1 || len(got[0]) > len("u many.example ")+256 || !strings.HasSuffix(got[0], " https://urlhaus.abuse.ch/url/4/ 2025-01-05") {
		t.Errorf("hits %q, want one whose info ends in link and date and is at most 256 octets", got)
	}
}

func TestBrokenRowsDoNotSwallowTheNext(t *testing.T) {
	lines := []string{`"1","2025-01-01","http://never-closed.example/`}
	for range 12 {
		lines = append(lines, `"2","2025-01-01 00:00:00","http://good.example/","online","None","malware_download","None","https://urlhaus.abuse.ch/url/2/","x"`)
	}
	l := load(t, blocklist.Config{Name: "u", File: file(t, lines...)})
	wantHits(t, l, "good.example", "u good.example malware_download https://urlhaus.abuse.ch/url/2/ 2025-01-01")
	wantRejected(t, l, "u", map[blocklist.Reason]int{blocklist.BadRow: 1})
}

func TestSharedPlatformsAreOnlyObservedInURLLists(t *testing.T) {
	urls := blocklist.Config{Name: "urls", Inline: []string{
		"https://github.com/x", "https://raw.githubusercontent.com/x", "https://drive.google.com/x",
		"https://cdn.discordapp.com/x", "https://ia600705.us.archive.org/x", "https://tenant.github.io/x", "https://evil.example/x"}}
	l := load(t, urls, blocklist.Config{Name: "names", Inline: []string{"github.com"}})
	wantHits(t, l, "github.com", "urls github.com observe", "names github.com")
	for _, name := range []string{"raw.githubusercontent.com", "drive.google.com", "cdn.discordapp.com", "ia600705.us.archive.org"} {
		wantHits(t, l, name, "urls "+name+" observe")
	}
	wantHits(t, l, "tenant.github.io", "urls tenant.github.io")
	wantHits(t, l, "evil.example", "urls evil.example")
}

// The walk-through of the Databricks notebooks: the name is found in the feed,
// and the feed says Agent Tesla.
func TestAgentTeslaScenario(t *testing.T) {
	l := load(t, blocklist.Config{Name: "urlhaus", File: "../testdata/scenario/urlhaus_agenttesla.csv"})
	wantHits(t, l, "ns1.asdklgb.cf", "urlhaus ns1.asdklgb.cf malware_download AgentTesla,exe,zip https://urlhaus.abuse.ch/url/912/ 2020-08-27")
	// The notebooks joined on the bare label: other names with it are not in the feed.
	wantHits(t, l, "asdklgb.cf")
	wantHits(t, l, "asdklgb.com")
	wantHits(t, l, "github.com", "urlhaus github.com observe malware_download AgentTesla,exe https://urlhaus.abuse.ch/url/908/ 2020-08-25")
	wantHits(t, l, "drive.google.com", "urlhaus drive.google.com observe malware_download GuLoader https://urlhaus.abuse.ch/url/907/ 2020-08-25")
	wantHits(t, l, "docs.google.com")
	wantHits(t, l, "files.dropped.example", "urlhaus files.dropped.example malware_download doc,emotet https://urlhaus.abuse.ch/url/906/ 2020-08-25")
	wantHits(t, l, "info")
	wantHits(t, l, "anything.info")
	wantAddrHits(t, l, "192.0.2.7", "urlhaus 192.0.2.7 malware_download https://urlhaus.abuse.ch/url/909/ 2020-08-26")
	wantAddrHits(t, l, "2001:db8::66", "urlhaus 2001:db8::66 malware_download elf https://urlhaus.abuse.ch/url/903/ 2020-08-23")
	wantAddrHits(t, l, "10.0.0.8")
	wantRejected(t, l, "urlhaus", map[blocklist.Reason]int{blocklist.PrivateAddress: 1})
	if v := list(t, l, "urlhaus"); v.Entries != 7 || v.Addresses != 3 {
		t.Errorf("%d names and %d addresses, want 7 and 3", v.Entries, v.Addresses)
	}
}
