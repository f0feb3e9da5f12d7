package upstream

import "time"

// Hurry makes g believe for an hour that its servers are asked a great deal.
func (g *Group) Hurry() {
	for _, s := range g.servers {
		s.spares.mu.Lock()
		s.spares.until, s.spares.busy = time.Now().Add(time.Hour), true
		s.spares.mu.Unlock()
	}
}

// Spares is how many sockets wait for another question.
func (g *Group) Spares() (n int) {
	for _, s := range g.servers {
		s.spares.mu.Lock()
		n += len(s.spares.idle)
		s.spares.mu.Unlock()
	}
	return n
}
