package blocklist

import (
	"context"
	"math/rand/v2"
	"net/http"
	"runtime"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/weirdns/weir/internal/xfr"
)

const (
	// pollInterval is how often local files are looked at. One that changed is
	// read when it looks the same twice. Polling works on
	// every file system and needs no descriptor for each file.
	pollInterval = 5 * time.Second
	// retryFirst is the wait after the first failure to reach a URL; it doubles
	// up to the refresh interval. Short, because at boot the network is often a
	// few seconds late.
	retryFirst = 30 * time.Second
)

// Run refreshes URL lists when they are due, one at a time, and reads local
// files again when they change. It returns nil when ctx has ended and nothing
// it started is left.
func (l *Lists) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	wg.Go(func() { l.watchFiles(ctx) })
	wg.Go(func() { l.refreshURLs(ctx) })
	wg.Wait()
	return nil
}

func (l *Lists) watchFiles(ctx context.Context) {
	t := time.NewTicker(pollInterval)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			l.pollFiles()
		}
	}
}

// pollFiles reads again what changed.
func (l *Lists) pollFiles() {
	l.mu.Lock()
	sources := slices.Clone(l.sources)
	l.mu.Unlock()
	for _, s := range sources {
		if s.cfg.File == "" {
			continue
		}
		now := look(s.cfg.File)
		l.mu.Lock()
		// What changed since the last look may be in the middle of being written.
		settled := now == s.seen
		changed := now != s.stamp
		s.seen = now
		l.mu.Unlock()
		if changed && settled {
			_ = l.reloadFile(s) // counts and logs what goes wrong
		}
	}
}

// reloadFile reads a local list again. The file is read outside the lock.
func (l *Lists) reloadFile(s *source) error {
	l.mu.Lock()
	g, had, before := l.guardFor(s, l.guard), s.entries(), s.list
	l.mu.Unlock()
	d, stamp, err := loadFile(&s.cfg, g, l.shop, had, time.Now())
	err = l.settle(s, d, err, func() { s.stamp = stamp })
	l.swapped(s, before)
	return err
}

func (l *Lists) refreshURLs(ctx context.Context) {
	for {
		s, wait := l.due(time.Now())
		if s != nil && wait <= 0 {
			_ = l.refreshURL(ctx, s) // counts and logs what goes wrong
			if ctx.Err() != nil {
				return
			}
			continue
		}
		if s == nil {
			wait = maxRefresh // nothing will be due before something changes
		}
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-l.changed:
		case <-t.C:
		}
		t.Stop()
		if ctx.Err() != nil {
			return
		}
	}
}

// due is the URL list that is due first, and in how long; nil if there is none.
func (l *Lists) due(now time.Time) (first *source, wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.sources {
		if s.cfg.remote() && (first == nil || s.next.Before(first.next)) {
			first = s
		}
	}
	if first == nil {
		return nil, 0
	}
	return first, first.next.Sub(now)
}

// Refresh loads one list again now, whether or not it is due, and says why its
// new data were refused. Inline lists have nothing to refresh.
func (l *Lists) Refresh(ctx context.Context, list string) error {
	s, err := l.find(list)
	switch {
	case err != nil:
		return err
	case s.cfg.remote():
		return l.refreshURL(ctx, s)
	case s.cfg.File != "":
		return l.reloadFile(s)
	}
	return nil
}

// refreshURL asks a list's URL and takes what it has to say, if it is to be trusted.
func (l *Lists) refreshURL(ctx context.Context, s *source) error {
	select {
	case l.fetching <- struct{}{}:
		defer func() { <-l.fetching }()
	case <-ctx.Done():
		return ctx.Err()
	}
	l.mu.Lock()
	q := &request{
		cfg: &s.cfg, path: s.path, shop: l.shop,
		guard: l.guardFor(s, l.guard), had: s.entries(),
	}
	before := s.list
	if s.list.set != nil {
		q.etag, q.lastModified = s.etag, s.lastModified
		if s.path != "" {
			q.soa = s.soa
		}
	}
	l.mu.Unlock()

	var f *fetched
	var err error
	if s.cfg.Transfer.set() {
		f, err = transfer(ctx, q)
	} else {
		f, err = fetch(ctx, l.transport(s), q)
	}
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err() // our own end, not the feed's
		}
		return l.settle(s, nil, err, func() { s.retryLater(resultOf(err, resultNetwork)) })
	}
	again := func() {
		s.failures = 0
		s.next = time.Now().Add(jitter(s.interval(f.soa)))
	}
	if f.data == nil {
		return l.settle(s, nil, nil, again)
	}
	defer f.spool.close()
	err = l.settle(s, f.data, nil, again)
	if kept := f.spool.commit(); kept != nil && err == nil {
		// The new data serve; only a restart would miss them.
		l.storeFailed(s, kept)
	}
	l.swapped(s, before)
	return err
}

