// Package web is weir's HTTP face towards its operator: metrics and health
// today, the dashboard and the JSON API later. It never serves DNS clients and
// is bound to loopback unless the configuration says otherwise.
package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.uber.org/zap"
)

// Config says where the admin listener is.
type Config struct {
	// Listen is IP:port. Empty turns the listener off. Default 127.0.0.1:5380.
	Listen string `yaml:"listen"`
}

// DefaultConfig listens on loopback only: metrics tell how a network lives.
func DefaultConfig() Config { return Config{Listen: "127.0.0.1:5380"} }

// Validate says what is wrong with c.
func (c *Config) Validate() error {
	if c.Listen == "" {
		return nil
	}
	if _, err := netip.ParseAddrPort(c.Listen); err != nil {
		return fmt.Errorf("listen: must be IP:port or empty, got %q", c.Listen)
	}
	return nil
}

// Deps is what a Server shows.
type Deps struct {
	Log      *zap.Logger
	Gatherer prometheus.Gatherer
	// Ready returns nothing if queries can be answered, else what is missing.
	Ready func() []string
}

// Server is the admin listener. New it, Listen, then Run.
type Server struct {
	cfg      Config
	log      *zap.Logger
	listener net.Listener
	server   *http.Server
}

// New makes a Server; it opens nothing.
func New(cfg Config, deps Deps) *Server {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(deps.Gatherer, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		writeStatus(w, http.StatusOK, nil)
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if missing := deps.Ready(); len(missing) > 0 {
			writeStatus(w, http.StatusServiceUnavailable, missing)
			return
		}
		writeStatus(w, http.StatusOK, nil)
	})
	return &Server{cfg: cfg, log: deps.Log, server: &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          zap.NewStdLog(deps.Log),
	}}
}

// status is the body of /healthz and /readyz.
type status struct {
	Status  string   `json:"status"` // "ok" or "not ready"
	Missing []string `json:"missing,omitempty"`
}

func writeStatus(w http.ResponseWriter, code int, missing []string) {
	s := status{Status: "ok", Missing: missing}
	if code != http.StatusOK {
		s.Status = "not ready"
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(s) // the client went away: nobody to tell
}

// Listen binds the address, if there is one.
func (s *Server) Listen() error {
	if s.cfg.Listen == "" {
		return nil
	}
	l, err := net.Listen("tcp", s.cfg.Listen)
	if err != nil {
		return fmt.Errorf("listen on %s for admin: %w", s.cfg.Listen, err)
	}
	s.listener = l
	return nil
}

// Addr is where the server listens, "" if it does not.
func (s *Server) Addr() string {
	if s.listener == nil {
		return ""
	}
	return s.listener.Addr().String()
}

// Close releases the listener of a Server that will not Run.
func (s *Server) Close() {
	if s.listener != nil {
		_ = s.listener.Close() // nothing was served
	}
}

// shutdownTimeout is for requests under way; a scrape takes milliseconds.
const shutdownTimeout = 2 * time.Second

// Run serves until ctx ends, lets requests under way finish, and returns when
// all that it started has ended.
func (s *Server) Run(ctx context.Context) error {
	if s.listener == nil {
		<-ctx.Done()
		return nil
	}
	served := make(chan error, 1)
	go func() { served <- s.server.Serve(s.listener) }()
	select {
	case err := <-served:
		return fmt.Errorf("admin server: %w", err)
	case <-ctx.Done():
	}
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	if err := s.server.Shutdown(bounded); err != nil {
		_ = s.server.Close() // the polite way took too long
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("admin server: %w", err)
	}
	return nil
}
