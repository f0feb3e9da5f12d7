// Package upstream asks the configured servers and returns answers that have
// been checked: nothing that it hands out could have been accepted without the
// right address, port, ID, question and owner names. It is the one place where
// that is decided, for every transport (validate.go).
//
// A bad packet never ends a question: it is counted, the wait goes on, and TCP
// is tried beside it. A server that does not answer costs a bounded delay and
// at most three packets per question, and is left out when it is down.
//
// It refuses to cache, to judge names, and to iterate: it forwards. Equal
// questions at the same time are the caller's to merge.
package upstream

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/internal/dnswire"
)

// Errors of Exchange. They come wrapped, with the names of the servers, and
// joined where servers failed in different ways.
var (
	// ErrTimeout: a server was asked and there was no answer in time (EDE 22).
	ErrTimeout = errors.New("no answer in time")
	// ErrNetwork: a server could not be asked, or broke off (EDE 23).
	ErrNetwork = errors.New("cannot be reached")
	// ErrInvalid: a server's answers did not pass the checks (EDE 24).
	ErrInvalid = errors.New("only invalid answers")
	// ErrOverloaded: max_in_flight questions are waiting already.
	ErrOverloaded = errors.New("too many questions in flight")
)

// Question is what is asked.
type Question struct {
	Name        dnsname.Name // canonical
	Type, Class uint16
	DO, CD, AD  bool // copied into the query
	// Client is who asks, for rules that are for some clients. Whoever waits for
	// the same answer must have the same Route.
	Client netip.Addr
	// Overdue, if it is set, is called at the end of cfg.Timeout with why there
	// is no answer yet; Exchange then waits for as long again, without asking
	// anybody anew, for the one that is late. At most maxOverdue questions wait
	// so; one more ends in an error without the call.
	Overdue func(err error)
}

// Answer is a checked answer. A failure that a server reports (SERVFAIL,
// REFUSED) is an Answer too, if no other server had anything better.
type Answer struct {
	// Msg is the whole message, owned by the caller: ID 0, TC clear, the
	// question in lower case, no OPT and no signature of the hop, TTLs with the
	// top bit set made 0 and those over seven days cut to that. Its header's
	// rcode is SERVFAIL where Rcode has no meaning beyond this hop (over 10).
	Msg    []byte
	Rcode  uint16        // as sent, with OPT's upper bits
	EDE    *dnswire.EDE  // the server's first; nil: none
	Server string        // as configured
	TCP    bool          // or TLS, or HTTPS
	RTT    time.Duration // of the attempt that was answered
}

// Deps are what a Group works with. All fields must be set.
type Deps struct {
	Log      *zap.Logger
	Registry prometheus.Registerer
}

// Group is a set of upstreams. Exchange may be called by any number of
// goroutines, before, during and after Run.
type Group struct {
	cfg     Config
	log     *zap.Logger
	metrics *metrics
	servers []*server // of all routes
	routes  []route
	seed    maphash.Seed
	buffers bufferPool
	dialer  *net.Dialer

	inFlight atomic.Int64
	overdue  atomic.Int64
	turn     atomic.Uint64 // of round robin
	late     late
	lapses   *lapses
	wake     chan struct{} // a server wants a probe
}

// New makes a Group; it opens no sockets. It returns an error only where
// cfg.Validate does, or where cfg.CAFile cannot be read.
func New(cfg Config, deps Deps) (*Group, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("upstream: %w", err)
	}
	roots, err := readRoots(cfg.CAFile)
	if err != nil {
		return nil, fmt.Errorf("upstream: %w", err)
	}
	g := &Group{
		cfg:     cfg,
		log:     deps.Log,
		seed:    maphash.MakeSeed(),
		buffers: newBufferPool(int(cfg.EDNSUDPSize)),
		dialer:  dialer(),
		wake:    make(chan struct{}, 1),
		late:    late{stop: make(chan struct{})},
		lapses:  newLapses(),
	}
	g.metrics = newMetrics(deps.Registry, func() float64 { return float64(g.inFlight.Load()) })
	known := map[string]*server{}
	g.addRoutes(&cfg, func(text string) *server {
		t, _ := parseTarget(text, cfg.Hosts) // Validate has read it
		if s := known[t.key()]; s != nil {
			return s
		}
		s := newServer(g, text, t, roots)
		known[t.key()] = s
		g.servers = append(g.servers, s)
		return s
	})
	return g, nil
}

// Run probes servers that are down until ctx ends, and then closes the
// connections that were kept. Without it, servers that are down stay so until
// a question finds them up.
func (g *Group) Run(ctx context.Context) error {
	g.probe(ctx)
	g.late.end()
	for _, s := range g.servers {
		s.close()
	}
	return nil
}

// Exchange asks q, which nobody may change any more, until a server has answered
// it or the time is over, which is cfg.Timeout or ctx's deadline, whichever comes
// first; see Question.Overdue for what comes behind that. The error is one of
// the errors above or wraps ctx's.
func (g *Group) Exchange(ctx context.Context, q *Question) (*Answer, error) {
	if g.inFlight.Add(1) > g.cfg.MaxInFlight {
		g.inFlight.Add(-1)
		g.metrics.rejected.Inc()
		return nil, ErrOverloaded
	}
	x := newExchange(ctx, g, q)
	defer x.leave()
	a, err := x.run()
	if !x.linger() {
		x.close()
	}
	return a, err
}

// zone is what failures are counted under: the last two labels, hashed. It
// need not be exact, only keep one broken domain from counting as many.
func (g *Group) zone(name dnsname.Name) uint64 {
	for name.Labels() > 2 {
		name = name.Parent()
	}
	return maphash.Bytes(g.seed, name)
}

// Up is how many servers for all questions are not known to be down.
func (g *Group) Up() (n int) {
	for _, s := range g.routes[0].servers {
		if !s.health.isDown.Load() {
			n++
		}
	}
	return n
}

// ServerState is what is believed about one server.
type ServerState struct {
	Server string // as configured
	Up     bool   // not known to be down
}

// States is what is believed about each server, in the order of the
// configuration.
func (g *Group) States() []ServerState {
	out := make([]ServerState, len(g.servers))
	for i, s := range g.servers {
		out[i] = ServerState{s.name, !s.health.isDown.Load()}
	}
	return out
}
