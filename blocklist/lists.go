package blocklist

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/netip"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/weirdns/weir/internal/dnsname"
)

// Deps is what Lists lives on.
type Deps struct {
	Log      *zap.Logger
	Registry prometheus.Registerer
	// Dir is the folder for the last good copies of URL lists; it is made when
	// needed. Empty: no copies are kept, and after a restart a URL list is
	// empty until its feed answers.
	Dir string
	// Transport fetches; nil is one of our own that refuses private addresses.
	// Who brings one answers for where it connects.
	Transport http.RoundTripper
	// Protected are hosts that no block list may name, nor a name above them:
	// the upstreams. The hosts of the lists' own URLs are always protected.
	Protected []dnsname.Name
}

// Lists holds the configured lists and keeps them fresh. New starts nothing;
// Load reads what is on this machine; Run refreshes until its context ends.
// All methods are safe for concurrent use.
type Lists struct {
	deps    Deps
	metrics *metrics
	shop    workshop
	current atomic.Pointer[Snapshot]

	changed  chan struct{} // 1: Run must look again at what is due
	fetching chan struct{} // holds a token while a URL is asked: one at a time bounds memory

	mu      sync.Mutex // guards the sources and publishing; serving never takes it
	sources []*source  // in configuration order
	guard   *guard
	popular Popular // may be nil
}

// New makes lists without data. Its error joins everything wrong with cfgs.
func New(cfgs []Config, deps Deps) (*Lists, error) {
	if err := ValidateAll(cfgs); err != nil {
		return nil, err
	}
	l := &Lists{
		deps: deps, shop: newWorkshop(deps.Dir),
		changed: make(chan struct{}, 1), fetching: make(chan struct{}, 1),
	}
	l.guard = newGuard(l.ownHosts(cfgs))
	for i := range cfgs {
		if !cfgs[i].Disabled {
			l.sources = append(l.sources, newSource(&cfgs[i], deps.Dir))
		}
	}
	l.publishLocked() // nobody else has l yet
	m, err := newMetrics(deps.Registry, l.Snapshot)
	if err != nil {
		return nil, err
	}
	l.metrics = m
	return l, nil
}

// Snapshot is the lists as they serve now; never nil.
func (l *Lists) Snapshot() *Snapshot { return l.current.Load() }

// publishLocked makes the sources' lists the ones that serve.
func (l *Lists) publishLocked() {
	lists := make([]*List, len(l.sources))
	serves := make(map[*set]bool)
	for i, s := range l.sources {
		lists[i] = s.list
		serves[s.list.set] = true
	}
	before := l.current.Swap(newSnapshot(l.shop.seed, lists, l.popular))
	if before == nil {
		return
	}
	for _, old := range before.lists {
		if old.set != nil && old.set.file != nil && !serves[old.set] {
			old.set.file.mapped.rest() // at once: new pages come with each lookup
		}
	}
	runtime.KeepAlive(before)
}

// Load reads inline entries, files and the last good copies of URL lists, and
// never the network. A file that cannot be read or parsed is an error, and the
// other lists serve all the same; a URL list without a copy is a warning.
func (l *Lists) Load() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var errs []error
	for _, s := range l.sources {
		if s.cfg.remote() && s.list.set != nil {
			continue // what serves is what the copy holds
		}
		if err := l.loadLocked(s, l.guardFor(s, l.guard)); err != nil {
			errs = append(errs, err)
		}
	}
	l.publishLocked()
	l.sweep()
	l.wake()
	return errors.Join(errs...)
}

// loadLocked reads one source from this machine and counts the attempt.
func (l *Lists) loadLocked(s *source, g *guard) error {
	d, err := l.readLocked(s, g)
	now := time.Now()
	switch {
	case err != nil:
		s.fail(err, now)
		l.metrics.loaded(s.cfg.Name, resultOf(err, resultFile), nil)
		return err
	case d == nil:
		return nil
	}
	s.take(d)
	l.keepCompiled(s, d, s.stamp)
	l.metrics.loaded(s.cfg.Name, resultOK, d)
	l.logLoaded(s)
	return nil
}

