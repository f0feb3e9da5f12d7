package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weirdns/weir/internal/dnstest"
)

// The zone file is there soon after the start and follows the lists, with a
// serial that grows.
func TestTheZoneFileOfARunningWeir(t *testing.T) {
	up := dnstest.NewServer(t, "example.com", listedZone)
	dir := t.TempDir()
	list := writeFile(t, filepath.Join(dir, "list.txt"), "one.example.com\n")
	zone := filepath.Join(dir, "weir.rpz")
	conf := writeFile(t, filepath.Join(dir, "weir.yaml"), "state_dir: "+dir+"/state\nrpz_out: {path: "+zone+", interval: 1s}\nlists:\n  - {name: l, file: "+list+", action: nxdomain}\n")
	p := startWeir(t, "-c", conf, "--upstream", up.Addr(), "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0")
	await := func(want string) {
		t.Helper()
		untilTrue(t, fmt.Sprintf("%q in the zone file", want), func() bool {
			data, err := os.ReadFile(zone)
			return err == nil && strings.Contains(string(data), want)
		})
	}
	await("\none.example.com CNAME .\n*.one.example.com CNAME .\n")
	writeFile(t, list, "one.example.com\ntwo.example.com\n")
	weir(t, exitOK, "lists", "refresh", "l", "-c", conf)
	await("\n*.two.example.com CNAME .\n")
	weir(t, exitOK, "allow", "www.two.example.com", "-c", conf)
	await("\n*.www.two.example.com CNAME rpz-passthru.\n")
	// The file is there a moment before it is counted.
	untilTrue(t, "weir_rpz_rules of 6", func() bool { return metric(p.scrape(), "weir_rpz_rules") == "6" })
	checkDocumented(t, p.scrape())
	p.stop()
}
