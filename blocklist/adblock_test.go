package blocklist_test

import (
	"testing"

	"github.com/weirdns/weir/blocklist"
)

func TestAdblockReadsWhatSpeaksOfHosts(t *testing.T) {
	l := load(t, blocklist.Config{Name: "a", File: file(t,
		"[Adblock Plus 2.0]", "! Title: x", "# also a comment", "",
		"||bad.example^", "||all.example^$all", "||bare.example", "||ended.example|", "||star.example^*", "||dot.example.^", "||*.belowdot.example.^",
		"|only.example^", "||*.below.example^", "plain.example", "*.plainstar.example # why",
		"0.0.0.0 hosts.example", "||192.0.2.7^", "||[2001:db8::7]^", "192.0.2.8",
		// What is for browsers:
		"bad.example##.banner", "##.ad", "x.example,y.example#@#.ad", "x.example#?#.ad", "x.example#$#body { }", // 5 cosmetic
		"||url.example/path^", "||url.example^path", "||url.example:8080^", "/ads/banner.gif", "?ad=", "|https://url.example^", // 6 url_rule
		"/ads\\.[0-9]+\\.example$/", "/^ads.*/$script", "/a(?=b)/", "/.*\\.com/", "/^(ab){1001}$/", "||ads*.example^", "||ads.", "-banner.", "ads^", // pattern, modifier, 2 bad, public_suffix
		"||mod.example^$third-party", "||mod.example^$domain=x.example", "||mod.example^$important,dnstype=A",
		"@@||bad.example^$elemhide", "||mod.example^$denyallow", "||mod.example^$badfilter", // 6 modifier
		"||com^", "@@||co.uk^", "*$all", // 2 public_suffix, 1 pattern
		"||10.0.0.1^", "||localhost^", "||^", "@@", "two words", // private_address, single_label, 3 bad
	)})
	if v := list(t, l, "a"); v.Format != blocklist.FormatAdblock || v.Entries != 12 || v.Addresses != 3 {
		t.Errorf("format %s, %d names, %d addresses; want adblock, 12 and 3", v.Format, v.Entries, v.Addresses)
	}
	wantRejected(t, l, "a", map[blocklist.Reason]int{
		blocklist.Cosmetic: 5, blocklist.URLRule: 6, blocklist.Pattern: 5, blocklist.Modifier: 7, blocklist.CostlyPattern: 1,
		blocklist.PublicSuffix: 3, blocklist.PrivateAddress: 1, blocklist.SingleLabel: 1, blocklist.BadRule: 2, blocklist.NotAName: 2,
	})
	for _, n := range []string{"bad", "all", "bare", "ended", "star", "dot", "plain", "hosts"} {
		wantWishes(t, l, n+".example", n+".example as list")
		wantWishes(t, l, "x."+n+".example", n+".example as list")
	}
	wantWishes(t, l, "www.ads.33.example", `/ads\.[0-9]+\.example$/ as list`)
	wantWishes(t, l, "only.example", "only.example as list")
	wantWishes(t, l, "x.only.example")
	wantWishes(t, l, "below.example")
	wantWishes(t, l, "x.below.example", "*.below.example as list")
	wantWishes(t, l, "belowdot.example")
	wantWishes(t, l, "x.belowdot.example", "*.belowdot.example as list")
	wantWishes(t, l, "plainstar.example")
	wantWishes(t, l, "x.plainstar.example", "*.plainstar.example as list")
	for _, n := range []string{"192.0.2.7", "2001:db8::7", "192.0.2.8"} {
		wantWishes(t, l, n, n+" as list")
	}
	for _, n := range []string{"x.example", "url.example", "mod.example", "ads.example", "www.com"} {
		wantWishes(t, l, n)
	}
}

