package resolver

import (
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// guest is a connection that was let in. It is from the client, whoever
// passed it on.
type guest struct {
	net.Conn
	client netip.Addr // of the zero value until a proxy has named it
	once   sync.Once
	closed chan struct{}

	active atomic.Int32 // queries that have begun to arrive and are not answered yet
	heard  atomic.Int64 // when something was last read, nanoseconds since 1970
}

func newGuest(c net.Conn, client netip.Addr) *guest {
	g := &guest{Conn: c, client: client, closed: make(chan struct{})}
	g.heard.Store(time.Now().UnixNano())
	return g
}

func (g *guest) Read(b []byte) (int, error) {
	n, err := g.Conn.Read(b)
	g.heard.Store(time.Now().UnixNano())
	return n, err
}

func (g *guest) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(g.client, 0))
}

func (g *guest) Close() error {
	g.once.Do(func() { close(g.closed) })
	return g.Conn.Close()
}

// guests are all connections over TCP, TLS and HTTPS. Where a limit is reached,
// a new one takes the place of the one, of the same client or of all, that has
// been idle for longest (RFC 7766, section 6.2.3): clients keep connections that
// they may not use again, and whoever comes now wants something.
type guests struct {
	limits  *connLimits
	evicted atomic.Uint64

	mu sync.Mutex // guards all below
	in map[*guest]struct{}
}

func newGuests(all, client int) *guests {
	return &guests{limits: newConnLimits(all, client), in: map[*guest]struct{}{}}
}

// acquire counts a connection. One whose client is not known yet, behind a
// proxy, has no address, and counts among all only.
func (l *guests) acquire(g *guest) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.limits.acquire(g.client) {
		var of netip.Addr // anybody
		if l.limits.full(g.client) {
			of = g.client
		}
		if !l.evictLocked(of) || !l.limits.acquire(g.client) {
			return false
		}
	}
	l.in[g] = struct{}{}
	return true
}

// name gives a connection that was counted without one its client.
func (l *guests) name(g *guest, client netip.Addr) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, in := l.in[g]; !in {
		return false // evicted
	}
	if !l.limits.name(client) && (!l.evictLocked(client) || !l.limits.name(client)) {
		return false
	}
	g.client = client
	return true
}

// evictLocked closes the connection of client, or of anybody, that has been idle
// for longest.
func (l *guests) evictLocked(client netip.Addr) bool {
	var out *guest
	for g := range l.in {
		if g.active.Load() > 0 || client.IsValid() && (!g.client.IsValid() || holder(g.client) != holder(client)) {
			continue
		}
		if out == nil || g.heard.Load() < out.heard.Load() {
			out = g
		}
	}
	if out == nil {
		return false
	}
	l.dropLocked(out)
	l.evicted.Add(1)
	_ = out.Close() // ends whoever serves it
	return true
}

func (l *guests) release(g *guest) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dropLocked(g)
}

func (l *guests) dropLocked(g *guest) {
	if _, in := l.in[g]; in { // else evicted
		delete(l.in, g)
		l.limits.release(g.client)
	}
}

func (l *guests) open() int { return l.limits.open() }
