package main

import (
	"context"
	"errors"
	"net/netip"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/resolver/upstream"
	"go.uber.org/zap"
)

// upstreams is the group of upstreams in use. A reload puts another in its
// place while queries run; the old one lives until its last query has ended.
type upstreams struct {
	log      *zap.Logger
	registry prometheus.Registerer
	current  atomic.Pointer[upstreamGroup]
	swapped  chan struct{}
}

// upstreamGroup is a group and what it registered.
type upstreamGroup struct {
	*upstream.Group
	cfg     upstream.Config
	metrics heldMetrics
}

func newUpstreams(cfg upstream.Config, log *zap.Logger, reg prometheus.Registerer) (*upstreams, error) {
	u := &upstreams{log: log.Named("upstream"), registry: reg, swapped: make(chan struct{}, 1)}
	g, err := u.prepare(cfg)
	if err != nil {
		return nil, err
	}
	u.swap(g)
	return u, nil
}

// prepare makes a group for cfg, or returns the current one if it is for the
// same.
func (u *upstreams) prepare(cfg upstream.Config) (*upstreamGroup, error) {
	if g := u.current.Load(); g != nil && reflect.DeepEqual(g.cfg, cfg) {
		return g, nil
	}
	g := &upstreamGroup{cfg: cfg}
	var err error
	g.Group, err = upstream.New(cfg, upstream.Deps{Log: u.log, Registry: &g.metrics})
	return g, err
}

// swap puts g in place, its metrics instead of the old one's.
func (u *upstreams) swap(g *upstreamGroup) {
	old := u.current.Swap(g)
	if old == g {
		return
	}
	if old != nil {
		for _, c := range old.metrics.collectors {
			u.registry.Unregister(c)
		}
	}
	u.registry.MustRegister(g.metrics.collectors...)
	select {
	case u.swapped <- struct{}{}:
	default:
	}
}

// Exchange is resolver.Exchanger.
func (u *upstreams) Exchange(ctx context.Context, q *upstream.Question) (*upstream.Answer, error) {
	return u.current.Load().Exchange(ctx, q)
}

// Route is for the resolver, which keeps apart what different servers answer.
func (u *upstreams) Route(name dnsname.Name, client netip.Addr) uint8 {
	return u.current.Load().Route(name, client)
}

func (u *upstreams) states() []upstream.ServerState { return u.current.Load().States() }

// Up is how many servers are not known to be down.
func (u *upstreams) Up() int { return u.current.Load().Up() }

// run runs the current group, and after a swap the next one, until ctx ends.
func (u *upstreams) run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	var mu sync.Mutex
	var errs []error
	var running *upstreamGroup
	stop := context.CancelFunc(func() {})
	for {
		if g := u.current.Load(); g != running {
			if running != nil {
				// Its last exchanges end within their time-out.
				time.AfterFunc(2*running.cfg.Timeout, stop)
			}
			running = g
			var gctx context.Context
			gctx, stop = context.WithCancel(ctx)
			wg.Go(func() {
				if err := g.Run(gctx); err != nil {
					mu.Lock()
					errs = append(errs, err)
					mu.Unlock()
				}
			})
		}
		select {
		case <-u.swapped:
		case <-ctx.Done():
			stop()
			wg.Wait()
			return errors.Join(errs...)
		}
	}
}

// heldMetrics is a prometheus.Registerer that only keeps what it is given, so
// that it can be registered, and taken back, as a whole.
type heldMetrics struct{ collectors []prometheus.Collector }

func (h *heldMetrics) Register(c prometheus.Collector) error {
	h.collectors = append(h.collectors, c)
	return nil
}

func (h *heldMetrics) MustRegister(cs ...prometheus.Collector) {
	h.collectors = append(h.collectors, cs...)
}

func (h *heldMetrics) Unregister(prometheus.Collector) bool { return false }
