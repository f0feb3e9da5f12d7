// Package resolver is the forwarding DNS server: it takes each query, has it
// judged by detect, and answers from policy, cache or upstream.
//
// It does not iterate, does not validate DNSSEC, serves no zones of its own
// and never decides what is bad: policy lives in detect, so that a capture of
// the same traffic gets the same verdicts.
package resolver

import (
	"context"
	"errors"
	"net/netip"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/internal/inherit"
	"github.com/weirdns/weir/internal/quicdns"
	"github.com/weirdns/weir/resolver/cache"
	"github.com/weirdns/weir/resolver/upstream"
	"go.uber.org/zap"
)

// Inspector judges queries and answers; *detect.Detector is the one.
type Inspector interface {
	Inspect(q *detect.Query, v *detect.Verdict)
	InspectAnswer(q *detect.Query, response []byte, v *detect.Verdict)
}

// Exchanger asks upstreams; *upstream.Group is the one. Exchange returns within
// a time-out of its own, under 2 s: clients give up, or ask again, after that.
type Exchanger interface {
	Exchange(ctx context.Context, q *upstream.Question) (*upstream.Answer, error)
}

// Deps is what a Resolver works with.
type Deps struct {
	Log      *zap.Logger
	Registry prometheus.Registerer
	Detector Inspector
	Upstream Exchanger
	Sinks    []detect.Sink // every transaction goes to each, in this order
	// CacheFile is where the cache is kept over a restart; "": nowhere.
	CacheFile string
	// Suffixes say what a registered domain is, of which none may keep the
	// others from being resolved; nil: the last two labels.
	Suffixes *dnsname.Suffixes
	// Inherited are sockets that are bound already; Listen takes those that have
	// an address of the configuration. nil: none.
	Inherited *inherit.Sockets
	// Now is the clock that TTLs age by; nil is time.Now. It must carry the
	// monotonic clock, as time.Now does.
	Now func() time.Time
}

// Resolver serves queries. New it, Listen, then Run.
type Resolver struct {
	cfg       Config
	log       *zap.Logger
	detector  Inspector
	sinks     []detect.Sink
	now       func() time.Time
	cacheFile string
	inherited *inherit.Sockets
	cache     *cache.Cache
	metrics   *metrics
	flights   flights
	limits    *guests
	pacer     *pacer

	quicLimits *connLimits

	live   atomic.Pointer[live]
	routes sync.RWMutex // held to change live's views, and to put an answer of theirs into the cache

	cookies *cookieJar   // nil: we give none
	rates   *rateLimits  // nil: there are none
	cert    *certificate // nil: nothing is encrypted

	designated *designation // nil: nothing is offered

	udp []*udpServer
	tcp []*tcpServer // over TLS too
	doh []*dohServer

	quic []*quicdns.Server

	requests sync.Pool
	pending  *shares        // of the requests that wait for an upstream
	work     sync.WaitGroup // exchanges under way
	crew     *crew          // who makes them
}

// live is what a reload replaces while queries run.
type live struct {
	acl      *acl
	proxies  *acl
	special  *specialTable
	upstream Exchanger
	health   health // nil: unknown
	router   router // nil: there is one way for all
	zones    []upstream.ZoneConfig
	ruled    [][]dnsname.Name // those of each rule, route 1 first
	views    uint32           // changes when routes mean something else
}

// router is what an Exchanger may know about where questions go.
type router interface {
	// Route tells questions apart that different servers answer, 0 to 63.
	Route(name dnsname.Name, client netip.Addr) uint8
}

func (l *live) route(r *request) uint8 {
	if l.router == nil {
		return 0
	}
	return l.router.Route(r.ask.Name, r.ask.Client)
}

// ruledFor are the zones of the rule that r's question is for.
func (l *live) ruledFor(r *request) []dnsname.Name {
	if r.route == 0 || int(r.route) > len(l.ruled) {
		return nil
	}
	return l.ruled[r.route-1]
}

// parseNames reads names of a valid configuration.
func parseNames(texts []string) (names []dnsname.Name) {
	for _, s := range texts {
		names = append(names, dnsname.MustParse(s))
	}
	return names
}

// health is what an Exchanger may know about its servers.
type health interface {
	// Up is how many servers are not known to be down.
	Up() int
}

// up says whether it is worth asking an upstream.
func (l *live) up() bool { return l.health == nil || l.health.Up() > 0 }

// New makes a Resolver of a valid cfg. It opens nothing.
func New(cfg Config, deps Deps) (*Resolver, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	s := &Resolver{
		cfg:        cfg,
		log:        deps.Log,
		detector:   deps.Detector,
		sinks:      deps.Sinks,
		cache:      cache.New(cfg.Cache, deps.Registry),
		now:        deps.Now,
		cacheFile:  deps.CacheFile,
		inherited:  deps.Inherited,
		limits:     newGuests(cfg.TCP.MaxConns, cfg.TCP.MaxConnsPerClient),
		pacer:      newPacer(),
		quicLimits: newConnLimits(cfg.QUIC.MaxConns, cfg.QUIC.MaxConnsPerClient),
		crew:       newCrew(),
		pending:    newShares(cfg.MaxPending, deps.Suffixes),
		flights:    newFlights(newShares(int(cfg.Upstream.MaxInFlight), deps.Suffixes)),
	}
	if s.now == nil {
		s.now = time.Now
	}
	s.metrics = newMetrics(deps.Registry, s)
	s.rates = newRateLimits(cfg.RateLimit)
	if cfg.Cookies.Enabled {
		s.cookies = newCookieJar(time.Now())
	}
	if cfg.encrypted() {
		var err error
		if s.cert, err = newCertificate(cfg.TLS, deps.Log, deps.Registry); err != nil {
			return nil, err
		}
	}
	s.requests.New = func() any { return &request{out: make([]byte, 0, 2048)} }
	return s, s.Swap(cfg, deps.Upstream)
}

