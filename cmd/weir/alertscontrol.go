package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/weirdns/weir/alert"
	"github.com/weirdns/weir/alert/outbox"
	"github.com/weirdns/weir/web"
	"go.uber.org/zap"
)

// alertsReport is the answer of GET /api/v1/alerts.
type alertsReport struct {
	alert.Report
	Receivers []outbox.Status `json:"receivers"`
}

// alertTestTimeout is how long a test of all receivers may take.
const alertTestTimeout = 90 * time.Second

func (s *service) alertRoutes() []web.Route {
	if s.alerts == nil {
		return nil
	}
	return []web.Route{
		{Pattern: "GET /api/v1/alerts", Handler: web.Answer(s.listAlerts)},
		{Pattern: "POST /api/v1/alerts/test", Handler: web.Answer(s.testAlerts), Timeout: alertTestTimeout},
		{Pattern: "POST /api/v1/alerts/ack", Handler: web.Answer(s.ackAlert)},
		{Pattern: "POST /api/v1/alerts/silence", Handler: web.Answer(s.silenceAlerts)},
		{Pattern: "DELETE /api/v1/alerts/silence", Handler: web.Answer(s.endSilence)},
	}
}

// listAlerts is GET /api/v1/alerts.
func (s *service) listAlerts(*http.Request) (any, error) {
	r := alertsReport{Report: s.alerts.engine.Report(), Receivers: []outbox.Status{}}
	for _, box := range s.alerts.outboxes() {
		r.Receivers = append(r.Receivers, box.Status())
	}
	return r, nil
}

// alertTestRequest is the body of POST /api/v1/alerts/test.
type alertTestRequest struct {
	Receiver string `json:"receiver"` // "": all
}

// alertTest is how one receiver took the test.
type alertTest struct {
	Receiver string `json:"receiver"`
	OK       bool   `json:"ok"`
	Error    string `json:"error,omitempty"`
}

// testAlerts is POST /api/v1/alerts/test: it sends a sample at once, beside what
// waits, and says what came of it.
func (s *service) testAlerts(r *http.Request) (any, error) {
	var req alertTestRequest
	if err := web.Decode(r, &req); err != nil {
		return nil, err
	}
	var id [8]byte
	_, _ = rand.Read(id[:]) // never fails
	n := alert.Sample(s.alerts.calledAs(), hex.EncodeToString(id[:]), time.Now().UTC())
	var boxes []*outbox.Outbox
	for _, box := range s.alerts.outboxes() {
		if req.Receiver == "" || req.Receiver == box.Name() {
			boxes = append(boxes, box)
		}
	}
	if len(boxes) == 0 {
		if req.Receiver == "" {
			return nil, web.NotFound("no receiver is configured: alerts.receivers")
		}
		return nil, web.NotFound("no receiver is named %s", req.Receiver)
	}
	out := make([]alertTest, len(boxes))
	var wg sync.WaitGroup
	for i, box := range boxes {
		wg.Go(func() {
			out[i] = alertTest{Receiver: box.Name(), OK: true}
			if err := box.Try(r.Context(), n); err != nil {
				out[i].OK, out[i].Error = false, err.Error()
			}
		})
	}
	wg.Wait()
	return out, nil
}

// alertAckRequest is the body of POST /api/v1/alerts/ack.
type alertAckRequest struct {
	ID   string `json:"id"` // or its beginning
	Note string `json:"note,omitempty"`
}

// ackAlert is POST /api/v1/alerts/ack.
func (s *service) ackAlert(r *http.Request) (any, error) {
	var req alertAckRequest
	if err := web.Decode(r, &req); err != nil {
		return nil, err
	}
	a, err := s.alerts.engine.Ack(req.ID, req.Note)
	if errors.Is(err, alert.ErrUnknown) {
		return nil, web.NotFound("%w", err)
	} else if err != nil {
		return nil, web.BadRequest("%w", err)
	}
	s.log.Info("an alert is acknowledged", zap.String("id", a.ID))
	return a, nil
}

// silenceRequest is the body of POST /api/v1/alerts/silence.
type silenceRequest struct {
	Rule string `json:"rule,omitempty"`
	Key  string `json:"key,omitempty"`
	For  string `json:"for"` // as 2h
	Note string `json:"note,omitempty"`
}

// silenceAlerts is POST /api/v1/alerts/silence.
func (s *service) silenceAlerts(r *http.Request) (any, error) {
	var req silenceRequest
	if err := web.Decode(r, &req); err != nil {
		return nil, err
	}
	d, err := time.ParseDuration(req.For)
	if err != nil {
		return nil, web.BadRequest("for: must be a duration like 2h, got %q", req.For)
	}
	silence, err := s.alerts.engine.AddSilence(alert.Silence{Rule: req.Rule, Key: req.Key, Note: req.Note}, d)
	if errors.Is(err, alert.ErrTooMany) {
		return nil, &web.Error{Status: http.StatusConflict, Err: err}
	} else if err != nil {
		return nil, web.BadRequest("%w", err)
	}
	s.log.Info("alerts are silenced", zap.String("silence", silence.ID), zap.Duration("for", d))
	return silence, nil
}

// endSilence is DELETE /api/v1/alerts/silence?id=ID.
func (s *service) endSilence(r *http.Request) (any, error) {
	if err := s.alerts.engine.EndSilence(r.URL.Query().Get("id")); err != nil {
		return nil, web.NotFound("%w", err)
	}
	return struct{}{}, nil
}

