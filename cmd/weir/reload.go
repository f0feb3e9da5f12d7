package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"reflect"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
)

// reloader reloads at each SIGHUP, and keeps what came of the newest.
type reloader struct {
	log     *zap.Logger
	results *prometheus.CounterVec
	refused atomic.Pointer[refusedReload] // the last one, if none succeeded since
}

func newReloader(log *zap.Logger, reg prometheus.Registerer) *reloader {
	r := &reloader{log: log, results: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "weir_config_reload_total", Help: "Reloads on SIGHUP by result; after a rejected one the old configuration serves on.",
	}, []string{"result"})}
	for _, result := range []string{"success", "rejected"} {
		r.results.WithLabelValues(result)
	}
	reg.MustRegister(r.results)
	return r
}

// run calls reload at each signal until ctx ends. reload returns what the log
// says of the new configuration.
func (r *reloader) run(ctx context.Context, hup <-chan os.Signal, reload func() ([]zap.Field, error)) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-hup:
		}
		said, err := reload()
		debug.FreeOSMemory() // the old models and lists, which are as large as the new
		if err != nil {
			r.results.WithLabelValues("rejected").Inc()
			refused := &refusedReload{Time: time.Now().UTC()}
			for _, e := range split(unwrapExit(err)) {
				r.log.Error("reload rejected, the old configuration serves on", zap.Error(e))
				refused.Problems = append(refused.Problems, e.Error())
			}
			r.refused.Store(refused)
			continue
		}
		r.refused.Store(nil)
		r.results.WithLabelValues("success").Inc()
		r.log.Info("reloaded", said...)
	}
}

// refusedReload is a reload after which the old configuration serves on.
type refusedReload struct {
	Time     time.Time `json:"time"`
	Problems []string  `json:"problems"`
}

// reloadState is the answer of GET /api/v1/reload. What is wrong with a
// configuration may quote it, so this is for the control socket alone.
type reloadState struct {
	Refused *refusedReload `json:"refused"` // null: the newest one was not
}

func (s *service) reloadState(*http.Request) (any, error) {
	return reloadState{s.reloads.refused.Load()}, nil
}

// printRefused says that the running weir is not as its file says, where that
// is so.
func printRefused(client *controlClient, w io.Writer) error {
	var r reloadState
	if err := client.call(context.Background(), http.MethodGet, "/api/v1/reload", nil, &r); err != nil || r.Refused == nil {
		return err
	}
	fmt.Fprintf(w, "the last reload was refused at %s, %s ago; what was before serves on:\n",
		r.Refused.Time.Format(time.RFC3339), time.Since(r.Refused.Time).Round(time.Second))
	for _, p := range r.Refused.Problems {
		fmt.Fprintf(w, "  %s\n", p)
	}
	return nil
}

// reload builds all that is new, and only when nothing is wrong with any of it
// puts it in place: configuration, lists, model, upstreams. Queries under way
// end with what they began with.
func (s *service) reload(load func() (*config, error)) ([]zap.Field, error) {
	next, err := load()
	if err != nil {
		return nil, err
	}
	said := []zap.Field{zap.Int("lists", len(next.Lists)), zap.Strings("forward", next.Resolver.Upstream.Servers)}
	return said, next.located(s.replace(next))
}

// replace is reload with a configuration that is valid by itself.
func (s *service) replace(next *config) error {
	judging, err := s.detection.prepare(next)
	if err != nil {
		return err
	}
	up, err := s.upstreams.prepare(next.Resolver.Upstream)
	if err != nil {
		return err
	}
	if err := next.Resolver.CheckFiles(); err != nil {
		return fmt.Errorf("resolver.%w", err)
	}
	tables, err := loadContext(next)
	if err != nil {
		return err
	}
	var alerts *alertsChange
	if s.alerts != nil && next.Alerts.Enabled {
		if alerts, err = s.alerts.prepare(next); err != nil {
			return errors.Join(err, tables.Close())
		}
	}
	if err := s.detection.replace(judging); err != nil {
		alerts.giveUp()
		return errors.Join(err, tables.Close())
	}
	replaceContext(s.context, tables, s.log)
	// From here on nothing fails: every value was validated by load.
	s.upstreams.swap(up)
	if err := s.resolver.Swap(next.forwarding(), s.upstreams); err != nil {
		return err
	}
	if alerts != nil {
		if err := s.alerts.commit(alerts); err != nil {
			return err
		}
	}
	s.findings.reload(next)
	s.warnFixed(next)
	s.warnFeeds(next)
	s.warnOfRace(next)
	s.cfg.Store(next)
	return nil
}

// warnFeeds logs which feeds depend on this weir.
func (s *service) warnFeeds(cfg *config) {
	for _, w := range cfg.feedsThroughUs(resolvConf) {
		s.log.Warn("a list's host is resolved through weir itself", zap.Error(w))
	}
}

// warnFixed names the settings that are not as weir runs but cannot change
// while it does.
func (s *service) warnFixed(next *config) {
	a, b := s.started.Resolver, next.Resolver
	warnFixed(s.log, []fixedSetting{
		{"log", s.started.Log != next.Log},
		{"state_dir", s.started.StateDir != next.StateDir},
		{"sandbox", !reflect.DeepEqual(s.started.Sandbox, next.Sandbox)},
		{"resolver.listen", !reflect.DeepEqual(a.Listen, b.Listen)},
		{"resolver.listen_tls", !reflect.DeepEqual(a.ListenTLS, b.ListenTLS)},
		{"resolver.listen_https", !reflect.DeepEqual(a.ListenHTTPS, b.ListenHTTPS)},
		{"resolver.listen_quic", !reflect.DeepEqual(a.ListenQUIC, b.ListenQUIC)},
		{"resolver.quic", a.QUIC != b.QUIC},
		{"resolver.ddr", !reflect.DeepEqual(a.DDR, b.DDR)},
		{"resolver.cookies", a.Cookies != b.Cookies},
		{"resolver.rate_limit", !reflect.DeepEqual(a.RateLimit, b.RateLimit)},
		{"resolver.workers", a.Workers != b.Workers},
		{"resolver.max_udp_size", a.MaxUDPSize != b.MaxUDPSize},
		{"resolver.max_pending", a.MaxPending != b.MaxPending},
		{"resolver.tcp", a.TCP != b.TCP},
		{"resolver.cache", !reflect.DeepEqual(a.Cache, b.Cache)},
		{"detect.behaviour.max_pairs", s.started.Detect.Behaviour.MaxPairs != next.Detect.Behaviour.MaxPairs},
		{"detect.behaviour.max_clients", s.started.Detect.Behaviour.MaxClients != next.Detect.Behaviour.MaxClients},
		{"rpz_out", !reflect.DeepEqual(s.started.RPZOut, next.RPZOut)},
		{"records", !reflect.DeepEqual(s.started.Records, next.Records)},
		{"reputation", !reflect.DeepEqual(s.started.Reputation, next.Reputation)},
		{"unusual", s.started.Unusual != next.Unusual},
		{"alerts.enabled", s.started.Alerts.Enabled != next.Alerts.Enabled},
		{"store", !reflect.DeepEqual(s.started.Store, next.Store)},
		{"admin", !reflect.DeepEqual(s.started.Admin, next.Admin)},
	})
}

// fixedSetting is one that takes a start to change.
type fixedSetting struct {
	name    string
	changed bool
}

func warnFixed(log *zap.Logger, settings []fixedSetting) {
	for _, f := range settings {
		if f.changed {
			log.Warn("not as weir was started, takes effect at the next start", zap.String("setting", f.name))
		}
	}
}
