package blocklist_test

import (
	"strings"
	"testing"

	"github.com/weirdns/weir/blocklist"
)

// foxRow is a row of a dump as ThreatFox writes them.
func foxRow(value, kind, confidence string) string {
	return `"2026-08-30 01:39:33", "1891291", "` + value + `", "` + kind + `", "botnet_cc", "win.cobalt_strike", "Beacon", "Cobalt Strike", "", "` +
		confidence + `", "False", "https://bazaar.example/1", "c2,None", "0", "someone"`
}

func TestThreatFoxRows(t *testing.T) {
	header := []string{"####", "# ThreatFox IOCs: recent additions - CSV format", `# "first_seen_utc","ioc_id","ioc_value"`, `"first_seen_utc","ioc_id","ioc_value"`}
	rows := []string{
		foxRow("c2.example.net", "domain", "100"), foxRow("http://dl.example.net/x.exe", "url", "50"), foxRow("192.0.2.7:8080", "ip:port", "75"),
		foxRow("[2001:db8::7]:443", "ip:port", "75"), foxRow("https://github.com/x", "url", "100"), foxRow("drive.google.com", "domain", "100"),
		foxRow("unsure.example.net", "domain", "49"), foxRow(strings.Repeat("a", 64), "sha256_hash", "100"),
		foxRow("10.0.0.1:80", "ip:port", "100"), foxRow("com", "domain", "100"),
		strings.Replace(strings.Replace(foxRow("old.example.net", "domain", "60"), `"False", `, "", 1), "c2,None", "None", 1),
		strings.Replace(foxRow("hacked.example.net", "domain", "60"), `"False"`, `"True"`, 1),
		foxRow("x.example.net", "domain", "very"), `"only", "three", "columns"`,
	}
	l := load(t, blocklist.Config{Name: "f", File: file(t, append(append(header, rows...), strings.Split(strings.Repeat(rows[0]+"\n", 20), "\n")[:20]...)...)})
	if v := list(t, l, "f"); v.Format != blocklist.FormatThreatFox || v.Entries != 6 || v.Addresses != 2 {
		t.Errorf("format %s, %d names, %d addresses; want threatfox, 6 and 2", v.Format, v.Entries, v.Addresses)
	}
	wantRejected(t, l, "f", map[blocklist.Reason]int{
		blocklist.LowConfidence: 1, blocklist.NotForDNS: 1, blocklist.PrivateAddress: 1, blocklist.PublicSuffix: 1, blocklist.BadRow: 2,
	})
	wantHits(t, l, "c2.example.net", "f c2.example.net botnet_cc Cobalt_Strike,c2 confidence=100 https://bazaar.example/1 2026-08-30")
	wantHits(t, l, "x.c2.example.net")
	wantHits(t, l, "dl.example.net", "f dl.example.net botnet_cc Cobalt_Strike,c2 confidence=50 https://bazaar.example/1 2026-08-30")
	wantHits(t, l, "github.com", "f github.com observe botnet_cc Cobalt_Strike,c2 confidence=100 https://bazaar.example/1 2026-08-30")
	wantHits(t, l, "drive.google.com", "f drive.google.com botnet_cc Cobalt_Strike,c2 confidence=100 https://bazaar.example/1 2026-08-30")
	wantHits(t, l, "old.example.net", "f old.example.net botnet_cc Cobalt_Strike confidence=60 https://bazaar.example/1 2026-08-30")
	wantHits(t, l, "hacked.example.net", "f hacked.example.net botnet_cc Cobalt_Strike,compromised,c2 confidence=60 https://bazaar.example/1 2026-08-30")
	wantAddrHits(t, l, "192.0.2.7", "f 192.0.2.7 botnet_cc Cobalt_Strike,c2 confidence=75 https://bazaar.example/1 2026-08-30")
	wantAddrHits(t, l, "2001:db8::7", "f 2001:db8::7 botnet_cc Cobalt_Strike,c2 confidence=75 https://bazaar.example/1 2026-08-30")

	l = load(t, blocklist.Config{Name: "f", MinConfidence: 80, File: file(t, rows[:4]...)})
	wantRejected(t, l, "f", map[blocklist.Reason]int{blocklist.LowConfidence: 3})
}
