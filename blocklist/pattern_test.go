package blocklist_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weirdns/weir/blocklist"
	"github.com/weirdns/weir/internal/dnsname"
)

func TestRegularExpressions(t *testing.T) {
	l := load(t, blocklist.Config{Name: "p", Format: blocklist.FormatRegex, File: file(t,
		`^ad[sx]?[0-9]*\.`, `tracker\.example\.(com|net)$`, `(^|\.)Casino[a-z]+\.`, `^[0-9a-f]{32}\.`, "# a comment", `xn--`, `telemetry`, `telemetry.*[.]evil`)},
		blocklist.Config{Name: "d", Inline: []string{"ads.example.com"}})
	for name, want := range map[string][]string{
		"ads12.example.org":                            {`p /^ad[sx]?[0-9]*\./`},
		"ads.example.com":                              {`p /^ad[sx]?[0-9]*\./`, "d ads.example.com"},
		"www.ads.example.org":                          nil,
		"a.tracker.example.net":                        {`p /tracker\.example\.(com|net)$/`},
		"tracker.example.net.example.org":              nil,
		"tracker.tracker.example.com":                  {`p /tracker\.example\.(com|net)$/`},
		"www.casinoroyal.example":                      {`p /(^|\.)Casino[a-z]+\./`},
		"d41d8cd98f00b204e9800998ecf8427e.example.org": {`p /^[0-9a-f]{32}\./`},
		"xn--80ak6aa92e.example":                       {"p /xn--/"},
		"a.telemetry.evil":                             {"p /telemetry/", "p /telemetry.*[.]evil/"},
		"telemetr.evil":                                nil,
		"ad":                                           nil,
		".":                                            nil,
	} {
		wantHits(t, l, name, want...)
	}
	if v := list(t, l, "p"); v.Patterns != 7 || v.Entries != 0 {
		t.Errorf("%d patterns and %d names, want 7 and 0", v.Patterns, v.Entries)
	}
}

func TestRegularExpressionsAreBounded(t *testing.T) {
	var lines []string
	for i := range 1100 {
		lines = append(lines, fmt.Sprintf("evil-%d-", i))
	}
	for i := range 20 {
		lines = append(lines, fmt.Sprintf("^[a-f]{%d}x", i+3))
	}
	lines = append(lines, "(", "(?<=x)y", `\C`, strings.Repeat("a", 600), "((a{100}){100}){100}", "(([a-z]{9}x){9}y){9}z",
		".*", ".", "^", `\.com$`, `^.+\.co\.uk$`, "[a-z0-9.-]+", "feed")
	l := load(t, blocklist.Config{Name: "p", Format: blocklist.FormatRegex, File: file(t, lines...)},
		blocklist.Config{Name: "f", URL: "https://feed.example/x"})
	wantRejected(t, l, "p", map[blocklist.Reason]int{
		blocklist.CostlyPattern: 1100 - 1024 + 20 + 3, blocklist.BadRule: 3, blocklist.PublicSuffix: 6, blocklist.OwnHost: 1,
	})
	if got := list(t, l, "p").Patterns; got != 1024 {
		t.Errorf("%d patterns, want 1024", got)
	}
	l = load(t, blocklist.Config{Name: "p", Format: blocklist.FormatRegex, File: file(t, lines[1100:1120]...)})
	if got := list(t, l, "p").Patterns; got != 16 {
		t.Errorf("%d patterns that are tried on every name, want 16", got)
	}
}

func TestAllowListsMayHavePatternsOfAnyWidth(t *testing.T) {
	l := load(t, blocklist.Config{Name: "a", Kind: blocklist.Allow, Format: blocklist.FormatRegex, Inline: []string{`\.com$`}})
	wantHits(t, l, "x.com", `a /\.com$/`)
}

func TestExceptionsMayBePatterns(t *testing.T) {
	l := load(t, blocklist.Config{Name: "a", File: file(t, "||example.com^", `@@/^(www|static)\.example\.com$/`, `/banner/$important`)})
	wantWishes(t, l, "x.example.com", "example.com as list")
	wantWishes(t, l, "www.example.com", "example.com as list overruled", `@@/^(www|static)\.example\.com$/ passthru`)
	wantWishes(t, l, "banner.example.com", "example.com as list", "/banner/ as list")
}

func TestPatternsSurviveARestart(t *testing.T) {
	path := file(t, append([]string{"||first.example^", "/^evil[0-9]+[.]/"}, synthetic(40_000)...)...)
	old(t, path)
	dir := filepath.Join(t.TempDir(), "lists")
	cfg := blocklist.Config{Name: "big", File: path}
	restart(t, dir, cfg)
	before, _ := os.Stat(compiled(t, dir))
	l, _ := restart(t, dir, cfg)
	if after, err := os.Stat(compiled(t, dir)); err != nil || !os.SameFile(before, after) {
		t.Fatal("made anew")
	}
	wantHits(t, l, "evil7.example.com", "big /^evil[0-9]+[.]/")
	if got := list(t, l, "big").Patterns; got != 1 {
		t.Errorf("%d patterns, want 1", got)
	}
}

func TestPatternsThatDoNotFitDoNotAllocate(t *testing.T) {
	if raced {
		t.Skip("the race detector empties pools")
	}
	l := load(t, blocklist.Config{Name: "p", Format: blocklist.FormatRegex, File: file(t, `evil[0-9]+\.example`, `^ad[sx]`, `casino`)})
	s, dst := l.Snapshot(), make([]blocklist.Hit, 0, 8)
	for _, n := range []string{"www.example.com", "evil77.example", "evilx.example"} {
		name := dnsname.MustParse(n)
		if got := testing.AllocsPerRun(200, func() { dst = s.Match(dst[:0], name) }); got > 0 {
			t.Errorf("%s: %v allocations a lookup, want 0", n, got)
		}
	}
}