// Swap replaces what can change while queries run: whom we answer, the special
// names and the upstreams. Listeners and limits stay as New got them.
func (s *Resolver) Swap(cfg Config, up Exchanger) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	a, err := parseACL(cfg.Allow)
	if err != nil {
		return err
	}
	proxies, err := parseNetworks("proxy_protocol", cfg.ProxyProtocol)
	if err != nil {
		return err
	}
	if s.cert != nil && cfg.encrypted() {
		if err := s.cert.load(cfg.TLS); err != nil {
			return err
		}
	}
	h, _ := up.(health)
	next := &live{health: h, acl: a, proxies: proxies, upstream: up}
	for _, z := range cfg.Upstream.Zones {
		if !z.Disabled {
			next.zones = append(next.zones, z)
			next.ruled = append(next.ruled, parseNames(z.Zones))
		}
	}
	next.special = newSpecialTable(cfg.SpecialNames, cfg.PrivateReverse, parseNames(cfg.SpecialExcept), s.cfg.DDR.Name)
	if len(next.zones) > 0 {
		next.router, _ = up.(router)
	}
	was := s.live.Load()
	if was != nil {
		next.views = was.views
	}
	changed := was != nil && !reflect.DeepEqual(was.zones, next.zones)
	if changed {
		next.views++
	}
	s.routes.Lock()
	defer s.routes.Unlock()
	s.live.Store(next)
	if changed {
		s.cache.Flush() // other servers answer now, and the views are others
	}
	return nil
}

// Listen binds every address, UDP and TCP. On an error nothing stays open.
func (s *Resolver) Listen() (err error) {
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	for _, addr := range s.cfg.Listen {
		u, t, err := listenBoth(addr, s)
		if err != nil {
			return err
		}
		s.udp, s.tcp = append(s.udp, u), append(s.tcp, t)
	}
	if err := s.listenEncrypted(); err != nil {
		return err
	}
	s.designated = s.designate()
	return nil
}

// listenBoth binds UDP and TCP on one port. Port 0 means any that is free for
// both: what UDP gets may be taken for TCP, and then it is tried again.
func listenBoth(addr string, s *Resolver) (*udpServer, *tcpServer, error) {
	const tries = 20
	for try := 1; ; try++ {
		u, err := listenUDP(addr, s.cfg.Workers, s)
		if err != nil {
			return nil, nil, err
		}
		t, err := listenTCP(u.addr().String(), s)
		if err == nil {
			return u, t, nil
		}
		u.close()
		if try == tries || u.addr().String() == addr {
			return nil, nil, err
		}
	}
}

// Addrs are the addresses that Listen bound, IP:port, one for each entry of
// Config.Listen; UDP and TCP share them.
func (s *Resolver) Addrs() []string {
	var out []string
	for _, u := range s.udp {
		out = append(out, u.addr().String())
	}
	return out
}

// Run serves until ctx ends or a listener fails. It then stops reading, lets
// the queries under way have their answers, and returns when all that it
// started has ended.
func (s *Resolver) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	run := func(f func(context.Context) error) {
		wg.Go(func() {
			if err := f(ctx); err != nil {
				mu.Lock()
				errs = append(errs, err)
				mu.Unlock()
				cancel()
			}
		})
	}
	s.crew.engage()
	for _, u := range s.udp {
		run(u.run)
	}
	for _, t := range s.tcp {
		run(t.run)
	}
	for _, d := range s.doh {
		run(d.run)
	}
	for _, q := range s.quic {
		run(runQUIC(q))
	}
	if s.cert != nil {
		run(s.cert.run)
	}
	if s.keepsCache() {
		wg.Go(func() { s.keepCache(ctx) })
	}
	wg.Wait() // nobody reads any more, so no exchange begins
	s.flights.stop()
	s.work.Wait() // every exchange has delivered its answers
	s.crew.dismiss()
	if s.keepsCache() {
		s.saveCache()
	}
	s.Close()
	return errors.Join(errs...)
}

// Close releases the sockets of a Resolver that will not Run.
func (s *Resolver) Close() {
	for _, u := range s.udp {
		u.close()
	}
	for _, t := range s.tcp {
		t.close()
	}
	for _, d := range s.doh {
		d.close()
	}
	for _, q := range s.quic {
		q.Close()
	}
}

// FlushCache forgets the answers for name and, with subtree, for all names below
// it, and returns how many they were.
func (s *Resolver) FlushCache(name dnsname.Name, subtree bool) int {
	return s.cache.FlushName(name, subtree)
}

func (s *Resolver) getRequest() *request { return s.requests.Get().(*request) }

// putRequest ends a request's life: nothing may point into it.
func (s *Resolver) putRequest(r *request) {
	r.from, r.control = nil, r.control[:0]
	if cap(r.out) > maxPooledAnswer {
		r.out = make([]byte, 0, 2048)
	}
	s.requests.Put(r)
}

// maxPooledAnswer keeps a few large answers from growing every pooled request.
const maxPooledAnswer = 8 << 10
