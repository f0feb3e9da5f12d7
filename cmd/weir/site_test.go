package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/weirdns/weir/internal/dnstest"
	"go.uber.org/zap"
)

// The site's figures outlive the process; a damaged file is said and set aside.
func TestTheSitesScoresSurviveARestart(t *testing.T) {
	up := dnstest.NewServer(t, "com", "$TTL 300\n@ SOA ns admin 1 3600 600 86400 60\n* A 192.0.2.9\n")
	state := t.TempDir()
	const n = 40
	run := func(want int, said string) {
		t.Helper()
		p := startWeir(t, "--upstream", up.Addr(), "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--state", state)
		defer p.stop()
		if got := metric(p.scrape(), "weir_site_names"); got != fmt.Sprint(want) {
			t.Errorf("%s names at the start, want %d\n%s", got, want, p.log())
		}
		for i := range n {
			p.ask("udp", p.listen[0], fmt.Sprintf("www.garden%dhouse.com.", i), dns.TypeA)
		}
		// A record comes after its answer, and the log when it comes.
		untilTrue(t, fmt.Sprint(n, " names"), func() bool { return metric(p.scrape(), "weir_site_names") == fmt.Sprint(n) })
		untilTrue(t, said+" in the log", func() bool { return strings.Contains(p.log(), said) })
	}
	run(0, "weir starts")
	off := writeFile(t, filepath.Join(t.TempDir(), "off.yaml"), "detect: {model: {mode: 'off'}}\n")
	startWeir(t, "-c", off, "--upstream", up.Addr(), "--listen", "127.0.0.1:0", "--admin", "", "--state", state).stop()
	run(n, "site's own scores taken up") // still, after a run without a model
	file := filepath.Join(state, siteFileName)
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	writeFile(t, file, string(data))
	run(0, "cannot be used")
	run(n, "site's own scores taken up")
}

// A folder that cannot be written to is counted and ends nothing.
func TestSiteScoresThatCannotBeWrittenAreCounted(t *testing.T) {
	d, err := newDetection(&config{Detect: defaultConfig().Detect}, zap.NewNop(), prometheus.NewRegistry(), nil)
	if err != nil {
		t.Fatal(err)
	}
	k := newSiteKeeper(filepath.Join(t.TempDir(), "gone"), d.detector.Site(), zap.NewNop(), prometheus.NewRegistry())
	k.every = time.Millisecond
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- k.run(ctx) }()
	untilTrue(t, "failures counted", func() bool { return testutil.ToFloat64(k.failures) >= 3 })
	stop()
	if err := <-done; !errors.Is(err, os.ErrNotExist) {
		t.Errorf("run = %v at the end, want what the last write failed with", err)
	}
}
