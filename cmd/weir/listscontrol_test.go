package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/miekg/dns"
	"github.com/weirdns/weir/detect/allow"
	"github.com/weirdns/weir/internal/dnstest"
)

const listedZone = "@ SOA ns admin 1 3600 600 86400 60\n* A 192.0.2.1\n"

func TestListsOfARunningWeir(t *testing.T) {
	up := dnstest.NewServer(t, "example.com", listedZone)
	var body atomic.Value
	body.Store("one.example.com\nprinter\n")
	feed := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		text := body.Load().(string)
		if text == "" {
			http.Error(w, "gone", http.StatusGone)
			return
		}
		fmt.Fprint(w, text)
	}))
	defer feed.Close()
	dir := t.TempDir()
	file := writeFile(t, filepath.Join(dir, "file.txt"), "two.example.com\n")
	conf := writeFile(t, filepath.Join(dir, "weir.yaml"), fmt.Sprintf(`
state_dir: %s
lists:
  - {name: feed, url: "%s/secret-path", allow_private: true, mode: shadow}
  - {name: file, file: %s}
  - {name: fine, kind: allow, inline: [ok.two.example.com]}
`, filepath.Join(dir, "state"), feed.URL, file))
	p := startWeir(t, "-c", conf, "--upstream", up.Addr(), "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0")

	if out, _ := weir(t, exitOK, "lists", "refresh", "feed", "file", "-c", conf); !strings.Contains(out, "feed: ") || !strings.Contains(out, "file: unchanged, 1 entries\n") {
		t.Errorf("refresh = %s", out)
	}
	for _, name := range []string{"one.example.com.", "two.example.com.", "two.example.com.", "ok.two.example.com."} {
		p.ask("udp", p.listen[0], name, dns.TypeA)
	}
	var lists []listStatus
	out, _ := weir(t, exitOK, "lists", "status", "-c", conf, "--json")
	if err := json.Unmarshal([]byte(out), &lists); err != nil || len(lists) != 3 {
		t.Fatalf("status = %s, %v", out, err)
	}
	l, f, a := lists[0], lists[1], lists[2]
	if l.Name != "feed" || l.Mode != "shadow" || l.Entries != 1 || l.Source != feed.URL || l.Next == nil || l.Checked == nil || l.Error != "" ||
		l.Rejected["single_label"] != 1 || l.Hits.Monitored != 1 || l.Hits.Enforced != 0 || l.Hits.Last == nil {
		t.Errorf("feed = %+v", l)
	}
	if f.Source != "file "+file || f.Next != nil || f.Hits.Enforced != 2 || f.Hits.Overruled != 1 || a.Kind != "allow" || a.Mode != "" || a.Hits.Passed != 1 {
		t.Errorf("file = %+v\nfine = %+v", f, a)
	}
	if strings.Contains(out, "secret-path") {
		t.Errorf("the path of a URL may be secret: %s", out)
	}

	// What a refresh brings serves at once; what is refused is said, and the
	// list stays what it was.
	body.Store("one.example.com\nthree.example.com\n")
	if out, _ := weir(t, exitOK, "lists", "refresh", "feed", "-c", conf); out != "feed: 2 entries, 1 before\n" {
		t.Errorf("refresh = %q", out)
	}
	writeFile(t, file, "four.example.com\n")
	body.Store("")
	out, stderr := weir(t, exitFailure, "lists", "refresh", "-c", conf)
	if !strings.Contains(out, "feed: refused: ") || !strings.Contains(out, "file: 1 entries, 1 before\n") || !strings.Contains(out, "fine: unchanged, 1 entries\n") ||
		!strings.Contains(stderr, "what they had before keeps serving") {
		t.Errorf("refresh of all = %s%s", out, stderr)
	}
	if r := p.ask("udp", p.listen[0], "four.example.com.", dns.TypeA); answers(r) != "0.0.0.0" {
		t.Errorf("a refreshed file: %v", r)
	}
	out, _ = weir(t, exitOK, "lists", "status", "-c", conf)
	for _, want := range []string{"LIST", "feed  shadow   2 ", "\nfeed: ", "410"} {
		if !strings.Contains(out, want) {
			t.Errorf("status has no %q:\n%s", want, out)
		}
	}
	if _, stderr := weir(t, exitFailure, "lists", "refresh", "nonsense", "-c", conf); !strings.Contains(stderr, "keeps serving") {
		t.Errorf("an unknown list: %s", stderr)
	}
	p.stop()
}

