package outlettest

import (
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// Proxy stands in front of a service and does what networks do. All its methods
// are safe while it is in use.
type Proxy struct {
	listener        net.Listener
	network, target string
	cuts            atomic.Int64 // how often it cut
	left            atomic.Int64 // how often it still will
	mode            atomic.Int32
	wg              sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]chan struct{} // closed when the proxy lets go
	rand  *rand.Rand
}

// What a Proxy does with connections.
const (
	Pass  int32 = iota // brings what comes to the other side
	Hang               // takes connections and what comes, and brings it nowhere
	Close              // ends connections at once
)

// NewProxy listens on a port of its own for target, and cuts so many connections
// in the middle of what is sent, either way: after a number of octets that a seed
// decides.
func NewProxy(t testing.TB, network, target string, cuts int) *Proxy {
	t.Helper()
	return NewProxyAt(t, "127.0.0.1:0", network, target, cuts)
}

// NewProxyAt is NewProxy with a port that the service has to know before.
func NewProxyAt(t testing.TB, addr, network, target string, cuts int) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{listener: l, network: network, target: target, conns: map[net.Conn]chan struct{}{}, rand: rand.New(rand.NewPCG(8, 3))}
	p.left.Store(int64(cuts))
	p.wg.Go(p.accept)
	t.Cleanup(func() {
		_ = l.Close()
		p.drop()
		p.wg.Wait()
	})
	return p
}

// Addr is where it listens.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Cuts is how many connections it has cut.
func (p *Proxy) Cuts() int { return int(p.cuts.Load()) }

// Do changes what it does, and ends the connections that there are.
func (p *Proxy) Do(mode int32) {
	p.mode.Store(mode)
	p.drop()
}

// Cut has it cut so many more connections, of those that begin from now on.
func (p *Proxy) Cut(n int) {
	p.left.Store(int64(n))
	p.Do(Pass)
}

func (p *Proxy) drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c, dropped := range p.conns {
		reset(c)
		close(dropped)
		delete(p.conns, c)
	}
}

// reset breaks a connection: what is under way is lost, and the other side hears of it.
func reset(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.SetLinger(0)
	}
	_ = c.Close()
}

// hold keeps c until it is let go of.
func (p *Proxy) hold(c net.Conn) (dropped <-chan struct{}, release func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	ch := make(chan struct{})
	p.conns[c] = ch
	return ch, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.conns, c)
		_ = c.Close()
	}
}

func (p *Proxy) accept() {
	for {
		c, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.wg.Go(func() { p.serve(c) })
	}
}

// serve brings one connection's octets to and fro.
func (p *Proxy) serve(c net.Conn) {
	dropped, release := p.hold(c)
	defer release()
	switch p.mode.Load() {
	case Close:
		return
	case Hang:
		_, _ = io.Copy(io.Discard, c)
		<-dropped // also when the other side has nothing more to say
		return
	}
	back, err := net.Dial(p.network, p.target)
	if err != nil {
		return
	}
	_, release = p.hold(back)
	defer release()
	there, here := p.budget(200_000), p.budget(3_000)
	var wg sync.WaitGroup
	wg.Go(func() { p.pipe(back, c, there, c, back) })
	wg.Go(func() { p.pipe(c, back, here, c, back) })
	wg.Wait()
}

// budget is after how many octets a connection is cut; -1: it is not.
func (p *Proxy) budget(most int) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.left.Load() <= 0 || p.rand.IntN(3) == 0 {
		return -1
	}
	return int64(p.rand.IntN(most >> p.rand.IntN(8))) // small ones as often as large ones
}

func (p *Proxy) pipe(to, from net.Conn, budget int64, both ...net.Conn) {
	in := io.Reader(from)
	if budget >= 0 {
		in = io.LimitReader(from, budget)
	}
	n, err := io.Copy(to, in)
	if budget >= 0 && n == budget && err == nil && p.left.Add(-1) >= 0 {
		p.cuts.Add(1)
		for _, c := range both {
			reset(c)
		}
		return
	}
	if n == budget && err == nil { // another one cut already
		_, err = io.Copy(to, from)
	}
	if half, ok := to.(interface{ CloseWrite() error }); ok && err == nil {
		_ = half.CloseWrite()
		return
	}
	for _, c := range both {
		_ = c.Close()
	}
}
