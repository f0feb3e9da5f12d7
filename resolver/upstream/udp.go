package upstream

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"go.uber.org/zap"

	"github.com/weirdns/weir/internal/dnswire"
)

// kind is what came of waiting for an answer.
type kind uint8

const (
	kindAnswer    kind = iota
	kindTruncated      // ask over TCP
	kindNoEDNS         // ask without OPT
	kindBadCookie      // ask again with the cookie that came with it
	kindBad            // a packet that was no answer; more may come
	kindTimeout
	kindFailed // the server cannot be asked this way
)

// outcome is a kind with what belongs to it.
type outcome struct {
	kind   kind
	answer *Answer
	bare   bool   // of kindNoEDNS: nothing but the ID vouches for it
	reason reason // of kindBad
	err    error  // of kindFailed
	early  bool   // of kindFailed: a connection ended before anything was answered on it
}

// goesOn says whether the true answer may still come behind a packet: it may
// be anybody's.
func (o *outcome) goesOn() bool { return o.kind == kindBad || o.kind == kindNoEDNS && o.bare }

// judge makes an outcome of a message that arrived for s. Should the reader
// panic on it, this message is no answer, and the program goes on: most calls
// are on goroutines where nobody else could recover.
func (s *server) judge(msg []byte, q *query, sent time.Time) (o outcome) {
	defer func() {
		if recover() != nil {
			s.bad(badPanic)
			s.group.log.Error("reading an upstream's answer panicked", zap.String("upstream", s.name), zap.Stack("stack"))
			o = outcome{kind: kindBad, reason: badPanic}
		}
	}()
	var r reply
	bad := validate(msg, q, &r)
	if bad == valid && r.cookie != nil {
		s.jar.learn(q.cookie, r.cookie)
		if r.rcode == dnswire.RcodeBadCookie {
			return outcome{kind: kindBadCookie}
		}
	}
	if bad == valid && !r.truncated && !r.noEDNS {
		var out []byte
		if out, bad = clean(msg, q, &r); bad == valid {
			rtt := time.Since(sent)
			s.answered(r.rcode, rtt)
			if r.opt {
				s.showsEDNS()
			}
			return outcome{kind: kindAnswer, answer: &Answer{
				Msg: out, Rcode: r.rcode, EDE: r.ede, Server: s.name, TCP: q.stream, RTT: rtt,
			}}
		}
	}
	switch {
	case bad != valid:
		s.bad(bad)
		return outcome{kind: kindBad, reason: bad}
	case r.truncated:
		return outcome{kind: kindTruncated}
	}
	return outcome{kind: kindNoEDNS, bare: r.bare}
}

// socket is a connected UDP socket.
type socket interface {
	io.ReadWriteCloser
	SetReadDeadline(t time.Time) error
}

// datagram is a query sent over UDP, with a socket that nobody else uses:
// connected, so that the kernel drops what comes from another address or port,
// and bound to a random port, so that a forger must guess it.
type datagram struct {
	server *server
	conn   *portSocket // nil: never there, or given back
	sent   time.Time
	bad    bool        // something came that was no answer
	spare  atomic.Bool // the answer has come, and nothing else: nobody reads any more
	query  query
}

const (
	// firstPort leaves the ports that services use alone. Over 55,000 remain.
	firstPort = 10000
	// portTries is how many random ports are tried before the kernel chooses.
	portTries = 8
)

// sendUDP sends q to s. The caller releases what comes of it.
func (s *server) sendUDP(ctx context.Context, q *Question, edns bool) (*datagram, error) {
	d := &datagram{server: s}
	d.query.build(q, &s.group.cfg, how{randomCase: s.randomCase(), edns: edns, cookie: s.cookies()})
	s.packets.Inc()
	d.sent = time.Now()
	if d.conn = s.spares.draw(d.sent); d.conn != nil {
		d.conn.uses++
		if _, err := d.conn.Write(d.query.wire); err == nil {
			return d, nil
		}
		// What was wrong with it a new one will tell.
		_ = d.conn.Close()
	}
	if err := s.openPort(ctx, d); err != nil {
		return nil, err
	}
	if _, err := d.conn.Write(d.query.wire); err != nil {
		_ = d.conn.Close()
		return nil, err
	}
	return d, nil
}

// openPort gives d a socket on the port that its query drew.
func (s *server) openPort(ctx context.Context, d *datagram) error {
	for try := 0; ; try++ {
		port := firstPort + uint16(uint32(d.query.port)*(1<<16-firstPort)>>16)
		if try == portTries {
			port = 0
		}
		local := netip.AddrPortFrom(netip.IPv4Unspecified(), port)
		if s.addrs[0].Addr().Is6() {
			local = netip.AddrPortFrom(netip.IPv6Unspecified(), port)
		}
		conn, err := s.group.openUDP(ctx, local, s.addrs[0])
		if err == nil {
			d.conn = &portSocket{socket: conn, opened: d.sent, uses: 1}
			return nil
		}
		if port == 0 || !errors.Is(err, syscall.EADDRINUSE) {
			return err
		}
		d.query.newPort()
	}
}

// release gives the socket back, for another question if its answer has come.
func (d *datagram) release() {
	switch {
	case d.conn == nil:
	case d.spare.Load():
		d.server.spares.put(d.conn, int(d.server.group.cfg.PortUses))
		d.conn = nil
	default:
		_ = d.conn.Close()
	}
}

// receive waits for one packet, until end at most. After kindBad and
// kindTimeout it may be called again; closing conn ends it.
func (d *datagram) receive(end time.Time) outcome {
	buf := d.server.group.buffers.get()
	defer d.server.group.buffers.put(buf)
	_ = d.conn.SetReadDeadline(end) // fails only where Read will
	n, err := d.conn.Read(*buf)
	switch {
	case err == nil, errors.Is(err, io.EOF): // an empty datagram reads like the end of a file
		o := d.server.judge((*buf)[:n], &d.query, d.sent)
		if o.goesOn() {
			d.bad = true
		} else if o.kind == kindAnswer && !d.bad {
			d.spare.Store(true)
		}
		return o
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, os.ErrClosed), errors.Is(err, net.ErrClosed):
		return outcome{kind: kindTimeout}
	}
	return outcome{kind: kindFailed, err: err}
}

// bufferPool lends buffers for one datagram each.
type bufferPool struct{ *sync.Pool }

// newBufferPool makes buffers one octet longer than the longest answer taken,
// so that a longer one, which the kernel cuts, is seen to be longer.
func newBufferPool(limit int) bufferPool {
	return bufferPool{&sync.Pool{New: func() any {
		b := make([]byte, limit+1)
		return &b
	}}}
}

func (p bufferPool) get() *[]byte  { return p.Get().(*[]byte) }
func (p bufferPool) put(b *[]byte) { p.Put(b) }

// ownFault says whether err is about this process or host, not the server:
// nothing can be concluded about the server from it.
func ownFault(err error) bool {
	for _, e := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.EADDRNOTAVAIL, syscall.EADDRINUSE} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
