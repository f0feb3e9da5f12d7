package resolver

import (
	"hash/maphash"
	"net/netip"
	"sync/atomic"
	"time"
)

// pacer spreads the answers over UDP that one client has waited for: whoever
// gathers slow questions under a forged address, so that all their answers
// arrive there in one moment, gets a stream instead of a pulse (DNSBomb,
// CVE-2024-33655). In ten milliseconds at most paceBurst answers and half as
// many again leave for one client.
type pacer struct {
	seed maphash.Seed
	// due is when the last answer that was let through would have left at an even
	// pace, in nanoseconds since 1970, by client. Clients that fall together
	// share a pace.
	due   [1 << 12]atomic.Int64
	paced atomic.Uint64
}

const (
	// paceFrom is how long an answer must have waited to count: a pulse takes
	// time to gather, and busy clients with quick upstreams are none.
	paceFrom = 200 * time.Millisecond
	// paceEvery is the even pace, and paceBurst how many may come before it.
	paceEvery = 200 * time.Microsecond
	paceBurst = 50
)

func newPacer() *pacer { return &pacer{seed: maphash.MakeSeed()} }

// delay is for how long the answer to a query that came at an instant is held
// back, now.
func (p *pacer) delay(client netip.Addr, came, now time.Time) time.Duration {
	if now.Sub(came) < paceFrom {
		return 0
	}
	due := &p.due[maphash.Comparable(p.seed, client)%uint64(len(p.due))]
	for at := now.UnixNano(); ; {
		was := due.Load()
		next := max(was, at-int64(paceBurst*paceEvery)) + int64(paceEvery)
		if !due.CompareAndSwap(was, next) {
			continue
		}
		if wait := time.Duration(next - at); wait > 0 {
			p.paced.Add(1)
			return wait
		}
		return 0
	}
}
