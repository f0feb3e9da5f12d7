package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/weirdns/weir/detect/allow"
	"github.com/weirdns/weir/web"
	"go.uber.org/zap"
)

// openAllows reads the timed allows of the last run. What cannot be read lets
// nothing through, and does not keep weir from starting.
func (s *service) openAllows() *allow.Book {
	path := ""
	if s.stateless == nil {
		path = filepath.Join(s.started.StateDir, "allow.json")
	}
	book, err := allow.Open(path, time.Now())
	if err != nil {
		s.log.Error("timed allows are lost", zap.Error(err))
	}
	s.allowsRefused = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "weir_timed_allows_refused_total", Help: "Names that were not let through since as many were as may be.",
	})
	s.registry.MustRegister(s.allowsRefused, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "weir_timed_allows", Help: "Names that are let through for a while.",
	}, func() float64 { return float64(len(book.Entries(time.Now()))) }))
	return book
}

func (s *service) allowRoutes() []web.Route {
	return []web.Route{
		{Pattern: "GET /api/v1/allow", Handler: web.Answer(s.listAllows)},
		{Pattern: "POST /api/v1/allow", Handler: web.Answer(s.addAllow)},
		{Pattern: "DELETE /api/v1/allow", Handler: web.Answer(s.removeAllow)},
		{Pattern: "POST /api/v1/allow/remove", Handler: web.Answer(s.removeAllow)}, // the same, where changes are POST
	}
}

// listAllows is GET /api/v1/allow.
func (s *service) listAllows(*http.Request) (any, error) {
	return append([]allow.Entry{}, s.allows.Entries(time.Now())...), nil // [], not null
}

// allowRequest is the body of POST and DELETE /api/v1/allow.
type allowRequest struct {
	Name   string `json:"name"`
	Client string `json:"client"` // address or network; "": everybody
	// For and Reason are for POST only.
	For    string `json:"for,omitempty"` // as 10m or 2h
	Reason string `json:"reason,omitempty"`
}

// clients is the request's client as a network.
func (r *allowRequest) clients() (netip.Prefix, error) {
	if r.Client == "" {
		return netip.Prefix{}, nil
	}
	if addr, err := netip.ParseAddr(r.Client); err == nil && addr.Zone() == "" {
		return addr.Unmap().Prefix(addr.Unmap().BitLen())
	}
	p, err := netip.ParsePrefix(r.Client)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("client: must be an address or a network, got %q", r.Client)
	}
	return p.Masked(), nil
}

// addAllow is POST /api/v1/allow.
func (s *service) addAllow(r *http.Request) (any, error) {
	var req allowRequest
	if err := web.Decode(r, &req); err != nil {
		return nil, err
	}
	clients, err := req.clients()
	if err != nil {
		return nil, web.BadRequest("%w", err)
	}
	d, err := time.ParseDuration(req.For)
	if err != nil {
		return nil, web.BadRequest("for: must be a duration like 10m or 2h, got %q", req.For)
	}
	now := time.Now()
	e, err := s.allows.Add(allow.Entry{Name: req.Name, Client: clients, Until: now.Add(d), Reason: req.Reason}, now)
	switch {
	case errors.Is(err, allow.ErrFull):
		s.allowsRefused.Inc()
		return nil, &web.Error{Status: http.StatusConflict, Err: err}
	case errors.Is(err, allow.ErrNotKept):
		return nil, err
	case err != nil:
		return nil, web.BadRequest("%w", err)
	}
	// Who did what and when, without names: the records say what it let through.
	s.log.Info("a name is let through for a while", zap.Duration("for", d))
	return e, nil
}

// removed is the answer of DELETE /api/v1/allow.
type removed struct {
	Removed int `json:"removed"`
}

// removeAllow is DELETE /api/v1/allow.
func (s *service) removeAllow(r *http.Request) (any, error) {
	var req allowRequest
	if err := web.Decode(r, &req); err != nil {
		return nil, err
	}
	clients, err := req.clients()
	if err != nil {
		return nil, web.BadRequest("%w", err)
	}
	n, err := s.allows.Remove(req.Name, clients, time.Now())
	switch {
	case errors.Is(err, allow.ErrNotKept):
		return nil, err
	case err != nil:
		return nil, web.BadRequest("%w", err)
	case n == 0:
		return nil, web.NotFound("%s is not let through", req.Name)
	}
	return removed{n}, nil
}

// allowCmd is the commands about names that are let through for a while.
type allowCmd struct {
	Add    allowAddCmd    `cmd:"" default:"withargs" help:"Let a name and all below it through for a while, against lists and model."`
	List   allowListCmd   `cmd:"" help:"Print what is let through now."`
	Remove allowRemoveCmd `cmd:"" help:"Let a name through no longer."`
}

type allowAddCmd struct {
	Name   string        `arg:"" help:"Name to let through, with all below it."`
	For    time.Duration `default:"10m" placeholder:"TIME" help:"How long: 10m (the default), 2h, at most 744h."`
	Client string        `placeholder:"CIDR" help:"Only for this address or network."`
	Reason string        `help:"Why; it is in the records of what it lets through."`
	controlFlags
}

func (c *allowAddCmd) Run(std stdio) error {
	client, err := c.connect()
	if err != nil {
		return err
	}
	var e allow.Entry
	req := allowRequest{Name: c.Name, Client: c.Client, For: c.For.String(), Reason: c.Reason}
	if err := client.call(context.Background(), http.MethodPost, "/api/v1/allow", &req, &e); err != nil {
		return err
	}
	fmt.Fprintf(std.out, "%s is let through for %s until %s\n", e.Name, clientsText(e.Client), e.Until.Local().Format(time.RFC3339))
	return nil
}

func clientsText(p netip.Prefix) string {
	switch {
	case !p.IsValid():
		return "everybody"
	case p.IsSingleIP():
		return p.Addr().String()
	}
	return p.String()
}

type allowListCmd struct {
	controlFlags
	JSON bool `name:"json" help:"Print the answer as it comes, one JSON array."`
}

func (c *allowListCmd) Run(std stdio) error {
	client, err := c.connect()
	if err != nil {
		return err
	}
	var entries []allow.Entry
	if err := client.call(context.Background(), http.MethodGet, "/api/v1/allow", nil, &entries); err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(std.out).Encode(entries)
	}
	w := tabwriter.NewWriter(std.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tCLIENTS\tLEFT\tREASON")
	for _, e := range entries {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", e.Name, clientsText(e.Client), time.Until(e.Until).Round(time.Second), e.Reason)
	}
	return w.Flush()
}

type allowRemoveCmd struct {
	Name   string `arg:"" help:"Name that is let through."`
	Client string `placeholder:"CIDR" help:"Only what this address or network was given. Default: all of the name."`
	controlFlags
}

func (c *allowRemoveCmd) Run(std stdio) error {
	client, err := c.connect()
	if err != nil {
		return err
	}
	var r removed
	if err := client.call(context.Background(), http.MethodDelete, "/api/v1/allow", &allowRequest{Name: c.Name, Client: c.Client}, &r); err != nil {
		return err
	}
	fmt.Fprintf(std.out, "%s is no longer let through\n", c.Name)
	return nil
}
