// Package live shows transactions as they pass, to whoever watches now. It
// keeps nothing: who comes later, or reads too slowly, has missed what passed.
// While nobody watches it costs the answer path one atomic load.
package live

import (
	"bytes"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/pdns"
	"github.com/weirdns/weir/pdns/privacy"
)

const (
	// maxReaders is how many may watch at a time.
	maxReaders = 16
	// backlog is how many events wait for a reader; one that has so many has
	// stopped reading.
	backlog = 512
	// perTend is how many events pass in half a second that are no detections:
	// nobody reads more, and a browser would drown in them.
	perTend = 100
	// maxAnswers of a transaction are shown.
	maxAnswers = 16
)

// ErrFull is that as many watch as may.
var ErrFull = errors.New("too many readers of the live feed")

// Feed is an output of a pdns.Recorder. It is safe for use by many goroutines.
type Feed struct {
	watching atomic.Uint64 // readers; those of all transactions in the upper half
	encoder  *pdns.Encoder // only Consume uses it
	budget   int           // what may pass until the next Tend; Consume's and Tend's
	recorded atomic.Uint64

	refused, dropped, skipped prometheus.Counter

	mu      sync.Mutex
	readers []*Reader
	ended   bool
}

// everything is one reader of all transactions, in Feed.watching.
const everything = 1<<32 | 1

// Reader is one who watches.
type Reader struct {
	// Lines are transactions in JSON, without a newline; immutable. It is closed
	// when the reader was too slow, or weir ends.
	Lines chan []byte
	// Skipped counts transactions that were not shown since too many passed.
	Skipped atomic.Uint64

	detections bool
	feed       *Feed
}

// New makes a Feed that shows clients as far as guard lets it.
func New(guard *privacy.Guard, reg prometheus.Registerer) *Feed {
	f := &Feed{
		encoder: pdns.NewEncoder(guard, maxAnswers), budget: perTend,
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "weir_live_refused_total", Help: "Readers of the live feed that were refused since as many watched as may.",
		}),
		dropped: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "weir_live_dropped_total", Help: "Readers of the live feed that were cut off since they read too slowly.",
		}),
		skipped: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "weir_live_skipped_total", Help: "Transactions that readers of the live feed were not shown since too many passed.",
		}),
	}
	reg.MustRegister(f.refused, f.dropped, f.skipped, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "weir_live_readers", Help: "Who watches the live feed now.",
	}, func() float64 { return float64(uint32(f.watching.Load())) }))
	return f
}

// Watch adds a reader of all transactions, or of detections only. It must be
// closed.
func (f *Feed) Watch(detections bool) (*Reader, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.readers) == maxReaders || f.ended {
		f.refused.Inc()
		return nil, ErrFull
	}
	r := &Reader{Lines: make(chan []byte, backlog), detections: detections, feed: f}
	f.readers = append(f.readers, r)
	f.watching.Add(r.weight())
	return r, nil
}

func (r *Reader) weight() uint64 {
	if r.detections {
		return 1
	}
	return everything
}

// Close ends the watching. It may be called more than once.
func (r *Reader) Close() {
	r.feed.mu.Lock()
	defer r.feed.mu.Unlock()
	r.feed.removeLocked(r)
}

func (f *Feed) removeLocked(r *Reader) {
	if at := slices.Index(f.readers, r); at >= 0 {
		f.readers = slices.Delete(f.readers, at, at+1)
		f.watching.Add(-r.weight())
		close(r.Lines)
	}
}

// Name is the output's name in metrics.
func (f *Feed) Name() string { return "live" }

// Wants says whether anybody watches such a transaction.
func (f *Feed) Wants(t *detect.Transaction) bool {
	n := f.watching.Load()
	return n != 0 && (n>>32 != 0 || detected(&t.Verdict))
}

// detected says that something was wanted of the query, done or not.
func detected(v *detect.Verdict) bool { return v.Action != detect.Pass }

// Consume shows a transaction to those who watch. Who does not keep up is cut
// off: nobody waits for a reader.
func (f *Feed) Consume(t *detect.Transaction) {
	f.recorded.Add(1)
	found := detected(&t.Verdict)
	f.mu.Lock()
	defer f.mu.Unlock()
	if !found {
		if f.budget == 0 {
			f.skipped.Inc()
			for _, r := range f.readers {
				if !r.detections {
					r.Skipped.Add(1)
				}
			}
			return
		}
		f.budget--
	}
	line := bytes.TrimSuffix(f.encoder.Append(nil, t), []byte("\n"))
	for _, r := range slices.Clone(f.readers) {
		if r.detections && !found {
			continue
		}
		select {
		case r.Lines <- line:
		default:
			f.dropped.Inc()
			f.removeLocked(r)
		}
	}
}

// Tend lets more pass.
func (f *Feed) Tend() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.budget = perTend
	return nil
}

// Stopping has nothing to do: nobody is waited for.
func (f *Feed) Stopping() {}

// Close ends all watching.
func (f *Feed) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ended = true
	for len(f.readers) > 0 {
		f.removeLocked(f.readers[0])
	}
	return nil
}

// Recorded counts transactions that came while somebody watched.
func (f *Feed) Recorded() uint64 { return f.recorded.Load() }

// Dropped is 0: what is not shown is skipped, and kept elsewhere.
func (f *Feed) Dropped() uint64 { return 0 }

// heartbeat is how often a silent stream says that it lives, and so finds out
// whether the reader does.
const heartbeat = 15 * time.Second
