package main

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"
)

// pipeline is a front end that answers for a while after it was told to stop,
// and a back end that records until it is told to.
type pipeline struct {
	records  chan int
	answered atomic.Int64
	recorded atomic.Int64
	patience time.Duration // how long a record waits for somebody to take it
}

const queriesAtEnd = 100

func (p *pipeline) front(ctx context.Context) error {
	<-ctx.Done()
	for i := range queriesAtEnd { // queries that were under way
		time.Sleep(100 * time.Microsecond)
		p.answered.Add(1)
		select {
		case p.records <- i:
		case <-time.After(p.patience): // nobody there: lost
		}
	}
	return nil
}

func (p *pipeline) back(ctx context.Context) error {
	for {
		select {
		case <-p.records:
			p.recorded.Add(1)
		case <-ctx.Done():
			return nil
		}
	}
}

func TestShutdownLosesNoRecordBecauseItHasTwoStages(t *testing.T) {
	p := &pipeline{records: make(chan int), patience: 20 * time.Second}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(10*time.Millisecond, cancel)
	if err := runStages(ctx, []task{{"front", p.front}}, []task{{"back", p.back}}); err != nil {
		t.Fatal(err)
	}
	if p.recorded.Load() != queriesAtEnd {
		t.Errorf("recorded %d of %d", p.recorded.Load(), p.answered.Load())
	}
}

// The control: the same parts in one stage do lose records, so the test above
// can fail.
func TestOneStageWouldLoseRecords(t *testing.T) {
	p := &pipeline{records: make(chan int), patience: 20 * time.Millisecond}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(10*time.Millisecond, cancel)
	if err := runStages(ctx, []task{{"front", p.front}, {"back", p.back}}, nil); err != nil {
		t.Fatal(err)
	}
	if p.recorded.Load() >= queriesAtEnd {
		t.Errorf("recorded %d of %d in one stage, want a loss", p.recorded.Load(), queriesAtEnd)
	}
}

func TestAFailureInFrontStopsAllAndOneAtTheBackDoesNot(t *testing.T) {
	wait := func(ctx context.Context) error { <-ctx.Done(); return nil }
	broken := errors.New("broken")
	err := runStages(t.Context(), []task{{"dns", wait}, {"admin", func(context.Context) error { return broken }}}, []task{{"records", wait}})
	if !errors.Is(err, broken) {
		t.Errorf("runStages = %v, want the front's error", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	ended := false
	err = runStages(ctx, []task{{"dns", func(ctx context.Context) error { <-ctx.Done(); ended = true; return nil }}},
		[]task{{"records", func(context.Context) error { return broken }}})
	if !errors.Is(err, broken) || !ended || ctx.Err() == nil {
		t.Errorf("runStages = %v, front ended by itself %v; want the back's error, at the end", err, ctx.Err() != nil)
	}
}
