package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"text/tabwriter"
	"time"

	"github.com/weirdns/weir/detect/behaviour"
	"github.com/weirdns/weir/web"
)

// clientsReport is the answer of GET /api/v1/clients: clients that any evidence
// speaks against, those of the most first.
type clientsReport struct {
	Infected   float64        `json:"infected"`    // evidence from which a client is that
	Suspicious float64        `json:"suspicious"`  // the same
	OneIn      int            `json:"one_in"`      // client-days reach infected while nothing is wrong
	Calibrated bool           `json:"calibrated"`  // by this site's own clients
	ClientDays int            `json:"client_days"` // that were counted for it
	Clients    []clientReport `json:"clients"`
}

type clientReport struct {
	Client   string               `json:"client"` // as privacy says; "" of who did not ask since a restart
	Standing string               `json:"standing"`
	Since    *time.Time           `json:"since"` // null: it is clean
	Evidence float64              `json:"evidence"`
	Names    []behaviour.Evidence `json:"names"` // those that say most, ten at most
}

func (s *service) clientRoutes() []web.Route {
	return []web.Route{
		{Pattern: "GET /api/v1/clients", Handler: web.Answer(s.clients)},
		{Pattern: "POST /api/v1/clients/reset", Handler: web.Answer(s.resetClient)},
	}
}

// clients is GET /api/v1/clients, of one client with ?client=.
func (s *service) clients(r *http.Request) (any, error) {
	var only netip.Addr
	if text := r.URL.Query().Get("client"); text != "" {
		var err error
		if only, err = netip.ParseAddr(text); err != nil {
			return nil, web.BadRequest("client: must be an address, got %q", text)
		}
	}
	all := s.findings.watch.Infections()
	out := clientsReport{all.Infected, all.Suspicious, all.OneIn, all.Calibrated, all.ClientDays, []clientReport{}}
	for _, c := range all.Clients {
		if only.IsValid() && c.Addr != only.Unmap() {
			continue
		}
		shown := clientReport{Standing: c.Standing.String(), Evidence: c.Sum, Names: c.Evidence}
		if c.Addr.IsValid() {
			shown.Client = s.privacy.Text(c.Addr)
		}
		if !c.Since.IsZero() {
			shown.Since = &c.Since
		}
		out.Clients = append(out.Clients, shown)
	}
	return out, nil
}

// resetRequest is the body of POST /api/v1/clients/reset.
type resetRequest struct {
	Client string `json:"client"`
}

// resetClient is POST /api/v1/clients/reset.
func (s *service) resetClient(r *http.Request) (any, error) {
	var req resetRequest
	if err := web.Decode(r, &req); err != nil {
		return nil, err
	}
	client, err := netip.ParseAddr(req.Client)
	if err != nil {
		return nil, web.BadRequest("client: must be an address, got %q", req.Client)
	}
	if !s.findings.watch.Reset(client) {
		return nil, web.NotFound("nothing is known of that client")
	}
	return req, nil
}

// clientsCmd is the commands about clients that look infected.
type clientsCmd struct {
	List  clientsListCmd  `cmd:"" default:"withargs" help:"Print the clients that look infected or suspicious."`
	Show  clientsShowCmd  `cmd:"" help:"Print what speaks for a client being infected."`
	Reset clientsResetCmd `cmd:"" help:"Call a client clean, and forget what spoke against it."`
}

type clientsListCmd struct {
	All bool `help:"Those too that are clean and have evidence."`
	controlFlags
	JSON bool `name:"json" help:"Print the answer as it comes, one JSON object."`
}

func (c *clientsListCmd) Run(std stdio) error {
	client, err := c.connect()
	if err != nil {
		return err
	}
	var r clientsReport
	if err := client.call(context.Background(), http.MethodGet, "/api/v1/clients", nil, &r); err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(std.out).Encode(&r)
	}
	w := tabwriter.NewWriter(std.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "CLIENT\tSTANDING\tSINCE\tEVIDENCE\tNAMES")
	for _, e := range r.Clients {
		if e.Standing == behaviour.Clean.String() && !c.All {
			continue
		}
		first := ""
		if len(e.Names) > 0 {
			first = e.Names[0].Name
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%.1f\t%s\n", cmp.Or(e.Client, "(did not ask since the start)"), e.Standing, e.since(), e.Evidence, first)
	}
	return w.Flush()
}

func (e *clientReport) since() string {
	if e.Since == nil {
		return "-"
	}
	return e.Since.Local().Format(time.RFC3339)
}

type clientsShowCmd struct {
	Client string `arg:"" help:"Address of the client."`
	controlFlags
}

func (c *clientsShowCmd) Run(std stdio) error {
	client, err := c.connect()
	if err != nil {
		return err
	}
	var r clientsReport
	if err := client.call(context.Background(), http.MethodGet, "/api/v1/clients?client="+url.QueryEscape(c.Client), nil, &r); err != nil {
		return err
	}
	if len(r.Clients) == 0 {
		fmt.Fprintf(std.out, "%s: clean, without evidence\n", c.Client)
		return nil
	}
	e := &r.Clients[0]
	fmt.Fprintf(std.out, "%s: %s since %s, evidence %.1f (infected from %.1f, suspicious from %.1f)\n",
		c.Client, e.Standing, e.since(), e.Evidence, r.Infected, r.Suspicious)
	w := tabwriter.NewWriter(std.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tASKED\tWEIGHT\tEXISTS")
	for _, n := range e.Names {
		fmt.Fprintf(w, "%s\t%s\t%.1f\t%s\n", n.Name, n.Time.Local().Format(time.RFC3339), n.Weight, map[bool]string{true: "no", false: "yes"}[n.NXDOMAIN])
	}
	return w.Flush()
}

type clientsResetCmd struct {
	Client string `arg:"" help:"Address of the client."`
	controlFlags
}

func (c *clientsResetCmd) Run(std stdio) error {
	client, err := c.connect()
	if err != nil {
		return err
	}
	if err := client.call(context.Background(), http.MethodPost, "/api/v1/clients/reset", &resetRequest{c.Client}, nil); err != nil {
		return err
	}
	fmt.Fprintf(std.out, "%s counts as clean\n", c.Client)
	return nil
}
