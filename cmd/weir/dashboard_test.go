package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	dto "github.com/prometheus/client_model/go"
	"github.com/weirdns/weir/incident"
	"github.com/weirdns/weir/pdns/tally"
)

// visitor is a browser that has logged in to the dashboard of a running weir, by
// the link that weir dashboard prints.
type visitor struct {
	t    *testing.T
	base string
	http http.Client
}

func visit(t *testing.T, p *process) *visitor {
	t.Helper()
	var out, errOut bytes.Buffer
	std := stdio{strings.NewReader(""), &out, &errOut}
	if code := run([]string{"dashboard", "--state", p.state}, std); code != exitOK {
		t.Fatalf("weir dashboard = %d: %s", code, &errOut)
	}
	base, code, ok := strings.Cut(strings.TrimSpace(out.String()), "#/login?code=")
	if !ok || base != strings.TrimSuffix(p.metrics, "metrics") {
		t.Fatalf("the link is %q, metrics are at %s", out.String(), p.metrics)
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	v := &visitor{t: t, base: base, http: http.Client{Jar: jar, Timeout: time.Minute}}
	v.post("api/v1/login", map[string]string{"code": code}, nil)
	return v
}

// do asks again while the database is not open yet.
func (v *visitor) do(method, path string, body io.Reader, into any) {
	v.t.Helper()
	var status int
	var data []byte
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		status, data = v.once(method, path, body)
		if status != http.StatusServiceUnavailable || time.Now().After(deadline) {
			break
		}
	}
	if status != http.StatusOK {
		v.t.Fatalf("%s %s: %d %s", method, path, status, data)
	}
	if into != nil {
		if err := json.Unmarshal(data, into); err != nil {
			v.t.Fatalf("%s %s: %v in %s", method, path, err, data)
		}
	}
}

