package blocklist_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/weirdns/weir/blocklist"
	"github.com/weirdns/weir/internal/dnsname"
	"go.uber.org/zap"
)

func TestLinesFindWhatNamesAName(t *testing.T) {
	file := filepath.Join(t.TempDir(), "list")
	if err := os.WriteFile(file, []byte("# c\nbad.example\n*.bad.example\nother.example\nBAD.example.\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	lists, err := blocklist.New([]blocklist.Config{
		{Name: "file", File: file},
		{Name: "adblock", Format: blocklist.FormatAdblock, Inline: []string{"||x.example^", "@@||bad.example^", "||bad.example^$important"}},
		{Name: "rpz", Format: blocklist.FormatRPZ, Inline: []string{"$ORIGIN z.example.", "bad.example CNAME .", "*.bad.example.z.example. CNAME ."}},
		{Name: "urls", Format: blocklist.FormatURLhaus, Inline: []string{"http://a.example/x", "http://bad.example/x", "http://bad.example/y"}},
	}, blocklist.Deps{Log: zap.NewNop(), Registry: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	if err := lists.Load(); err != nil {
		t.Fatal(err)
	}
	name := dnsname.MustParse("bad.example")
	for list, want := range map[string]string{"file": "[2 3 5]", "adblock": "[2 3]", "rpz": "[2 3]", "urls": "[2 3]"} {
		lines, err := lists.Lines(list, name, 10)
		if got := fmt.Sprint(lines); err != nil || got != want {
			t.Errorf("%s: %s, %v; want %s", list, got, err, want)
		}
	}
	if lines, err := lists.Lines("file", name, 2); err != nil || len(lines) != 2 {
		t.Errorf("at most two: %v, %v", lines, err)
	}
	if _, err := lists.Lines("none", name, 1); err == nil {
		t.Error("a list that is not there: no error")
	}
	if err := os.WriteFile(file, []byte("bad.example\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := lists.Lines("file", name, 1); err == nil || !strings.Contains(err.Error(), "has changed") {
		t.Errorf("another file by now: %v", err)
	}
}
