package live_test

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/pdns/live"
	"github.com/weirdns/weir/pdns/privacy"
)

func TestTheLatestFindingsAreRemembered(t *testing.T) {
	f := live.NewFindings(privacy.Plain(privacy.Truncated))
	if got := f.Latest(); got == nil || len(got) != 0 {
		t.Errorf("at first: %v, want an empty list", got)
	}
	for i := range 600 {
		f.Find(&detect.Finding{
			Time: time.Date(2026, 3, 1, 12, 0, i%60, 0, time.UTC), Kind: detect.Tunnel, Level: detect.LevelHigh, Client: netip.MustParseAddr("192.0.2.77"),
			Name: dnsname.MustParse(fmt.Sprintf("x%d.example", i)), Evidence: []detect.Fact{{Key: "octets", Value: "10"}},
		})
	}
	got := f.Latest()
	if len(got) != 512 {
		t.Fatalf("%d findings, want 512", len(got))
	}
	var first struct {
		Kind, Level, Client, Name string
		Evidence                  map[string]string
	}
	if err := json.Unmarshal(got[0], &first); err != nil || first.Name != "x599.example" || first.Kind != "tunnel" || first.Client != "192.0.2.0/24" || first.Evidence["octets"] != "10" {
		t.Errorf("%s: %v", got[0], err)
	}
}