func (v *visitor) once(method, path string, body io.Reader) (int, []byte) {
	v.t.Helper()
	req, err := http.NewRequest(method, v.base+path, body)
	if err != nil {
		v.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	resp, err := v.http.Do(req)
	if err != nil {
		v.t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	return resp.StatusCode, data
}

func (v *visitor) get(path string, into any) { v.t.Helper(); v.do("GET", path, nil, into) }

func (v *visitor) post(path string, body, into any) {
	v.t.Helper()
	data, err := json.Marshal(body)
	if err != nil {
		v.t.Fatal(err)
	}
	v.do("POST", path, bytes.NewReader(data), into)
}

func TestTheDashboardShowsWhatPassed(t *testing.T) {
	conf := writeFile(t, filepath.Join(t.TempDir(), "weir.yaml"), `
resolver: {listen: ["127.0.0.1:0"], upstream: {servers: ["127.0.0.1:9"]}}
admin: {listen: "127.0.0.1:0"}
lists: [{name: ours, inline: [evil.example]}]
`)
	p := startWeir(t, "-c", conf, "--state", t.TempDir())
	v := visit(t, p)
	var state dashboardState
	v.get("api/v1/dashboard", &state)
	if state.ReadOnly || state.Clients != "truncated" || len(state.Operations) < 10 {
		t.Errorf("%+v", state)
	}
	p.ask("udp", p.listen[0], "www.evil.example.", dns.TypeA)
	var o overviewReport
	v.get("api/v1/overview", &o)
	blocked := 0.0
	for _, c := range o.Verdicts {
		if c.Origin == "blocklist" && c.Mode == "enforce" {
			blocked += c.Count
		}
	}
	if blocked != 1 || len(o.Answers) == 0 || len(o.Minutes) != 60 {
		t.Errorf("blocked %v, answers %v, %d minutes; want 1, some, 60", blocked, o.Answers, len(o.Minutes))
	}
	var found struct{ Rows []struct{ Name string } }
	for deadline := time.Now().Add(time.Minute); len(found.Rows) == 0 && time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		v.get("api/v1/detections?q=evil", &found)
	}
	if len(found.Rows) != 1 || found.Rows[0].Name != "www.evil.example" {
		t.Errorf("detections %+v, want www.evil.example", found)
	}
	var m modelsReport
	v.get("api/v1/models", &m)
	if m.Live == nil || len(m.Live.Thresholds) != 3 || len(m.Live.Calibration) < 2 || m.Shadow != nil || m.Site.Needed == 0 {
		t.Errorf("models %+v", m)
	}
	var findings []any
	v.get("api/v1/findings", &findings)
	if findings == nil || len(findings) != 0 {
		t.Errorf("findings %v, want an empty list", findings)
	}
	v.post("api/v1/allow", map[string]string{"name": "evil.example", "for": "1h"}, nil)
	var gone removed
	v.post("api/v1/allow/remove", map[string]string{"name": "evil.example"}, &gone)
	if gone.Removed != 1 {
		t.Errorf("%d removed, want 1", gone.Removed)
	}
	p.stop()
}

func TestIncidentsAreKeptThroughTheDashboard(t *testing.T) {
	state := t.TempDir()
	args := []string{"--state", state, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--upstream", "127.0.0.1:9"}
	p := startWeir(t, args...)
	v := visit(t, p)
	title, note := "A case", "two lines\nof it"
	var opened incident.Incident
	v.post("api/v1/incidents", incident.Change{Title: &title, Add: []incident.Event{{Time: time.Now(), Name: "<b>.example", Kind: "model"}}}, &opened)
	v.post("api/v1/incidents/"+opened.ID, incident.Change{Note: &note}, nil)
	for _, bad := range []struct {
		path, body string
		want       int
	}{{"api/v1/incidents", `{"title":""}`, 400}, {"api/v1/incidents/none", `{}`, 404}, {"api/v1/incidents/none/remove", `{}`, 404}, {"api/v1/incidents", `{"color":"red"}`, 400}} {
		if status, body := v.once("POST", bad.path, strings.NewReader(bad.body)); status != bad.want {
			t.Errorf("%s %s = %d %s, want %d", bad.path, bad.body, status, body, bad.want)
		}
	}
	p.stop()
	p = startWeir(t, args...)
	v = visit(t, p)
	var all []incident.Incident
	v.get("api/v1/incidents", &all)
	if len(all) != 1 || all[0].Note != note || len(all[0].Events) != 1 {
		t.Errorf("after a restart %+v", all)
	}
	if status, text := v.once("GET", "api/v1/incidents/"+opened.ID+"/markdown", nil); status != 200 || !strings.Contains(string(text), "name `<b>.example`") {
		t.Errorf("markdown %d %s", status, text)
	}
	v.post("api/v1/incidents/"+opened.ID+"/remove", struct{}{}, nil)
	if status, _ := v.once("GET", "api/v1/incidents/"+opened.ID, nil); status != 404 {
		t.Errorf("a removed one: %d, want 404", status)
	}
	p.stop()
}

func TestNoDashboardWhereItIsSwitchedOff(t *testing.T) {
	conf := writeFile(t, filepath.Join(t.TempDir(), "weir.yaml"), `
resolver: {listen: ["127.0.0.1:0"], upstream: {servers: ["127.0.0.1:9"]}}
admin: {listen: "127.0.0.1:0", dashboard: {enabled: false}}
`)
	p := startWeir(t, "-c", conf, "--state", t.TempDir())
	for _, path := range []string{"", "app.js", "api/v1/overview"} {
		resp, err := http.Get(strings.TrimSuffix(p.metrics, "metrics") + path)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusNotFound {
			t.Errorf("/%s = %s, want 404", path, resp.Status)
		}
	}
	var errOut bytes.Buffer
	std := stdio{strings.NewReader(""), io.Discard, &errOut}
	if code := run([]string{"dashboard", "--state", p.state}, std); code != exitFailure || !strings.Contains(errOut.String(), "admin.dashboard.enabled") {
		t.Errorf("weir dashboard = %d: %s", code, &errOut)
	}
	p.stop()
}

func TestAMinuteBeforeTheStartIsAGap(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 30, 0, time.UTC)
	began := now.Add(-2 * time.Minute)
	quiet := now.Unix() / 60 * 60
	got := lastHour([]tally.Minute{{Time: quiet, Queries: 3}, {Time: quiet - 3600, Queries: 9}}, now, began)
	if len(got) != 60 {
		t.Fatalf("%d minutes, want 60", len(got))
	}
	if last := got[59]; last.Time != quiet || last.Queries != 3 || last.Gap {
		t.Errorf("this minute %+v", last)
	}
	if m := got[58]; m.Queries != 0 || m.Gap {
		t.Errorf("a quiet minute %+v, want 0 queries and no gap", m)
	}
	if m := got[0]; m.Time != quiet-59*60 || !m.Gap {
		t.Errorf("the oldest %+v, want a gap", m)
	}
}

func TestQuantilesOfAHistogram(t *testing.T) {
	h := &dto.Histogram{SampleCount: new(uint64(100))}
	for _, b := range []struct {
		upper float64
		n     uint64
	}{{0.01, 50}, {0.02, 50}, {0.1, 98}} {
		h.Bucket = append(h.Bucket, &dto.Bucket{UpperBound: &b.upper, CumulativeCount: &b.n})
	}
	if got := quantile(0.5, h); got == nil || *got != 0.01 {
		t.Errorf("median %v, want 0.01", got)
	}
	if got := quantile(0.74, h); got == nil || *got < 0.0599 || *got > 0.0601 {
		t.Errorf("74 %%: %v, want 0.06", got)
	}
	if got := quantile(0.99, h); got != nil {
		t.Errorf("99 %%: %v, want none: it is beyond the buckets", *got)
	}
	if got := quantile(0.5, &dto.Histogram{}); got != nil {
		t.Errorf("of nothing: %v", *got)
	}
}
