package resolver

import (
	"sync"
	"testing"
	"time"
)

// Whoever has done a job does the next, nobody stays beyond the bound, and all go
// in the end.
func TestACrewStaysWithinItsBound(t *testing.T) {
	c := newCrew()
	c.engage()
	for range 3 {
		hold, all := make(chan struct{}), sync.WaitGroup{}
		for range 2 * maxIdleCrew {
			all.Add(1)
			c.do(func() { <-hold; all.Done() })
		}
		close(hold)
		all.Wait()
		// Those beyond the bound count themselves for a moment, before they go.
		for end := time.Now().Add(time.Minute); c.idle.Load() != maxIdleCrew; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%d wait for the next job, want %d", c.idle.Load(), maxIdleCrew)
			}
		}
	}
	c.dismiss()
	if n := c.idle.Load(); n != 0 {
		t.Errorf("%d wait after the end", n)
	}
}

// Without engage, as in a Resolver that never runs, nobody stays.
func TestACrewThatIsNotEngagedGoes(t *testing.T) {
	c := newCrew()
	done := make(chan struct{})
	c.do(func() { close(done) })
	<-done
	c.members.Wait()
}
