package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/detect/allow"
	"github.com/weirdns/weir/internal/dnswire"
	"github.com/weirdns/weir/web"
	"go.uber.org/zap"
)

// explainRequest is the query that is explained, as it is given.
type explainRequest struct {
	Name   string `json:"name"`
	Client string `json:"client"` // "": nobody in particular
	Type   string `json:"type"`
	At     string `json:"at"` // RFC 3339; "": now
}

// query is the request without its name.
func (r *explainRequest) query(now time.Time) (*detect.Query, error) {
	q := &detect.Query{Time: now, Type: dnswire.TypeA, Class: dnswire.ClassIN}
	var errs []error
	if r.Client != "" {
		addr, err := netip.ParseAddr(r.Client)
		if err != nil {
			errs = append(errs, fmt.Errorf("client: must be an address, got %q", r.Client))
		}
		q.Client = addr.Unmap()
	}
	if r.Type != "" {
		qtype, ok := dnswire.ParseType(strings.ToUpper(r.Type))
		if !ok {
			errs = append(errs, fmt.Errorf("type: %q is no type that weir knows", r.Type))
		}
		q.Type = qtype
	}
	if r.At != "" {
		at, err := time.Parse(time.RFC3339, r.At)
		if err != nil {
			errs = append(errs, fmt.Errorf("at: must be a time like 2006-01-02T15:04:05Z, got %q", r.At))
		}
		q.Time = at
	}
	return q, errors.Join(errs...)
}

// explainedList is one list entry that the query meets.
type explainedList struct {
	List   string `json:"list"`
	Kind   string `json:"kind"`
	Rule   string `json:"rule"`
	Info   string `json:"info"`
	Effect string `json:"effect"`           // what it does by itself; "": its list does not apply
	Note   string `json:"note,omitempty"`   // why not
	Source string `json:"source,omitempty"` // where the list is from
	Lines  []int  `json:"lines,omitempty"`  // of the source
	// LinesError is why the lines are not known.
	LinesError string `json:"lines_error,omitempty"`
}

// text is the entry for people.
func (l *explainedList) text() string {
	out := "rule " + l.Rule
	if len(l.Lines) > 0 {
		out += ", line " + strings.Trim(strings.ReplaceAll(fmt.Sprint(l.Lines), " ", ", "), "[]")
	}
	if l.Source != "" {
		out += " of " + l.Source
	}
	if l.Note != "" {
		out += ": " + l.Note
	} else {
		out += ": " + effectTexts[l.Effect]
	}
	if l.Info != "" {
		out += fmt.Sprintf(" (%+q)", l.Info)
	}
	return out
}

var effectTexts = map[string]string{
	detect.EffectEnforce.String():   "blocks",
	detect.EffectMonitor.String():   "would block, but the list only watches",
	detect.EffectObserve.String():   "only seen: many share this name",
	detect.EffectPass.String():      "lets pass",
	detect.EffectOverruled.String(): "overruled",
}

// maxExplainedLines is how many lines are named of one entry.
const maxExplainedLines = 5

// explainLists fills in what the lists have.
func (d *detection) explainLists(e *explained, q *detect.Query) {
	sources := map[string]string{allow.List: ""}
	for _, s := range d.lists.Status() {
		sources[s.Name] = s.Source
	}
	var group string
	var matches []detect.ListMatch
	if e.addr.IsValid() {
		group, matches = d.detector.ExplainAddress(q, e.addr)
	} else {
		group, matches = d.detector.ExplainLists(q)
	}
	e.Group, e.Lists = group, []explainedList{}
	for _, m := range matches {
		l := explainedList{
			List: m.List, Kind: string(m.Kind), Rule: m.Rule, Info: m.Info, Effect: m.Effect.String(), Note: m.Note, Source: sources[m.List],
		}
		if m.Note != "" {
			l.Effect = ""
		}
		if m.List != allow.List {
			var err error
			if l.Lines, err = d.lists.Lines(m.List, m.Rule, maxExplainedLines); err != nil {
				l.LinesError = err.Error()
			}
		}
		e.Lists = append(e.Lists, l)
	}
}

func (s *service) explainRoutes() []web.Route {
	return []web.Route{{Pattern: "GET /api/v1/explain", Handler: web.Answer(s.explain), Timeout: time.Minute}}
}

// explain is GET /api/v1/explain.
func (s *service) explain(r *http.Request) (any, error) {
	v := r.URL.Query()
	req := &explainRequest{Name: v.Get("name"), Client: v.Get("client"), Type: v.Get("type"), At: v.Get("at")}
	if _, err := req.query(time.Now()); err != nil {
		return nil, web.BadRequest("%w", err)
	}
	e, err := s.detection.explain(req)
	if err != nil {
		return nil, err
	}
	e.By = "the running weir"
	return e, nil
}

// explainer is what explains: the running weir, or where there is none the
// configuration.
func (c *explainCmd) explainer() (func(*explainRequest) (*explained, error), error) {
	if !c.Offline {
		client, err := c.connect()
		switch {
		case err == nil:
			return func(r *explainRequest) (*explained, error) {
				q := url.Values{"name": {r.Name}, "client": {r.Client}, "type": {r.Type}, "at": {r.At}}
				e := &explained{}
				return e, client.call(context.Background(), http.MethodGet, "/api/v1/explain?"+q.Encode(), nil, e)
			}, nil
		case !errors.Is(err, errNoDaemon), c.Socket != "", c.State != "":
			return nil, err
		}
	}
	cfg, err := loadConfig(c.Conf)
	if err != nil {
		return nil, err
	}
	d, err := newDetection(cfg, zap.NewNop(), newRegistry(), nil)
	if err != nil {
		return nil, err
	}
	if err := d.load(); err != nil {
		return nil, err
	}
	// What a weir that runs with this configuration wrote lately; without it
	// the figures of the site are not said.
	_ = restoreSite(filepath.Join(cfg.StateDir, siteFileName), d.detector.Site())
	return func(r *explainRequest) (*explained, error) {
		e, err := d.explain(r)
		if err == nil {
			e.By = "the configuration"
			if c.Conf == "" {
				e.By = "the built-in defaults"
			}
			if !c.Offline {
				e.By += ": no weir is running there (see --state, --config)"
			}
		}
		return e, err
	}, nil
}
