package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/miekg/dns"
	"github.com/weirdns/weir/alert"
	"github.com/weirdns/weir/internal/dnstest"
)

// hook is a webhook that remembers, as "reason rule".
type hook struct {
	*httptest.Server
	mu  sync.Mutex
	got []alert.Notification
	bad bool // refuses
}

func newHook(t *testing.T) *hook {
	t.Helper()
	h := &hook{}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var n alert.Notification
		h.mu.Lock()
		defer h.mu.Unlock()
		if err := json.Unmarshal(body, &n); err != nil || h.bad {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		h.got = append(h.got, n)
	}))
	t.Cleanup(h.Close)
	return h
}

func (h *hook) told() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []string
	for _, n := range h.got {
		out = append(out, n.Reason+" "+n.Alert.Rule)
	}
	return out
}

func (h *hook) arrives(t *testing.T, want string) {
	t.Helper()
	untilTrue(t, want, func() bool {
		for _, got := range h.told() {
			if got == want {
				return true
			}
		}
		return false
	})
}

// SIGHUP takes rules and receivers in, and loses neither what fires nor what waits
// for a receiver, even one that is taken out for a while.
func TestAReloadOfAlertsLosesNothing(t *testing.T) {
	server := dnstest.NewServer(t, "example.com", "@ SOA ns admin 1 3600 600 86400 60\nwww A 192.0.2.1\n")
	down, first, second := newHook(t), newHook(t), newHook(t)
	down.bad = true
	dir := t.TempDir()
	conf := filepath.Join(dir, "weir.yaml")
	configure := func(receivers, rules string) {
		t.Helper()
		tmp := writeFile(t, conf+".tmp", "state_dir: "+filepath.Join(dir, "state")+"\nlists: [{name: bad, inline: [bad.example.com]}, {name: worse, inline: [worse.example.com]}]\nalerts:\n  builtin: false\n  receivers: ["+receivers+"]\n  rules: ["+rules+"]\n")
		if err := os.Rename(tmp, conf); err != nil {
			t.Fatal(err)
		}
	}
	receiver := func(name, url string) string {
		return "{name: " + name + ", kind: webhook, url: " + url + ", retry_max: 1h}"
	}
	const bad, worse = "{name: bad, match: {lists: [bad]}}", "{name: worse, match: {lists: [worse]}, severity: critical}"
	configure(receiver("one", down.URL)+", "+receiver("two", down.URL), bad)
	p := startWeir(t, "-c", conf, "--upstream", server.Addr(), "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0")
	p.ask("udp", p.listen[0], "bad.example.com.", dns.TypeA)
	list := func() string {
		out, _ := weir(t, exitOK, "alerts", "-c", conf)
		return out
	}
	untilTrue(t, "receivers that fail", func() bool { return strings.Count(list(), "FAILING: 0 sent, 1 waiting") == 2 })
	id := strings.Fields(strings.Split(list(), "\n")[1])[0]

	configure(receiver("one", first.URL), bad+", "+worse) // two is taken out
	p.reload("reloaded")
	first.arrives(t, "new bad")
	if out := list(); !strings.Contains(out, id+"  firing") || strings.Contains(out, "receiver two") {
		t.Errorf("after the reload:\n%s", out)
	}
	p.ask("udp", p.listen[0], "worse.example.com.", dns.TypeA)
	first.arrives(t, "new worse")

	configure("{name: one, kind: webhook, url: 'https://x.example', token_file: /nonexistent}", bad)
	p.reload("reload rejected")
	if out, _ := weir(t, exitOK, "alerts", "test", "one", "-c", conf); !strings.Contains(out, "one: arrived") {
		t.Errorf("after a reload that was rejected: %s", out)
	}

	configure(receiver("one", first.URL)+", "+receiver("two", second.URL), worse) // two is back, and a rule is gone
	p.reload("reloaded")
	second.arrives(t, "new bad")
	first.arrives(t, "resolved bad")
	checkDocumented(t, p.scrape())
	p.stop()
}

// A sniffer tells of what it sees like a resolver, and takes new receivers by
// SIGHUP.
func TestASnifferTellsOfWhatItSees(t *testing.T) {
	sample, err := os.ReadFile("../../testdata/pcap/sample.pcap")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	pcaps := filepath.Join(dir, "in")
	if err := os.Mkdir(pcaps, 0o750); err != nil {
		t.Fatal(err)
	}
	down, up := newHook(t), newHook(t)
	down.bad = true
	conf := filepath.Join(dir, "weir.yaml")
	configure := func(url string) {
		t.Helper()
		tmp := writeFile(t, conf+".tmp", `
lists: [{name: l, inline: [www.example.com]}]
alerts:
  builtin: false
  receivers: [{name: hook, kind: webhook, url: "`+url+`", retry_max: 1h}]
  rules: [{name: seen, match: {lists: [l], mode: monitored}}]
`)
		if err := os.Rename(tmp, conf); err != nil {
			t.Fatal(err)
		}
	}
	configure(down.URL)
	p, _ := startSniffer(t, "--follow", pcaps, "-c", conf, "--admin", "", "--state", filepath.Join(dir, "state"))
	tmp := filepath.Join(dir, "tmp")
	if err := os.WriteFile(tmp, sample, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(tmp, filepath.Join(pcaps, "x.pcap")); err != nil {
		t.Fatal(err)
	}
	box := filepath.Join(dir, "state", "alerts", "outbox", "hook")
	untilTrue(t, "a notification that waits", func() bool {
		left, _ := os.ReadDir(box)
		return len(left) > 0
	})
	configure(up.URL)
	p.reload("reloaded")
	up.arrives(t, "new seen")
	p.stop()
	if _, err := os.Stat(filepath.Join(dir, "state", "alerts", "alerts.json")); err != nil {
		t.Errorf("what fires is not kept: %v", err)
	}
}
