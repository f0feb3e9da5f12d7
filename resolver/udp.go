package resolver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/weirdns/weir/detect"
)

// maxQuery is the longest datagram that is read: a query with a 255 octet name
// and 32 options fits many times over. A longer one is cut and then malformed.
const maxQuery = 4096

// receiveBuffer is what a socket holds of queries that wait for their worker, in
// octets as the kernel counts them: some 2,700 queries. The system's own default
// is full after a tenth of that, which is what comes in a short while in which a
// busy machine lets weir have no processor. More would only let queries grow
// old: clients ask again after a second or so.
const receiveBuffer = 1 << 20

// udpServer is one address, served by several sockets that share its port
// (SO_REUSEPORT) with one worker each: the kernel spreads clients over them,
// and workers share nothing.
type udpServer struct {
	sockets []*net.UDPConn
	workers int
	// inherited: the sockets stay open elsewhere, and whoever is next answers
	// what waits in them.
	inherited bool
	s         *Resolver
}

func listenUDP(addr string, workers int, s *Resolver) (*udpServer, error) {
	if workers == 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	u := &udpServer{s: s, workers: workers}
	if u.sockets = s.inherited.UDP(addr); len(u.sockets) > 0 {
		u.inherited = true
		for _, c := range u.sockets {
			enlarge(c)
		}
		if err := u.wantDestination(); err != nil {
			u.close()
			return nil, err
		}
		return u, nil
	}
	for range workers {
		lc := net.ListenConfig{Control: reusePort}
		pc, err := lc.ListenPacket(context.Background(), family("udp", addr), addr)
		if err != nil {
			u.close()
			return nil, fmt.Errorf("listen on %s/udp: %w", addr, err)
		}
		conn := pc.(*net.UDPConn)
		_ = conn.SetReadBuffer(receiveBuffer) // the system gives what it allows
		u.sockets = append(u.sockets, conn)
		addr = conn.LocalAddr().String() // port 0: the others take the first one's port
		if !reusePortSpreads {
			break
		}
	}
	if err := u.wantDestination(); err != nil {
		u.close()
		return nil, err
	}
	return u, nil
}

func (u *udpServer) wantDestination() error {
	for _, c := range u.sockets {
		if err := wantDestination(c); err != nil {
			return fmt.Errorf("listen on %s/udp: %w", u.addr(), err)
		}
	}
	return nil
}

// family makes a network of one address family: 0.0.0.0 is IPv4 and [::] is
// IPv6, where net alone would make both of either, and then they collide.
func family(network, addr string) string {
	if a, err := netip.ParseAddrPort(addr); err == nil && a.Addr().Unmap().Is4() {
		return network + "4"
	}
	return network + "6"
}

func (u *udpServer) addr() netip.AddrPort { return localAddr(u.sockets[0]) }

// localAddr is a socket's own address, an IPv4 one as such: net keeps it in
// sixteen octets, where 0.0.0.0 no longer looks unspecified.
func localAddr(c *net.UDPConn) netip.AddrPort {
	a := c.LocalAddr().(*net.UDPAddr).AddrPort()
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

// run reads until ctx ends. The sockets stay open for answers under way.
func (u *udpServer) run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() {
		for _, c := range u.sockets {
			_ = c.SetReadDeadline(time.Unix(1, 0)) // wakes readers; an error means it is closed already
		}
	})
	defer stop()
	// A socket has a worker of its own, or several where fewer were inherited.
	errs := make([]error, max(len(u.sockets), u.workers))
	var wg sync.WaitGroup
	for i := range errs {
		if i >= len(u.sockets) && !u.inherited {
			break // where ports cannot be shared
		}
		c := u.sockets[i%len(u.sockets)]
		wg.Go(func() {
			w := &udpWorker{s: u.s, conn: c, inherited: u.inherited}
			errs[i] = w.run(ctx)
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (u *udpServer) close() {
	for _, c := range u.sockets {
		_ = c.Close() // nothing of ours is buffered in a datagram socket
	}
}

// udpWorker reads one socket in batches, answers what it can at once and in
// one batch, and leaves the rest to exchanges, which answer through reply.
type udpWorker struct {
	s     *Resolver
	conn  *net.UDPConn
	ready []*request // of the batch of the moment

	inherited bool // what waits at the end is for the next process
}

// run reads until ctx ends, and then what clients have sent until then.
func (w *udpWorker) run(ctx context.Context) error {
	batch, err := newBatch(w.conn)
	if err != nil {
		return err
	}
	w.ready = make([]*request, 0, batchSize)
	for failures := 0; ; {
		n, err := batch.read()
		switch {
		case err == nil: // also if ctx has just ended: what was read is answered
			failures = 0
			w.serve(batch, n)
		case ctx.Err() != nil:
			if !w.inherited {
				w.drain(batch)
			}
			return nil
		case errors.Is(err, net.ErrClosed):
			return nil
		default:
			// ICMP errors of earlier answers arrive here; they end nothing.
			// A socket that only fails is another matter.
			if failures++; failures > maxReadFailures && !errors.Is(err, os.ErrDeadlineExceeded) {
				return fmt.Errorf("read %s/udp: %w", w.conn.LocalAddr(), err)
			}
		}
	}
}

// drain answers what came before the end.
func (w *udpWorker) drain(batch *batch) {
	for range maxDrained / batchSize {
		n := batch.drain()
		if n == 0 {
			return
		}
		w.serve(batch, n)
	}
}

// maxDrained is how many datagrams of one socket are still answered at the end:
// whoever sends without a pause does not keep us.
const maxDrained = 2048

// serve answers the n datagrams of batch. Each of them ends in a counter: as a
// response, or as what it was instead.
func (w *udpWorker) serve(batch *batch, n int) {
	w.s.metrics.datagrams.Add(uint64(n))
	now := w.s.now()
	live := w.s.live.Load()
	w.ready = w.ready[:0]
	for i := range n {
		peer := batch.peer(i)
		client, msg := peer.Addr().Unmap(), batch.message(i)
		if live.proxies.any() && live.proxies.allows(client) {
			who, rest, err := readProxy(msg, peer)
			if err != nil {
				w.s.metrics.proxyErrors.Add(1)
				continue
			}
			client, msg = who.Addr().Unmap(), rest
		}
		if !live.acl.allows(client) {
			w.s.metrics.denied.Add(1)
			continue
		}
		r := w.s.getRequest()
		r.ask = detect.Query{Time: now, Client: client, Transport: detect.UDP}
		r.from, r.peer = w, peer
		r.control = append(r.control[:0], batch.control(i)...)
		if w.s.serve(r, msg) {
			w.ready = append(w.ready, r)
		}
	}
	batch.write(w.ready, &w.s.metrics.writeErrors)
	for _, r := range w.ready {
		w.s.putRequest(r)
	}
}

// maxReadFailures in a row before a socket is given up.
const maxReadFailures = 1000

// reply is for answers that had to wait.
func (w *udpWorker) reply(r *request) {
	if d := w.s.pacer.delay(r.ask.Client, r.ask.Time, w.s.now()); d > 0 && len(r.out) > 0 {
		// The exchange that calls this counts as work, so the count is not zero.
		w.s.work.Add(1)
		time.AfterFunc(d, func() {
			defer w.s.work.Done()
			w.send(r)
		})
		return
	}
	w.send(r)
}

func (w *udpWorker) send(r *request) {
	if len(r.out) > 0 {
		if _, _, err := w.conn.WriteMsgUDPAddrPort(r.out, r.control, r.peer); err != nil {
			w.s.metrics.writeErrors.Add(1)
		}
	}
	w.s.putRequest(r)
}
