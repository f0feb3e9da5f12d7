// Package behaviour finds what no single query shows: data moved in names,
// clients that look infected, answers that point inside. It takes transactions
// and tells findings; docs/detections.md says what each detection sees, how
// often it is wrong, and what it cannot see.
//
// A Watcher is a detect.Sink for captures and replays, where the same traffic
// gives the same findings, and an output of a pdns.Recorder behind a resolver,
// where it has a queue and a goroutine of its own. All its memory is bounded:
// clients and domains live in tables of which the least used entries go. It
// refuses to look at a clock, to ask anybody, and to block: where a mode says
// enforce, its findings say so, and detect.Suspects does the rest.
package behaviour

import (
	"net/netip"
	"sync"

	"github.com/dchest/siphash"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/internal/dnswire"
)

// Key is a secret that keeps others from aiming at places of the sketches. With
// the same key the same traffic gives the same findings.
type Key [2]uint64

// Deps are what a Watcher works with.
type Deps struct {
	Registry prometheus.Registerer
	Suffixes *dnsname.Suffixes  // nil: the list that the module was built with
	Findings detect.FindingSink // who is told
	// Tail is the share of benign names that score as high; nil: none is known.
	Tail func(*detect.Verdict) float64
	// Popular says whether a registered domain is; nil: none is known.
	Popular func(dnsname.Name) bool
	// Brand says whether a registered domain is a protected brand's; nil: none is.
	Brand func(dnsname.Name) bool
	// Capture says that what comes is all there is, so that there is no first day on
	// which to learn what a site knows.
	Capture bool
	Key     Key // zero for captures, random for what anybody can send to
}

// Watcher watches transactions. It is safe for use by many goroutines.
type Watcher struct {
	deps Deps

	mu       sync.Mutex // guards what is below
	cfg      Config
	watched  uint64
	told     table[toldKey, toldState]
	flows    table[flowKey, flow]
	harmless map[string]bool // wire names

	accounts  table[netip.Addr, account]
	returning map[uint64]*account // of clients that did not ask since a restart, by hash
	domains   domains
	peaks     peaks
	day       int64 // of the data, Unix days
	days      int64 // that have ended

	activities table[netip.Addr, activity]
	timers     table[beaconKey, beacon]
	fluxes     table[uint64, flux]
	publics    *publics // nil: none yet
	brands     table[uint64, brandPlaces]
	newToday   int    // new domains today
	newUntold  uint64 // beyond new_domains.per_day

	suffixes [8192]uint64 // see split
	event    event
	finding  detect.Finding
	facts    []detect.Fact
}

// event is a transaction with what several detections want of it.
type event struct {
	*detect.Transaction
	at         int64 // Unix seconds
	client     netip.Addr
	registered dnsname.Name // nil: none
	domain     uint64       // hash of registered
	known      bool         // its public suffix is one
	said       said
	fresh      bool // nobody asked for registered before today
	first      bool // nor today
}

// New makes a Watcher with a valid configuration and registers its metrics. It
// starts nothing.
func New(cfg Config, deps Deps) (*Watcher, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if deps.Suffixes == nil {
		deps.Suffixes = dnsname.DefaultSuffixes()
	}
	if deps.Tail == nil {
		deps.Tail = func(*detect.Verdict) float64 { return 1 }
	}
	if deps.Brand == nil {
		deps.Brand = func(dnsname.Name) bool { return false }
	}
	if deps.Popular == nil {
		deps.Popular = func(dnsname.Name) bool { return false }
	}
	w := &Watcher{deps: deps, cfg: cfg}
	w.setHarmless()
	w.told.most, w.flows.most, w.accounts.most = cfg.MaxPairs, cfg.MaxPairs, cfg.MaxClients
	w.activities.most, w.timers.most, w.fluxes.most = cfg.MaxClients, cfg.MaxPairs, cfg.MaxPairs
	w.brands.most = maxBrands
	deps.Registry.MustRegister(collector{w})
	return w, nil
}

// Reload takes a new valid configuration, but for the sizes of tables.
func (w *Watcher) Reload(cfg Config) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cfg.tellsAnew(&cfg) {
		w.told = table[toldKey, toldState]{most: w.told.most, evicted: w.told.evicted}
	}
	w.cfg = cfg
	w.setHarmless()
}

// Record looks at a transaction.
func (w *Watcher) Record(t *detect.Transaction) {
	if !watches(t) {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.watched++
	e := &w.event
	e.Transaction, e.at, e.client = t, t.Query.Time.Unix(), t.Query.Client.Unmap().WithZone("")
	e.fresh, e.first = false, false
	w.split(e)
	e.said.read(e)
	w.turn(e.at)
	if e.registered != nil && (e.said.exists || e.said.missing || e.Source == detect.FromPolicy) {
		if e.fresh = !w.domains.known(e.domain); e.fresh {
			e.first = w.domains.add(e.domain)
		}
	}
	c := &w.cfg
	for _, d := range [...]struct {
		on   bool
		look func(*event)
	}{
		{c.Rebinding.on(), w.rebinding}, {c.Tunnels.on(), w.tunnel}, {c.Infected.on(), w.infected},
		{c.NXDOMAINBursts.on() || c.SilentClients.on(), w.active}, {c.Beacons.on(), w.beacons}, {c.FastFlux.on(), w.fastFlux},
		{c.NewDomains.on(), w.newDomain}, {c.UpstreamBlocks.on(), w.upstreamBlock}, {c.Lookalikes.on(), w.imitation},
	} {
		if d.on {
			d.look(e)
		}
	}
}

// split finds the event's registered domain. Where the verdict has it, all that
// is left to know is whether its suffix is of the list, which the last domains'
// hashes are kept with: the lowest bit.
func (w *Watcher) split(e *event) {
	if e.registered = e.Verdict.Registered; e.registered != nil {
		e.domain = w.hash(e.registered)
		slot := &w.suffixes[e.domain/2%uint64(len(w.suffixes))]
		if *slot|1 != e.domain|1 {
			*slot = e.domain &^ 1
			if w.deps.Suffixes.Split(e.registered).Known {
				*slot |= 1
			}
		}
		e.known = *slot&1 != 0
		return
	}
	split := w.deps.Suffixes.Split(e.Query.Name)
	e.registered, e.known, e.domain = split.Registered, split.Known, 0
	if e.registered != nil {
		e.domain = w.hash(e.registered)
	}
}

// begins says whether to follow a name of the event's domain from now on: only
// one that is new at a site which knows its own.
func (w *Watcher) begins(e *event) bool { return e.fresh && (w.days > 0 || w.deps.Capture) }

// watches says whether a transaction is any detection's business. What an
// operator allows is not.
func watches(t *detect.Transaction) bool {
	return t.Query.Class == dnswire.ClassIN && t.Query.Client.IsValid() && len(t.Query.Name) > 1 &&
		t.Verdict.Origin != detect.OriginAllowList
}

func (w *Watcher) hash(b []byte) uint64 { return siphash.Hash(w.deps.Key[0], w.deps.Key[1], b) }
