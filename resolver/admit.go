package resolver

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"
)

// listener accepts connections on one address, for TCP, TLS and HTTPS alike:
// whom it lets in, and how many, is decided before an octet of DNS, TLS or HTTP
// is read.
type listener struct {
	net.Listener
	s   *Resolver
	tls *tls.Config // nil: without
}

func (l *listener) close() { _ = l.Close() } // closing twice is no harm

// accept hands every connection that is let in to serve, in a goroutine of its
// own, until ctx ends; it returns when all have ended.
func (l *listener) accept(ctx context.Context, serve func(context.Context, net.Conn, *guest)) error {
	stop := context.AfterFunc(ctx, l.close)
	defer stop()
	var conns sync.WaitGroup
	defer conns.Wait()
	for {
		c, err := l.Accept()
		if ctx.Err() != nil {
			if err == nil {
				c.Close() // came too late to be served
			}
			return nil
		}
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return nil
			}
			// Out of descriptors, most likely. UDP goes on; wait before the
			// next try, so that this does not spin.
			l.s.metrics.acceptErrors.Add(1)
			if pause(ctx, acceptPause) != nil {
				return nil
			}
			continue
		}
		peer := c.RemoteAddr().(*net.TCPAddr).AddrPort()
		peer = netip.AddrPortFrom(peer.Addr().Unmap(), peer.Port())
		live, client := l.s.live.Load(), peer.Addr()
		proxied := live.proxies.allows(client)
		if proxied {
			client = netip.Addr{} // not known yet
		} else if !live.acl.allows(client) {
			l.s.metrics.denied.Add(1)
			c.Close() // a stranger gets no reason
			continue
		}
		a := newGuest(c, client)
		if !l.s.limits.acquire(a) {
			l.s.metrics.tcpRefused.Add(1)
			c.Close() // a full house closes the door: the client may try again
			continue
		}
		conns.Go(func() {
			defer c.Close()
			defer l.s.limits.release(a)
			// Header and handshake end with ctx; what follows sees to that itself.
			stop := context.AfterFunc(ctx, func() { _ = c.SetReadDeadline(time.Unix(1, 0)) })
			defer stop()
			if proxied && !l.unproxy(a, peer) {
				return
			}
			if c, ok := l.handshake(ctx, a); ok {
				stop()
				serve(ctx, c, a)
			}
		})
	}
}

// unproxy reads the header that a trusted proxy puts in front, and lets the
// client in or not.
func (l *listener) unproxy(a *guest, peer netip.AddrPort) bool {
	s := l.s
	if a.SetReadDeadline(time.Now().Add(s.cfg.TCP.MessageTimeout)) != nil {
		return false
	}
	who, err := readProxyConn(a.Conn, peer)
	switch {
	case err != nil:
		s.metrics.proxyErrors.Add(1)
		return false
	case !s.live.Load().acl.allows(who.Addr()):
		s.metrics.denied.Add(1)
		return false
	case !s.limits.name(a, who.Addr()):
		s.metrics.tcpRefused.Add(1)
		return false
	}
	return true
}

// handshake puts TLS on c where that is spoken here.
func (l *listener) handshake(ctx context.Context, a *guest) (net.Conn, bool) {
	if l.tls == nil {
		return a, true
	}
	t := tls.Server(a, l.tls)
	ctx, cancel := context.WithTimeout(ctx, l.s.cfg.TCP.MessageTimeout)
	defer cancel()
	if err := t.HandshakeContext(ctx); err != nil {
		l.s.metrics.tlsErrors.Add(1)
		return nil, false
	}
	return t, true
}
