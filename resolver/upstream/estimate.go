package upstream

import (
	"math"
	"sync/atomic"
	"time"
)

const (
	// estimateGain is the weight of one outcome in the averages: about the last
	// twenty count.
	estimateGain = 0.1
	// tailGain is by how much, as a logarithm, one answer moves the estimate of
	// the 95th percentile: up a tenth when it is slower, down half a hundredth
	// when it is not, which balance where one in twenty is slower.
	tailGain = 0.1
	tailAt   = 0.95
	// minHedge keeps a server that answers in microseconds from being asked
	// twice whenever this host is busy.
	minHedge = 10 * time.Millisecond
	// errorCost is how much more a server costs that never answers.
	errorCost = 20
	// maxLingering is how many answers of one server that lost a race are waited
	// for at a time, to know how slow it was.
	maxLingering = 16
)

// estimate is what is believed about a server's speed: how servers are picked
// and when the next is asked. Unlike health it decides about no server's life.
// Every field may be read and written by any question at any time; an update
// that is lost to another one is no harm.
type estimate struct {
	latency   atomic.Uint64 // seconds, moving average, as float64 bits; 0: unknown
	tail      atomic.Uint64 // seconds, the 95th percentile
	failures  atomic.Uint64 // the share of questions without an answer, moving average
	lingering atomic.Int32
}

func load(v *atomic.Uint64) float64     { return math.Float64frombits(v.Load()) }
func store(v *atomic.Uint64, f float64) { v.Store(math.Float64bits(f)) }

// start sets the percentile so high that nothing is asked twice before enough
// is known.
func (e *estimate) start(patience time.Duration) { store(&e.tail, patience.Seconds()) }

func (e *estimate) answered(rtt time.Duration) {
	s := rtt.Seconds()
	if was := load(&e.latency); was > 0 {
		store(&e.latency, was+estimateGain*(s-was))
	} else {
		store(&e.latency, s)
	}
	was := load(&e.tail)
	if s > was {
		store(&e.tail, was*math.Exp(tailGain*tailAt))
	} else {
		store(&e.tail, was*math.Exp(-tailGain*(1-tailAt)))
	}
	store(&e.failures, load(&e.failures)*(1-estimateGain))
}

func (e *estimate) failed() {
	was := load(&e.failures)
	store(&e.failures, was+estimateGain*(1-was))
}

// hedge is how long an answer takes in nineteen of twenty cases.
func (e *estimate) hedge() time.Duration {
	return max(minHedge, time.Duration(load(&e.tail)*float64(time.Second)))
}

// weight is how readily a server is picked: the inverse of what it costs. One
// that nothing is known about is tried soon.
func (e *estimate) weight() float64 {
	return 1 / ((load(&e.latency) + .001) * (1 + errorCost*load(&e.failures)))
}

// linger takes a place among the answers that are waited for after a race.
func (e *estimate) linger() bool {
	if e.lingering.Add(1) > maxLingering {
		e.lingering.Add(-1)
		return false
	}
	return true
}