// readLocked has no data and no error for a URL list without a usable copy.
func (l *Lists) readLocked(s *source, g *guard) (d *data, err error) {
	now := time.Now()
	switch {
	case len(s.cfg.Inline) > 0:
		return loadInline(&s.cfg, g, workshop{seed: l.shop.seed}, now)
	case s.cfg.File != "":
		stamp := look(s.cfg.File)
		if d = l.openCompiled(s, g, func(h *setHeader) bool {
			return h.Stamp == stamp && h.Loaded.Sub(time.Unix(0, stamp.Modified)) > racy
		}); d != nil {
			s.stamp, d.checked = stamp, now
			return d, nil
		}
		d, s.stamp, err = loadFile(&s.cfg, g, l.shop, s.entries(), now)
		return d, err
	}
	s.next = now
	if s.path != "" {
		d, err = l.loadCopy(s, g)
	} else {
		err = fs.ErrNotExist
	}
	switch {
	case err == nil:
		s.next = minTime(d.checked, now).Add(jitter(s.interval(d.soa)))
		return d, nil
	case errors.Is(err, fs.ErrNotExist):
		l.deps.Log.Warn("list has no data until its URL answers", zap.String("list", s.cfg.Name))
	default:
		s.fail(err, now)
		l.metrics.loaded(s.cfg.Name, resultOf(err, resultDamaged), nil)
		l.deps.Log.Error("list has no data until its URL answers: its stored copy was refused",
			zap.String("list", s.cfg.Name), zap.Error(err))
	}
	return nil, nil
}

func minTime(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// Reconfigure replaces the configuration, all or nothing. Lists whose
// configuration is the same keep their data; others are loaded as Load does,
// so a list with a new URL is empty until that answers.
func (l *Lists) Reconfigure(cfgs []Config) error {
	if err := ValidateAll(cfgs); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	before := make(map[string]*source)
	for _, s := range l.sources {
		before[s.cfg.Name] = s
	}
	g := newGuard(l.ownHosts(cfgs))
	var sources, fresh []*source
	purged := make(map[*source]*set)
	var errs []error
	for i := range cfgs {
		c := &cfgs[i]
		if c.Disabled {
			continue
		}
		s := newSource(c, l.deps.Dir)
		if old := before[c.Name]; old != nil && old.cfg.equal(&s.cfg) {
			s = old
			if s.list.set != nil {
				set, err := l.guardFor(s, g).purge(s.list.set, l.shop)
				errs = append(errs, err)
				purged[s] = set
			}
		} else {
			fresh = append(fresh, s)
			errs = append(errs, l.loadLocked(s, l.guardFor(s, g)))
		}
		sources = append(sources, s)
	}
	if err := errors.Join(errs...); err != nil {
		l.forgetLocked(fresh, l.sources)
		return err
	}
	for s, set := range purged {
		if set != s.list.set {
			set.release() // it may be mapped, and is not what the text says
			s.replace(set)
		}
	}
	gone := l.sources
	l.sources, l.guard = sources, g
	l.forgetLocked(gone, sources)
	l.publishLocked()
	l.wake()
	return nil
}

// forgetLocked removes the series of those of gone whose names are not in kept.
func (l *Lists) forgetLocked(gone, kept []*source) {
	for _, s := range gone {
		if !slices.ContainsFunc(kept, func(k *source) bool { return k.cfg.Name == s.cfg.Name }) {
			l.metrics.forget(s.cfg.Name)
		}
	}
}

// ownHosts is every host that the block lists must leave alone.
func (l *Lists) ownHosts(cfgs []Config) []dnsname.Name {
	hosts := slices.Clone(l.deps.Protected)
	for i := range cfgs {
		u, err := url.Parse(strings.ReplaceAll(cfgs[i].URL, keyPlaceholder, "key"))
		if err != nil || u.Hostname() == "" || cfgs[i].Disabled {
			continue
		}
		if _, err := netip.ParseAddr(u.Hostname()); err == nil {
			continue
		}
		if name, err := dnsname.Parse(u.Hostname()); err == nil {
			hosts = append(hosts, name)
		}
	}
	return hosts
}

// guardFor is g for a block list; an allow list may well name our own hosts.
func (l *Lists) guardFor(s *source, g *guard) *guard {
	if s.cfg.Kind == Allow {
		g = newGuard(nil)
		g.lenient = true
	}
	return g
}

// wake makes Run look again at what is due.
func (l *Lists) wake() {
	select {
	case l.changed <- struct{}{}:
	default:
	}
}

func (l *Lists) logLoaded(s *source) {
	v := s.list
	l.deps.Log.Info("list loaded", zap.String("list", v.Name), zap.String("kind", string(v.Kind)),
		zap.String("format", string(v.Format)), zap.Int("entries", v.Entries), zap.Int("addresses", v.Addresses),
		zap.Int("rejected", v.Rejected.Total()), zap.Int64("bytes", v.Memory))
}

// find is the source of the list with that name.
func (l *Lists) find(name string) (*source, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.sources {
		if s.cfg.Name == name {
			return s, nil
		}
	}
	return nil, fmt.Errorf("no list is named %q", name)
}
