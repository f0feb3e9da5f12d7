// Package enrich says what files know of addresses: country, city and autonomous
// system of answers and of clients from outside, and the names that the site has
// given to its networks. It is asked behind the answer path, by whoever writes
// records, and judges nothing.
//
// What it says of a client depends on no more than what may be kept of the client's
// address: of a truncated one only what holds for all of the network, and of a
// pseudonym nothing.
package enrich

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"

	"github.com/gaissmai/bart"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/internal/dnswire"
)

// maxAnswers bounds the addresses of one transaction that are looked up.
const maxAnswers = 64

// Enricher is safe for any number of goroutines.
type Enricher struct {
	hits, misses, failures prometheus.Counter

	mu     sync.Mutex // guards what is below, and tables' files while they are read
	tables *Tables
	cache  cache
	closed bool
}

// Tables are what one configuration's files hold.
type Tables struct {
	own      bart.Lite
	networks *networks // nil: none
	geo      *geo
	entries  int
}

// Load reads the files of a valid configuration. Its errors begin with the setting.
func Load(cfg Config) (*Tables, error) {
	t := &Tables{entries: cfg.CacheEntries}
	for _, s := range cfg.OwnNetworks {
		p, err := parseNetwork(s)
		if err != nil {
			return nil, fmt.Errorf("own_networks: %w", err)
		}
		t.own.Insert(p)
	}
	var errs []error
	var err error
	if cfg.Networks != "" {
		if t.networks, err = loadNetworks(cfg.Networks); err != nil {
			errs = append(errs, fmt.Errorf("networks: %s: %w", cfg.Networks, err))
		}
	}
	t.geo, err = openGeo(&cfg)
	if errs = append(errs, err); errors.Join(errs...) != nil {
		if t.geo != nil {
			errs = append(errs, t.geo.close())
		}
		return nil, errors.Join(errs...)
	}
	return t, nil
}

// Close gives the files of tables back that no Enricher has.
func (t *Tables) Close() error { return t.geo.close() }

// New makes an Enricher that has tables, which are its own from now on.
func New(tables *Tables, reg prometheus.Registerer) (*Enricher, error) {
	e := &Enricher{
		tables: tables, cache: cache{half: max(tables.entries/2, 1)},
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "weir_enrich_failures_total", Help: "Look-ups that a damaged mmdb file could not answer.",
		}),
	}
	lookups := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "weir_enrich_lookups_total", Help: "Addresses looked up in mmdb files, by whether they were in the cache.",
	}, []string{"result"})
	e.hits, e.misses = lookups.WithLabelValues("hit"), lookups.WithLabelValues("miss")
	entries := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "weir_enrich_cache_entries", Help: "Addresses that are kept with what mmdb files say of them.",
	}, func() float64 {
		e.mu.Lock()
		defer e.mu.Unlock()
		return float64(e.cache.len())
	})
	for _, c := range []prometheus.Collector{e.failures, lookups, entries} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("enrich: metrics: %w", err)
		}
	}
	return e, nil
}

// Swap puts new tables in the place of the old ones, whose files it closes.
func (e *Enricher) Swap(tables *Tables) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	old := e.tables
	e.tables, e.cache.half = tables, max(tables.entries/2, 1)
	e.cache.clear()
	return old.Close()
}

// Close closes the files. What is asked later finds nothing.
func (e *Enricher) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil
	}
	e.closed = true
	err := e.tables.Close()
	e.tables = &Tables{geo: &geo{}, entries: 1}
	e.cache.clear()
	return err
}

// Enrich fills in what is known of t. client is as much of its address as may be
// kept, the zero Prefix for nothing. It uses the memory of into again.
func (e *Enricher) Enrich(t *detect.Transaction, client netip.Prefix, into *detect.Context) {
	into.Client, into.Answers, into.Reputations = detect.ClientContext{}, into.Answers[:0], into.Reputations[:0]
	e.mu.Lock()
	defer e.mu.Unlock()
	if client.IsValid() {
		into.Client.Own = e.tables.own.LookupPrefix(client)
		into.Client.Name = e.tables.networks.of(client)
		if !into.Client.Own {
			into.Client.Place = e.place(client)
		}
	}
	if e.tables.networks == nil && e.tables.geo.none() {
		return
	}
	_, walk, err := dnswire.WalkMessage(t.Response)
	if err != nil {
		return
	}
	asked := 0
	for r := (dnswire.Record{}); asked < maxAnswers && walk.Next(&r) && r.Section == dnswire.Answer; {
		addr := r.Address(t.Response).Unmap()
		if !addr.IsValid() {
			continue
		}
		asked++
		p := netip.PrefixFrom(addr, addr.BitLen())
		one := detect.AnswerContext{Addr: addr, Name: e.tables.networks.of(p), Place: e.place(p)}
		if one.Name != "" || one.Place != (detect.Place{}) {
			into.Answers = append(into.Answers, one)
		}
	}
}

// place looks in the cache, then in the files; mu is held.
func (e *Enricher) place(p netip.Prefix) detect.Place {
	if e.tables.geo.none() {
		return detect.Place{}
	}
	if place, ok := e.cache.get(p); ok {
		e.hits.Inc()
		return place
	}
	e.misses.Inc()
	place, err := e.tables.geo.place(p)
	if err != nil {
		e.failures.Inc() // what could be read is told
	}
	e.cache.put(p, place)
	return place
}
