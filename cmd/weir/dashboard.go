package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"path/filepath"
	"time"

	"github.com/weirdns/weir/pdns/live"
	"github.com/weirdns/weir/web"
	"go.uber.org/zap"
)

// tokenName is the dashboard's token in the state folder.
const tokenName = "dashboard.token"

// openDoor makes what lets people in to the dashboard, where there is one.
func (s *service) openDoor(cfg *config) error {
	if !cfg.Admin.Dashboard.Enabled || cfg.Admin.Listen == "" {
		return nil
	}
	token, err := web.Token(filepath.Join(cfg.StateDir, tokenName))
	if err != nil {
		return fmt.Errorf("admin.dashboard: token: %w", err)
	}
	s.door = web.NewDoor(cfg.Admin.Dashboard, token, s.registry, time.Now)
	return nil
}

// dashboardRoutes are the operations that the dashboard needs beside those that
// commands have.
func (s *service) dashboardRoutes() []web.Route {
	routes := []web.Route{{Pattern: "GET /api/v1/overview", Handler: web.Answer(s.overview)}}
	if s.history != nil {
		routes = append(routes, web.Route{Pattern: "GET /api/v1/detections", Handler: web.Answer(s.detections)})
	}
	if s.live != nil {
		routes = append(routes,
			web.Route{Pattern: "GET /api/v1/live", Handler: s.live.Handler(), Stream: true},
			web.Route{Pattern: "GET /api/v1/findings", Handler: web.Answer(func(*http.Request) (any, error) { return s.found.Latest(), nil })},
			web.Route{Pattern: "GET /api/v1/dashboard", Handler: web.Answer(s.dashboard)},
			web.Route{Pattern: "POST /api/v1/dashboard/link", Handler: web.Answer(s.dashboardLink), SocketOnly: true},
		)
	}
	return routes
}

// dashboardState is the answer of GET /api/v1/dashboard: what there is to show.
type dashboardState struct {
	Version    string   `json:"version"`
	ReadOnly   bool     `json:"read_only"`
	Clients    string   `json:"clients"`    // how much of them is kept: privacy.client_address
	Operations []string `json:"operations"` // of the API, as METHOD /path
}

func (s *service) dashboard(*http.Request) (any, error) {
	d := dashboardState{Version: buildVersion(), ReadOnly: s.door.ReadOnly(), Clients: s.started.Privacy.ClientAddress.String()}
	for _, r := range s.routes() {
		if !r.SocketOnly {
			d.Operations = append(d.Operations, r.Pattern)
		}
	}
	return d, nil
}

// dashboardLink is the answer of POST /api/v1/dashboard/link.
type dashboardLink struct {
	URL  string    `json:"url"`
	Ends time.Time `json:"ends"`
}

func (s *service) dashboardLink(*http.Request) (any, error) {
	code, ends := s.door.Code()
	base, err := browsable(s.admin.Addr())
	if err != nil {
		return nil, err
	}
	// Behind the #, which browsers keep to themselves: no log of a proxy has it.
	return dashboardLink{URL: base + "#/login?code=" + code, Ends: ends.UTC()}, nil
}

// browsable is the URL of a listener for a browser on this machine.
func browsable(listen string) (string, error) {
	addr, err := netip.ParseAddrPort(listen)
	if err != nil {
		return "", errors.New("there is no admin listener (admin.listen), so there is no dashboard")
	}
	if addr.Addr().IsUnspecified() {
		addr = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), addr.Port())
	}
	return "http://" + addr.String() + "/", nil
}

type dashboardCmd struct {
	controlFlags
	JSON bool `name:"json" help:"Print the answer as it comes, one JSON object."`
}

// Run asks the running weir for a link that logs in once.
func (c *dashboardCmd) Run(std stdio) error {
	client, err := c.connect()
	if err != nil {
		return err
	}
	var link dashboardLink
	if err := client.call(context.Background(), http.MethodPost, "/api/v1/dashboard/link", nil, &link); err != nil {
		return fmt.Errorf("%w (admin.dashboard.enabled, and a state folder, are what it takes)", err)
	}
	if c.JSON {
		return writeIndented(std.out, &link)
	}
	fmt.Fprintln(std.out, link.URL)
	fmt.Fprintf(std.err, "This link logs in once, until %s.\n", link.Ends.Local().Format("15:04"))
	return nil
}

// openFound has the dashboard show findings, those of the last run too.
func (s *service) openFound(cfg *config) *live.Findings {
	s.found = live.NewFindings(s.privacy)
	if err := s.found.Restore(cfg.Records.Dir); err != nil {
		s.log.Warn("the findings of the last run are not shown", zap.Error(err))
	}
	return s.found
}
