package resolver

import (
	"sync"
	"sync/atomic"
)

// maxIdleCrew is how many goroutines wait for an exchange; they hold some 16 KiB
// of stack each.
const maxIdleCrew = 128

// crew runs exchanges, on goroutines that stay for the next one: an exchange needs
// more stack than a goroutine begins with, and to grow it twice is a fifteenth of
// what a miss costs. Nobody stays before engage and after dismiss.
type crew struct {
	jobs    chan func()
	over    chan struct{}
	most    atomic.Int32 // that may stay
	idle    atomic.Int32
	members sync.WaitGroup
}

func newCrew() *crew { return &crew{jobs: make(chan func()), over: make(chan struct{})} }

// do has somebody do job now.
func (c *crew) do(job func()) {
	select {
	case c.jobs <- job:
	default:
		c.members.Go(func() {
			for next := job; next != nil; next = c.wait() {
				next()
			}
		})
	}
}

// wait is the next job, nil: go.
func (c *crew) wait() func() {
	defer c.idle.Add(-1)
	if c.idle.Add(1) > c.most.Load() {
		return nil
	}
	select {
	case job := <-c.jobs:
		return job
	case <-c.over:
		return nil
	}
}

// engage lets those stay who are done.
func (c *crew) engage() { c.most.Store(maxIdleCrew) }

// dismiss returns when everybody has gone. Nothing may be to do any more.
func (c *crew) dismiss() {
	close(c.over)
	c.members.Wait()
}
