package main

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/weirdns/weir/pdns"
	"github.com/weirdns/weir/pdns/privacy"
	"github.com/weirdns/weir/pdns/query"
	"github.com/weirdns/weir/pdns/store"
	"github.com/weirdns/weir/pdns/tally"
	"github.com/weirdns/weir/web"
	"go.uber.org/zap"
)

// history is what can be asked of what passed: the passive DNS database, and sums
// of the last hour beside it.
type history struct {
	store  *store.Store
	tally  *tally.Tally
	guard  *privacy.Guard
	sensor string
	token  string // for the admin listener; "": none
	queue  int64  // octets
}

// openHistory opens it. The database itself is opened by who records into it.
func openHistory(cfg *config, guard *privacy.Guard, log *zap.Logger, reg prometheus.Registerer) (*history, error) {
	h := &history{guard: guard, sensor: cfg.Records.SensorID, queue: cfg.Store.QueueBytes}
	var err error
	if h.token, err = readToken(cfg.Store.TokenFile); err != nil {
		return nil, err
	}
	h.store, err = store.New(cfg.Store, store.Deps{Log: log.Named("store"), Registry: reg, ClientText: guard.Append})
	if err != nil {
		return nil, err
	}
	clients := guard.Append
	if !cfg.Store.Clients {
		clients = nil
	}
	h.tally = tally.New(nil, clients)
	return h, nil
}

// output is the database, for a recorder.
func (h *history) output() pdns.QueuedOutput {
	return pdns.QueuedOutput{Output: h.store, QueueBytes: h.queue, Bare: true}
}

// routes are the operations on it. All show names, so none is public.
func (h *history) routes() []web.Route {
	return []web.Route{
		{Pattern: "GET /query/{what...}", Handler: query.Handler(h.store.View, h.sensor, time.Now), Token: h.token, Timeout: 2 * time.Minute},
		{Pattern: "GET /api/v1/investigate", Handler: web.Answer(h.investigate), Token: h.token, Timeout: time.Minute},
		{Pattern: "GET /api/v1/stats", Handler: web.Answer(h.stats), Token: h.token},
		{Pattern: "GET /api/v1/openapi.yaml", Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/yaml")
			_, _ = w.Write(query.OpenAPI) // the client went away: nobody to tell
		}), Public: true},
	}
}

// minToken is the shortest token that nobody guesses, in octets.
const minToken = 16

// readToken reads a token's file; no file is no token.
func readToken(file string) (string, error) {
	if file == "" {
		return "", nil
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return "", exitWith(exitConfig, fmt.Errorf("store.token_file: %w", err))
	}
	token := strings.TrimSpace(string(data))
	if len(token) < minToken {
		return "", exitWith(exitConfig, fmt.Errorf("store.token_file: %s has %d octets, want at least %d", file, len(token), minToken))
	}
	return token, nil
}

func (h *history) stats(*http.Request) (any, error) { return h.tally.Report(), nil }

// investigate is GET /api/v1/investigate?client= or ?name=.
func (h *history) investigate(r *http.Request) (out any, err error) {
	v := r.URL.Query()
	err = h.store.View(func(reader *store.Reader) error {
		out, err = lookInto(r.Context(), reader, h.guard, v.Get("client"), v.Get("name"))
		return err
	})
	switch {
	case errors.Is(err, store.ErrNotOpen):
		err = &web.Error{Status: http.StatusServiceUnavailable, Err: err}
	case errors.Is(err, query.ErrNoClients):
		err = &web.Error{Status: http.StatusConflict, Err: err}
	case errors.Is(err, errWhat):
		err = web.BadRequest("%w", err)
	}
	return out, err
}