func TestExceptionsCountMoreThanBlocks(t *testing.T) {
	l := load(t, blocklist.Config{Name: "a", Inline: []string{
		"||ads.example^", "@@||good.ads.example^", "||evil.good.ads.example^",
		"||must.good.ads.example^$important", "@@||never.must.good.ads.example^$important",
		"||same.example^", "@@||same.example^", "||one.example^", "@@|one.example^",
		"||deny.example^$denyallow=ok.deny.example|elsewhere.example", "||bad.ok.deny.example^",
		"@@192.0.2.7", "192.0.2.7", "192.0.2.8",
	}})
	wantWishes(t, l, "x.ads.example", "ads.example as list")
	wantWishes(t, l, "good.ads.example", "@@good.ads.example passthru", "ads.example as list overruled")
	wantWishes(t, l, "evil.good.ads.example", "evil.good.ads.example as list overruled", "@@good.ads.example passthru", "ads.example as list overruled")
	wantWishes(t, l, "must.good.ads.example", "must.good.ads.example as list", "@@good.ads.example passthru overruled", "ads.example as list")
	wantWishes(t, l, "never.must.good.ads.example", "@@never.must.good.ads.example passthru",
		"must.good.ads.example as list overruled", "@@good.ads.example passthru overruled", "ads.example as list overruled")
	wantWishes(t, l, "x.same.example", "@@same.example passthru")
	wantWishes(t, l, "one.example", "@@one.example passthru")
	wantWishes(t, l, "x.one.example", "*.one.example as list")
	wantWishes(t, l, "deny.example", "deny.example as list")
	wantWishes(t, l, "a.ok.deny.example", "@@ok.deny.example passthru", "deny.example as list overruled")
	wantWishes(t, l, "bad.ok.deny.example", "bad.ok.deny.example as list", "@@ok.deny.example passthru overruled", "deny.example as list")
	wantWishes(t, l, "elsewhere.example")
	wantWishes(t, l, "192.0.2.7", "@@192.0.2.7 passthru")
	wantWishes(t, l, "192.0.2.8", "192.0.2.8 as list")
	if got := list(t, l, "a").Passes; got != 6 {
		t.Errorf("%d entries let pass, want 6", got)
	}
}

// In an allow list everything allows; what blocks elsewhere and what is an
// exception there are the same.
func TestInAnAllowListEveryEntryAllows(t *testing.T) {
	l := load(t, blocklist.Config{Name: "a", Kind: blocklist.Allow, Inline: []string{"@@||fine.example^", "||good.example^"}},
		blocklist.Config{Name: "r", Kind: blocklist.Allow, Inline: []string{"rpz.example CNAME rpz-passthru.", "drop.example CNAME rpz-drop."}})
	for _, n := range []string{"fine.example", "good.example", "rpz.example", "drop.example"} {
		wantWishes(t, l, n, n+" as list")
	}
}

// A hides-a-banner rule is not a name with a comment behind it, whatever the
// list is taken for.
func TestACosmeticRuleBlocksNobody(t *testing.T) {
	for _, f := range []blocklist.Format{blocklist.FormatAuto, blocklist.FormatDomains, blocklist.FormatAdblock} {
		l := load(t, blocklist.Config{Name: "a", Format: f, File: file(t, "bank.example##.banner", "bad.example#why", "worse.example # ## why")})
		wantWishes(t, l, "bank.example")
		wantWishes(t, l, "worse.example", "worse.example as list")
		wantRejected(t, l, "a", map[blocklist.Reason]int{blocklist.Cosmetic: 1})
	}
}

// Lists for browsers begin with names and go on with rules.
func TestAListOfNamesMayTurnOutToHaveRules(t *testing.T) {
	l := load(t, blocklist.Config{Name: "a", File: file(t, "plain.example", "192.0.2.7", "||rule.example/path^$all", "||rule2.example^")})
	wantWishes(t, l, "x.plain.example", "plain.example as list")
	wantWishes(t, l, "x.rule2.example", "rule2.example as list")
	wantWishes(t, l, "rule.example")
	if got := list(t, l, "a").Format; got != blocklist.FormatAdblock {
		t.Errorf("format %s, want adblock", got)
	}
}
