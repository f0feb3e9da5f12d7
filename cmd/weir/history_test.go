package main

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
	"github.com/weirdns/weir/capture"
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

// The summary counts the findings that were told: those of behaviour, too.
func TestSummaryCountsAllFindings(t *testing.T) {
	var file []byte
	u32 := func(v ...uint32) {
		for _, v := range v {
			file = binary.LittleEndian.AppendUint32(file, v)
		}
	}
	u32(0xa1b2c3d4, 4<<16|2, 0, 0, 1<<16, 101) // raw IP
	for i := range 400 {
		m := new(dns.Msg)
		sum := sha256.Sum256([]byte{byte(i), byte(i >> 8)})
		m.SetQuestion(fmt.Sprintf("%x.tunnel-of-a-test.com.", sum[:30]), dns.TypeTXT)
		query, err := m.Pack()
		if err != nil {
			t.Fatal(err)
		}
		udp := slices.Concat([]byte{0x9c, 0x40, 0, 53, 0, byte(8 + len(query)), 0, 0}, query)
		ip := []byte{0x45, 0, 0, byte(20 + len(udp)), 0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 7, 192, 0, 2, 53}
		packet := slices.Concat(ip, udp)
		u32(uint32(1772366400+i), 0, uint32(len(packet)), uint32(len(packet)))
		file = append(file, packet...)
	}
	dir := t.TempDir()
	findings := filepath.Join(dir, "f.jsonl")
	out, _ := weir(t, exitOK, "sniff", writeFile(t, filepath.Join(dir, "tunnel.pcap"), string(file)), "--findings", findings, "--summary", "-")
	var s capture.Summary
	if err := json.Unmarshal([]byte(out), &s); err != nil {
		t.Fatal(err)
	}
	lines := map[string]uint64{}
	for _, l := range jsonLines[struct{ Kind string }](t, findings) {
		lines[l.Kind]++
	}
	if lines["tunnel"] == 0 || !maps.Equal(lines, s.Findings) {
		t.Errorf("the file has %v, the summary %v", lines, s.Findings)
	}
}
