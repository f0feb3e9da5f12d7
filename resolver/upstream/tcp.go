package upstream

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// exchangeTCP asks s over TCP, on a connection that was kept or a new one. A
// connection carries one question at a time, so nothing can be taken for the
// answer to another; one that gave anything but a valid answer is closed.
// redo allows a second question without OPT on the same connection; redone says
// that there was one.
func (s *server) exchangeTCP(ctx context.Context, q *Question, edns, redo bool) (o outcome, redone bool) {
	conn, kept := s.pool.get(), true
	for {
		if conn == nil {
			kept = false
			var err error
			if conn, err = new(net.Dialer).DialContext(ctx, "tcp", s.addr.String()); err != nil {
				return failed(ctx, err), false
			}
		}
		o, begun := s.askTCP(ctx, conn, q, edns)
		switch {
		case o.kind == kindAnswer:
			s.pool.put(conn)
			return o, false
		case o.kind == kindNoEDNS && edns && redo:
			if o, _ = s.askTCP(ctx, conn, q, false); o.kind == kindAnswer {
				s.pool.put(conn)
			} else {
				conn.Close()
			}
			return o, true
		}
		conn.Close()
		// The server may have closed a kept connection at any time: that is no
		// failure, and it has not read the question.
		if !kept || begun || o.kind != kindFailed || ctx.Err() != nil {
			return o, false
		}
		conn = nil
	}
}

// failed sorts an error of a socket: the time being over is not the network's
// fault. Dialling notices a deadline before ctx does.
func failed(ctx context.Context, err error) outcome {
	if ctx.Err() != nil || errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) {
		return outcome{kind: kindTimeout}
	}
	return outcome{kind: kindFailed, err: err}
}

// askTCP asks one question on conn. begun says whether any of an answer came.
func (s *server) askTCP(ctx context.Context, conn net.Conn, q *Question, edns bool) (o outcome, begun bool) {
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return failed(ctx, err), false
	}
	// The deadline covers the time; this, a question that nobody waits for.
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	var sent query
	sent.build(q, &s.group.cfg, false, edns, true)
	s.streams.Inc()
	start := time.Now()
	if _, err := conn.Write(sent.framed()); err != nil {
		return failed(ctx, err), false
	}
	var length [2]byte
	if n, err := io.ReadFull(conn, length[:]); err != nil {
		return failed(ctx, err), n > 0
	}
	// Up to 64 KiB by the word of a server that we chose; max_in_flight bounds
	// how many.
	msg := make([]byte, binary.BigEndian.Uint16(length[:]))
	if _, err := io.ReadFull(conn, msg); err != nil {
		return failed(ctx, err), true
	}
	return s.judge(msg, &sent, start), true
}

const (
	// keptConns is how many idle connections are kept per server: TCP is for
	// the few answers that UDP cannot carry.
	keptConns = 4
	// keptFor is how long one is kept. Servers close theirs after some seconds
	// (RFC 7766, section 6.2.3), and one that is closed costs a round trip.
	keptFor = 5 * time.Second
)

// pool keeps idle connections to one server, the last used first.
type pool struct {
	mu     sync.Mutex // guards all below
	idle   []idleConn
	closed bool
}

type idleConn struct {
	conn  net.Conn
	since time.Time
}

// get takes a connection out, nil if there is none.
func (p *pool) get() net.Conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pruneLocked()
	if len(p.idle) == 0 {
		return nil
	}
	c := p.idle[len(p.idle)-1]
	p.idle = p.idle[:len(p.idle)-1]
	return c.conn
}

// put gives a connection back, or closes it if enough are kept.
func (p *pool) put(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || len(p.idle) == keptConns {
		c.Close()
		return
	}
	p.idle = append(p.idle, idleConn{c, time.Now()})
}

// prune closes what has been idle for too long.
func (p *pool) prune() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pruneLocked()
}

func (p *pool) pruneLocked() {
	old := 0 // the oldest come first
	for old < len(p.idle) && time.Since(p.idle[old].since) > keptFor {
		p.idle[old].conn.Close()
		old++
	}
	p.idle = append(p.idle[:0], p.idle[old:]...)
}

// close closes what is kept and keeps nothing more.
func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, c := range p.idle {
		c.conn.Close()
	}
	p.idle = nil
}
