package blocklist_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/weirdns/weir/blocklist"
)

func TestValidateNamesEveryProblem(t *testing.T) {
	const ok = "https://lists.example.net/x.txt"
	for _, c := range []struct {
		cfg  blocklist.Config
		want []string // beginnings of the lines of the error
	}{
		{blocklist.Config{Name: "urlhaus", URL: ok}, nil},
		{blocklist.Config{Name: "a", Kind: "allow", Format: "hosts", Match: "subtree", Inline: []string{"0.0.0.0 x.example"}}, nil},
		{blocklist.Config{Name: "a", URL: "https://lists.example.net/{key}/x", AuthKeyFile: "key"}, nil},
		{blocklist.Config{Name: "a", URL: "http://127.0.0.1/{key}/x", AuthKeyFile: "key", AllowPrivate: true}, nil},
		{blocklist.Config{Name: "a", Inline: []string{"# comment", "x.example", "", "192.0.2.1"}}, nil},
		{blocklist.Config{}, []string{"name: ", "url: one of"}},
		{blocklist.Config{Name: "../x", Kind: "grey", Format: "spreadsheet", Match: "regex", File: "f", URL: ok, MaxBytes: 5,
			Refresh: time.Minute, Timeout: time.Millisecond}, []string{"name: ", "kind: ", "format: ", "match: ",
			"refresh: must be from 5m0s to 720h0m0s, got 1m0s", "timeout: ", "max_bytes: must be from 1024 to 1073741824, got 5", "url: only one"}},
		{blocklist.Config{Name: "a", File: "f", Refresh: time.Hour, AuthKeyFile: "k", AllowPrivate: true, AllowShrink: true},
			[]string{"refresh: ", "auth_key_file: ", "allow_private: ", "allow_shrink: "}},
		{blocklist.Config{Name: "a", URL: "file:///etc/passwd"}, []string{"url: want https or http"}},
		{blocklist.Config{Name: "a", URL: "https:///x"}, []string{"url: no host"}},
		{blocklist.Config{Name: "a", URL: "http://169.254.169.254/latest"}, []string{"url: the host is a private address"}},
		{blocklist.Config{Name: "a", URL: ok + "?k={key}"}, []string{"auth_key_file: must be set"}},
		{blocklist.Config{Name: "a", URL: "http://lists.example.net/", AuthKeyFile: "k"}, []string{"url: must be https"}},
		{blocklist.Config{Name: "a", Inline: []string{"x.example", "co.uk", "a b", "x\ny", "localhost"}},
			[]string{"inline[1]: \"co.uk\": a public suffix", "inline[2]: ", "inline[3]: ", "inline[4]: \"localhost\": a single label"}},
	} {
		err := c.cfg.Validate()
		var got []string
		if err != nil {
			got = strings.Split(err.Error(), "\n")
		}
		bad := len(got) != len(c.want)
		for i := range min(len(got), len(c.want)) {
			bad = bad || !strings.HasPrefix(got[i], c.want[i])
		}
		if bad {
			t.Errorf("%+v:\n got %q\nwant %q", c.cfg, got, c.want)
		}
	}
}

func TestConfigErrorsDoNotShowTheURL(t *testing.T) {
	c := blocklist.Config{Name: "a", URL: "ht tp://secret@lists.example.net/%zz"}
	if err := c.Validate(); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("Validate = %v, want an error without the URL", err)
	}
}

func TestNamesOfListsAreUnique(t *testing.T) {
	cfgs := []blocklist.Config{{Name: "a", Inline: []string{"x.example"}}, {Name: "b", Kind: "x", File: "f"}, {Name: "a", File: "f"}}
	_, err := blocklist.New(cfgs, deps(t))
	want := "[1].kind: want block or allow, got \"x\"\n[2].name: \"a\" is the name of list 0 already"
	if fmt.Sprint(err) != want {
		t.Errorf("New = %v, want %s", err, want)
	}
}

func TestDefaultConfigIsWhatZeroMeans(t *testing.T) {
	got := blocklist.DefaultConfig()
	want := blocklist.Config{Kind: blocklist.Block, Format: blocklist.FormatAuto, Match: blocklist.MatchAuto,
		Refresh: 6 * time.Hour, Timeout: time.Minute, MaxBytes: 64 << 20, MinConfidence: 50}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("DefaultConfig = %+v, want %+v", got, want)
	}
}

func TestConfigReadsFromYAML(t *testing.T) {
	var got blocklist.Config
	err := yaml.Unmarshal([]byte("name: urlhaus\nkind: block\nformat: urlhaus\nurl: https://urlhaus-api.abuse.ch/x\nrefresh: 30m\nmax_bytes: 1048576\nauth_key_file: /etc/weir/key\n"), &got)
	want := blocklist.Config{Name: "urlhaus", Kind: blocklist.Block, Format: blocklist.FormatURLhaus,
		URL: "https://urlhaus-api.abuse.ch/x", Refresh: 30 * time.Minute, MaxBytes: 1 << 20, AuthKeyFile: "/etc/weir/key"}
	if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	if err := got.Validate(); err != nil {
		t.Error(err)
	}
}
