package blocklist_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/weirdns/weir/blocklist"
	"github.com/weirdns/weir/internal/dnsname"
)

// zoneFile is a policy zone with every action, trigger and way to write a name.
var zoneFile = []string{
	"; a policy zone",
	"$TTL 30",
	"$ORIGIN rpz.Local.",
	"@ IN SOA localhost. root.localhost. (",
	"  1 ; serial ) not yet",
	"  86400 3600 604800 30 )",
	"  NS localhost.",
	"nx.example CNAME .",
	"NoData.example 60 IN CNAME *.",
	"pass.example IN 60 CNAME rpz-passthru.",
	"oldpass.example CNAME oldpass.example.",
	"drop.example CNAME rpz-drop.",
	"tcp.example CNAME RPZ-TCP-Only.",
	"garden.example A 192.0.2.80",
	"               A 192.0.2.81",
	"               AAAA 2001:db8::80 ; and by IPv6",
	"zero.example A 0.0.0.0",
	"*.wild.example CNAME .",
	"both.example CNAME rpz-passthru.",
	"*.both.example CNAME .",
	"deep.pass.wild.example CNAME rpz-passthru.",
	"absolute.example.rpz.local. CNAME .",
	"32.7.2.0.192.rpz-ip CNAME .",
	"128.7.zz.db8.2001.rpz-ip CNAME rpz-drop.",
	"$ORIGIN sub.rpz.local.",
	"placed.example CNAME .", // stands for placed.example.sub
}

func TestRPZCarriesItsActions(t *testing.T) {
	l := load(t, blocklist.Config{Name: "r", File: file(t, zoneFile...)})
	if v := list(t, l, "r"); v.Format != blocklist.FormatRPZ || v.Rejected.Total() != 0 || v.Passes != 4 {
		t.Errorf("format %s, %d rejected, %d let pass; want rpz, 0 and 4", v.Format, v.Rejected.Total(), v.Passes)
	}
	for name, want := range map[string]string{
		"nx.example": "nx.example nxdomain", "nodata.example": "nodata.example nodata",
		"pass.example": "@@pass.example passthru", "oldpass.example": "@@oldpass.example passthru",
		"drop.example": "drop.example drop", "tcp.example": "tcp.example tcp only",
		"garden.example": "garden.example local [192.0.2.80 192.0.2.81] [2001:db8::80]",
		"zero.example":   "zero.example as list", "x.wild.example": "*.wild.example nxdomain",
		"both.example": "@@both.example passthru", "x.both.example": "*.both.example nxdomain",
		"absolute.example": "absolute.example nxdomain", "placed.example.sub": "placed.example.sub nxdomain",
		"192.0.2.7": "192.0.2.7 nxdomain", "2001:db8::7": "2001:db8::7 drop",
	} {
		wantWishes(t, l, name, want)
	}
	wantWishes(t, l, "deep.pass.wild.example", "@@deep.pass.wild.example passthru", "*.wild.example nxdomain overruled")
	for _, name := range []string{"x.nx.example", "wild.example", "x.pass.example", "localhost", "rpz.local"} {
		wantWishes(t, l, name)
	}
}

// The longest rule decides, whichever way: a zone may let a domain pass and
// block one name in it.
func TestInRPZTheLongestRuleDecides(t *testing.T) {
	l := load(t, blocklist.Config{Name: "r", File: file(t, "*.example.net CNAME rpz-passthru.", "bad.example.net CNAME .", "*.bad.example.net CNAME *.")})
	wantWishes(t, l, "ok.example.net", "@@*.example.net passthru")
	wantWishes(t, l, "bad.example.net", "bad.example.net nxdomain", "@@*.example.net passthru overruled")
	wantWishes(t, l, "x.bad.example.net", "*.bad.example.net nodata", "@@*.example.net passthru overruled")
}

