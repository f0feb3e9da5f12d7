package upstream

import (
	"math/rand/v2"
	"testing"
	"time"
)

// The hedge must come near the 95th percentile from far above, and follow it
// when the server gets slower, or one question in twenty is not what it costs.
func TestHedgeIsNearTheNinetyFifthPercentile(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var e estimate
	e.start(400 * time.Millisecond)
	for _, scale := range []time.Duration{100 * time.Millisecond, 300 * time.Millisecond} {
		later := 0
		for i := range 20000 {
			rtt := time.Duration(rng.Int64N(int64(scale)))
			if i >= 10000 && rtt > e.hedge() {
				later++
			}
			e.answered(rtt)
		}
		if later < 300 || later > 700 {
			t.Errorf("answers up to %s: %d of 10000 came after the hedge, want about 500", scale, later)
		}
	}
}

func TestWeightPrefersTheQuickAndReliable(t *testing.T) {
	var quick, slow, flaky estimate
	for range 100 {
		quick.answered(5 * time.Millisecond)
		slow.answered(50 * time.Millisecond)
		flaky.answered(5 * time.Millisecond)
		flaky.failed()
	}
	if quick.weight() <= slow.weight() || quick.weight() <= flaky.weight() {
		t.Errorf("weights: quick %v, slow %v, flaky %v; want quick first", quick.weight(), slow.weight(), flaky.weight())
	}
}

func TestLingeringIsBounded(t *testing.T) {
	var e estimate
	for range maxLingering {
		if !e.linger() {
			t.Fatal("refused below the bound")
		}
	}
	if e.linger() {
		t.Errorf("%d answers are waited for, want at most %d", maxLingering+1, maxLingering)
	}
}
