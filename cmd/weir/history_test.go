package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What a sniffer saw can be asked for by name while it runs, and from its files
// when it has ended.
func TestHistoryOfASniffer(t *testing.T) {
	sample, err := os.ReadFile("../../testdata/pcap/sample.pcap")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	in, state := filepath.Join(dir, "in"), filepath.Join(dir, "state")
	if err := os.Mkdir(in, 0o750); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(in, "sample.pcap"), string(sample))
	conf := writeFile(t, filepath.Join(dir, "weir.yaml"), "state_dir: "+state+"\nstore: {max_age: 876000h}\n")
	p, _ := startSniffer(t, "--follow", in, "--admin", "", "-c", conf)
	ask := func(args ...string) (string, string, int) {
		var out, errs strings.Builder
		code := run(append([]string{"query", "host.example.net", "--type", "A", "--format", "cof", "--state", state}, args...), stdio{strings.NewReader(""), &out, &errs})
		return out.String(), errs.String(), code
	}
	var online string
	untilTrue(t, "the history of a sniffer", func() bool {
		var code int
		online, _, code = ask()
		// Both of its addresses, as often as in the capture.
		return code == exitOK && strings.Contains(online, `"count":2`) && strings.Contains(online, `"count":3`)
	})
	untilTrue(t, "the sums of a sniffer", func() bool {
		stats, _ := weir(t, exitOK, "stats", "--state", state)
		return strings.Contains(stats, "example.com")
	})
	p.stop()
	if offline, errs, code := ask(); code != exitOK || offline != online {
		t.Errorf("from the files %d: %s%s\nfrom the running sniffer: %s", code, offline, errs, online)
	}
}