func TestRPZSkipsAndCountsTheRest(t *testing.T) {
	good := strings.Split(strings.Repeat("good.example CNAME .\n", 60), "\n")[:60]
	l := load(t, blocklist.Config{Name: "r", File: file(t, append([]string{"rpz.local. 60 IN SOA . . 1 2 3 4 5"}, append(relative(good),
		"24.0.1.168.192.rpz-client-ip.rpz.local. CNAME .",
		"ns1.example.rpz-nsdname.rpz.local. CNAME .", "32.1.2.0.192.rpz-nsip.rpz.local. CNAME .",
		"4.0.0.0.192.rpz-ip.rpz.local. CNAME .", "0.0.0.0.0.rpz-client-ip.rpz.local. CNAME .",
		"32.1.0.0.10.rpz-ip.rpz.local. CNAME .",
		"x.example.rpz.local. CNAME garden.example.", "y.example.rpz.local. TXT \"no; thanks\"", "z.example.rpz.local. CNAME rpz-passthru", "$INCLUDE /etc/passwd", "$GENERATE 1-9 $.x.example A 192.0.2.$",
		"bad.example. CNAME .",
		"com.rpz.local. CNAME .", "*.co.uk.rpz.local. CNAME rpz-drop.",
		"no record", "32.300.2.0.192.rpz-ip.rpz.local. CNAME .", "y.example.rpz.local. CNAME (",
	)...)...)})
	wantRejected(t, l, "r", map[blocklist.Reason]int{
		blocklist.ServerTrigger: 2, blocklist.AddressRange: 2, blocklist.PrivateAddress: 1,
		blocklist.Unsupported: 5, blocklist.OutOfZone: 1, blocklist.PublicSuffix: 2, blocklist.BadRule: 3,
	})
	wantWishes(t, l, "good.example", "good.example nxdomain")
	wantWishes(t, l, "bad.example")
}

// relative puts names into the zone rpz.local.
func relative(records []string) (out []string) {
	for _, r := range records {
		name, rest, _ := strings.Cut(r, " ")
		out = append(out, name+".rpz.local. "+rest)
	}
	return out
}

// One stray parenthesis costs a few lines, not the rest of the zone.
func TestAnOpenParenthesisEnds(t *testing.T) {
	lines := []string{"@ SOA . . ( 1"}
	for i := range 200 {
		lines = append(lines, fmt.Sprintf("n%d.example CNAME .", i))
	}
	l := load(t, blocklist.Config{Name: "r", Format: blocklist.FormatRPZ, File: file(t, lines...)})
	wantRejected(t, l, "r", map[blocklist.Reason]int{blocklist.BadRule: 1})
	if got := list(t, l, "r").Entries; got < 180 {
		t.Errorf("%d names of 200, want nearly all", got)
	}
}

func TestLocalDataIsBounded(t *testing.T) {
	var lines []string
	for i := range 10 {
		lines = append(lines, fmt.Sprintf("many.example A 192.0.2.%d", i+1))
	}
	l := load(t, blocklist.Config{Name: "r", File: file(t, lines...)})
	wantRejected(t, l, "r", map[blocklist.Reason]int{blocklist.TooManyAddresses: 2})
	wantWishes(t, l, "many.example", "many.example local [192.0.2.1 192.0.2.2 192.0.2.3 192.0.2.4 192.0.2.5 192.0.2.6 192.0.2.7 192.0.2.8] []")
	lines = nil
	for i := range 5000 {
		lines = append(lines, fmt.Sprintf("n%d.example A 198.51.%d.%d", i, i/250, i%250))
	}
	l = load(t, blocklist.Config{Name: "r", File: file(t, lines...)})
	wantRejected(t, l, "r", map[blocklist.Reason]int{blocklist.TooManyAddresses: 5000 - 4096})
}

// Who holds a feed must not be able to send clients to a host of his choice.
func TestAFeedsLocalDataOnlyBlocksUnlessAllowed(t *testing.T) {
	for _, c := range []struct {
		allow bool
		want  string
	}{
		{false, "bank.example as list"},
		{true, "bank.example local [203.0.113.66] []"},
	} {
		f := newFeed(t, text("bank.example A 203.0.113.66\nnx.example CNAME .\n"))
		cfg := f.cfg
		cfg.AllowLocalData = c.allow
		if err := f.Reconfigure([]blocklist.Config{cfg}); err != nil {
			t.Fatal(err)
		}
		if err := f.Refresh(t.Context(), "feed"); err != nil {
			t.Fatal(err)
		}
		wantWishes(t, f.Lists, "bank.example", c.want)
		wantWishes(t, f.Lists, "nx.example", "nx.example nxdomain")
	}
}

