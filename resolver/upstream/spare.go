package upstream

import (
	"math/rand/v2"
	"sync"
	"time"
)

// spares are a server's sockets that have brought an answer and may be used for
// another question. To open, bind, connect and close one is most of what a
// question costs, so it is saved where it matters and nowhere else: below
// busyRate every question has a port of its own. Above it a port serves
// cfg.PortUses questions at most, one at a time, within spareFor of its opening,
// and which of the spares is drawn is as random as a port. So a forger who has
// found one open port has gained next to nothing; and as what arrives between
// two questions is looked for before the second one (idleSocket), packets cannot
// be put there in advance.
type spares struct {
	mu    sync.Mutex
	idle  []*portSocket
	until time.Time // the end of the current second
	asked int       // questions in it
	busy  bool      // the last one had busyRate or more
	done  bool      // none is kept any more
}

const (
	// busyRate is how many questions a second to one server make ports be used
	// again in the next.
	busyRate = 2000
	spareFor = time.Second
	// maxSpares bounds the sockets that are kept open for nothing.
	maxSpares = 512
)

// portSocket is a socket with what decides whether it is used again.
type portSocket struct {
	socket
	opened time.Time
	uses   int
}

// idleSocket is a socket that can tell whether something has arrived on it,
// without taking it. Where sockets cannot, none is used twice.
type idleSocket interface{ quiet() bool }

// draw gives a spare socket; nil: a new one must be opened.
func (p *spares) draw(now time.Time) *portSocket {
	p.mu.Lock()
	if !now.Before(p.until) {
		p.busy = p.asked >= busyRate && now.Sub(p.until) < time.Second
		p.until, p.asked = now.Add(time.Second), 0
	}
	p.asked++
	var stale []*portSocket
	var drawn *portSocket
	for p.busy && drawn == nil && len(p.idle) > 0 {
		last, at := len(p.idle)-1, rand.IntN(len(p.idle))
		drawn = p.idle[at]
		p.idle[at], p.idle = p.idle[last], p.idle[:last]
		if now.Sub(drawn.opened) >= spareFor || !drawn.socket.(idleSocket).quiet() {
			stale, drawn = append(stale, drawn), nil
		}
	}
	p.mu.Unlock()
	for _, s := range stale {
		_ = s.Close()
	}
	return drawn
}

// put takes back a socket whose answer has come, or closes it.
func (p *spares) put(s *portSocket, uses int) {
	if _, ok := s.socket.(idleSocket); ok && s.uses < uses {
		p.mu.Lock()
		if p.busy && !p.done && len(p.idle) < maxSpares {
			p.idle = append(p.idle, s)
			s = nil
		}
		p.mu.Unlock()
	}
	if s != nil {
		_ = s.Close()
	}
}

// end closes all, and keeps none from now on.
func (p *spares) end() {
	p.mu.Lock()
	p.done = true
	p.mu.Unlock()
	p.expire(time.Now().Add(spareFor))
}

// expire closes what has been open for too long. It is called every
// second.
func (p *spares) expire(now time.Time) {
	p.mu.Lock()
	kept, stale := p.idle[:0], []*portSocket(nil)
	for _, s := range p.idle {
		if now.Sub(s.opened) >= spareFor {
			stale = append(stale, s)
		} else {
			kept = append(kept, s)
		}
	}
	clear(p.idle[len(kept):])
	p.idle = kept
	p.mu.Unlock()
	for _, s := range stale {
		_ = s.Close()
	}
}
