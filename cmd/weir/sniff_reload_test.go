package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// SIGHUP gives a sniffer new lists while it reads on; a bad configuration
// changes nothing.
func TestSniffReloads(t *testing.T) {
	sample, err := os.ReadFile("../../testdata/pcap/sample.pcap")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	pcaps := filepath.Join(dir, "in")
	if err := os.Mkdir(pcaps, 0o750); err != nil {
		t.Fatal(err)
	}
	conf := filepath.Join(dir, "weir.yaml")
	configure := func(lists string) {
		t.Helper()
		tmp := writeFile(t, conf+".tmp", "capture: {duplicate_window: 0s}\n"+lists)
		if err := os.Rename(tmp, conf); err != nil {
			t.Fatal(err)
		}
	}
	configure("")
	out := filepath.Join(dir, "t.jsonl")
	p, _ := startSniffer(t, "--follow", pcaps, "-c", conf, "--admin", "", "--state", filepath.Join(dir, "state"), "--transactions", out)
	type record struct {
		QName   string
		Verdict struct{ Matches []struct{ List string } }
	}
	const answered = 3 // questions for www.example.com in the sample
	// play lets the sniffer read the sample once more, and says how often
	// www.example.com was listed in it.
	rounds := 0
	play := func() (listed int) {
		asked := 0
		t.Helper()
		rounds++
		tmp := filepath.Join(dir, "tmp")
		if err := os.WriteFile(tmp, sample, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(tmp, filepath.Join(pcaps, strings.Repeat("x", rounds)+".pcap")); err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(time.Minute); asked < rounds*answered; time.Sleep(20 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("www.example.com does not come\n%s", p.log())
			}
			asked, listed = 0, 0
			for _, l := range jsonLines[record](t, out) {
				if l.QName != "www.example.com" {
					continue
				}
				if asked++; asked > (rounds-1)*answered && len(l.Verdict.Matches) > 0 {
					listed++
				}
			}
		}
		return listed
	}
	if listed := play(); listed != 0 {
		t.Errorf("listed %d times before there is a list", listed)
	}
	configure("lists:\n  - {name: l, inline: [www.example.com]}\n")
	p.reload("reloaded")
	if listed := play(); listed != answered {
		t.Errorf("after the reload listed %d times of %d", listed, answered)
	}
	configure("lists:\n  - {name: l, inline: [www.example.com], mode: maybe}\n")
	p.reload("reload rejected")
	if listed := play(); listed != answered {
		t.Errorf("after a reload that was rejected listed %d times of %d", listed, answered)
	}
	configure("records: {sensor_id: other}\n")
	p.reload("reloaded")
	if listed := play(); listed != 0 {
		t.Errorf("listed %d times after the list is gone", listed)
	}
	if !strings.Contains(p.log(), `"setting":"records"`) {
		t.Errorf("nothing is said of a setting that takes a start:\n%s", p.log())
	}
	p.stop()
}
