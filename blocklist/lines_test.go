package blocklist_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/weirdns/weir/blocklist"
	"go.uber.org/zap"
)

func TestLinesFindWhatNamesAName(t *testing.T) {
	file := filepath.Join(t.TempDir(), "list")
	if err := os.WriteFile(file, []byte("# c\nbad.example\n*.bad.example\nother.example\nBAD.example.\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	dump := filepath.Join(t.TempDir(), "dump.json")
	if err := os.WriteFile(dump, []byte(`{
  "3": [
    {"url": "http://a.example/"},
    {
      "dateadded": "2025-01-02 03:04:05",
      "url": "http://bad.example/x"
    }],
  "2": [ {"url": "http://192.0.2.9/"},
    {
      "url": "http://b.example/"
    }],
  "1": [{"url":
    "http://bad.example/y"}]
}
`), 0o600); err != nil {
		t.Fatal(err)
	}
	lists, err := blocklist.New([]blocklist.Config{
		{Name: "file", File: file},
		{Name: "adblock", Format: blocklist.FormatAdblock, Inline: []string{"||x.example^", "@@||bad.example^", "||bad.example^$important", `/ads[0-9]+\.example/`, "192.0.2.7", `@@/ads[0-9]+\.example/`}},
		{Name: "rpz", Format: blocklist.FormatRPZ, Inline: []string{"$ORIGIN z.example.", "bad.example CNAME .", "*.bad.example.z.example. CNAME .",
			"24.0.2.0.192.rpz-ip CNAME .", "32.zz.db8.2001.rpz-ip CNAME .", "32.7.0.0.10.rpz-client-ip CNAME ."}},
		{Name: "urls", Format: blocklist.FormatURLhaus, Inline: []string{"http://a.example/x", "http://bad.example/x", "http://bad.example/y", "http://192.0.2.9/z"}},
		{Name: "json", File: dump},
	}, blocklist.Deps{Log: zap.NewNop(), Registry: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	if err := lists.Load(); err != nil {
		t.Fatal(err)
	}
	const name = "bad.example"
	for list, want := range map[string]string{"file": "[2 3 5]", "adblock": "[2 3]", "rpz": "[2 3]", "urls": "[2 3]"} {
		lines, err := lists.Lines(list, name, 10)
		if got := fmt.Sprint(lines); err != nil || got != want {
			t.Errorf("%s: %s, %v; want %s", list, got, err, want)
		}
	}
	for _, c := range [][3]string{
		{"adblock", `/ads[0-9]+\.example/`, "[4 6]"}, {"adblock", `@@/ads[0-9]+\.example/`, "[4 6]"},
		{"adblock", "192.0.2.7", "[5]"}, {"adblock", "@@*.bad.example", "[2 3]"}, {"adblock", "/none/", "[]"},
		{"rpz", "192.0.2.0/24", "[4]"}, {"rpz", "2001:db8::/32", "[5]"}, {"rpz", "client 10.0.0.7", "[6]"}, {"rpz", "10.0.0.7", "[]"},
		{"urls", "192.0.2.9", "[4]"},
		{"json", "bad.example", "[4 12]"}, {"json", "192.0.2.9", "[8]"},
	} {
		lines, err := lists.Lines(c[0], c[1], 10)
		if got := fmt.Sprint(lines); err != nil || got != c[2] {
			t.Errorf("%s of %s: %s, %v; want %s", c[1], c[0], got, err, c[2])
		}
	}
	if _, err := lists.Lines("file", "a..b", 1); err == nil {
		t.Error("a rule of no list: no error")
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
