package quicdns

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"
)

var (
	// ErrAnswer is a stream on which something else came than one answer.
	ErrAnswer = errors.New("not one answer on a stream")
	// ErrGone is a connection that was there before the question and has ended:
	// servers may do so at any time, and the question may be asked again.
	ErrGone = errors.New("connection has ended")
)

// silence is how long a connection may say nothing before a question that was
// given up has the next one open another.
const silence = time.Second

// maxAnswer is the longest that fits its length (RFC 9250, section 4.2).
const maxAnswer = 1<<16 - 1

// dialer opens connections, each from a socket, and so a port, of its own, to
// the first of some addresses that takes it. Those that it opened end with it.
type dialer struct {
	addrs []netip.AddrPort
	tls   *tls.Config
	conf  *quic.Config
	wg    sync.WaitGroup

	mu     sync.Mutex // guards all below
	conns  map[*quic.Conn]struct{}
	closed bool
}

func newDialer(addrs []netip.AddrPort, conf *tls.Config, idle time.Duration, alpn string, streams int64) *dialer {
	conf = conf.Clone()
	conf.NextProtos, conf.MinVersion = []string{alpn}, tls.VersionTLS13
	return &dialer{
		addrs: addrs, tls: conf, conns: map[*quic.Conn]struct{}{},
		conf: &quic.Config{
			Versions:       versions(),
			MaxIdleTimeout: idle,
			// What a server may send before we have read it.
			InitialStreamReceiveWindow: 1 << 17, MaxStreamReceiveWindow: 1 << 17,
			InitialConnectionReceiveWindow: 1 << 20, MaxConnectionReceiveWindow: 1 << 20,
			MaxIncomingStreams: -1, MaxIncomingUniStreams: streams,
		},
	}
}

// dial leaves time for the addresses that are left: of so many each may take
// its share.
func (d *dialer) dial(ctx context.Context) (*quic.Conn, error) {
	var errs []error
	for i, addr := range d.addrs {
		conn, err := d.dialAddr(ctx, addr, len(d.addrs)-i)
		if err == nil {
			return conn, nil
		}
		errs = append(errs, err)
		if ctx.Err() != nil {
			break
		}
	}
	return nil, errors.Join(errs...)
}

func (d *dialer) dialAddr(ctx context.Context, addr netip.AddrPort, left int) (*quic.Conn, error) {
	if end, ok := ctx.Deadline(); ok && left > 1 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(end)/time.Duration(left))
		defer cancel()
	}
	network, local := "udp4", netip.IPv4Unspecified()
	if addr.Addr().Is6() {
		network, local = "udp6", netip.IPv6Unspecified()
	}
	socket, err := net.ListenUDP(network, net.UDPAddrFromAddrPort(netip.AddrPortFrom(local, 0)))
	if err != nil {
		return nil, err
	}
	tr := &quic.Transport{Conn: socket}
	shut := func() {
		_ = tr.Close()
		_ = socket.Close()
	}
	conn, err := tr.Dial(ctx, net.UDPAddrFromAddrPort(addr), d.tls, d.conf)
	if err != nil {
		shut()
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		d.wg.Go(func() { _ = conn.CloseWithError(codeNone, ""); shut() })
		return nil, net.ErrClosed
	}
	d.conns[conn] = struct{}{}
	d.wg.Go(func() {
		<-conn.Context().Done()
		shut()
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.conns, conn)
	})
	return conn, nil
}

// close ends all connections and waits for what they had.
func (d *dialer) close() {
	d.mu.Lock()
	d.closed = true
	var open []*quic.Conn
	for c := range d.conns {
		open = append(open, c)
	}
	d.mu.Unlock()
	for _, c := range open {
		_ = c.CloseWithError(codeNone, "")
	}
	d.wg.Wait()
}

// Client asks one server over QUIC. Its questions share a connection.
type Client struct {
	dialer *dialer
	ctx    context.Context // ends what is being opened
	cancel context.CancelFunc
	wait   time.Duration
	made   time.Time
	wg     sync.WaitGroup

	mu      sync.Mutex // guards all below
	current *link      // nil: none
	closed  bool
}

// link is one connection, or the opening of one.
type link struct {
	opened chan struct{} // closed when conn or err is set
	conn   *quic.Conn
	err    error
	heard  atomic.Int64 // when the last answer came, nanoseconds since the Client was made
}

