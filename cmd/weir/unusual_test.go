package main

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/miekg/dns"
	"github.com/weirdns/weir/internal/dnstest"
	"github.com/weirdns/weir/unusual"
)

// The list and what analysts say of it, by the commands: of a running weir, after
// its restart, and of its state folder when it does not run.
func TestUnusualAndFeedback(t *testing.T) {
	server := dnstest.NewServer(t, "example.com", "@ SOA ns admin 1 3600 600 86400 60\n* A 192.0.2.1\n* TXT \"x\"\n")
	state := t.TempDir()
	serve := func() *process {
		return startWeir(t, "--upstream", server.Addr(), "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--state", state)
	}
	list := func(args ...string) (r unusual.Ranking) {
		t.Helper()
		out, _ := weir(t, exitOK, append([]string{"unusual", "--state", state, "--format", "json"}, args...)...)
		if err := json.Unmarshal([]byte(out), &r); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return r
	}
	p := serve()
	for _, name := range []string{"a.example.com.", "www.example.net.", "www.example.org."} {
		p.ask("udp", p.listen[0], name, dns.TypeA)
	}
	p.ask("udp", p.listen[0], "a-very-long-name-that-nobody-else-asks-for.odd.example.com.", dns.TypeTXT)
	untilTrue(t, "the list", func() bool { return list().Queries == 4 })
	r := list()
	if len(r.Entries) != 3 || r.Entries[0].Client != "127.0.0.0/24" || len(r.Entries[0].Reasons) == 0 {
		t.Errorf("got %+v", r)
	}
	weir(t, exitOK, "feedback", "example.net", "--severity", "high", "--note", "seen before", "--state", state)
	weir(t, exitOK, "feedback", "example.org", "--severity", "benign", "--state", state)
	_, errs := weir(t, exitUsage, "feedback", "example.org", "--severity", "nice", "--state", state)
	if !strings.Contains(errs, "--severity: must be benign, low, medium or high") {
		t.Errorf("a severity that is none: %s", errs)
	}
	if _, errs := weir(t, exitFailure, "feedback", "..", "--severity", "low", "--state", state); !strings.Contains(errs, "target: must be a name") {
		t.Errorf("a name that is none: %s", errs)
	}
	check := func() {
		t.Helper()
		if r := list(); len(r.Entries) != 2 || r.Hidden != 1 || r.Entries[0].Domain != "example.net" || r.Entries[0].Note != "seen before" {
			t.Errorf("got %+v", r)
		}
		if out, _ := weir(t, exitOK, "feedback", "list", "--state", state); !strings.Contains(out, "example.org") || !strings.Contains(out, "seen before") {
			t.Errorf("feedback list says\n%s", out)
		}
	}
	check()
	p.stop()
	check()
	p = serve()
	check()
	if out, _ := weir(t, exitOK, "unusual", "--state", state); !strings.Contains(out, "1 left out as benign") || !strings.Contains(out, "example.net") {
		t.Errorf("as text:\n%s", out)
	}
	if out, _ := weir(t, exitOK, "unusual", "--state", state, "--format", "csv", "--benign"); strings.Count(out, "\n") != 4 {
		t.Errorf("as CSV:\n%s", out)
	}
	if out, _ := weir(t, exitOK, "feedback", "export", "--state", state); !strings.Contains(out, "\nexample.net\tdga\tfeedback\t") || !strings.Contains(out, "\nexample.org\tlegit\t\t") {
		t.Errorf("feedback export says\n%s", out)
	}
	day := list().Day
	if out, _ := weir(t, exitOK, "feedback", "reset", "--day", day, "--state", state); out != "2 taken back\n" {
		t.Errorf("reset says %q", out)
	}
	if r := list("--day", day); r.Hidden != 0 || len(r.Entries) != 3 {
		t.Errorf("after the reset %+v", r)
	}
	if _, errs := weir(t, exitFailure, "feedback", "reset", "--day", day, "--state", state); !strings.Contains(errs, "no such feedback") {
		t.Errorf("a second reset says %s", errs)
	}
	// As the dashboard asks, which only posts.
	v := visit(t, p)
	v.post("api/v1/feedback", map[string]string{"target": "example.net", "severity": "low", "day": day}, nil)
	var taken removed
	v.post("api/v1/feedback/remove", map[string]string{"target": "example.net", "day": day}, &taken)
	var left []unusual.Feedback
	if v.get("api/v1/feedback", &left); taken.Removed != 1 || len(left) != 0 {
		t.Errorf("%d taken back, %+v left", taken.Removed, left)
	}
	p.stop()
	empty := t.TempDir()
	if _, errs := weir(t, exitFailure, "unusual", "--state", empty); !strings.Contains(errs, "no weir is running, and no ranking is kept in ") {
		t.Errorf("without anything: %s", errs)
	}
}

// A capture gives its list twice the same, by sniff and by replay.
func TestUnusualOfACapture(t *testing.T) {
	sample := filepath.Join("..", "..", "testdata", "pcap", "sample.pcap")
	first, _ := weir(t, exitOK, "sniff", "-r", sample, "--unusual", "-")
	again, _ := weir(t, exitOK, "sniff", "-r", sample, "--unusual", "-")
	if first != again || strings.Count(first, "\n") == 0 {
		t.Errorf("two readings of a capture differ:\n%s\n%s", first, again)
	}
	out, _ := weir(t, exitOK, "replay", "--unusual", "10", "--json", sample)
	var replayed struct{ Unusual []unusual.Ranking }
	if err := json.Unmarshal([]byte(out), &replayed); err != nil {
		t.Fatal(err)
	}
	var ranked unusual.Ranking
	if err := json.Unmarshal([]byte(first[:strings.IndexByte(first, '\n')]), &ranked); err != nil {
		t.Fatal(err)
	}
	if len(replayed.Unusual) == 0 || replayed.Unusual[0].Queries != ranked.Queries || len(ranked.Entries) == 0 {
		t.Errorf("sniff ranks %+v\nreplay %+v", ranked, replayed.Unusual)
	}
	if out, _ := weir(t, exitOK, "replay", "--unusual", "10", sample); !strings.Contains(out, "most unusual of ") {
		t.Errorf("replay says\n%s", out)
	}
}
