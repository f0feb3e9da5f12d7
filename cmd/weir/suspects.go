package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"text/tabwriter"
	"time"

	"github.com/weirdns/weir/web"
)

// suspectReport is a domain that a finding speaks against, in the answer of GET
// /api/v1/suspects.
type suspectReport struct {
	Name   string    `json:"name"` // registered domain
	Kind   string    `json:"kind"` // of finding
	Scope  string    `json:"scope"`
	Client string    `json:"client"` // as privacy says; "": of everyone, or not kept, or not seen since a restart
	Since  time.Time `json:"since"`
	Until  time.Time `json:"until"`
	Mode   string    `json:"mode"` // enforce or monitor
}

// Scopes of a suspectReport: whose queries are meant.
const (
	scopeEveryone = "everyone"
	scopeClient   = "client"
)

func (s *service) suspectRoutes() []web.Route {
	return []web.Route{{Pattern: "GET /api/v1/suspects", Handler: web.Answer(s.listSuspects)}}
}

// listSuspects is GET /api/v1/suspects.
func (s *service) listSuspects(*http.Request) (any, error) {
	out := []suspectReport{}
	for _, one := range s.findings.suspects.At(time.Now()) {
		r := suspectReport{Name: one.Name, Kind: one.Kind.String(), Scope: scopeEveryone, Since: one.Since, Until: one.Until, Mode: "monitor"}
		if !one.Everyone {
			r.Scope = scopeClient
		}
		if one.Client.IsValid() {
			r.Client = s.privacy.Text(one.Client)
		}
		if one.Enforce {
			r.Mode = "enforce"
		}
		out = append(out, r)
	}
	return out, nil
}

// suspectsCmd prints the domains that findings speak against now.
type suspectsCmd struct {
	JSON bool `name:"json" help:"Print the answer as it comes, one JSON array."`
	controlFlags
}

func (c *suspectsCmd) Run(std stdio) error {
	client, err := c.connect()
	if err != nil {
		return err
	}
	var all []suspectReport
	if err := client.call(context.Background(), http.MethodGet, "/api/v1/suspects", nil, &all); err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(std.out).Encode(all)
	}
	if len(all) == 0 {
		fmt.Fprintln(std.out, "no finding speaks against a domain now")
		return nil
	}
	w := tabwriter.NewWriter(std.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "DOMAIN\tFINDING\tCLIENT\tMODE\tSINCE\tUNTIL")
	for _, r := range all {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", r.Name, r.Kind, r.whose(), r.Mode, r.Since.Local().Format(time.RFC3339), r.Until.Local().Format(time.RFC3339))
	}
	return w.Flush()
}

func (r *suspectReport) whose() string {
	switch {
	case r.Scope == scopeEveryone:
		return "everybody"
	case r.Client == "":
		return "(one that is not shown)"
	}
	return r.Client
}
