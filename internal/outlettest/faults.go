package outlettest

import (
	"context"
	"fmt"
	"math"
	"os"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/weirdns/weir/pdns/outlet"
	"github.com/weirdns/weir/pdns/privacy"
	"go.uber.org/zap"
)

// Service is what an outlet delivers to while Faults does to it what happens to
// services.
type Service struct {
	// Name is what it is called in the table.
	Name string
	// Proxy is in front of it: every connection of the outlet goes through.
	Proxy *Proxy
	// Fail makes it answer with errors that pass, or not; nil: it has no way to.
	Fail func(on bool)
	// Arrived are the identities of the names that it has, and how many rows it
	// has, repetitions among them. It is called once, in the end.
	Arrived func() (names map[string]string, rows int)
	// Once says that it keeps no row twice.
	Once bool
}

// full says whether the test runs as `make outlets-faults` has it: a minute without
// the service, and more, at 1,000 rows a second.
func full() bool { return os.Getenv("WEIR_OUTLETS_FAULTS") == "full" }

// cycle is one after the other what happens, and for how long: shortly, and in full.
type cycle struct {
	name        string
	short, full time.Duration
	begin, end  func(s *Service)
	met         func(s *Service, failed uint64) bool // after so many tries that failed
}

var (
	nothing = func(*Service) {}
	always  = func(*Service, uint64) bool { return true }
	failed  = func(_ *Service, n uint64) bool { return n > 0 }
)

var cycles = []cycle{
	{"up", 300 * time.Millisecond, 10 * time.Second, nothing, nothing, always},
	{"down", 600 * time.Millisecond, time.Minute, func(s *Service) { s.Proxy.Do(Close) }, func(s *Service) { s.Proxy.Do(Pass) }, failed},
	{"cut", 600 * time.Millisecond, 20 * time.Second, func(s *Service) { s.Proxy.Cut(math.MaxInt32) }, func(s *Service) { s.Proxy.Cut(0) },
		func(s *Service, _ uint64) bool { return s.Proxy.Cuts() > 0 }},
	{"hung", 1200 * time.Millisecond, 20 * time.Second, func(s *Service) { s.Proxy.Do(Hang) }, func(s *Service) { s.Proxy.Do(Pass) }, failed},
	{"errors", 600 * time.Millisecond, 20 * time.Second, func(s *Service) { s.fail(true) }, func(s *Service) { s.fail(false) },
		func(s *Service, n uint64) bool { return s.Fail == nil || n > 0 }},
}

func (s *Service) fail(on bool) {
	if s.Fail != nil {
		s.Fail(on)
	}
}

const (
	faultRate = 1000     // rows a second
	maxHeap   = 96 << 20 // octets, of the outlet, the service if it is the test's own, and the test
)

// Faults sends rows at a steady rate while the service is there, is gone, is cut
// off in the middle of what is sent, takes everything and answers nothing, and
// answers with errors. In the end every row has to have arrived, repetitions have
// to have the identity of the first, and memory has to be what it was. It logs a
// row of a table.
func Faults(t *testing.T, cfg outlet.Config, sink outlet.Sink, s Service) {
	t.Helper()
	cfg.RetryMax, cfg.Timeout, cfg.BatchInterval = time.Second, time.Second, 50*time.Millisecond
	if full() {
		cfg.RetryMax, cfg.Timeout, cfg.BatchInterval = 5*time.Second, 5*time.Second, 500*time.Millisecond
	}
	o, err := outlet.New(cfg, sink, outlet.Deps{
		Dir: t.TempDir(), Log: zap.NewNop(), Registry: prometheus.NewRegistry(), Privacy: privacy.Plain(privacy.Truncated),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- o.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	var heap, spool atomic.Int64
	stop := watch(o, &heap, &spool)
	defer stop()
	n, usual := 0, int64(0)
	var failures string
	for _, c := range cycles {
		lasts := c.short
		if full() {
			lasts = c.full
		}
		before := o.Stats().Failed
		c.begin(&s)
		n = feed(t, o, n, lasts)
		// It stays as it is until the outlet has met it.
		for deadline := time.Now().Add(Limit); !c.met(&s, o.Stats().Failed-before); n = feed(t, o, n, 20*time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%s: the outlet has not noticed: %+v", c.name, o.Stats())
			}
		}
		c.end(&s)
		if c.name == "up" {
			usual = heap.Load()
		}
		failures += fmt.Sprintf("%s %d, ", c.name, o.Stats().Failed-before)
	}
	n = feed(t, o, n, 100*time.Millisecond)
	begin := time.Now()
	limit := Limit
	if full() {
		limit *= 5 // a dozen of these share a machine
	}
	st := wait(t, o, n, limit)
	took := time.Since(begin)
	stop()
	for reason, dropped := range st.Dropped {
		if dropped > 0 {
			t.Errorf("%d rows were dropped: %s", dropped, reason)
		}
	}
	names, rows := s.Arrived()
	identities := map[string]bool{}
	for _, id := range names {
		identities[id] = true
	}
	if len(names) != n || len(identities) != n || rows < n || s.Once && rows != n {
		t.Errorf("%d rows, %d names and %d identities arrived, want %d of each", rows, len(names), len(identities), n)
	}
	if full() && heap.Load() > maxHeap {
		t.Errorf("%d octets of memory, want at most %d", heap.Load(), maxHeap)
	}
	t.Logf("failed tries: %s%d in all; %d connections cut", failures, st.Failed, s.Proxy.Cuts())
	t.Logf("| %s | %d | %d | %d | %.1f MB | %.1f s | %.1f MB | %.1f MB |", s.Name, n, len(identities), rows-n,
		float64(spool.Load())/1e6, took.Seconds(), float64(usual)/1e6, float64(heap.Load())/1e6)
}

// feed consumes rows for so long, and brings them to the disk twice a second, as a
// recorder does; at least one. It returns the number of the next row.
func feed(t *testing.T, o *outlet.Outlet, n int, lasts time.Duration) int {
	t.Helper()
	first, begin, tended := n, time.Now(), time.Now()
	for past := time.Duration(0); past < lasts || n == first; time.Sleep(10 * time.Millisecond) {
		past = min(time.Since(begin), lasts)
		for n < first+max(int(past.Seconds()*faultRate), 1) {
			o.Consume(Row(n))
			n++
		}
		if time.Since(tended) > 500*time.Millisecond || past == lasts {
			if err := o.Tend(); err != nil {
				t.Fatal(err)
			}
			tended = time.Now()
		}
	}
	return n
}

// watch keeps the highest heap and spool, in octets, until it is stopped.
func watch(o *outlet.Outlet, heap, spool *atomic.Int64) (stop func()) {
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		n, tick := 0, time.NewTicker(50*time.Millisecond)
		defer tick.Stop()
		for {
			spool.Store(max(spool.Load(), o.Stats().Bytes))
			if n++; !full() || n%20 == 0 {
				var m runtime.MemStats
				if full() {
					runtime.GC() // what is in use, and not what may be thrown away
				}
				runtime.ReadMemStats(&m)
				heap.Store(max(heap.Load(), int64(m.HeapAlloc)))
			}
			select {
			case <-end:
				return
			case <-tick.C:
			}
		}
	}()
	var once atomic.Bool
	return func() {
		if once.CompareAndSwap(false, true) {
			close(end)
			<-ended
		}
	}
}
