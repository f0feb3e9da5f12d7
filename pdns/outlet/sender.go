package outlet

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"go.uber.org/zap"
)

// Sink is a service that takes batches. One goroutine uses it.
type Sink interface {
	// Send delivers a batch. Any error but Refused means that the batch is to be
	// sent again: also one of which some rows may have arrived. ctx ends when the
	// batch has taken too long.
	Send(ctx context.Context, b *Batch) error
	// Close lets go of connections. Nothing is sent afterwards.
	Close() error
}

// Tender is a Sink whose bounds are looked after also while nothing is sent.
type Tender interface {
	// Tend keeps what is there within its bounds. It is called between batches, at
	// the start and every few minutes.
	Tend() error
}

// tendEvery is how long a Tender is left alone.
const tendEvery = 5 * time.Minute

// Refused says that the service is there, and will never take this batch.
type Refused struct {
	// Rows is how many it refused while it took all others; 0 is all of them.
	Rows int
	Err  error
}

func (e *Refused) Error() string { return "refused: " + e.Err.Error() }

// Unwrap is the service's own error.
func (e *Refused) Unwrap() error { return e.Err }

// Later says that the service wants to be left alone for a while.
type Later struct {
	After time.Duration
	Err   error
}

func (e *Later) Error() string { return e.Err.Error() }

// Unwrap is the service's own error.
func (e *Later) Unwrap() error { return e.Err }

// firstRetry is about how long the first wait is; each is twice as long.
const firstRetry = 500 * time.Millisecond

// lastPush is how long the end may take: for the batch that is under way, and for
// those that are left, as long as each arrives at once.
const lastPush = 3 * time.Second

// Run delivers what is in the spool until ctx ends, and then what is left, in
// bounded time. What is left after that goes out after the next start.
func (o *Outlet) Run(ctx context.Context) error {
	last, end := o.outlasting(ctx)
	defer end()
	limit := o.cfg.BatchRows
	for o.wait(ctx) {
		limit, _ = o.next(ctx, last, limit)
	}
	for more := !o.failing.Load(); more && last.Err() == nil && o.spool.bytes() > 0; {
		limit, more = o.next(ctx, last, limit)
	}
	return errors.Join(o.spool.save(), o.sink.Close())
}

// outlasting ends lastPush after ctx, or with it where the service does not answer
// anyway.
func (o *Outlet) outlasting(ctx context.Context) (last context.Context, end func()) {
	last, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		if o.failing.Load() {
			cancel()
			return
		}
		time.AfterFunc(lastPush, cancel)
	})
	return last, func() { stop(); cancel() }
}

// next delivers a batch, of so many rows at most. It says how many the one after
// may have, and whether more is to be done once ctx has ended.
func (o *Outlet) next(ctx, last context.Context, limit int) (after int, more bool) {
	b, err := o.spool.cut(limit, o.cfg.BatchBytes)
	if err != nil {
		o.trouble(fmt.Errorf("spool: %w", err))
		o.pause(ctx, jitter(o.retry))
		return limit, false
	}
	if b == nil {
		return limit, true
	}
	o.since.Store(b.Since.UnixNano())
	defer o.since.Store(0)
	return o.deliver(ctx, last, b, limit)
}

// wait waits for a batch to be due, and is false at the end.
func (o *Outlet) wait(ctx context.Context) bool {
	for ctx.Err() == nil {
		o.tend()
		due, left := o.spool.ready(&o.cfg)
		if due {
			return true
		}
		if left == 0 {
			left = maxInterval // nothing to wait for but a row
		}
		if _, ok := o.sink.(Tender); ok {
			left = min(left, tendEvery)
		}
		timer := time.NewTimer(left)
		select {
		case <-ctx.Done():
		case <-o.spool.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
	return false
}

// tend looks after the bounds of a sink that has some. What goes wrong is said like
// trouble with a batch, and does not stop any.
func (o *Outlet) tend() {
	t, ok := o.sink.(Tender)
	if !ok || o.now().Sub(o.tended) < tendEvery {
		return
	}
	o.tended = o.now()
	if err := t.Tend(); err != nil {
		o.log.Warn("an outlet cannot keep its bounds", zap.Error(err))
		o.said.Store(&Trouble{Text: brief(err), At: o.now()})
	}
}

// deliver tries until the batch is where it belongs, or nothing more can be done
// about it, or, when it fails, ctx has ended: then more is false. A try lasts no
// longer than last.
func (o *Outlet) deliver(ctx, last context.Context, b *Batch, limit int) (after int, more bool) {
	if err := o.spool.begin(b); err != nil {
		o.trouble(err) // costs duplicates after a crash, no more
	}
	for backoff := o.retry; ; backoff = min(2*backoff, o.cfg.RetryMax) {
		err := o.try(last, b)
		var no *Refused
		var later *Later
		switch {
		case err == nil:
			o.delivered(b, b.Rows)
			return min(2*limit, o.cfg.BatchRows), true
		case last.Err() != nil:
			return limit, false // not the service's fault
		case errors.As(err, &no) && no.Rows > 0:
			o.log.Warn("an outlet's service refuses rows", zap.Int("rows", no.Rows), zap.Error(err))
			o.said.Store(&Trouble{Text: brief(err), At: o.now()})
			o.spool.lost[refused].Add(uint64(no.Rows))
			o.delivered(b, b.Rows-no.Rows)
			return limit, true
		case errors.As(err, &no) || errors.Is(err, errDamaged):
			if b.Rows > 1 {
				o.spool.again()
				return b.Rows / 2, true // one of them, maybe: find it
			}
			o.log.Warn("an outlet's service refuses a row", zap.Error(err))
			o.said.Store(&Trouble{Text: brief(err), At: o.now()})
			why := refused
			if no == nil {
				why = damaged
			}
			o.spool.lost[why].Add(1)
			o.spool.done(b)
			return min(2*limit, o.cfg.BatchRows), true
		}
		o.failed.Add(1)
		o.trouble(err)
		wait := jitter(backoff)
		if errors.As(err, &later) {
			wait = min(max(wait, later.After), o.cfg.RetryMax)
		}
		o.pause(ctx, wait)
		if o.now().Sub(b.last) >= o.cfg.SpoolAge {
			o.spool.lost[tooOld].Add(uint64(b.Rows))
			o.spool.done(b)
			return limit, true
		}
		if ctx.Err() != nil {
			return limit, false
		}
	}
}

// try sends b once, in bounded time.
func (o *Outlet) try(ctx context.Context, b *Batch) error {
	ctx, cancel := context.WithTimeoutCause(ctx, o.cfg.Timeout, fmt.Errorf("no answer within %v", o.cfg.Timeout))
	defer cancel()
	err := o.sink.Send(ctx, b)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() != nil { // while ctx goes on, it has no cause
		err = context.Cause(ctx)
	}
	return err
}

func (o *Outlet) delivered(b *Batch, rows int) {
	o.spool.done(b)
	o.sent.Add(uint64(rows))
	o.batches.Add(1)
	if o.failing.Swap(false) {
		o.log.Info("an outlet delivers again")
	}
}

// trouble logs the beginning of it, not every try.
func (o *Outlet) trouble(err error) {
	o.said.Store(&Trouble{Text: brief(err), At: o.now()})
	if !o.failing.Swap(true) {
		o.log.Error("an outlet cannot deliver, will try again", zap.Error(err))
	}
}

// jitter is from half of d to all of it, so that instances which lost a service
// together do not come back together.
func jitter(d time.Duration) time.Duration { return d/2 + rand.N(d/2+1) }

func (o *Outlet) pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
