package detect_test

import (
	"strings"
	"testing"

	"github.com/weirdns/weir/blocklist"
	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/detect/lookalike"
)

func TestAnImitationIsWatchedUntilItIsEnforced(t *testing.T) {
	v := inspect(newDetector(t, setup{}), "paypa1.com")
	if v.Lookalike.Brand != "paypal.com" || v.Lookalike.Kind != lookalike.KindHomoglyph || v.Origin != detect.OriginLookalike || v.Action != detect.ZeroIP || v.Blocks() {
		t.Errorf("by default: %s, %+v; want the imitation recorded and nothing blocked", brief(v), v.Lookalike)
	}
	d := newDetector(t, setup{
		lists: []blocklist.Config{inline("mine", blocklist.Allow, "paypal-login.com")},
		change: func(c *detect.Config) {
			c.Lookalike.Mode, c.Lookalike.Action = detect.ModeEnforce, "nxdomain"
			c.Lookalike.Brands, c.Lookalike.Owned = []string{"weir-example.com"}, []string{"weir-examp1e.com"}
		},
	})
	for _, tt := range []struct {
		name  string
		block bool
		brand string
	}{
		{"paypa1.com", true, "paypal.com"},
		{"paypa1.com", true, "paypal.com"}, // and from the cache
		{"www.paypal.com.evil.example.net", true, "paypal.com"},
		{"xn--pypal-4ve.com", true, "paypal.com"}, // which the model does not score
		{"weir-exarnple.com", false, "weir-example.com"},
		{"we1r-example.com", true, "weir-example.com"},
		{"weir-examp1e.com", false, ""},
		{"paypal.com", false, ""},
		{"paypal-login.com", false, ""}, // allowed: nobody else is asked
		{"faceboook.com", false, "facebook.com"},
		{"example.org", false, ""},
	} {
		v := inspect(d, tt.name)
		if v.Blocks() != tt.block || v.Lookalike.Brand != tt.brand || tt.block && v.Action != detect.NXDOMAIN {
			t.Errorf("%s: %s, %+v; want blocked %v, like %q", tt.name, brief(v), v.Lookalike, tt.block, tt.brand)
		}
	}
	off := newDetector(t, setup{change: func(c *detect.Config) { c.Lookalike.Mode = detect.ModeOff }})
	if v := inspect(off, "paypa1.com"); v.Lookalike != (lookalike.Match{}) {
		t.Errorf("switched off: %+v, want nothing", v.Lookalike)
	}
	alone := newDetector(t, setup{noModel: true})
	if v := inspect(alone, "paypa1.com"); v.Origin != detect.OriginLookalike || v.Unscored != detect.NoModel {
		t.Errorf("without a model: %s %s, want the imitation all the same", brief(v), v.Unscored)
	}
}

func TestAListStandsBeforeAnImitation(t *testing.T) {
	d := newDetector(t, setup{
		lists:  []blocklist.Config{inline("bad", blocklist.Block, "paypa1.com")},
		change: func(c *detect.Config) { c.Lookalike.Mode = detect.ModeEnforce },
	})
	if v := inspect(d, "paypa1.com"); v.Origin != detect.OriginBlockList || v.Lookalike.Brand != "paypal.com" {
		t.Errorf("%s, %+v: want the list to decide and the imitation recorded", brief(v), v.Lookalike)
	}
}

func TestEveryMistakeInBrandsIsNamed(t *testing.T) {
	c := detect.DefaultConfig()
	c.Lookalike = detect.LookalikeConfig{Mode: "on", Grade: "huge", Brands: []string{"co.uk", "ok.com"}, Owned: []string{"no name"}}
	err := c.Validate()
	if err == nil {
		t.Fatal("four mistakes were taken")
	}
	for _, want := range []string{"lookalike.mode: ", "lookalike.grade: ", `lookalike: brand "co.uk"`, `owned "no name"`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
}
