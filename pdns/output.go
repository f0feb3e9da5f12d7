package pdns

import (
	"context"

	"github.com/weirdns/weir/detect"
)

// Output is one more place that records go to, with a queue and a goroutine of
// its own, so that a dead one costs the others nothing. One goroutine calls
// Consume, Tend and Close; the rest must be safe beside it.
type Output interface {
	// Name is the label in metrics.
	Name() string
	// Wants says, on the answer path, whether a transaction concerns it.
	Wants(t *detect.Transaction) bool
	// Consume takes a transaction, which is borrowed.
	Consume(t *detect.Transaction)
	// Tend is called twice a second, for what time makes due. An error says that
	// records cannot be brought where they belong; it is tried again.
	Tend() error
	// Stopping says that the end has come: nothing may hold on for long now.
	Stopping()
	// Close ends it. What cannot be brought where it belongs now is lost, and
	// counted.
	Close() error
	// Recorded and Dropped count transactions that are where they belong, and
	// those that never will be.
	Recorded() uint64
	Dropped() uint64
}

// outlet lets an Output be the consumer of a sink.
type outlet struct {
	Output
	counts *counts
}

func (o *outlet) consume(t *detect.Transaction) { o.Consume(t) }

func (o *outlet) tend() error {
	err := o.Tend()
	o.settle()
	return err
}

func (o *outlet) close() error {
	err := o.Close()
	o.settle()
	return err
}

func (o *outlet) settle() {
	o.counts.recorded.Store(o.Recorded())
	o.counts.dropped[diskFull].Store(o.Dropped())
}

// watch tells the output when ctx ends: it may be busy in a call.
func (o *outlet) watch(ctx context.Context) (stop func() bool) {
	return context.AfterFunc(ctx, o.Stopping)
}