func TestATimedAllowActsAtOnceAndOutlivesARestart(t *testing.T) {
	up := dnstest.NewServer(t, "example.com", listedZone)
	dir := t.TempDir()
	state := filepath.Join(dir, "state")
	conf := writeFile(t, filepath.Join(dir, "weir.yaml"), "state_dir: "+state+"\nlists:\n  - {name: l, inline: [bad.example.com, worse.example.com]}\n")
	args := []string{"-c", conf, "--upstream", up.Addr(), "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"}
	p := startWeir(t, args...)
	want := func(name, addr string) {
		t.Helper()
		if r := p.ask("udp", p.listen[0], name, dns.TypeA); answers(r) != addr {
			t.Errorf("%s: %v, want %s", name, r, addr)
		}
	}
	want("www.bad.example.com.", "0.0.0.0")
	if out, _ := weir(t, exitOK, "allow", "Bad.example.com", "--for", "1h", "--reason", "for the test", "-c", conf); !strings.HasPrefix(out, "bad.example.com is let through for everybody until ") {
		t.Errorf("allow = %q", out)
	}
	weir(t, exitOK, "allow", "worse.example.com", "--client", "192.0.2.0/24", "-c", conf)
	want("www.bad.example.com.", "192.0.2.1")
	want("www.bad.example.com.", "192.0.2.1") // from the cache
	want("worse.example.com.", "0.0.0.0")
	weir(t, exitOK, "allow", "worse.example.com", "--client", "127.0.0.1", "-c", conf)
	want("worse.example.com.", "192.0.2.1")
	text := p.scrape()
	if got := metric(text, `weir_list_hits_total{effect="pass",list="timed allow"}`); got != "3" {
		t.Errorf("hits of timed allows = %q, want 3", got)
	}
	if got := metric(text, `weir_timed_allows`); got != "3" {
		t.Errorf("weir_timed_allows = %q, want 3", got)
	}
	checkDocumented(t, text)
	p.stop()

	p = startWeir(t, args...)
	want("www.bad.example.com.", "192.0.2.1")
	var entries []allow.Entry
	out, _ := weir(t, exitOK, "allow", "list", "--json", "-c", conf)
	if err := json.Unmarshal([]byte(out), &entries); err != nil || len(entries) != 3 {
		t.Errorf("allow list = %s, %v", out, err)
	}
	if out, _ := weir(t, exitOK, "allow", "list", "-c", conf); !strings.Contains(out, "bad.example.com") || !strings.Contains(out, "for the test") || !strings.Contains(out, "192.0.2.0/24") {
		t.Errorf("allow list = %s", out)
	}
	out, _ = weir(t, exitOK, "explain", "www.bad.example.com", "-c", conf)
	for _, want := range []string{"list timed allow   rule bad.example.com: lets pass (\"for the test\")", "list l             rule bad.example.com, line 1 of inline: overruled", "decision           pass, by allowlist", "according to       the running weir"} {
		if !strings.Contains(out, want) {
			t.Errorf("explain has no %q:\n%s", want, out)
		}
	}
	if out, _ := weir(t, exitOK, "explain", "www.bad.example.com", "-c", conf, "--offline"); !strings.Contains(out, "decision           zero_ip") {
		t.Errorf("offline, without what the running weir lets through: %s", out)
	}
	weir(t, exitOK, "allow", "remove", "bad.example.com", "-c", conf)
	want("www.bad.example.com.", "0.0.0.0") // though the cache has the answer
	for message, args := range map[string][]string{
		"bad.example.com is not let through": {"allow", "remove", "bad.example.com"},
		"name: co.uk is a public suffix":     {"allow", "co.uk"},
		"client: must be an address":         {"allow", "a.example.com", "--client", "host"},
		"for: must be 1s to 744h0m0s":        {"allow", "a.example.com", "--for", "9999h"},
	} {
		if _, stderr := weir(t, exitFailure, append(args, "-c", conf)...); !strings.Contains(stderr, message) {
			t.Errorf("%s: %s, want %q", args, stderr, message)
		}
	}
	p.stop()
}
