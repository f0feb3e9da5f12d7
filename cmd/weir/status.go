package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"text/tabwriter"
	"time"
)

// statusReport is the answer of GET /api/v1/status. It holds no names of
// queries and no clients.
type statusReport struct {
	Version     string           `json:"version"`
	PID         int              `json:"pid"`
	Started     time.Time        `json:"started"`
	Uptime      float64          `json:"uptime_seconds"`
	Missing     []string         `json:"missing"` // what keeps it from being ready
	Listen      []string         `json:"listen"`
	ListenTLS   []string         `json:"listen_tls,omitempty"`
	ListenHTTPS []string         `json:"listen_https,omitempty"`
	ListenQUIC  []string         `json:"listen_quic,omitempty"`
	Admin       string           `json:"admin"` // "": none
	StateDir    string           `json:"state_dir"`
	Upstreams   []upstreamStatus `json:"upstreams"`
	Model       *modelStatus     `json:"model"` // null: none
	Lists       listsSummary     `json:"lists"`
	Records     recordsStatus    `json:"records"`
	Outlets     []outletStatus   `json:"outlets,omitempty"`
	// RefusedReload is when the newest reload was refused, if it was: GET
	// /api/v1/reload has why. Null: it was not.
	RefusedReload *time.Time `json:"refused_reload"`
}

type upstreamStatus struct {
	Server string `json:"server"`
	Up     bool   `json:"up"`
}

type modelStatus struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	SHA256  string `json:"sha256"`
	Mode    string `json:"mode"`
	Level   string `json:"level"`
}

// listsSummary is all lists in a few numbers; weir lists status has each.
type listsSummary struct {
	Lists   int `json:"lists"`
	Entries int `json:"entries"` // names and addresses
	Failing int `json:"failing"` // whose newest data were refused or never came
}

type recordsStatus struct {
	Dir          string `json:"dir"` // "": nothing is recorded
	COF          bool   `json:"cof"`
	Transactions bool   `json:"transactions"`
}

// status is GET /api/v1/status.
func (s *service) status(*http.Request) (any, error) {
	cfg := s.cfg.Load()
	r := statusReport{
		Version: buildVersion(), PID: os.Getpid(), Started: s.began.UTC(), Uptime: time.Since(s.began).Seconds(),
		Missing: append([]string{}, s.missing()...), Listen: s.resolver.Addrs(), ListenTLS: s.resolver.AddrsTLS(), ListenHTTPS: s.resolver.AddrsHTTPS(),
		ListenQUIC: s.resolver.AddrsQUIC(), Admin: s.admin.Addr(),
	}
	if s.stateless == nil {
		r.StateDir = s.started.StateDir
	}
	for _, up := range s.upstreams.states() {
		r.Upstreams = append(r.Upstreams, upstreamStatus{up.Server, up.Up})
	}
	if m := s.detection.detector.Model(); m != nil {
		info := m.Info()
		r.Model = &modelStatus{info.Name, info.Version, info.SHA256, cfg.Detect.Model.Mode, cfg.Detect.Model.Level}
	}
	for _, l := range s.detection.lists.Snapshot().Lists() {
		r.Lists.Lists++
		r.Lists.Entries += l.Entries + l.Addresses
		if l.Err != "" {
			r.Lists.Failing++
		}
	}
	if refused := s.reloads.refused.Load(); refused != nil {
		r.RefusedReload = &refused.Time
	}
	if rec := s.started.Records; s.stateless == nil && (rec.COF.Enabled || rec.Transactions.Enabled) {
		r.Records = recordsStatus{rec.Dir, rec.COF.Enabled, rec.Transactions.Enabled}
	}
	r.Outlets = s.outlets.status()
	return r, nil
}

type statusCmd struct {
	controlFlags
	JSON bool `name:"json" help:"Print the answer as it comes, one JSON object."`
}

// Run asks the running weir and prints what it says.
func (c *statusCmd) Run(std stdio) error {
	client, err := c.connect()
	if err != nil {
		return err
	}
	var r statusReport
	if err := client.call(context.Background(), http.MethodGet, "/api/v1/status", nil, &r); err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(std.out).Encode(&r)
	}
	if err := r.print(std); err != nil {
		return err
	}
	return printRefused(client, std.out)
}

func (r *statusReport) print(std stdio) error {
	w := tabwriter.NewWriter(std.out, 0, 0, 2, ' ', 0)
	line := func(label, format string, args ...any) {
		fmt.Fprintf(w, "%s\t%s\n", label, fmt.Sprintf(format, args...))
	}
	orNone := func(s string) string {
		if s == "" {
			return "none"
		}
		return s
	}
	line("version", "%s", r.Version)
	line("process", "%d, up %s", r.PID, time.Duration(r.Uptime*float64(time.Second)).Round(time.Second))
	if len(r.Missing) == 0 {
		line("ready", "yes")
	} else {
		line("ready", "no: %s", strings.Join(r.Missing, "; "))
	}
	line("listen", "%s", strings.Join(r.Listen, " "))
	if len(r.ListenTLS) > 0 {
		line("tls", "%s", strings.Join(r.ListenTLS, " "))
	}
	if len(r.ListenHTTPS) > 0 {
		line("https", "%s", strings.Join(r.ListenHTTPS, " "))
	}
	if len(r.ListenQUIC) > 0 {
		line("quic", "%s", strings.Join(r.ListenQUIC, " "))
	}
	line("admin", "%s", orNone(r.Admin))
	line("state", "%s", orNone(r.StateDir))
	for _, up := range r.Upstreams {
		line("upstream", "%s %s", up.Server, map[bool]string{true: "up", false: "DOWN"}[up.Up])
	}
	if m := r.Model; m != nil {
		line("model", "%s %s, %s from level %s", m.Name, m.Version, m.Mode, m.Level)
	} else {
		line("model", "none")
	}
	line("lists", "%d with %d entries, %d failing", r.Lists.Lists, r.Lists.Entries, r.Lists.Failing)
	line("records", "%s", orNone(r.Records.Dir))
	for i := range r.Outlets {
		line("outlet", "%s", r.Outlets[i].text(time.Now()))
	}
	return w.Flush()
}
