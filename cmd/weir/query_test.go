package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/weirdns/weir/internal/dnstest"
	"github.com/weirdns/weir/pdns/tally"
)

// untilTrue waits until ok says so: records take half a second to be asked for.
func untilTrue(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within a minute", what)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// try runs a command that may fail: the database opens a moment after the start.
func try(args ...string) (stdout, stderr string) {
	var out, errs bytes.Buffer
	run(args, stdio{strings.NewReader(""), &out, &errs})
	return out.String(), errs.String()
}

// What was resolved is asked of the running weir, and of its files when it has
// stopped, with the same answer.
func TestThePassiveDNSDatabaseIsAsked(t *testing.T) {
	up := dnstest.NewServer(t, "example.com", "$TTL 300\n@ SOA ns admin 1 3600 600 86400 60\n@ NS ns\nns A 192.0.2.53\nwww A 192.0.2.1\nalias CNAME www\n")
	state := t.TempDir()
	token := writeFile(t, filepath.Join(t.TempDir(), "token"), "a-token-of-enough-octets\n")
	conf := writeFile(t, filepath.Join(t.TempDir(), "weir.yaml"), "state_dir: "+state+"\nstore: {clients: true, token_file: "+token+"}\n")
	p := startWeir(t, "-c", conf, "--upstream", up.Addr(), "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0")
	p.ask("udp", p.listen[0], "alias.example.com.", dns.TypeA)
	p.ask("udp", p.listen[0], "www.example.com.", dns.TypeA)

	var online string
	untilTrue(t, "weir query", func() bool {
		online, _ = try("query", "www.example.com", "-c", conf, "--format", "cof", "--type", "A")
		return strings.Contains(online, `"count":2`)
	})
	var line cofLine
	if err := json.Unmarshal([]byte(online), &line); err != nil || line.RRName != "www.example.com." || line.Rdata[0] != "192.0.2.1" {
		t.Errorf("query: %s (%v)", online, err)
	}
	if out, _ := weir(t, exitOK, "query", "192.0.2.0/24", "--state", state); !strings.Contains(out, "www.example.com. A 192.0.2.1") {
		t.Errorf("query of a network:\n%s", out)
	}
	for _, format := range []string{"text", "csv", "json"} {
		if _, errs := weir(t, exitOK, "query", "nowhere.example", "--state", state, "--format", format); errs != "weir: no such records\n" {
			t.Errorf("query without a result as %s: %q on standard error", format, errs)
		}
	}
	if out, errs := weir(t, exitOK, "query", ".", "--subtree", "--limit", "1", "--state", state); strings.Count(out, "\n") != 1 || !strings.Contains(errs, "only the first 1") {
		t.Errorf("query with a limit: %q, %q", out, errs)
	}
	for _, what := range []string{"127.0.0.1", "www.example.com"} {
		if out, _ := weir(t, exitOK, "investigate", what, "-c", conf); !strings.Contains(out, "www.example.com. A 192.0.2.1") || !strings.Contains(out, "127.0.0.0/24") && what != "127.0.0.1" {
			t.Errorf("investigate %s:\n%s", what, out)
		}
	}
	out, _ := weir(t, exitOK, "stats", "-c", conf, "--json")
	var stats tally.Report
	if err := json.Unmarshal([]byte(out), &stats); err != nil || len(stats.Domains) != 1 || stats.Domains[0] != (tally.Count{Name: "example.com", Count: 2}) ||
		len(stats.Clients) != 1 || stats.Clients[0].Name != "127.0.0.0/24" {
		t.Errorf("stats (%v): %s", err, out)
	}
	if out, _ := weir(t, exitOK, "stats", "-c", conf); !strings.Contains(out, "NOERROR") {
		t.Errorf("stats:\n%s", out)
	}

	// On the admin listener only with the token.
	base := strings.TrimSuffix(p.metrics, "/metrics")
	for auth, want := range map[string]int{"": 401, "Bearer wrong": 401, "Bearer ": 401, "Bearer a-token-of-enough-octets": 200} {
		req, err := http.NewRequest(http.MethodGet, base+"/query/www.example.com?rrtype=A", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", auth)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != want || want == 200 && string(body) != online || want != 200 && strings.Contains(string(body), "192.0.2.1") {
			t.Errorf("Authorization %q: %d %s, want %d", auth, resp.StatusCode, body, want)
		}
	}
	p.stop()

	if offline, _ := weir(t, exitOK, "query", "www.example.com", "-c", conf, "--format", "cof", "--type", "A"); offline != online {
		t.Errorf("from the files: %s\nfrom the running weir: %s", offline, online)
	}
	if _, errs := weir(t, exitFailure, "query", "x.example", "--state", t.TempDir()); !strings.Contains(errs, "no weir is running") || !strings.Contains(errs, "no passive DNS database") {
		t.Errorf("without weir and files: %s", errs)
	}
	for _, what := range []string{"192.0.2.0/33", "2001:db8::/129", "192.0.2.0/x"} {
		if _, errs := weir(t, exitUsage, "query", what); !strings.Contains(errs, "is no network") {
			t.Errorf("query %s: %q, want a usage error", what, errs)
		}
	}
	if _, errs := weir(t, exitUsage, "query", "a..b", "--since", "whenever"); !strings.Contains(errs, "is no name") || !strings.Contains(errs, "since: ") {
		t.Errorf("a wrong question: %s", errs)
	}
}

// With hash no file of the state has the client's address, and it is still found
// by it, as long as its key lives.
func TestHashedClientIsInvestigatedByItsAddress(t *testing.T) {
	up := dnstest.NewServer(t, "example.com", "@ SOA ns admin 1 3600 600 86400 60\nwww A 192.0.2.1\n")
	state := t.TempDir()
	conf := writeFile(t, filepath.Join(t.TempDir(), "weir.yaml"), "state_dir: "+state+"\nstore: {clients: true}\nrecords: {transactions: {enabled: true}}\nprivacy: {client_address: hash, skip_names: [private.example.com]}\n")
	p := startWeir(t, "-c", conf, "--upstream", up.Addr(), "--listen", "127.0.0.1:0", "--admin", "")
	p.ask("udp", p.listen[0], "private.example.com.", dns.TypeA)
	p.ask("udp", p.listen[0], "www.example.com.", dns.TypeA)
	untilTrue(t, "weir investigate", func() bool {
		out, _ := try("investigate", "127.0.0.1", "-c", conf)
		return strings.Contains(out, "www.example.com") && !strings.Contains(out, "private")
	})
	out, _ := weir(t, exitOK, "investigate", "www.example.com", "-c", conf)
	if !strings.Contains(out, "100::") || strings.Contains(out, "127.0.0") {
		t.Errorf("who asked is shown as\n%s", out)
	}
	p.stop()
	text, err := os.ReadFile(filepath.Join(state, "records", "transactions.jsonl"))
	if err != nil || strings.Count(string(text), "\n") != 1 || !strings.Contains(string(text), `"client":"100::`) {
		t.Errorf("transactions (%v):\n%s", err, text)
	}
}

// Without a token's file only who has logged in to the dashboard may ask the
// database on the admin listener, and without clients an investigation of one says what to set.
func TestTheDatabaseIsNobodysByDefault(t *testing.T) {
	up := dnstest.NewServer(t, "example.com", "@ SOA ns admin 1 3600 600 86400 60\n")
	state := t.TempDir()
	p := startWeir(t, "--state", state, "--upstream", up.Addr(), "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0")
	base := strings.TrimSuffix(p.metrics, "/metrics")
	for _, path := range []string{"/query/example.com", "/api/v1/stats", "/api/v1/investigate?name=example.com"} {
		resp, err := http.Get(base + path)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s on the admin listener: %d, want 401", path, resp.StatusCode)
		}
	}
	untilTrue(t, "investigate a client that is not kept", func() bool {
		_, errs := try("investigate", "192.0.2.1", "--state", state)
		return strings.Contains(errs, "store.clients")
	})
	p.stop()
	short := writeFile(t, filepath.Join(t.TempDir(), "token"), "short")
	conf := writeFile(t, filepath.Join(t.TempDir(), "weir.yaml"), "store: {token_file: "+short+"}\n")
	if _, errs := weir(t, exitConfig, "check", "-c", conf); !strings.Contains(errs, "store.token_file: ") {
		t.Errorf("a token of five octets: %s", errs)
	}
}
