// Package outlet carries transactions to services of others: each outlet has a
// bounded queue, a spool on the disk, and a goroutine that sends batches and tries
// again, with longer and longer waits, until they have arrived. A service that is
// down, slow or gone costs neither DNS nor another outlet anything.
//
// Every row that reached the spool arrives at least once, unless it has waited too
// long or the spool is full, which is counted. A row has an identity by which
// duplicates can be removed.
//
// It refuses to know a service: those are in packages of their own.
package outlet

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/pdns"
	"github.com/weirdns/weir/pdns/privacy"
	"go.uber.org/zap"
)

// Deps are what an Outlet works with.
type Deps struct {
	// Dir is the folder of this outlet's spool.
	Dir      string
	Log      *zap.Logger
	Registry prometheus.Registerer
	// Privacy says how much of a client reaches the spool, and so the service.
	Privacy *privacy.Guard
	// Now is the clock that rows wait by; nil means the system's.
	Now func() time.Time
}

// Outlet is an output of a pdns.Recorder. Run delivers, beside it.
type Outlet struct {
	cfg     Config
	sink    Sink
	privacy *privacy.Guard
	log     *zap.Logger
	now     func() time.Time
	spool   *spool
	retry   time.Duration // about the first wait
	row     []byte        // scratch
	tended  time.Time     // of Run's goroutine

	sent, batches, failed atomic.Uint64
	since                 atomic.Int64 // Unix nanoseconds of the oldest row under way; 0: none is
	failing               atomic.Bool
	said                  atomic.Pointer[Trouble]
}

var _ pdns.Output = (*Outlet)(nil)

// New makes an outlet and registers its metrics. It touches no disk, and sink is
// not used before Run.
func New(cfg Config, sink Sink, deps Deps) (*Outlet, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("outlet %s: %w", cfg.Name, err)
	}
	if deps.Now == nil {
		deps.Now = time.Now
	}
	o := &Outlet{
		cfg: cfg, sink: sink, privacy: deps.Privacy, log: deps.Log.With(zap.String("outlet", cfg.Name)), now: deps.Now, retry: firstRetry,
		spool: newSpool(deps.Dir, cfg.SpoolBytes, cfg.SpoolAge, deps.Now),
	}
	if err := o.register(deps.Registry); err != nil {
		return nil, fmt.Errorf("outlet %s: metrics: %w", cfg.Name, err)
	}
	return o, nil
}

// Name is the output's name in metrics of records.
func (o *Outlet) Name() string { return "outlet_" + o.cfg.Name }

// Wants says whether a transaction goes out here.
func (o *Outlet) Wants(t *detect.Transaction) bool {
	return o.cfg.Rows == All || Detection(t)
}

// Detection says whether a list, policy or the model has something against t.
func Detection(t *detect.Transaction) bool {
	return t.Verdict.Action != detect.Pass && slices.Contains(DetectionOrigins(), t.Verdict.Origin)
}

// DetectionOrigins are those of detections.
func DetectionOrigins() []detect.Origin {
	return []detect.Origin{detect.OriginBlockList, detect.OriginModel, detect.OriginRebinding, detect.OriginLookalike, detect.OriginBehaviour}
}

// Consume brings t to the spool, with as much of its client as may be kept.
func (o *Outlet) Consume(t *detect.Transaction) {
	kept := *t
	kept.Query.Client = o.privacy.Address(t.Query.Client)
	o.row = pdns.AppendTransaction(o.row[:0], &kept)
	o.spool.put(o.row)
}

// Tend brings what was consumed to the disk, and drops what has waited too long.
func (o *Outlet) Tend() error { return o.spool.tend() }

// Stopping does nothing: no call here takes long.
func (o *Outlet) Stopping() {}

// Close ends the spool's writing. What is in it goes out after the next start.
func (o *Outlet) Close() error { return o.spool.close() }

// Recorded counts the transactions that reached the spool.
func (o *Outlet) Recorded() uint64 { return o.spool.stored.Load() }

// Dropped counts those that did not.
func (o *Outlet) Dropped() uint64 { return o.spool.lost[diskRefused].Load() }

// Stats says how an outlet does.
type Stats struct {
	Sent    uint64            // rows delivered
	Batches uint64            // they came in
	Failed  uint64            // tries that did not work
	Dropped map[string]uint64 // rows that never arrive, by reason
	Bytes   int64             // that wait on the disk
	Lag     time.Duration     // age of the oldest row under way
	Failing bool              // the last try did not work
}

// Stats reads the counters.
func (o *Outlet) Stats() Stats {
	s := Stats{Sent: o.sent.Load(), Batches: o.batches.Load(), Failed: o.failed.Load(), Dropped: map[string]uint64{}, Bytes: o.spool.bytes(), Lag: o.lag(), Failing: o.failing.Load()}
	for r := range reasonCount {
		s.Dropped[reasonNames[r]] = o.spool.lost[r].Load()
	}
	return s
}

func (o *Outlet) lag() time.Duration {
	since := o.since.Load()
	if since == 0 {
		return 0
	}
	return max(o.now().Sub(time.Unix(0, since)), 0)
}

// register makes the counters visible. They are read when they are asked for.
func (o *Outlet) register(reg prometheus.Registerer) error {
	var errs []error
	name := prometheus.Labels{"outlet": o.cfg.Name}
	counter := func(metric, help string, labels prometheus.Labels, read func() uint64) {
		errs = append(errs, reg.Register(prometheus.NewCounterFunc(
			prometheus.CounterOpts{Name: metric, Help: help, ConstLabels: labels}, func() float64 { return float64(read()) })))
	}
	gauge := func(metric, help string, read func() float64) {
		errs = append(errs, reg.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: metric, Help: help, ConstLabels: name}, read)))
	}
	counter("weir_outlet_sent_rows_total", "Rows that an outlet's service has taken.", name, o.sent.Load)
	counter("weir_outlet_batches_total", "Batches that an outlet's service has taken.", name, o.batches.Load)
	counter("weir_outlet_failures_total", "Tries of an outlet that did not work.", name, o.failed.Load)
	for r := range reasonCount {
		counter("weir_outlet_dropped_rows_total", "Rows of an outlet that never arrive, by reason.",
			prometheus.Labels{"outlet": o.cfg.Name, "reason": reasonNames[r]}, o.spool.lost[r].Load)
	}
	gauge("weir_outlet_spool_bytes", "Octets that wait on the disk for an outlet's service.", func() float64 { return float64(o.spool.bytes()) })
	gauge("weir_outlet_lag_seconds", "Age of the oldest row of the batch under way.", func() float64 { return o.lag().Seconds() })
	gauge("weir_outlet_up", "1 if the last try worked, or none was made.", func() float64 {
		if o.failing.Load() {
			return 0
		}
		return 1
	})
	return errors.Join(errs...)
}
