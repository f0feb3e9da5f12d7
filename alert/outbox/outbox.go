// Package outbox brings notifications to one receiver: each is a file until it has
// arrived, so that none is lost when the process is killed, and it arrives at
// least once, under the same ID. A receiver that is down, slow or gone holds up
// no other.
//
// It refuses to know what a receiver is.
package outbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/weirdns/weir/alert"
	"github.com/weirdns/weir/internal/atomicfile"
	"github.com/weirdns/weir/pdns/outlet"
	"go.uber.org/zap"
)

// Sender brings a notification to its receiver. An error of outlet.Refused means
// that it never will; outlet.Later, that the receiver wants to be left alone for a
// while; any other, that it is to be tried again.
type Sender interface {
	Send(ctx context.Context, n *alert.Notification) error
}

// Config bounds an outbox.
type Config struct {
	// Name of the receiver, a label in metrics.
	Name string
	// Timeout is how long one try may take.
	Timeout time.Duration
	// RetryMax is the longest wait between two tries.
	RetryMax time.Duration
	// MaxWaiting bounds what waits on the disk; the oldest makes room.
	MaxWaiting int
	// MaxAge is how long a notification may wait.
	MaxAge time.Duration
}

// Deps are what an Outbox works with.
type Deps struct {
	// Dir is the folder of this outbox.
	Dir      string
	Log      *zap.Logger
	Registry prometheus.Registerer
	// Now is the clock that notifications wait by; nil means the system's.
	Now func() time.Time
}

// Status is how an outbox does.
type Status struct {
	Name    string `json:"name"`
	Waiting int    `json:"waiting"`
	Sent    uint64 `json:"sent"`
	Dropped uint64 `json:"dropped"`
	Failing bool   `json:"failing"`
}

// Outbox is safe for any number of goroutines.
type Outbox struct {
	name  string
	dir   string
	setup atomic.Pointer[setup] // a reload replaces it
	log   *zap.Logger
	now   func() time.Time
	retry time.Duration // about the first wait
	wake  chan struct{} // 1: there may be something to send
	anew  chan struct{} // 1: the setup is another, so try again now

	registry prometheus.Registerer
	metrics  []prometheus.Collector

	sent, failures atomic.Uint64
	dropped        [reasonCount]atomic.Uint64
	failing        atomic.Bool

	mu      sync.Mutex // guards what is below
	waiting []string   // names of files, the oldest first
	next    uint64     // number of the next file
}

// setup is how it sends.
type setup struct {
	cfg    Config
	sender Sender
}

// reason says why a notification never arrives.
type reason uint8

const (
	full    reason = iota // newer ones needed the room
	old                   // waited longer than MaxAge
	refused               // the receiver never takes it
	damaged               // its file does not read back
	reasonCount
)

var reasonNames = [reasonCount]string{full: "full", old: "old", refused: "refused", damaged: "damaged"}

// suffix of the files.
const suffix = ".json"

// New finds what the last run left and registers metrics. A folder that cannot be
// read is an error: notifications may wait in it.
func New(cfg Config, sender Sender, deps Deps) (*Outbox, error) {
	if deps.Now == nil {
		deps.Now = time.Now
	}
	o := &Outbox{
		name: cfg.Name, dir: deps.Dir, log: deps.Log.With(zap.String("receiver", cfg.Name)), now: deps.Now,
		retry: firstRetry, wake: make(chan struct{}, 1), anew: make(chan struct{}, 1), next: 1, registry: deps.Registry,
	}
	o.setup.Store(&setup{cfg, sender})
	entries, err := os.ReadDir(o.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("alerts: receiver %s: %w", cfg.Name, err)
	}
	for _, e := range entries {
		n, err := strconv.ParseUint(strings.TrimSuffix(e.Name(), suffix), 10, 64)
		if err != nil || !strings.HasSuffix(e.Name(), suffix) {
			continue // half of one that was never said to be kept
		}
		o.waiting = append(o.waiting, e.Name())
		o.next = max(o.next, n+1)
	}
	slices.Sort(o.waiting)
	return o, o.register(deps.Registry)
}

// Reload sends what waits, and what comes, by another setup of the same name, from
// now on.
func (o *Outbox) Reload(cfg Config, sender Sender) {
	o.setup.Store(&setup{cfg, sender})
	select {
	case o.anew <- struct{}{}:
	default:
	}
}

// Close takes its metrics away. What waits stays in its folder, for an Outbox of
// the same name. Run must have ended, or must be about to.
func (o *Outbox) Close() {
	for _, m := range o.metrics {
		o.registry.Unregister(m)
	}
}

// Put keeps n until it has arrived. It is on the disk when Put returns.
func (o *Outbox) Put(n *alert.Notification) error {
	data, err := json.Marshal(n)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(o.dir, 0o700); err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	name := fmt.Sprintf("%020d%s", o.next, suffix)
	err = atomicfile.Write(filepath.Join(o.dir, name), 0o600, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
	if err != nil {
		return err
	}
	o.next++
	o.waiting = append(o.waiting, name)
	for len(o.waiting) > o.setup.Load().cfg.MaxWaiting {
		o.removeLocked(o.waiting[0])
		o.dropped[full].Add(1)
	}
	select {
	case o.wake <- struct{}{}:
	default:
	}
	return nil
}

// removeLocked forgets a notification. One whose file cannot be removed comes
// again after the next start, which at least once allows.
func (o *Outbox) removeLocked(name string) {
	if i := slices.Index(o.waiting, name); i >= 0 {
		o.waiting = slices.Delete(o.waiting, i, i+1)
	}
	os.Remove(filepath.Join(o.dir, name))
}

func (o *Outbox) remove(name string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.removeLocked(name)
}

// oldest is the file whose turn it is, "" for none.
func (o *Outbox) oldest() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.waiting) == 0 {
		return ""
	}
	return o.waiting[0]
}