func (l *Lists) transport(s *source) http.RoundTripper {
	if l.deps.Transport != nil {
		return l.deps.Transport
	}
	return newTransport(&s.cfg)
}

// settle publishes the outcome of a load: data, an error, or neither for data
// that are still current. also runs under the lock. The outcome of a list that
// was configured away meanwhile is dropped.
func (l *Lists) settle(s *source, d *data, err error, also func()) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !slices.Contains(l.sources, s) {
		d.release()
		return err
	}
	now := time.Now()
	switch {
	case err != nil:
		s.fail(err, now)
		l.metrics.loaded(s.cfg.Name, resultOf(err, resultFile), nil)
		l.deps.Log.Error("list refused, what it had before keeps serving", zap.String("list", s.cfg.Name),
			zap.String("result", resultOf(err, resultFile)), zap.Int("entries", s.entries()), zap.Error(err))
	case d != nil:
		// The guard may have come to know of hosts since the load began.
		if set, err := l.guardFor(s, l.guard).purge(d.set, l.shop); err == nil && set != d.set {
			set.release()
			d.set.release()
			d.set = set
		}
		s.take(d)
		l.metrics.loaded(s.cfg.Name, resultOK, d)
		l.logLoaded(s)
	default:
		s.confirm(now)
		l.metrics.loaded(s.cfg.Name, resultNotModified, nil)
		if s.path != "" {
			if err := confirm(s.path, now); err != nil {
				l.deps.Log.Warn("stored copy of list not touched", zap.String("list", s.cfg.Name), zap.Error(err))
			}
		}
	}
	also()
	if err != nil {
		l.expireLocked(s, now)
	}
	if err == nil && d != nil {
		l.keepCompiled(s, d, s.stamp)
	}
	l.publishLocked()
	return err
}

// swapped frees what a list had before, for whoever replaced it: the mapping of
// a large set goes with the garbage, of which a quiet resolver makes too little
// for the collector to come by soon.
func (l *Lists) swapped(s *source, before *List) {
	l.mu.Lock()
	same := s.list.set == before.set
	l.mu.Unlock()
	if !same && before.set != nil && before.set.file != nil {
		runtime.GC()
	}
}

func (l *Lists) storeFailed(s *source, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if slices.Contains(l.sources, s) {
		l.metrics.loaded(s.cfg.Name, resultStoreError, nil)
	}
	l.deps.Log.Error("no copy of the list could be kept: after a restart it serves what was stored before",
		zap.String("list", s.cfg.Name), zap.Error(err))
}

// retryLater puts the next attempt off, longer with each failure. A server that
// answered, if with rubbish, is not asked more often than any server is.
func (s *source) retryLater(result string) {
	if s.soa != nil {
		s.failures++
		s.next = time.Now().Add(jitter(zoneWait(s.soa.Retry)))
		return
	}
	wait := s.cfg.Refresh
	if n := s.failures; n < 20 {
		wait = min(wait, retryFirst<<n)
	}
	if result != resultNetwork {
		wait = max(wait, minRefresh)
	}
	s.failures++
	s.next = time.Now().Add(jitter(wait))
}

// interval is how long data are good for: what the list says, or its zone.
func (s *source) interval(soa *xfr.SOA) time.Duration {
	if soa != nil {
		return zoneWait(soa.Refresh)
	}
	return s.cfg.Refresh
}

// jitter is d give or take a tenth, so that a fleet does not ask as one.
func jitter(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.9 + 0.2*rand.Float64()))
}
