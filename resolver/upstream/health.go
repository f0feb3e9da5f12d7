package upstream

import (
	"sync"
	"sync/atomic"
)

const (
	// suspectAfter is how many questions in a row, with no answer in between,
	// make a server suspect: it is probed at once.
	suspectAfter = 3
	// downZones is over how many different zones such a row must go for the
	// server to be down without a probe. One zone, or one client asking for
	// names that never get an answer, must not take a server away from all
	// others; nor does an average of successes serve, which such a flood moves.
	downZones = 3
)

// health is what is believed about one server. Any valid answer, whatever its
// rcode, is a sign of life and ends all suspicion.
type health struct {
	// proven: it has answered, and has not failed since. Read by every
	// question, so that success costs nothing while all is well.
	proven atomic.Bool
	// isDown: ask others first.
	isDown atomic.Bool

	mu      sync.Mutex // guards all below
	row     int        // failures since the last success
	zones   [downZones]uint64
	probing bool
}

// success notes an answer. It returns true if the server was down until now.
func (h *health) success() (cameUp bool) {
	if h.proven.Load() {
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.row = 0
	h.proven.Store(true)
	return h.isDown.Swap(false)
}

// failure notes a question about zone that was not answered in time.
func (h *health) failure(zone uint64) (wentDown, suspect bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.row == 0 {
		h.zones = [downZones]uint64{}
	}
	h.row++
	h.proven.Store(false)
	zone |= 1 // 0 is an empty place
	for i, z := range h.zones {
		if z == zone {
			break
		}
		if z == 0 {
			h.zones[i] = zone
			if i == downZones-1 {
				wentDown = !h.isDown.Swap(true)
			}
			break
		}
	}
	return wentDown, h.row >= suspectAfter
}

// startProbe says whether a probe is due and marks it as running.
func (h *health) startProbe() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	due := !h.probing && (h.row >= suspectAfter || h.isDown.Load())
	h.probing = h.probing || due
	return due
}

// endProbe notes the outcome of a probe; success is noted by success.
func (h *health) endProbe(answered bool) (wentDown bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.probing = false
	if answered || h.row < suspectAfter {
		return false // an answer came in the meantime
	}
	return !h.isDown.Swap(true)
}