// Run delivers until ctx ends. What is left goes out after the next start.
func (o *Outbox) Run(ctx context.Context) error {
	backoff := o.retry
	for ctx.Err() == nil {
		name := o.oldest()
		if name == "" {
			select {
			case <-ctx.Done():
			case <-o.wake:
			}
			continue
		}
		n, wait := o.read(name)
		if n == nil {
			o.pause(ctx, wait)
			continue
		}
		err := o.try(ctx, n)
		var no *outlet.Refused
		var later *outlet.Later
		switch {
		case err == nil:
			// Said before it is taken away: who sees nothing wait sees that it went.
			o.sent.Add(1)
			backoff = o.retry
			if o.failing.Swap(false) {
				o.log.Info("alerts arrive again")
			}
			o.remove(name)
			continue
		case ctx.Err() != nil:
			continue // not the receiver's fault
		case errors.As(err, &no):
			o.log.Warn("a receiver of alerts refuses one", zap.Error(err))
			o.dropped[refused].Add(1)
			o.remove(name)
			continue
		}
		o.failures.Add(1)
		if !o.failing.Swap(true) {
			o.log.Error("alerts cannot be delivered, will try again", zap.Error(err))
		}
		wait = jitter(backoff)
		if errors.As(err, &later) {
			wait = min(max(wait, later.After), maxLater)
		}
		backoff = min(2*backoff, o.setup.Load().cfg.RetryMax)
		if o.pause(ctx, wait) {
			backoff = o.retry
		}
	}
	return nil
}

const (
	// firstRetry is about how long the first wait is; each is twice as long.
	firstRetry = time.Second
	// maxLater bounds what a receiver may ask for.
	maxLater = time.Hour
	// maxFile bounds what is read of a file, octets: a notification has texts of
	// 32 KiB each at most.
	maxFile = 1 << 20
)

// read is the notification in a file; nil: there is none to send, and the next
// look may be after wait.
func (o *Outbox) read(name string) (n *alert.Notification, wait time.Duration) {
	f, err := os.Open(filepath.Join(o.dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		o.remove(name) // made room just now, or somebody else's doing
		return nil, 0
	} else if err != nil {
		o.failures.Add(1)
		return nil, jitter(o.setup.Load().cfg.RetryMax) // a disk's trouble, which may end
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && o.now().Sub(info.ModTime()) > o.setup.Load().cfg.MaxAge {
		o.dropped[old].Add(1)
		o.remove(name)
		return nil, 0
	}
	n = &alert.Notification{}
	if err := json.NewDecoder(io.LimitReader(f, maxFile)).Decode(n); err != nil {
		o.log.Error("an alert's file is damaged", zap.String("file", name), zap.Error(err))
		o.dropped[damaged].Add(1)
		o.remove(name)
		return nil, 0
	}
	return n, 0
}

// try sends n once, in bounded time.
func (o *Outbox) try(ctx context.Context, n *alert.Notification) error {
	now := o.setup.Load()
	ctx, cancel := context.WithTimeoutCause(ctx, now.cfg.Timeout, fmt.Errorf("no answer within %v", now.cfg.Timeout))
	defer cancel()
	err := now.sender.Send(ctx, n)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() != nil { // while ctx goes on, it has no cause
		err = context.Cause(ctx)
	}
	return err
}

// Try sends a notification now, beside those that wait, and says what came of it.
func (o *Outbox) Try(ctx context.Context, n *alert.Notification) error { return o.try(ctx, n) }

// Name is the receiver's.
func (o *Outbox) Name() string { return o.name }

// Status says how it does.
func (o *Outbox) Status() Status {
	s := Status{Name: o.name, Waiting: o.count(), Sent: o.sent.Load(), Failing: o.failing.Load()}
	for r := range o.dropped {
		s.Dropped += o.dropped[r].Load()
	}
	return s
}

func (o *Outbox) count() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.waiting)
}

// jitter is from half of d to all of it, so that instances which lost a receiver
// together do not come back together.
func jitter(d time.Duration) time.Duration { return d/2 + rand.N(d/2+1) }

// pause waits, unless there is a new setup to try: true.
func (o *Outbox) pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-o.anew:
		return true
	}
	return false
}

// register makes the counters visible.
func (o *Outbox) register(reg prometheus.Registerer) error {
	var errs []error
	add := func(c prometheus.Collector) {
		errs = append(errs, reg.Register(c))
		o.metrics = append(o.metrics, c)
	}
	labels := prometheus.Labels{"receiver": o.name}
	counter := func(name, help string, labels prometheus.Labels, read func() uint64) {
		add(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help, ConstLabels: labels}, func() float64 { return float64(read()) }))
	}
	gauge := func(name, help string, read func() float64) {
		add(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: labels}, read))
	}
	counter("weir_alerts_sent_total", "Notifications that a receiver has taken.", labels, o.sent.Load)
	counter("weir_alerts_failures_total", "Tries to deliver a notification that did not work.", labels, o.failures.Load)
	for r := range reasonCount {
		counter("weir_alerts_dropped_total", "Notifications that never arrive, by reason.",
			prometheus.Labels{"receiver": o.name, "reason": reasonNames[r]}, o.dropped[r].Load)
	}
	gauge("weir_alerts_waiting", "Notifications that wait on the disk.", func() float64 { return float64(o.count()) })
	gauge("weir_alerts_receiver_up", "1 if the last try to deliver worked.", func() float64 {
		if o.failing.Load() {
			return 0
		}
		return 1
	})
	return errors.Join(errs...)
}
