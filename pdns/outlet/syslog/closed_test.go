package syslog_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirdns/weir/internal/outlettest"
	"github.com/weirdns/weir/pdns/outlet"
)

// counted counts what a sink says.
type counted struct {
	outlet.Sink
	taken, refused atomic.Int64
}

func (c *counted) Send(ctx context.Context, b *outlet.Batch) error {
	err := c.Sink.Send(ctx, b)
	if err != nil {
		c.refused.Add(1)
		return &outlet.Refused{Rows: b.Rows, Err: err} // the next batch, please
	}
	c.taken.Add(1)
	return nil
}

// Somebody who takes connections and closes them, as a balancer with nobody behind it,
// has not read what was on its way.
func TestReceiverThatClosesAtOnceHasNothing(t *testing.T) {
	l := listen(t, "tcp", "127.0.0.1:0")
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	cfg := config("tcp://" + l.Addr().String())
	cfg.BatchRows, cfg.BatchInterval = 3, 0
	c := &counted{Sink: sink(t, cfg)}
	outlettest.Start(t, cfg.Config, c, 1500)
	for deadline := time.Now().Add(outlettest.Limit); c.taken.Load()+c.refused.Load() < 400; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("nothing is said")
		}
	}
	if n := c.taken.Load(); n > 0 {
		t.Errorf("%d batches count as delivered, %d do not", n, c.refused.Load())
	}
}
