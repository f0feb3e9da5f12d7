package upstream

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

const (
	// maxStreams is how many connections one server gets.
	maxStreams = 8
	// spreadTCP and spreadTLS are how many questions wait on a connection before
	// another is opened: over TCP a server may take them one by one, and over
	// TLS a connection costs more than to wait.
	spreadTCP, spreadTLS = 1, 32
	// idleTCP and idleTLS are how long a connection without questions is kept.
	// Servers close theirs after some seconds (RFC 7766, section 6.2.3).
	idleTCP, idleTLS = 5 * time.Second, 20 * time.Second
)

// errFull is a server whose connections carry all that they can.
var errFull = errors.New("all connections are full")

// pool is the connections to one server.
type pool struct {
	ctx    context.Context // ends them
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu      sync.Mutex // guards all below
	streams []*stream
	closed  bool
}

// stream is a connection for one more question, kept or new; nil if there is
// none. fresh wants a new one: those that are kept may be dead.
func (s *server) stream(fresh bool) (c *stream, kept bool) {
	p, spread := &s.pool, spreadTCP
	if s.encrypted() {
		spread = spreadTLS
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, false
	}
	p.prune(s)
	var best *stream
	least := maxWaiting
	for _, c := range p.streams {
		if n, full := c.load(); !full && n < least {
			best, least = c, n
		}
	}
	if best != nil && !fresh && least < spread || len(p.streams) >= maxStreams {
		return best, true
	}
	c = s.openStream()
	p.streams = append(p.streams, c)
	return c, false
}

// prune forgets connections that have ended and closes those that nobody uses;
// mu is held.
func (p *pool) prune(s *server) {
	limit := idleTCP
	if s.encrypted() {
		limit = idleTLS
	}
	p.streams = slices.DeleteFunc(p.streams, func(c *stream) bool {
		if c.idle(limit) {
			c.retire()
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.ended || c.retired && c.active == 0
	})
}

func (s *server) pruneStreams() {
	s.pool.mu.Lock()
	defer s.pool.mu.Unlock()
	s.pool.prune(s)
}

// close closes all connections, lets none be opened any more and waits for
// what reads them.
func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	p.cancel()
	p.mu.Unlock()
	p.wg.Wait()
}

// exchangeStream asks s over TCP or TLS, on a connection that was kept or a new
// one. redo allows a second question, without OPT, to a server that does not
// know it; redone says that there was one. bad is told of what was no answer
// while the wait goes on.
func (s *server) exchangeStream(ctx context.Context, q *Question, edns, redo, fresh bool, bad func(outcome)) (o outcome, redone bool) {
	for range maxStreams {
		c, kept := s.stream(fresh)
		if c == nil {
			return outcome{kind: kindFailed, err: errFull}, false
		}
		o = c.ask(ctx, q, edns, bad)
		if o.kind == kindNoEDNS && edns && redo {
			return c.ask(ctx, q, false, bad), true
		}
		// The server may have closed a kept connection at any time: that is no
		// failure, and it has not read the question.
		if !o.early || !kept || ctx.Err() != nil {
			return o, false
		}
	}
	return o, false
}
