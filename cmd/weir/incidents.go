package main

import (
	"errors"
	"io"
	"net/http"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/weirdns/weir/incident"
	"github.com/weirdns/weir/web"
	"go.uber.org/zap"
)

// incidentFolder is the incidents' folder in the state folder.
const incidentFolder = "incidents"

// openIncidents reads the incidents of before. Those that cannot be read stay
// where they are, and do not keep weir from starting.
func (s *service) openIncidents(dir string) {
	book, err := incident.Load(filepath.Join(dir, incidentFolder))
	if err != nil {
		s.log.Error("incidents cannot be read", zap.Error(err))
	}
	s.incidents = book
	s.incidentsRefused = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "weir_incidents_refused_total", Help: "Incidents that were not opened since there were as many as may be.",
	})
	s.registry.MustRegister(s.incidentsRefused)
}

func (s *service) incidentRoutes() []web.Route {
	if s.incidents == nil {
		return nil
	}
	return []web.Route{
		{Pattern: "GET /api/v1/incidents", Handler: web.Answer(func(*http.Request) (any, error) { return s.incidents.List(), nil })},
		{Pattern: "POST /api/v1/incidents", Handler: web.Answer(s.openIncident)},
		{Pattern: "GET /api/v1/incidents/{id}", Handler: web.Answer(func(r *http.Request) (any, error) {
			i, err := s.incidents.Get(r.PathValue("id"))
			return i, s.incidentError(err)
		})},
		{Pattern: "POST /api/v1/incidents/{id}", Handler: web.Answer(s.changeIncident)},
		{Pattern: "POST /api/v1/incidents/{id}/remove", Handler: web.Answer(func(r *http.Request) (any, error) {
			return struct{}{}, s.incidentError(s.incidents.Remove(r.PathValue("id")))
		})},
		{Pattern: "GET /api/v1/incidents/{id}/markdown", Handler: http.HandlerFunc(s.incidentMarkdown)},
	}
}

// incidentError is err with its status.
func (s *service) incidentError(err error) error {
	switch {
	case err == nil, errors.Is(err, incident.ErrNotKept):
		return err
	case errors.Is(err, incident.ErrUnknown):
		return web.NotFound("%w", err)
	case errors.Is(err, incident.ErrFull):
		s.incidentsRefused.Inc()
		return &web.Error{Status: http.StatusConflict, Err: err}
	}
	return web.BadRequest("%w", err)
}

// openIncident is POST /api/v1/incidents.
func (s *service) openIncident(r *http.Request) (any, error) {
	var c incident.Change
	if err := web.Decode(r, &c); err != nil {
		return nil, err
	}
	i, err := s.incidents.Open(c, time.Now())
	return i, s.incidentError(err)
}

// changeIncident is POST /api/v1/incidents/{id}.
func (s *service) changeIncident(r *http.Request) (any, error) {
	var c incident.Change
	if err := web.Decode(r, &c); err != nil {
		return nil, err
	}
	i, err := s.incidents.Change(r.PathValue("id"), c, time.Now())
	return i, s.incidentError(err)
}

// incidentMarkdown is GET /api/v1/incidents/{id}/markdown.
func (s *service) incidentMarkdown(w http.ResponseWriter, r *http.Request) {
	i, err := s.incidents.Get(r.PathValue("id"))
	if err != nil {
		web.Answer(func(*http.Request) (any, error) { return nil, s.incidentError(err) }).ServeHTTP(w, r)
		return
	}
	w.Header().Set("Content-Type", "text/markdown; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = io.WriteString(w, i.Markdown()) // the client went away: nobody to tell
}
