// Package pdns keeps records of what was seen: an aggregate in the passive DNS
// Common Output Format, which holds no client address at all, and, where it is
// wanted, a log of every transaction. docs/formats.md describes both.
//
// A Recorder writes them behind a resolver: it never makes a query wait, and
// counts what it could not keep up with. A Writer writes them straight to one
// file, for captures, and loses nothing.
//
// It refuses to judge, and to stamp anything with the clock: time comes with
// the data, so equal input gives equal records.
package pdns

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/internal/queue"
	"github.com/weirdns/weir/pdns/privacy"
	"go.uber.org/zap"
)

// Deps are what a Recorder works with.
type Deps struct {
	Log      *zap.Logger
	Registry prometheus.Registerer
	// Suffixes finds the registered domain where the verdict has none; nil
	// means the list that the module was built with.
	Suffixes *dnsname.Suffixes
	// Privacy says how much of clients is written, and what is not recorded at
	// all; nil keeps their networks.
	Privacy *privacy.Guard
	// Outputs get records beside the files.
	Outputs []QueuedOutput
	// Enrich says what is known of the addresses of a transaction; nil: nothing.
	Enrich Enricher
}

// Enricher looks up what is known beside a transaction, into memory that it uses
// again. client is as much of the client's address as may be kept. It is called by
// any number of goroutines, none of them on the answer path.
type Enricher interface {
	Enrich(t *detect.Transaction, client netip.Prefix, into *detect.Context)
}

// QueuedOutput is an output and the octets that may wait for it.
type QueuedOutput struct {
	Output
	QueueBytes int64
	// Bare says that it has no use for a transaction's Context.
	Bare bool
}

// Recorder is a detect.Sink. Record may be called by any number of goroutines,
// from New until Run has returned; what comes before Run waits in the queue,
// and what comes after its end is dropped and counted.
type Recorder struct {
	sinks   []*sink // those switched on
	cof     *sink   // nil: off
	all     *sink   // nil: off
	outputs []queued
	privacy *privacy.Guard
	skipped atomic.Uint64
	buffers sync.Pool
}

// queued is an output's filter and its sink.
type queued struct {
	wants func(t *detect.Transaction) bool
	sink  *sink
}

// SinkStats counts the transactions offered to one sink. After Run they add up:
// offered = Recorded + every Dropped.
type SinkStats struct {
	Recorded uint64
	Dropped  map[string]uint64 // by reason: queue, disk, record
}

// New checks the configuration and registers the metrics. It touches no disk:
// a directory that cannot be written is a sink that drops and counts, and tries
// again, not a resolver that does not start.
func New(cfg Config, deps Deps) (*Recorder, error) {
	return newRecorder(cfg, deps, disk{}, time.Now)
}

func newRecorder(cfg Config, deps Deps, fs filesystem, now func() time.Time) (*Recorder, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("pdns: %w", err)
	}
	if cfg.Dir == "" && (cfg.COF.Enabled || cfg.Transactions.Enabled) {
		return nil, errors.New("pdns: dir: must not be empty while records are kept")
	}
	if deps.Suffixes == nil {
		deps.Suffixes = dnsname.DefaultSuffixes()
	}
	if deps.Privacy == nil {
		deps.Privacy = privacy.Plain(privacy.Truncated)
	}
	r := &Recorder{privacy: deps.Privacy, buffers: sync.Pool{New: func() any { return new([]byte) }}}
	newSink := func(name string, queueBytes int64, b bounds, c func(*rotatingLog, *counts) consumer) *sink {
		n := &counts{}
		log := &rotatingLog{fs: fs, dir: cfg.Dir, name: name, bounds: b, now: now}
		s := &sink{name: name, queue: queue.New(int(queueBytes)), consumer: c(log, n), counts: n, log: deps.Log, every: tendEvery}
		r.sinks = append(r.sinks, s)
		return s
	}
	if c := cfg.COF; c.Enabled {
		r.cof = newSink("cof", c.QueueBytes, c.bounds(), func(log *rotatingLog, n *counts) consumer {
			return &cofLog{aggregate: newAggregate(c.MemoryBytes, cfg.SensorID), log: log, every: c.FlushInterval, flushed: now(), now: now, counts: n}
		})
	}
	if c := cfg.Transactions; c.Enabled {
		r.all = newSink("transactions", c.QueueBytes, c.bounds(), func(log *rotatingLog, n *counts) consumer {
			log.header = c.Format.Header()
			return &transactionLog{lines: newLines(c.Format, deps.Privacy, deps.Suffixes), log: log, counts: n}
		})
		r.all.context = newContexts(deps.Enrich, deps.Privacy)
	}
	for _, o := range deps.Outputs {
		n := &counts{}
		s := &sink{name: o.Name(), queue: queue.New(int(o.QueueBytes)), consumer: &outlet{o.Output, n}, counts: n, log: deps.Log, every: tendEvery / 2}
		if !o.Bare {
			s.context = newContexts(deps.Enrich, deps.Privacy)
		}
		r.sinks = append(r.sinks, s)
		r.outputs = append(r.outputs, queued{o.Wants, s})
	}
	for _, s := range r.sinks {
		if err := s.register(deps.Registry); err != nil {
			return nil, fmt.Errorf("pdns: metrics of %s: %w", s.name, err)
		}
	}
	err := deps.Registry.Register(prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "weir_records_skipped_total", Help: "Transactions that privacy.skip_clients or privacy.skip_names keep from being recorded.",
	}, func() float64 { return float64(r.skipped.Load()) }))
	if err != nil {
		return nil, fmt.Errorf("pdns: metrics: %w", err)
	}
	return r, nil
}

// Record copies t into the queues of those sinks that it concerns. It does not
// wait for them: a full queue drops t and counts it.
func (r *Recorder) Record(t *detect.Transaction) {
	cof := r.cof != nil && t.Answered()
	wanted := cof || r.all != nil
	for i := 0; i < len(r.outputs) && !wanted; i++ {
		wanted = r.outputs[i].wants(t)
	}
	if !wanted {
		return
	}
	if r.privacy.Skips(t.Query.Client, t.Query.Name) {
		r.skipped.Add(1)
		return
	}
	buf := r.buffers.Get().(*[]byte)
	*buf = AppendTransaction((*buf)[:0], t)
	if cof {
		r.cof.queue.Put(*buf)
	}
	if r.all != nil {
		r.all.queue.Put(*buf)
	}
	for i := range r.outputs {
		if o := &r.outputs[i]; o.wants(t) {
			o.sink.queue.Put(*buf)
		}
	}
	r.buffers.Put(buf)
}

// Run writes records until ctx ends, then those that still wait, and closes the
// files. Whoever records must have stopped before ctx ends, or what they bring
// is dropped. The error is that of the last write; those before it were logged.
func (r *Recorder) Run(ctx context.Context) error {
	errs := make([]error, len(r.sinks))
	var wg sync.WaitGroup
	for i, s := range r.sinks {
		wg.Go(func() {
			if err := s.run(ctx); err != nil {
				errs[i] = fmt.Errorf("%s: %w", s.name, err)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Stats reads the counters, by the name of the sink: cof, transactions,
// and those of the outputs.
func (r *Recorder) Stats() map[string]SinkStats {
	all := make(map[string]SinkStats, len(r.sinks))
	for _, s := range r.sinks {
		all[s.name] = s.stats()
	}
	return all
}
