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
	"github.com/weirdns/weir/alert"
	"github.com/weirdns/weir/internal/dnstest"
)

// A blocked name is told to a webhook that is up only after a restart, and listed,
// acknowledged and silenced by commands.
func TestABlockedNameIsToldAndListed(t *testing.T) {
	var mu sync.Mutex
	got := map[string]alert.Notification{}
	up := false
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var n alert.Notification
		mu.Lock()
		defer mu.Unlock()
		if err := json.Unmarshal(body, &n); err != nil || !up {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		got[n.Reason+" "+n.Alert.Rule] = n
	}))
	defer hook.Close()
	arrived := func(what string) (n alert.Notification) {
		t.Helper()
		untilTrue(t, what, func() (ok bool) {
			mu.Lock()
			defer mu.Unlock()
			n, ok = got[what]
			return ok
		})
		return n
	}
	server := dnstest.NewServer(t, "example.com", "@ SOA ns admin 1 3600 600 86400 60\nwww A 192.0.2.1\n")
	conf := writeFile(t, filepath.Join(t.TempDir(), "weir.yaml"), "state_dir: "+t.TempDir()+`
lists: [{name: bad, inline: [bad.example.com]}]
alerts:
  receivers: [{name: hook, kind: webhook, url: "`+hook.URL+`", retry_max: 1s}]
  rules:
    - {name: blocked, match: {lists: [bad], mode: enforced}, by: client, severity: critical}
`)
	weir(t, exitOK, "check", conf)
	args := []string{"-c", conf, "--upstream", server.Addr(), "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"}
	p := startWeir(t, args...)
	p.ask("udp", p.listen[0], "bad.example.com.", dns.TypeA)
	untilTrue(t, "an alert", func() bool {
		out, _ := weir(t, exitOK, "alerts", "-c", conf)
		return strings.Contains(out, "firing") && strings.Contains(out, "receiver hook FAILING")
	})
	out, _ := weir(t, exitOK, "alerts", "list", "--events", "-c", conf)
	for _, want := range []string{"blocked", "127.0.0.0/24", "critical", "bad.example.com"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if _, errs := weir(t, exitFailure, "alerts", "test", "hook", "-c", conf); !strings.Contains(errs, "1 of 1") {
		t.Errorf("a test that cannot arrive says %s", errs)
	}
	if _, errs := weir(t, exitFailure, "alerts", "test", "nobody", "-c", conf); !strings.Contains(errs, "no receiver is named nobody") {
		t.Errorf("a test of nobody says %s", errs)
	}
	text := p.scrape()
	checkDocumented(t, text)
	for series, want := range map[string]string{`weir_alerts_firing{severity="critical"}`: "1", `weir_alerts_receiver_up{receiver="hook"}`: "0", `weir_alerts_waiting{receiver="hook"}`: "1"} {
		if v := metric(text, series); v != want {
			t.Errorf("%s is %s, want %s", series, v, want)
		}
	}
	if log := p.log(); strings.Contains(log, "bad.example.com") || strings.Contains(log, `"127.0.0.0`) {
		t.Errorf("name or client in the log:\n%s", log)
	}
	p.stop()

	mu.Lock()
	up = true
	mu.Unlock()
	p = startWeir(t, args...)
	n := arrived("new blocked")
	if n.Alert.Key != "127.0.0.0/24" || len(n.Alert.Events) != 1 || n.Alert.Events[0].Name != "bad.example.com" || !strings.Contains(n.Body, "bad.example[.]com") {
		t.Errorf("it was told %+v", n)
	}
	if out, _ := weir(t, exitOK, "alerts", "test", "-c", conf); !strings.Contains(out, "hook: arrived") {
		t.Errorf("test says %s", out)
	}
	arrived("test test")
	if out, _ := weir(t, exitOK, "alerts", "ack", n.Alert.ID[:8], "--note", "known", "-c", conf); !strings.Contains(out, n.Alert.ID) {
		t.Errorf("ack says %s", out)
	}
	weir(t, exitFailure, "alerts", "ack", "ffffffff", "-c", conf)
	out, _ = weir(t, exitOK, "alerts", "silence", "blocked", "--for", "1h", "-c", conf)
	id := strings.Fields(out)[1]
	if out, _ := weir(t, exitOK, "alerts", "-c", conf); !strings.Contains(out, "acknowledged") || !strings.Contains(out, "silence "+id) {
		t.Errorf("list says\n%s", out)
	}
	weir(t, exitFailure, "alerts", "silence", "none", "-c", conf)
	weir(t, exitOK, "alerts", "end", id, "-c", conf)
	weir(t, exitFailure, "alerts", "end", id, "-c", conf)
	p.stop()
}

func TestAlertsAreChecked(t *testing.T) {
	conf := writeFile(t, filepath.Join(t.TempDir(), "weir.yaml"), `
sandbox: {enabled: true}
alerts:
  rules:
    - {name: a, match: {lists: [gone], groups: [gone]}, receivers: [gone], quiet: gone}
    - {name: b, match: {}}
  receivers:
    - {name: run, kind: exec, exec: {command: [/bin/true]}}
    - {name: run, kind: slack}
`)
	_, errs := weir(t, exitConfig, "check", conf)
	for _, want := range []string{
		"weir.yaml:6: alerts.rules[1].match.findings: nothing is set",
		"weir.yaml:8: alerts.receivers[0].kind: exec does not go with sandbox.enabled", "weir.yaml:9: alerts.receivers[1].url: slack needs one",
		`weir.yaml:9: alerts.receivers[1].name: "run" is used`,
	} {
		if !strings.Contains(errs, want) {
			t.Errorf("no %q in\n%s", want, errs)
		}
	}
	conf = writeFile(t, filepath.Join(t.TempDir(), "weir.yaml"), `
alerts:
  rules:
    - {name: a, match: {lists: [gone], groups: [gone]}, receivers: [gone], quiet: gone}
  receivers:
    - {name: web, kind: webhook, url: "https://x.example", token_file: /nonexistent}
`)
	_, errs = weir(t, exitConfig, "check", conf)
	for _, want := range []string{"match.lists[0]: no list is", "match.groups[0]: no group is", "receivers[0]: no receiver is", "quiet: no schedule is"} {
		if !strings.Contains(errs, "weir.yaml:4: alerts.rules[0]."+want) {
			t.Errorf("no %q in\n%s", want, errs)
		}
	}
	conf = writeFile(t, filepath.Join(t.TempDir(), "weir.yaml"), "alerts: {receivers: [{name: web, kind: webhook, url: \"https://x.example\", token_file: /nonexistent}]}\n")
	if _, errs := weir(t, exitConfig, "check", conf); !strings.Contains(errs, "alerts.receivers[0].token_file: open /nonexistent") {
		t.Errorf("check says\n%s", errs)
	}
}
