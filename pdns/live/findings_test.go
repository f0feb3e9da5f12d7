package live_test

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
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

// After a restart the latest are those of the log: of closed files too, in order,
// without a line that a crash has cut.
func TestFindingsOfTheLastRun(t *testing.T) {
	dir := t.TempDir()
	f := live.NewFindings(privacy.Plain(privacy.Truncated))
	if err := f.Restore(filepath.Join(dir, "missing")); err != nil || len(f.Latest()) != 0 {
		t.Errorf("without a log: %v, %d findings", err, len(f.Latest()))
	}
	n := 0
	write := func(name string, lines int, tail string) {
		var b strings.Builder
		for range lines {
			fmt.Fprintf(&b, `{"kind":"tunnel","name":"x%d.example"}`+"\n", n)
			n++
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(b.String()+tail), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("findings-20260301T120000Z-000001.jsonl", 300, "")
	write("findings-20260301T130000Z-000002.jsonl", 300, "")
	write("findings.jsonl", 10, `{"kind":"tun`)
	write("transactions.jsonl", 5, "")
	if err := f.Restore(dir); err != nil {
		t.Fatal(err)
	}
	f.Find(&detect.Finding{Kind: detect.Tunnel, Name: dnsname.MustParse("now.example")})
	got := f.Latest()
	want := []string{"now.example"}
	for i := 609; i > 609-511; i-- {
		want = append(want, fmt.Sprintf("x%d.example", i))
	}
	var names []string
	for _, line := range got {
		var one struct{ Name string }
		if err := json.Unmarshal(line, &one); err != nil {
			t.Fatal(err)
		}
		names = append(names, one.Name)
	}
	if !slices.Equal(names, want) {
		t.Errorf("%d findings, %v ... %v; want %d, %v ... %v", len(names), names[:2], names[len(names)-1], len(want), want[:2], want[len(want)-1])
	}
}
