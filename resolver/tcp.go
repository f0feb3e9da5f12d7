package resolver

import (
	"bufio"
	"context"
	"encoding/binary"
	"io"
	"net"
	"sync"
	"time"

	"github.com/weirdns/weir/detect"
)

// tcpServer serves connections on one address (RFC 7766), also over TLS (RFC
// 7858).
type tcpServer struct {
	*listener
	transport detect.Transport
}

func (t *tcpServer) run(ctx context.Context) error {
	return t.accept(ctx, func(ctx context.Context, c net.Conn, a *guest) {
		newTCPConn(t.s, c, a, t.transport).run(ctx)
	})
}

const acceptPause = 50 * time.Millisecond

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// tcpConn serves one client. One goroutine reads; answers that had to wait are
// queued by their exchanges, in the order in which they come (RFC 7766, section
// 7). An exchange never writes: others wait for the same answer, and must not
// wait for a client that does not read.
type tcpConn struct {
	s     *Resolver
	conn  net.Conn
	guest *guest
	over  detect.Transport
	slots chan struct{} // one for each query whose answer is not written
	wg    sync.WaitGroup

	mu      sync.Mutex // guards all below
	taken   sync.Cond  // a batch has been written, or cannot be
	out     []byte     // answers to be written
	queued  int        // how many they are
	spare   []byte     // memory for the next out
	writing bool       // somebody is in write, and takes what is queued meanwhile
	broken  bool
}

func newTCPConn(s *Resolver, c net.Conn, g *guest, over detect.Transport) *tcpConn {
	t := &tcpConn{s: s, conn: c, guest: g, over: over, slots: make(chan struct{}, s.cfg.TCP.MaxPipelined)}
	t.taken.L = &t.mu
	return t
}

const (
	// flushAt bounds the answers that are gathered before they are written.
	flushAt = 16 << 10
	// unreadAt is how many octets may wait for a client to read before no more
	// of its queries are read, and maxUnread how many before it is given up: what
	// was under way may still bring more.
	unreadAt  = 128 << 10
	maxUnread = 1 << 20
)

func (c *tcpConn) run(ctx context.Context) {
	stop := context.AfterFunc(ctx, func() {
		_ = c.conn.SetReadDeadline(time.Unix(1, 0)) // wakes the reader; an error means it is gone
	})
	defer stop()
	in := bufio.NewReaderSize(c.conn, 4096)
	msg := make([]byte, 0, 512)
	for ctx.Err() == nil {
		if !holdsMessage(in) {
			c.write() // what comes next may take long
		}
		var err error
		if msg, err = c.readMessage(ctx, in, msg); err != nil {
			break
		}
		if !c.s.live.Load().acl.allows(c.guest.client) {
			c.s.metrics.denied.Add(1) // a reload has put it out
			break
		}
		c.takeSlot()
		c.wg.Add(1)
		r := c.s.getRequest()
		r.ask = detect.Query{Time: c.s.now(), Client: c.guest.client, Transport: c.over}
		r.from = c
		if c.s.serve(r, msg) {
			// If more queries are at hand, their answers may share the write.
			if c.queue(r) > flushAt {
				c.write()
			}
			c.wg.Done()
		}
	}
	c.wg.Wait()
	c.write()
	_ = c.conn.Close() // all that could be written was
}

// takeSlot waits until fewer than MaxPipelined queries are without an answer,
// and what has been answered has been read.
func (c *tcpConn) takeSlot() {
	c.mu.Lock()
	for len(c.out) > unreadAt && c.writing {
		c.taken.Wait()
	}
	c.mu.Unlock()
	select {
	case c.slots <- struct{}{}:
	default:
		c.write() // answers hold their slots until they are written
		c.slots <- struct{}{}
	}
}

// holdsMessage says whether a whole message can be read without waiting.
func holdsMessage(in *bufio.Reader) bool {
	if in.Buffered() < 2 {
		return false
	}
	size, err := in.Peek(2)
	return err == nil && in.Buffered() >= 2+int(binary.BigEndian.Uint16(size))
}

