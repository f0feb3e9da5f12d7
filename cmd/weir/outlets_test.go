package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/miekg/dns"
	"github.com/weirdns/weir/internal/dnstest"
)

// What is asked while the service is down reaches it after the next start.
func TestTransactionsReachAnOutletAlsoAfterARestart(t *testing.T) {
	var mu sync.Mutex
	var got strings.Builder
	up := false
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		if !up {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		got.Write(body)
	}))
	defer service.Close()
	server := dnstest.NewServer(t, "example.com", "@ SOA ns admin 1 3600 600 86400 60\nwww A 192.0.2.1\n")
	conf := writeFile(t, filepath.Join(t.TempDir(), "weir.yaml"), "state_dir: "+t.TempDir()+"\nrecords: {sensor_id: x}\n"+
		"outlets: {http: [{name: lines, url: "+service.URL+", gzip: false, batch_interval: 10ms}]}\n")
	weir(t, exitOK, "check", conf)
	for round, name := range []string{"a.example.com.", "b.example.com."} {
		p := startWeir(t, "-c", conf, "--upstream", server.Addr(), "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0")
		p.ask("udp", p.listen[0], name, dns.TypeA)
		if round == 0 {
			checkStatus(t, conf)
		}
		if round == 1 {
			mu.Lock()
			up = true
			mu.Unlock()
			untilTrue(t, "both rows", func() bool {
				mu.Lock()
				defer mu.Unlock()
				return strings.Contains(got.String(), `"qname":"a.example.com","`) && strings.Contains(got.String(), `"qname":"b.example.com","`)
			})
		}
		p.stop()
	}
	if !strings.Contains(got.String(), `"client":"127.0.0.0/24"`) || !strings.Contains(got.String(), `{"weir_id":"`) {
		t.Errorf("the service got\n%s", got.String())
	}
}

func TestOutletsAreChecked(t *testing.T) {
	conf := writeFile(t, filepath.Join(t.TempDir(), "weir.yaml"), `
outlets:
  http:
    - {name: a, url: "ftp://x"}
    - {name: a, url: "http://x", token_file: /nonexistent}
`)
	_, errs := weir(t, exitConfig, "check", conf)
	for _, want := range []string{"weir.yaml:4: outlets.http[0].url: must be like", `outlets.http[1].name: "a" is used by an earlier outlet`} {
		if !strings.Contains(errs, want) {
			t.Errorf("no %q in\n%s", want, errs)
		}
	}
	conf = writeFile(t, filepath.Join(t.TempDir(), "weir.yaml"), "outlets: {http: [{name: a, url: \"http://x\", token_file: /nonexistent}]}\n")
	if _, errs := weir(t, exitConfig, "check", conf); !strings.Contains(errs, "outlets.http[0].token_file: open /nonexistent") {
		t.Errorf("check says\n%s", errs)
	}
}

// checkStatus wants weir status to say that one row waits, and why.
func checkStatus(t *testing.T, conf string) {
	t.Helper()
	var r statusReport
	untilTrue(t, "a failed try of an outlet in weir status", func() bool {
		out, _ := weir(t, exitOK, "status", "-c", conf, "--json")
		if err := json.Unmarshal([]byte(out), &r); err != nil {
			t.Fatalf("%v of %s", err, out)
		}
		return len(r.Outlets) == 1 && r.Outlets[0].LastError != nil && r.Outlets[0].Waiting == 1
	})
	o := r.Outlets[0]
	if o.Name != "lines" || o.Kind != "http" || o.Up || o.Sent != 0 || o.Oldest == nil || o.Bytes == 0 || *o.LastError != "the service answers 502" || o.LastErrorAt == nil {
		t.Errorf("outlet %+v", o)
	}
	if out, _ := weir(t, exitOK, "status", "-c", conf); !strings.Contains(out, "lines (http) DOWN, 0 sent, 1 waiting (oldest ") || !strings.Contains(out, ", 0 dropped: the service answers 502\n") {
		t.Errorf("status says\n%s", out)
	}
}

// A clean end leaves nothing behind where the service answers: also not what came
// since the last batch.
func TestTheLastRowsGoOutAtTheEnd(t *testing.T) {
	var mu sync.Mutex
	var got strings.Builder
	service := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		got.Write(body)
	}))
	defer service.Close()
	server := dnstest.NewServer(t, "example.com", "@ SOA ns admin 1 3600 600 86400 60\nwww A 192.0.2.1\n")
	conf := writeFile(t, filepath.Join(t.TempDir(), "weir.yaml"), "state_dir: "+t.TempDir()+"\n"+
		"outlets: {http: [{name: lines, url: "+service.URL+", gzip: false, batch_interval: 1h}]}\n")
	p := startWeir(t, "-c", conf, "--upstream", server.Addr(), "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0")
	p.ask("udp", p.listen[0], "a.example.com.", dns.TypeA)
	p.stop()
	mu.Lock()
	defer mu.Unlock()
	if !strings.Contains(got.String(), `"qname":"a.example.com","`) {
		t.Errorf("the service got %q, want the last row", got.String())
	}
}
