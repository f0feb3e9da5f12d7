// Package web is weir's HTTP side towards its operator: metrics, health and the
// dashboard on a TCP listener, bound to loopback unless the configuration says
// otherwise, and the control API on a Unix socket. It never serves DNS clients.
// Anybody on the machine can connect over TCP, and any web page in a browser on
// it: what changes something or shows names or clients is there only behind the
// Door.
package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.uber.org/zap"
)

// Config says where the admin listener is.
type Config struct {
	// Listen is IP:port. Empty turns the listener off. Default 127.0.0.1:5380.
	Listen string `yaml:"listen"`
	// Dashboard is on the same listener, for who has logged in.
	Dashboard DashboardConfig `yaml:"dashboard"`
}

// DefaultConfig listens on loopback only: metrics tell how a network lives.
func DefaultConfig() Config {
	return Config{Listen: "127.0.0.1:5380", Dashboard: DashboardConfig{Enabled: true}}
}

// Validate says what is wrong with c.
func (c *Config) Validate() error {
	var errs []error
	if _, err := netip.ParseAddrPort(c.Listen); c.Listen != "" && err != nil {
		errs = append(errs, fmt.Errorf("listen: must be IP:port or empty, got %q", c.Listen))
	}
	for _, err := range unjoin(c.Dashboard.Validate()) {
		errs = append(errs, fmt.Errorf("dashboard.%w", err))
	}
	return errors.Join(errs...)
}

// unjoin takes joined errors apart.
func unjoin(err error) []error {
	if j, ok := errors.AsType[interface {
		error
		Unwrap() []error
	}](err); ok {
		return j.Unwrap()
	}
	return nil
}

// Deps is what a Server shows.
type Deps struct {
	Log      *zap.Logger
	Gatherer prometheus.Gatherer
	Registry prometheus.Registerer
	// Ready returns nothing if queries can be answered, else what is missing.
	Ready func() []string
	// Socket is the path of the control socket; empty: there is none. Whoever
	// gives it makes sure that no other process serves there.
	Socket string
	// Control is the operations of the control API: all on the socket, those
	// that are Public on the admin listener too.
	Control []Route
	// Door lets in who has logged in, on the admin listener, to the dashboard and
	// to the other operations. nil: there is no dashboard.
	Door *Door
}

// Server is the admin listener and the control socket. New it, Listen, then Run.
type Server struct {
	cfg            Config
	socket         string
	log            *zap.Logger
	admin, control *endpoint
}

// New makes a Server; it opens nothing.
func New(cfg Config, deps Deps) *Server {
	slots := newSlots(deps.Registry)
	admin, control := http.NewServeMux(), http.NewServeMux()
	for _, mux := range []*http.ServeMux{admin, control} {
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
	}
	handleSocket(control, deps.Control, slots)
	handleAdmin(admin, deps.Control, slots, deps.Door)
	return &Server{
		cfg: cfg, socket: deps.Socket, log: deps.Log,
		admin: newEndpoint("admin", admin, deps.Log), control: newEndpoint("control", control, deps.Log),
	}
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
	writeJSON(w, code, s)
}

// Listen binds the address and the socket, where they are wanted. A socket that
// cannot be had is a warning: DNS goes on without one.
func (s *Server) Listen() error {
	if s.cfg.Listen != "" {
		if err := s.admin.listenTCP(s.cfg.Listen); err != nil {
			return err
		}
	}
	if s.socket != "" {
		if err := s.control.listenSocket(s.socket); err != nil {
			s.log.Warn("no control socket: this weir cannot be asked or told anything while it runs", zap.Error(err))
		}
	}
	return nil
}

// Addr is where the admin listener is, "" if there is none.
func (s *Server) Addr() string {
	if s.admin.listener == nil {
		return ""
	}
	return s.admin.listener.Addr().String()
}

// Socket is where the control socket is, "" if there is none.
func (s *Server) Socket() string { return s.control.socket }

// Close releases the listeners of a Server that will not Run.
func (s *Server) Close() {
	s.admin.close()
	s.control.close()
}

// Run serves until ctx ends, lets requests under way finish, and returns when
// all that it started has ended.
func (s *Server) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var errs [2]error
	var wg sync.WaitGroup
	for i, e := range []*endpoint{s.admin, s.control} {
		wg.Go(func() {
			if errs[i] = e.run(ctx); errs[i] != nil {
				cancel()
			}
		})
	}
	wg.Wait()
	return errors.Join(errs[:]...)
}