// readMessage reads one length-prefixed message (RFC 1035, section 4.2.2) into
// buf. Of many that were sent at once only the first is waited for.
func (c *tcpConn) readMessage(ctx context.Context, in *bufio.Reader, buf []byte) ([]byte, error) {
	if !holdsMessage(in) {
		if err := c.await(ctx, in); err != nil {
			return buf, err
		}
	}
	c.guest.active.Add(1) // until its answer is written
	size, err := in.Peek(2)
	if err != nil {
		return buf, err
	}
	n := int(binary.BigEndian.Uint16(size))
	if _, err := in.Discard(2); err != nil {
		return buf, err
	}
	if cap(buf) < n {
		buf = make([]byte, 0, n)
	}
	buf = buf[:n]
	_, err = io.ReadFull(in, buf)
	return buf, err
}

// await waits for a message: it may take the idle time-out to begin and then
// little to end.
func (c *tcpConn) await(ctx context.Context, in *bufio.Reader) error {
	if err := c.deadline(ctx, c.s.cfg.TCP.IdleTimeout); err != nil {
		return err
	}
	if in.Buffered() == 0 {
		if _, err := in.Peek(1); err != nil {
			return err
		}
	}
	return c.deadline(ctx, c.s.cfg.TCP.MessageTimeout)
}

func (c *tcpConn) deadline(ctx context.Context, d time.Duration) error {
	if err := c.conn.SetReadDeadline(time.Now().Add(d)); err != nil {
		return err
	}
	return ctx.Err() // looked at after the deadline was set: the stop's own deadline must win
}

// reply is for answers that had to wait. It does not wait for the client.
func (c *tcpConn) reply(r *request) {
	c.queue(r)
	c.wg.Go(c.write)
	c.wg.Done()
}

// queue ends r: its answer is to be written. It returns how many octets are.
func (c *tcpConn) queue(r *request) (waiting int) {
	c.mu.Lock()
	n := len(r.out)
	switch {
	case n == 0 || c.broken:
		c.freeLocked(1)
	case c.writing && len(c.out)+n > maxUnread:
		c.s.metrics.writeErrors.Add(1)
		_ = c.conn.Close() // it does not read; whoever writes notices
		c.freeLocked(1 + c.breakLocked())
	default:
		c.out = binary.BigEndian.AppendUint16(c.out, uint16(n))
		c.out = append(c.out, r.out...)
		c.queued++
	}
	waiting = len(c.out)
	c.mu.Unlock()
	c.s.putRequest(r)
	return waiting
}

// write writes what is queued, unless somebody does already.
func (c *tcpConn) write() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.writing {
		return
	}
	c.writing = true
	for len(c.out) > 0 {
		batch, n := c.out, c.queued
		c.out, c.queued = c.spare[:0], 0
		c.mu.Unlock()
		err := c.send(batch)
		c.mu.Lock()
		if err != nil {
			n += c.breakLocked()
		}
		c.freeLocked(n)
		c.taken.Broadcast()
		if c.spare = batch; cap(batch) > 4*flushAt {
			c.spare = nil
		}
	}
	c.writing = false
}

// breakLocked forgets what cannot be written any more, and returns how many
// answers that is.
func (c *tcpConn) breakLocked() (n int) {
	n = c.queued
	c.broken, c.out, c.queued = true, nil, 0
	return n
}

// freeLocked gives back the slots of n queries that are done with.
func (c *tcpConn) freeLocked(n int) {
	for range n {
		<-c.slots
	}
	c.guest.active.Add(int32(-n))
}

// send writes one batch. A client that does not read is given up: its
// connection is closed, which ends the reader too.
func (c *tcpConn) send(batch []byte) error {
	err := c.conn.SetWriteDeadline(time.Now().Add(c.s.cfg.TCP.MessageTimeout))
	if err == nil {
		_, err = c.conn.Write(batch)
	}
	if err != nil {
		c.s.metrics.writeErrors.Add(1)
		_ = c.conn.Close()
	}
	return err
}
