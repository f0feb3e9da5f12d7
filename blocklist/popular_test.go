package blocklist_test

import (
	"testing"

	"github.com/weirdns/weir/blocklist"
	"github.com/weirdns/weir/internal/dnsname"
)

func TestPopularNamesAreOnlyObservedInURLLists(t *testing.T) {
	l := load(t, blocklist.Config{Name: "urls", Inline: []string{
		"https://paypal.com/x", "http://www.nytimes.com/x", "https://evil.nytimes.com/x", "https://mypaypal.com/x"}},
		blocklist.Config{Name: "hosts", Inline: []string{"0.0.0.0 paypal.com"}})
	wantHits(t, l, "paypal.com", "urls paypal.com observe", "hosts paypal.com")
	wantHits(t, l, "www.nytimes.com", "urls www.nytimes.com observe")
	wantHits(t, l, "evil.nytimes.com", "urls evil.nytimes.com")
	wantHits(t, l, "mypaypal.com", "urls mypaypal.com")
}

// known is names that somebody's own list of popular names has.
type known map[string]bool

func (k known) Has(name dnsname.Name) bool { return k[name.String()] }

func TestPopularNamesOfTheUsersOwn(t *testing.T) {
	l := load(t, blocklist.Config{Name: "urls", File: file(t,
		"http://site.example/x", "http://www.site.example/x", "http://evil.site.example/x", "http://other.example/x")},
		blocklist.Config{Name: "fox", File: file(t, foxRow("http://site.example/x", "url", "100"), foxRow("other.example", "domain", "100"))})
	l.SetPopular(known{"site.example": true, "other.example": true})
	for _, name := range []string{"site.example", "www.site.example"} {
		for _, h := range l.Snapshot().Match(nil, dnsname.MustParse(name)) {
			if !h.ObserveOnly {
				t.Errorf("%s of %s blocks a popular site", h.Rule, h.List.Name)
			}
		}
	}
	wantHits(t, l, "evil.site.example", "urls evil.site.example")
	for _, h := range l.Snapshot().Match(nil, dnsname.MustParse("other.example")) {
		if h.ObserveOnly != (h.List.Name == "urls") {
			t.Errorf("other.example: %s says observe: %t; what names the host itself means it", h.List.Name, h.ObserveOnly)
		}
	}
	l.SetPopular(nil)
	for _, h := range l.Snapshot().Match(nil, dnsname.MustParse("site.example")) {
		if h.ObserveOnly {
			t.Errorf("%s of %s is still only observed", h.Rule, h.List.Name)
		}
	}
}

// amazonaws.com is no public suffix, but there are some below it.
func TestNamesAbovePublicSuffixesAreRefused(t *testing.T) {
	l := load(t, blocklist.Config{Name: "d", File: file(t, "amazonaws.com", "*.amazonaws.com", "bad.example", "compute.amazonaws.com", "x.y.amazonaws.com")},
		blocklist.Config{Name: "h", Inline: []string{"0.0.0.0 amazonaws.com"}},
		blocklist.Config{Name: "a", Kind: blocklist.Allow, Inline: []string{"amazonaws.com"}})
	wantRejected(t, l, "d", map[blocklist.Reason]int{blocklist.PublicSuffix: 3})
	wantHits(t, l, "z.amazonaws.com", "a amazonaws.com")
	wantHits(t, l, "x.y.amazonaws.com", "d x.y.amazonaws.com", "a amazonaws.com")
	wantHits(t, l, "amazonaws.com", "h amazonaws.com", "a amazonaws.com")
}

func TestAListThatGrewIsHeld(t *testing.T) {
	f := newFeed(t, text(names(1200)))
	if err := f.Refresh(t.Context(), "feed"); err != nil {
		t.Fatal(err)
	}
	f.handler = text(names(6100))
	if err := f.Refresh(t.Context(), "feed"); err == nil {
		t.Error("a list with five times the entries was taken")
	}
	if got := list(t, f.Lists, "feed").Entries; got > 1200 {
		t.Errorf("%d entries serve, want the 1200 of before", got)
	}
	if got := f.count(t, "grown"); got != 1 {
		t.Errorf("counted %v times, want once", got)
	}
	f.handler = text(names(5900))
	if err := f.Refresh(t.Context(), "feed"); err != nil {
		t.Error(err)
	}
	f = newFeed(t, text(names(1200)), func(f *feed) { f.cfg.AllowGrow = true })
	if err := f.Refresh(t.Context(), "feed"); err != nil {
		t.Fatal(err)
	}
	f.handler = text(names(9000))
	if err := f.Refresh(t.Context(), "feed"); err != nil {
		t.Error(err)
	}
}
