package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"reflect"
	"time"

	"go.uber.org/zap"
)

// reloadOn reloads at each signal until ctx ends.
func (s *service) reloadOn(ctx context.Context, hup <-chan os.Signal, load func() (*config, error)) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-hup:
		}
		if err := s.reload(load); err != nil {
			s.reloads.WithLabelValues("rejected").Inc()
			refused := &refusedReload{Time: time.Now().UTC()}
			for _, e := range split(unwrapExit(err)) {
				s.log.Error("reload rejected, the old configuration serves on", zap.Error(e))
				refused.Problems = append(refused.Problems, e.Error())
			}
			s.refused.Store(refused)
			continue
		}
		s.refused.Store(nil)
		s.reloads.WithLabelValues("success").Inc()
		cfg := s.cfg.Load()
		s.warnFeeds(cfg)
		s.warnOfRace(cfg)
		s.log.Info("reloaded", zap.Int("lists", len(cfg.Lists)), zap.Strings("forward", cfg.Resolver.Upstream.Servers))
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
	return reloadState{s.refused.Load()}, nil
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
func (s *service) reload(load func() (*config, error)) error {
	next, err := load()
	if err != nil {
		return err
	}
	return next.located(s.replace(next))
}

// replace is reload with a configuration that is valid by itself.
func (s *service) replace(next *config) error {
	models, err := loadModels(&next.Detect, s.detection.models)
	if err != nil {
		return err
	}
	popular, err := loadPopularity(next)
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
	if err := s.detection.lists.Reload(next.sources()); err != nil {
		return err
	}
	// From here on nothing fails: every value was validated by load.
	if err := s.detection.detector.Swap(next.Detect, next.policies(), models.live); err != nil {
		return err
	}
	s.detection.detector.SetShadow(models.shadow)
	s.detection.detector.SetPopularity(popular)
	s.detection.lists.SetPopular(popular)
	s.upstreams.swap(up)
	if err := s.resolver.Swap(next.forwarding(), s.upstreams); err != nil {
		return err
	}
	s.warnFixed(next)
	s.detection.models = models
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
	for _, f := range []struct {
		setting string
		changed bool
	}{
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
		{"rpz_out", !reflect.DeepEqual(s.started.RPZOut, next.RPZOut)},
		{"records", !reflect.DeepEqual(s.started.Records, next.Records)},
		{"store", !reflect.DeepEqual(s.started.Store, next.Store)},
		{"admin", s.started.Admin != next.Admin},
	} {
		if f.changed {
			s.log.Warn("not as weir was started, takes effect at the next start", zap.String("setting", f.setting))
		}
	}
}
