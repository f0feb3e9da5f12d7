package pdns

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/internal/queue"
	"go.uber.org/zap"
)

// tendEvery is how often a sink writes what it holds, tries a disk again that
// refused, and looks for files that grew old: a killed process loses at most
// this much of the transaction log.
const tendEvery = time.Second

// reason says why a transaction was not recorded.
type reason uint8

const (
	queueFull reason = iota // the sink fell behind, or was closed already
	diskFull                // the disk refused until there was no room to wait, or the end came
	badRecord               // our own record did not read back: a bug
	reasonCount
)

var reasonNames = [reasonCount]string{queueFull: "queue", diskFull: "disk", badRecord: "record"}

// counts of one sink, in transactions. When its Run has returned,
// offered = recorded + all dropped.
type counts struct {
	recorded atomic.Uint64
	dropped  [reasonCount]atomic.Uint64
}

// consumer turns transactions into lines of a file.
type consumer interface {
	consume(t *detect.Transaction)
	tend() error  // every so often
	close() error // the end: what cannot be written now is lost, and counted
}

// sink is one kind of record with a queue and a goroutine of its own, so that a
// dead one does not hurt the others.
type sink struct {
	name     string
	queue    *queue.Queue
	consumer consumer
	counts   *counts
	log      *zap.Logger
	every    time.Duration // between two tends
	context  *contexts     // nil: nothing is looked up
	failing  bool          // the last tend failed: say so once, not every second
}

// run consumes until ctx ends, then what is left, and closes the file.
func (s *sink) run(ctx context.Context) error {
	if o, ok := s.consumer.(*outlet); ok {
		defer o.watch(ctx)()
	}
	s.report(s.consumer.tend())
	for ctx.Err() == nil {
		s.awhile(ctx)
		s.report(s.consumer.tend())
	}
	s.queue.Close()
	for {
		// Not ctx, which has ended: the queue is closed, so this does not wait.
		batch, err := s.queue.Take(context.WithoutCancel(ctx))
		if err != nil {
			break // io.EOF
		}
		s.batch(batch)
	}
	return s.consumer.close()
}

// awhile consumes until it is time to tend.
func (s *sink) awhile(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, s.every)
	defer cancel()
	for ctx.Err() == nil {
		batch, err := s.queue.Take(ctx)
		if err != nil {
			return
		}
		s.batch(batch)
	}
}

func (s *sink) batch(batch []byte) {
	var d Decoder
	rest := batch
	for {
		record, tail, ok := queue.Next(rest)
		if !ok {
			break
		}
		rest = tail
		t, err := d.Decode(record)
		if err != nil {
			s.counts.dropped[badRecord].Add(1)
			continue
		}
		s.context.add(t)
		s.consumer.consume(t)
	}
	s.queue.Release(batch)
}

// report logs the beginning and the end of trouble.
func (s *sink) report(err error) {
	if failing := err != nil; failing != s.failing {
		s.failing = failing
		if failing {
			s.log.Error("records cannot be written, will try again", zap.String("sink", s.name), zap.Error(err))
		} else {
			s.log.Info("records are written again", zap.String("sink", s.name))
		}
	}
}

func (s *sink) stats() SinkStats {
	st := SinkStats{Recorded: s.counts.recorded.Load(), Dropped: map[string]uint64{}}
	for r := range reasonCount {
		st.Dropped[reasonNames[r]] = s.dropped(r)
	}
	return st
}

func (s *sink) dropped(r reason) uint64 {
	if r == queueFull {
		return s.queue.Stats().Dropped
	}
	return s.counts.dropped[r].Load()
}

// register makes the counters visible. They are read when they are asked for.
func (s *sink) register(reg prometheus.Registerer) error {
	var errs []error
	counter := func(name, help string, labels prometheus.Labels, read func() uint64) {
		errs = append(errs, reg.Register(prometheus.NewCounterFunc(
			prometheus.CounterOpts{Name: name, Help: help, ConstLabels: labels},
			func() float64 { return float64(read()) })))
	}
	counter("weir_sink_records_total", "Transactions that a sink has recorded.",
		prometheus.Labels{"sink": s.name}, s.counts.recorded.Load)
	for r := range reasonCount {
		counter("weir_sink_dropped_total", "Transactions that a sink has lost, by reason.",
			prometheus.Labels{"sink": s.name, "reason": reasonNames[r]}, func() uint64 { return s.dropped(r) })
	}
	return errors.Join(errs...)
}

// transactionLog writes every transaction as a line.
type transactionLog struct {
	lines  lines
	log    *rotatingLog
	counts *counts
	line   []byte // scratch
}

func (c *transactionLog) consume(t *detect.Transaction) {
	c.line = c.lines.append(c.line[:0], t)
	if !c.log.row(c.line, t.Query.Time.Unix()) {
		c.counts.dropped[diskFull].Add(1)
	}
	c.counts.recorded.Store(c.log.written)
}

func (c *transactionLog) tend() error {
	err := c.log.tend()
	c.counts.recorded.Store(c.log.written)
	return err
}

func (c *transactionLog) close() error {
	err := c.log.close()
	c.counts.recorded.Store(c.log.written)
	c.counts.dropped[diskFull].Add(uint64(c.log.pending))
	return err
}

// cofLog sums transactions up and writes the sums. A transaction counts as
// recorded when all that it added to is in the file.
type cofLog struct {
	aggregate *aggregate
	log       *rotatingLog
	every     time.Duration
	flushed   time.Time
	now       func() time.Time
	counts    *counts
	waiting   uint64 // transactions in the aggregate or in the log's buffer
}

func (c *cofLog) consume(t *detect.Transaction) {
	if c.aggregate.full() {
		// Not while the disk refuses: the next tend tries that.
		if c.log.err == nil {
			_ = c.flush() // shows in log.err, and tend reports it
		}
		if c.aggregate.full() {
			c.counts.dropped[diskFull].Add(1)
			return
		}
	}
	c.aggregate.add(t)
	c.waiting++
}

func (c *cofLog) flush() error {
	c.flushed = c.now()
	c.aggregate.flush(c.log)
	err := c.log.flush()
	c.settle()
	return err
}

func (c *cofLog) settle() {
	if c.aggregate.empty() && c.log.pending == 0 {
		c.counts.recorded.Add(c.waiting)
		c.waiting = 0
	}
}

func (c *cofLog) tend() error {
	err := c.log.tend()
	if c.aggregate.full() || err == nil && c.now().Sub(c.flushed) >= c.every {
		return errors.Join(err, c.flush())
	}
	c.settle()
	return err
}

func (c *cofLog) close() error {
	err := c.flush()
	err = errors.Join(err, c.log.close())
	c.settle()
	c.counts.dropped[diskFull].Add(c.waiting)
	c.waiting = 0
	return err
}
