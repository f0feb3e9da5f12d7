package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/weirdns/weir/internal/dnstest"
)

func TestTheCacheOutlivesARestartAndForgetsWhenTold(t *testing.T) {
	up := dnstest.NewServer(t, "example.com", "@ SOA ns admin 1 3600 600 86400 60\nwww A 192.0.2.1\nftp A 192.0.2.2\n")
	state := t.TempDir()
	args := []string{"--upstream", up.Addr(), "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--state", state}
	names := []string{"www.example.com.", "ftp.example.com."}
	count := func() int { return up.Count(names[0]) + up.Count(names[1]) }

	p := startWeir(t, args...)
	for _, name := range names {
		p.ask("udp", p.listen[0], name, dns.TypeA)
	}
	p.stop()
	file := filepath.Join(state, cacheName)
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("snapshot after the end: %v, %v, want a file for its owner only", info, err)
	}
	if left, _ := filepath.Glob(filepath.Join(state, "*.tmp")); len(left) > 0 {
		t.Errorf("%v was left behind", left)
	}

	up.Reset()
	p = startWeir(t, args...)
	waitForLog(t, p, "cache loaded")
	for _, name := range names {
		if r := p.ask("udp", p.listen[0], name, dns.TypeA); len(r.Answer) != 1 {
			t.Errorf("%s after a restart: %v", name, r)
		}
	}
	if got := count(); got != 0 {
		t.Errorf("after a restart the upstream was asked %d times, want never", got)
	}
	out, _ := weir(t, exitOK, "cache", "flush", "WWW.example.com", "--state", state)
	if out != "1 answers forgotten\n" {
		t.Errorf("flush of a name: %q", out)
	}
	p.ask("udp", p.listen[0], names[0], dns.TypeA)
	p.ask("udp", p.listen[0], names[1], dns.TypeA)
	if got := count(); got != 1 {
		t.Errorf("after a flush of one name of two the upstream was asked %d times, want once", got)
	}
	if out, _ := weir(t, exitOK, "cache", "flush", "com", "--subtree", "--state", state); out != "2 answers forgotten\n" {
		t.Errorf("flush of a subtree: %q", out)
	}
	if _, stderr := weir(t, exitFailure, "cache", "flush", "a..b", "--state", state); !strings.Contains(stderr, "name:") {
		t.Errorf("flush of no name: %q", stderr)
	}
	p.ask("udp", p.listen[0], names[0], dns.TypeA)
	p.stop()

	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	p = startWeir(t, args...)
	waitForLog(t, p, "the cache's snapshot is not used")
	if r := p.ask("udp", p.listen[0], names[0], dns.TypeA); len(r.Answer) != 1 {
		t.Errorf("with a damaged snapshot: %v", r)
	}
	if scrape := p.scrape(); !strings.Contains(scrape, `weir_cache_snapshots_total{result="refused"} 1`) {
		t.Error("a refused snapshot is not counted")
	}
	p.stop()
}

func waitForLog(t *testing.T, p *process, text string) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !strings.Contains(p.log(), text); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the log has no %q:\n%s", text, p.log())
		}
	}
}
