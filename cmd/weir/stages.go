package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// task is a part of the program: run returns when ctx has ended and all that
// the part started has ended with it.
type task struct {
	name string
	run  func(ctx context.Context) error
}

// runStages runs the parts until ctx ends or one in front fails. It then stops
// in two stages: the front, where queries come in, and when all of it has
// returned the back, where records go out. With one stage for all, the records
// of queries that were under way have nowhere to go; a test shows the loss.
//
// A part at the back that fails stops nothing: a full disk must not end DNS.
// Its error is returned at the end.
func runStages(ctx context.Context, front, back []task) error {
	var s stages
	backCtx, stopBack := context.WithCancel(context.WithoutCancel(ctx))
	defer stopBack()
	frontCtx, stopFront := context.WithCancel(ctx)
	defer stopFront()
	backDone := s.start(backCtx, back, func() {})
	s.start(frontCtx, front, stopFront)()
	stopBack()
	backDone()
	return errors.Join(s.errs...)
}

type stages struct {
	mu   sync.Mutex
	errs []error
}

// start runs tasks and returns a function that waits for them. failed is
// called when one returns an error.
func (s *stages) start(ctx context.Context, tasks []task, failed func()) (wait func()) {
	var wg sync.WaitGroup
	for _, t := range tasks {
		wg.Go(func() {
			if err := t.run(ctx); err != nil {
				s.mu.Lock()
				s.errs = append(s.errs, fmt.Errorf("%s: %w", t.name, err))
				s.mu.Unlock()
				failed()
			}
		})
	}
	return wg.Wait
}