// alertsCmd is the commands about alerts.
type alertsCmd struct {
	List    alertsListCmd    `cmd:"" default:"withargs" help:"Print the alerts that fire and those that are over, silences, and receivers."`
	Test    alertsTestCmd    `cmd:"" help:"Send a test to one receiver, or to all, and say whether it arrived."`
	Ack     alertsAckCmd     `cmd:"" help:"Say that you know of an alert: it is not told again, and not escalated."`
	Silence alertsSilenceCmd `cmd:"" help:"Have alerts of a rule, client, network or name not told for a while."`
	End     alertsEndCmd     `cmd:"" help:"End a silence before its time."`
}

type alertsListCmd struct {
	controlFlags
	JSON   bool `name:"json" help:"Print the answer as it comes, one JSON object."`
	Events bool `help:"Print the latest events of each alert, too."`
}

func (c *alertsListCmd) Run(std stdio) error {
	client, err := c.connect()
	if err != nil {
		return err
	}
	var r alertsReport
	if err := client.call(context.Background(), http.MethodGet, "/api/v1/alerts", nil, &r); err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(std.out).Encode(&r)
	}
	if len(r.Alerts) == 0 {
		fmt.Fprintln(std.out, "no alerts")
	} else if err := c.print(std, &r); err != nil {
		return err
	}
	for _, s := range r.Silences {
		fmt.Fprintf(std.out, "silence %s until %s: rule %s, for %s %s\n", s.ID, s.Until.Local().Format(time.RFC3339), orAll(s.Rule), orAll(s.Key), s.Note)
	}
	for _, b := range r.Receivers {
		state := "up"
		if b.Failing {
			state = "FAILING"
		}
		fmt.Fprintf(std.out, "receiver %s %s: %d sent, %d waiting, %d dropped\n", b.Name, state, b.Sent, b.Waiting, b.Dropped)
	}
	return nil
}

func (c *alertsListCmd) print(std stdio, r *alertsReport) error {
	w := tabwriter.NewWriter(std.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tSTATE\tSEVERITY\tRULE\tFOR\tEVENTS\tSINCE\tLAST\t")
	for i := range r.Alerts {
		a := &r.Alerts[i]
		note := ""
		if a.Acked != nil {
			note = "acknowledged"
		} else if a.Held != "" {
			note = "held: " + a.Held
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%s\t%s\t%s\n", a.ID, a.State, a.Severity, a.Rule, orAll(a.Key), a.Count,
			a.Began.Local().Format(time.DateTime), a.Last.Local().Format(time.DateTime), note)
		if !c.Events {
			continue
		}
		for _, e := range a.Events {
			fmt.Fprintf(w, "\t%s\t%s\t%s\t%s\t\t%s\t\t%s\n", e.Kind, e.Level, e.Client, e.Name, e.Time.Local().Format(time.DateTime), e.Why)
		}
	}
	return w.Flush()
}

func orAll(s string) string {
	if s == "" {
		return "all"
	}
	return s
}

type alertsTestCmd struct {
	Receiver string `arg:"" optional:"" help:"Receiver to try. Default: all."`
	controlFlags
}

func (c *alertsTestCmd) Run(std stdio) error {
	client, err := c.connect()
	if err != nil {
		return err
	}
	var results []alertTest
	if err := client.call(context.Background(), http.MethodPost, "/api/v1/alerts/test", &alertTestRequest{c.Receiver}, &results); err != nil {
		return err
	}
	failed := 0
	for _, r := range results {
		if r.OK {
			fmt.Fprintf(std.out, "%s: arrived\n", r.Receiver)
			continue
		}
		failed++
		fmt.Fprintf(std.out, "%s: %s\n", r.Receiver, r.Error)
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d receivers did not take it", failed, len(results))
	}
	return nil
}

type alertsAckCmd struct {
	ID   string `arg:"" help:"The alert's ID, or its beginning."`
	Note string `help:"What to remember of it."`
	controlFlags
}

func (c *alertsAckCmd) Run(std stdio) error {
	client, err := c.connect()
	if err != nil {
		return err
	}
	var a alert.Alert
	if err := client.call(context.Background(), http.MethodPost, "/api/v1/alerts/ack", &alertAckRequest{c.ID, c.Note}, &a); err != nil {
		return err
	}
	fmt.Fprintf(std.out, "%s of rule %s is acknowledged until it is over\n", a.ID, a.Rule)
	return nil
}

type alertsSilenceCmd struct {
	Rule string        `arg:"" optional:"" help:"Rule to silence. Default: all."`
	Key  string        `placeholder:"KEY" help:"Only this client, network or name, as the alert shows it."`
	For  time.Duration `default:"2h" placeholder:"TIME" help:"How long: 2h (the default), at most 744h."`
	Note string        `help:"What to remember of it."`
	controlFlags
}

func (c *alertsSilenceCmd) Run(std stdio) error {
	client, err := c.connect()
	if err != nil {
		return err
	}
	var s alert.Silence
	req := silenceRequest{c.Rule, c.Key, c.For.String(), c.Note}
	if err := client.call(context.Background(), http.MethodPost, "/api/v1/alerts/silence", &req, &s); err != nil {
		return err
	}
	fmt.Fprintf(std.out, "silence %s holds until %s\n", s.ID, s.Until.Local().Format(time.RFC3339))
	return nil
}

type alertsEndCmd struct {
	ID string `arg:"" help:"The silence's ID."`
	controlFlags
}

func (c *alertsEndCmd) Run(std stdio) error {
	client, err := c.connect()
	if err != nil {
		return err
	}
	if err := client.call(context.Background(), http.MethodDelete, "/api/v1/alerts/silence?id="+url.QueryEscape(c.ID), nil, nil); err != nil {
		return err
	}
	fmt.Fprintf(std.out, "silence %s is over\n", c.ID)
	return nil
}