// NewClient makes a Client for a server that has one or more addresses and must
// prove what conf wants. A connection without questions is kept for idle; one
// that opens may take wait.
func NewClient(addrs []netip.AddrPort, conf *tls.Config, idle, wait time.Duration) *Client {
	c := &Client{dialer: newDialer(addrs, conf, idle, ALPN, -1), wait: wait, made: time.Now()}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c
}

// Ask sends a query, whose ID must be 0, and returns what the server answers,
// which nobody has looked at. fresh wants a connection of its own: one that is
// there may have died unnoticed.
func (c *Client) Ask(ctx context.Context, query []byte, fresh bool) ([]byte, error) {
	l, kept, err := c.link(fresh)
	if err != nil {
		return nil, err
	}
	select {
	case <-l.opened:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if l.err != nil {
		return nil, l.err
	}
	sent := time.Since(c.made)
	answer, err := ask(ctx, l.conn, query)
	switch {
	case err == nil:
		l.heard.Store(int64(time.Since(c.made)))
	case errors.Is(err, ErrAnswer):
		c.forget(l)
		_ = l.conn.CloseWithError(codeProtocol, "") // RFC 9250, section 4.3.3
	case ctx.Err() != nil:
		if l.heard.Load() < int64(sent) && time.Since(c.made)-sent >= silence {
			c.forget(l) // the next question had better not wait for the same silence
		}
		err = ctx.Err()
	case kept && errors.Is(err, net.ErrClosed):
		// The connection has ended. Its streams are told before its context is, so
		// that for a moment it looks as if it could be used.
		c.forget(l)
		err = errors.Join(ErrGone, err)
	}
	return answer, err
}

// link is the connection for one more question. It opens in the background, so
// that a question that gives up does not end what others wait for.
func (c *Client) link(fresh bool) (l *link, kept bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, false, net.ErrClosed
	}
	if l := c.current; l != nil && !fresh && l.usable() {
		return l, isClosed(l.opened), nil
	}
	l = &link{opened: make(chan struct{})}
	old := c.current
	c.current = l
	c.wg.Go(func() {
		ctx, cancel := context.WithTimeout(c.ctx, c.wait)
		defer cancel()
		l.conn, l.err = c.dialer.dial(ctx)
		close(l.opened)
		if old != nil {
			c.retire(old)
		}
	})
	return l, false, nil
}

// retire lets a connection go that takes no more questions: those that wait on
// it have as long as one may take.
func (c *Client) retire(l *link) {
	select {
	case <-l.opened:
	case <-c.ctx.Done():
		return
	}
	if l.conn == nil {
		return
	}
	t := time.NewTimer(c.wait)
	defer t.Stop()
	select {
	case <-t.C:
	case <-c.ctx.Done():
	case <-l.conn.Context().Done():
	}
	_ = l.conn.CloseWithError(codeNone, "")
}

// usable says whether questions can be asked on l, as far as is known.
func (l *link) usable() bool {
	return !isClosed(l.opened) || l.err == nil && l.conn.Context().Err() == nil
}

func isClosed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// forget has the next question open a connection of its own.
func (c *Client) forget(l *link) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.current != l {
		return
	}
	c.current = nil
	c.wg.Go(func() { c.retire(l) })
}

// Close ends all connections.
func (c *Client) Close() {
	c.mu.Lock()
	c.closed = true
	c.cancel()
	c.mu.Unlock()
	c.wg.Wait()
	c.dialer.close()
}

// ask asks on a stream of its own.
func ask(ctx context.Context, conn *quic.Conn, query []byte) ([]byte, error) {
	st, err := conn.OpenStreamSync(ctx)
	if err != nil {
		return nil, err
	}
	// Where the answer is whole this does nothing; else the server hears that
	// nobody waits any more.
	defer st.CancelRead(codeCancelled)
	stop := context.AfterFunc(ctx, func() {
		st.CancelRead(codeCancelled)
		st.CancelWrite(codeCancelled)
	})
	defer stop()
	framed := binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(query)), uint16(len(query)))
	if _, err := st.Write(append(framed, query...)); err != nil {
		return nil, err
	}
	if err := st.Close(); err != nil {
		return nil, err
	}
	all, err := io.ReadAll(io.LimitReader(st, 2+maxAnswer+1))
	if err != nil {
		return nil, err
	}
	if len(all) < 2 || int(binary.BigEndian.Uint16(all)) != len(all)-2 {
		return nil, ErrAnswer
	}
	return all[2:], nil
}
