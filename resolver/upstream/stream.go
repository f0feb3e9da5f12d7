package upstream

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/weirdns/weir/internal/dnswire"
)

// maxWaiting is how many questions one connection carries at a time; more wait
// on another, or are refused where all are full.
const maxWaiting = 512

// errBroken is a connection that ended before the answer came.
var errBroken = errors.New("connection ended")

// stream is one connection to a server over TCP or TLS. Questions are pipelined
// (RFC 7766, section 6.2.1.1): each has an ID that no other on the connection
// has, and its answer is found by that and then checked against it like any
// other. After anything that is no answer to what was asked the connection
// takes no more questions.
type stream struct {
	server *server
	opened chan struct{} // closed when conn or err is set
	conn   net.Conn
	err    error

	write sync.Mutex // one message at a time

	mu      sync.Mutex // guards all below
	waiting map[uint16]*waiter
	active  int       // of waiting, those whose questioner has not given up
	used    time.Time // last time that something was sent or came
	heard   time.Time // last time that something came
	retired bool      // takes no more questions, and closes when none waits
	ended   bool
}

// waiter is one question on a stream.
type waiter struct {
	query query
	sent  time.Time
	bad   int
	left  bool         // its questioner has given up; the ID is not free yet
	out   chan outcome // room for all that can come
}

// open connects in the background, so that a question that gives up does not
// end what others wait for.
func (s *server) openStream() *stream {
	c := &stream{server: s, opened: make(chan struct{}), waiting: map[uint16]*waiter{}, used: time.Now()}
	s.pool.wg.Go(func() {
		ctx, cancel := context.WithTimeout(s.pool.ctx, s.group.cfg.Timeout)
		conn, err := s.dial(ctx)
		cancel()
		c.conn, c.err = conn, err
		close(c.opened)
		if err != nil {
			c.end(err)
			return
		}
		stop := context.AfterFunc(s.pool.ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
		c.end(c.read())
		stop()
		conn.Close()
	})
	return c
}

// read takes what comes to whom it is for, until the connection ends.
func (c *stream) read() error {
	in := bufio.NewReaderSize(c.conn, 4096)
	for {
		var length [2]byte
		if _, err := io.ReadFull(in, length[:]); err != nil {
			return err
		}
		// Up to 64 KiB by the word of a server that we chose.
		msg := make([]byte, binary.BigEndian.Uint16(length[:]))
		if _, err := io.ReadFull(in, msg); err != nil {
			return err
		}
		if c.take(msg) {
			return errBroken
		}
	}
}

// take gives msg to the question that it answers. It returns true when there
// is nothing more to read for.
func (c *stream) take(msg []byte) (over bool) {
	c.mu.Lock()
	c.heard = time.Now()
	c.used = c.heard
	var w *waiter
	if len(msg) >= dnswire.HeaderLen {
		w = c.waiting[binary.BigEndian.Uint16(msg)]
	}
	if w == nil {
		// Nobody's answer. Somebody waits, as nothing comes unasked, and is told.
		for _, w = range c.waiting {
			break
		}
	}
	c.mu.Unlock()
	if w == nil {
		c.server.bad(badID)
		return true
	}
	o := c.server.judge(msg, &w.query, w.sent)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.retired = c.retired || o.kind == kindBad
	if w.bad++; o.kind != kindBad || w.bad == badLimit {
		c.remove(w)
	}
	select {
	case w.out <- o:
	default: // its questioner has heard enough
	}
	return c.retired && c.active == 0
}

// remove takes w out; mu is held.
func (c *stream) remove(w *waiter) {
	if c.waiting[w.query.id] == w {
		delete(c.waiting, w.query.id)
		if !w.left {
			c.active--
		}
	}
}

// end fails all that wait.
func (c *stream) end(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended, c.retired = true, true
	for _, w := range c.waiting {
		c.remove(w)
		select {
		case w.out <- outcome{kind: kindFailed, err: errors.Join(errBroken, err), early: true}:
		default:
		}
	}
}

// load is how many questions wait, and whether another may.
func (c *stream) load() (active int, full bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.active, c.retired || len(c.waiting) >= maxWaiting
}

// retire keeps new questions away and closes the connection when the last has
// its answer.
func (c *stream) retire() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.retired = true
	c.closeUnused()
}

// closeUnused closes a connection that is of no use any more; mu is held.
func (c *stream) closeUnused() {
	if c.retired && c.active == 0 && !c.ended && isClosed(c.opened) && c.conn != nil {
		c.conn.Close() // ends read
	}
}

// idle says whether nobody has used the connection for d.
func (c *stream) idle(d time.Duration) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.active == 0 && time.Since(c.used) > d
}

func isClosed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// ask asks one question. bad is told of every message that was no answer.
func (c *stream) ask(ctx context.Context, q *Question, edns bool, bad func(outcome)) outcome {
	select {
	case <-c.opened:
	case <-ctx.Done():
		return outcome{kind: kindTimeout}
	}
	if c.err != nil {
		return failed(ctx, c.err)
	}
	w := &waiter{out: make(chan outcome, badLimit+1)}
	if !c.add(w, q, edns) {
		return outcome{kind: kindFailed, err: errBroken, early: true}
	}
	if err := c.send(ctx, w); err != nil {
		c.forget(w)
		o := failed(ctx, err)
		o.early = true
		return o
	}
	for heard := 1; ; heard++ {
		select {
		case o := <-w.out:
			if o.kind != kindBad || heard == badLimit {
				return o
			}
			bad(o)
		case <-ctx.Done():
			c.forget(w)
			return failed(ctx, ctx.Err())
		}
	}
}

// add gives w an ID of its own and a place.
func (c *stream) add(w *waiter, q *Question, edns bool) bool {
	s := c.server
	for {
		w.query.build(q, &s.group.cfg, how{edns: edns, stream: true, pad: s.encrypted()})
		c.mu.Lock()
		if c.retired || len(c.waiting) >= maxWaiting {
			c.mu.Unlock()
			return false
		}
		if c.waiting[w.query.id] == nil {
			w.sent = time.Now()
			c.used = w.sent
			c.waiting[w.query.id] = w
			c.active++
			c.mu.Unlock()
			return true
		}
		c.mu.Unlock()
	}
}

func (c *stream) send(ctx context.Context, w *waiter) error {
	deadline, _ := ctx.Deadline()
	c.write.Lock()
	defer c.write.Unlock()
	if err := ctx.Err(); err != nil {
		return err // others took all the time
	}
	if err := c.conn.SetWriteDeadline(deadline); err != nil {
		return err
	}
	c.server.streams.Inc()
	_, err := c.conn.Write(w.query.framed())
	if err != nil {
		c.conn.Close() // half a message may be on its way
	}
	return err
}

// forget gives up on an answer. It may still come, so its ID is not used again.
// If nothing at all has come since the question was sent, the connection may be
// dead, as when a firewall has forgotten it, and takes no more.
func (c *stream) forget(w *waiter) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waiting[w.query.id] == w && !w.left {
		w.left = true
		c.active--
	}
	c.retired = c.retired || c.heard.Before(w.sent) || len(c.waiting) >= maxWaiting
	c.closeUnused()
}

// failed sorts an error of a socket: the time being over is not the network's
// fault. Dialling notices a deadline before ctx does.
func failed(ctx context.Context, err error) outcome {
	if ctx.Err() != nil || errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) {
		return outcome{kind: kindTimeout}
	}
	return outcome{kind: kindFailed, err: err}
}