func TestRPZMatchesNetworksOfAnswers(t *testing.T) {
	l := load(t, blocklist.Config{Name: "r", File: file(t, "$ORIGIN rpz.local.",
		"24.0.2.0.192.rpz-ip CNAME .", "32.7.2.0.192.rpz-ip CNAME rpz-passthru.", "26.64.2.0.192.rpz-ip CNAME *.",
		"48.zz.1.db8.2001.rpz-ip CNAME rpz-drop.", "61.zz.8.2.db8.2001.rpz-ip CNAME .")})
	for addr, want := range map[string]string{
		"192.0.2.1": "192.0.2.0/24 nxdomain", "192.0.2.255": "192.0.2.0/24 nxdomain", "192.0.2.7": "@@192.0.2.7 passthru",
		"192.0.2.64": "192.0.2.64/26 nodata", "192.0.2.127": "192.0.2.64/26 nodata", "192.0.2.128": "192.0.2.0/24 nxdomain",
		"2001:db8:1:ffff::1": "2001:db8:1::/48 drop", "2001:db8:2:8::1": "2001:db8:2:8::/61 nxdomain", "2001:db8:2:f::1": "2001:db8:2:8::/61 nxdomain",
		"::ffff:192.0.2.1": "192.0.2.0/24 nxdomain",
	} {
		wantWishes(t, l, addr, want)
	}
	for _, addr := range []string{"192.0.3.1", "192.0.1.255", "2001:db8::1", "2001:db8:2:10::1", "2001:db8:2:7::1"} {
		wantWishes(t, l, addr)
	}
}

func TestRPZMatchesClients(t *testing.T) {
	zone := []string{"$ORIGIN rpz.local.", "24.0.1.168.192.rpz-client-ip CNAME rpz-drop.", "32.9.1.168.192.rpz-client-ip CNAME rpz-passthru.",
		"64.zz.db8.2001.rpz-client-ip CNAME .", "bad.example CNAME *."}
	l := load(t, blocklist.Config{Name: "r", File: file(t, zone...)}, blocklist.Config{Name: "d", Inline: []string{"bad.example"}})
	for _, c := range []struct {
		client, name string
		want         []string
	}{
		{"192.168.1.7", "ok.example", []string{"r client 192.168.1.0/24"}},
		{"192.168.1.7", "bad.example", []string{"r client 192.168.1.0/24", "r bad.example", "d bad.example"}},
		{"192.168.1.9", "bad.example", []string{"r @@client 192.168.1.9", "r bad.example overruled", "d bad.example"}},
		{"192.168.2.7", "bad.example", []string{"r bad.example", "d bad.example"}},
		{"::ffff:192.168.1.7", "ok.example", []string{"r client 192.168.1.0/24"}},
		{"2001:db8::5", "ok.example", []string{"r client 2001:db8::/64"}},
		{"2001:db8:1::5", "ok.example", nil},
	} {
		var got []string
		for _, h := range l.Snapshot().MatchFrom(nil, dnsname.MustParse(c.name), netip.MustParseAddr(c.client)) {
			text := h.List.Name + " " + h.Rule
			if h.Overruled {
				text += " overruled"
			}
			got = append(got, text)
		}
		if fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%s asks for %s: %q, want %q", c.client, c.name, got, c.want)
		}
	}
	wantAddrHits(t, l, "192.168.1.7") // an answer is no client
	wantHits(t, l, "bad.example", "r bad.example", "d bad.example")
}

// A feed knows nothing of a user's clients.
func TestAURLSaysNothingOfClients(t *testing.T) {
	c := blocklist.Config{Name: "r", URL: "https://feed.example/", Format: blocklist.FormatRPZ}
	check := func(want int) {
		t.Helper()
		r, err := blocklist.Check(strings.NewReader("24.0.1.168.192.rpz-client-ip CNAME rpz-drop."), &c, func(blocklist.RefusedLine) {})
		if err != nil || r.Addresses != want || r.Rejected[blocklist.ClientTrigger] != 1-want {
			t.Errorf("%d networks, %d client triggers refused, error %v; want %d, %d", r.Addresses, r.Rejected[blocklist.ClientTrigger], err, want, 1-want)
		}
	}
	check(0)
	c.AllowLocalData = true
	check(1)
}

func TestRPZKeepsWhatURLhausSays(t *testing.T) {
	l := load(t, blocklist.Config{Name: "r", File: file(t, "$ORIGIN rpz.urlhaus.abuse.ch.",
		"bad.example CNAME . ; Malware download (2025-07-19), see https://urlhaus.abuse.ch/host/bad.example/",
		"plain.example CNAME . ; not for machines", "next.example CNAME .")})
	wantHits(t, l, "bad.example", "r bad.example malware_download https://urlhaus.abuse.ch/host/bad.example/ 2025-07-19")
	wantHits(t, l, "plain.example", "r plain.example")
	wantHits(t, l, "next.example", "r next.example")
}
