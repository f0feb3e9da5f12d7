package main

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weirdns/weir/incident"
)

// A case from its beginning to its export, by commands alone; the dashboard shows
// the same record.
func TestAnIncidentByCommands(t *testing.T) {
	dir := t.TempDir()
	conf := writeFile(t, filepath.Join(dir, "weir.yaml"), `
resolver: {listen: ["127.0.0.1:0"], upstream: {servers: ["127.0.0.1:9"]}}
admin: {listen: "127.0.0.1:0"}
`)
	p := startWeir(t, "-c", conf, "--state", filepath.Join(dir, "state"))
	at := []string{"--state", p.state}
	ask := func(code int, args ...string) string {
		t.Helper()
		out, errs := weir(t, code, append(append([]string{"incident"}, args...), at...)...)
		return out + errs
	}
	id := strings.TrimSpace(ask(exitOK, "open", "A tunnel", "--note", "first look"))
	ask(exitOK, "add", id, "--name", "`x`.tunnel.example", "--client", "192.0.2.0/24", "--text", "much TXT", "--kind", "tunnel", "--time", "2026-03-02T12:00:00Z")
	events := writeFile(t, filepath.Join(dir, "events.json"), `[{"time": "2026-03-02T11:00:00Z", "kind": "model", "name": "a.example"}, {"time": "2026-03-02T13:00:00Z", "text": "cut off"}]`)
	if out := ask(exitOK, "add", id, "--events", events); !strings.Contains(out, "has 3 events") {
		t.Errorf("add says %s", out)
	}
	ask(exitOK, "note", id, "the laptop of the third floor")
	text := ask(exitOK, "show", id)
	first, last := strings.Index(text, "11:00:00Z, `model`"), strings.Index(text, "13:00:00Z")
	if !strings.HasPrefix(text, "# `A tunnel`") || !strings.Contains(text, "third floor") || !strings.Contains(text, "`` `x`.tunnel.example ``") || first < 0 || last < first {
		t.Errorf("as Markdown:\n%s", text)
	}
	var i incident.Incident
	if err := json.Unmarshal([]byte(ask(exitOK, "show", id, "--json")), &i); err != nil || len(i.Events) != 3 || i.Note != "the laptop of the third floor" {
		t.Errorf("as JSON: %+v, %v", i, err)
	}
	if out := ask(exitOK, "list"); !strings.Contains(out, id) || !strings.Contains(out, "A tunnel") {
		t.Errorf("list says\n%s", out)
	}
	var shown []incident.Incident
	visit(t, p).get("api/v1/incidents", &shown)
	if len(shown) != 1 || shown[0].ID != id || len(shown[0].Events) != 3 {
		t.Errorf("the dashboard has %+v", shown)
	}
	ask(exitUsage, "add", id, "--time", "yesterday", "--text", "x")
	ask(exitUsage, "add", id, "--events", events, "--text", "x")
	ask(exitFailure, "add", id) // it says nothing
	ask(exitOK, "remove", id)
	if out := ask(exitFailure, "show", id); !strings.Contains(out, "no such incident") {
		t.Errorf("once it is removed: %s", out)
	}
}
