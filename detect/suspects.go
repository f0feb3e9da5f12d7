package detect

import (
	"cmp"
	"crypto/rand"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/weirdns/weir/internal/dnsname"
)

// FindingList is what matches of suspects are called, beside the names of lists.
// No list of a configuration can have it.
const FindingList = "behaviour finding"

// maxSuspects bounds the registered domains that are suspected, and
// maxSuspectsEach the clients that one of them is suspected for; what began
// first makes room.
const (
	maxSuspects     = 1024
	maxSuspectsEach = 64
)

// Suspects are registered domains that findings speak against, each for the
// client that it was found with or for everybody, until a moment: what findings
// have to say of later queries. Put among a Findings' sinks and a Detector's
// Deps, it brings the one to the other. AppendState and RestoreState have them
// outlive a restart.
type Suspects struct {
	suffixes *dnsname.Suffixes
	key      [16]byte // what clients are hashed with in the state; of the first run's

	mu      sync.Mutex // guards changes
	changes uint64
	evicted uint64

	current atomic.Pointer[map[string][]suspect] // by wire form; immutable
}

// suspect is one finding as queries meet it.
type suspect struct {
	kind    FindingKind
	enforce bool
	client  netip.Addr // invalid: everybody, or unknown since a restart
	who     uint64     // hash of client; 0: everybody
	since   time.Time
	until   time.Time
	info    string
}

// NewSuspects makes an empty one and registers its metrics.
func NewSuspects(suffixes *dnsname.Suffixes, reg prometheus.Registerer) *Suspects {
	s := &Suspects{suffixes: suffixes}
	_, _ = rand.Read(s.key[:]) // cannot fail
	s.current.Store(&map[string][]suspect{})
	reg.MustRegister(suspectsCollector{s})
	return s
}

// suspectedFor says whose queries a kind of finding speaks against: of the
// client's, since otherwise one client could have a name blocked for the others,
// or of everybody's, where the finding is about the name and not about who asks.
func suspectedFor(f *Finding) netip.Addr {
	if f.Kind == NewDomain || f.Kind == FastFlux || f.Kind == Imitation {
		return netip.Addr{}
	}
	return f.Client.Unmap().WithZone("")
}

// Find suspects the registered domain of f.Name until f.Until. It is a
// FindingSink.
func (s *Suspects) Find(f *Finding) {
	if f.Until.IsZero() || f.Name == nil {
		return
	}
	name := s.suffixes.Split(f.Name).Registered
	if name == nil {
		return // a public suffix, or the root: nobody's own, and everybody's
	}
	one := suspect{kind: f.Kind, enforce: f.Enforce, client: suspectedFor(f), since: f.Time, until: f.Until}
	one.who = s.hash(one.client)
	one.describe()
	s.mu.Lock()
	defer s.mu.Unlock()
	next := maps.Clone(*s.current.Load())
	maps.DeleteFunc(next, func(_ string, all []suspect) bool {
		return !slices.ContainsFunc(all, func(o suspect) bool { return f.Time.Before(o.until) })
	})
	key := string(name)
	kept := slices.DeleteFunc(slices.Clone(next[key]), func(o suspect) bool {
		return o.kind == one.kind && o.who == one.who || !f.Time.Before(o.until)
	})
	if len(kept) >= maxSuspectsEach {
		kept = kept[1:]
		s.evicted++
	}
	if _, there := next[key]; !there && len(next) >= maxSuspects {
		s.evict(next)
	}
	next[key] = append(kept, one)
	s.store(next)
}

// describe says what verdicts say of it.
func (o *suspect) describe() {
	o.info = "found " + o.since.UTC().Format(time.RFC3339) + ", until " + o.until.UTC().Format(time.RFC3339)
}

// store puts next in place; mu is held.
func (s *Suspects) store(next map[string][]suspect) {
	s.current.Store(&next)
	s.changes++
}

// evict takes the domain out whose last finding began first; mu is held.
func (s *Suspects) evict(all map[string][]suspect) {
	var oldest string
	var since time.Time
	for name, of := range all {
		if last := of[len(of)-1].since; oldest == "" || last.Before(since) {
			oldest, since = name, last
		}
	}
	s.evicted += uint64(len(all[oldest]))
	delete(all, oldest)
}

// Keep forgets the findings that keep does not want, and blocks no more by those
// that are not to be enforced any longer. Of a finding it is shown all but its level
// and evidence, who was found with a domain that everybody is suspected for, and
// whose address is unknown since a restart.
func (s *Suspects) Keep(keep func(*Finding) (enforce, ok bool)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.any() {
		return
	}
	next := map[string][]suspect{}
	for name, all := range *s.current.Load() {
		for _, one := range all {
			f := Finding{Time: one.since, Kind: one.kind, Client: one.client, Name: dnsname.Name(name), Until: one.until}
			if enforce, ok := keep(&f); ok {
				one.enforce = one.enforce && enforce
				next[name] = append(next[name], one)
			}
		}
	}
	s.store(next)
}

// Suspect is a registered domain that a finding speaks against.
type Suspect struct {
	Name     string
	Kind     FindingKind
	Everyone bool       // it is suspected whoever asks
	Client   netip.Addr // else who; invalid: who did not do it again since a restart
	Since    time.Time
	Until    time.Time
	Enforce  bool
}

// At are those of a moment, in the order of their ends.
func (s *Suspects) At(t time.Time) (out []Suspect) {
	for name, all := range *s.current.Load() {
		for _, one := range all {
			if t.Before(one.until) {
				out = append(out, Suspect{dnsname.Name(name).String(), one.kind, one.who == 0, one.client, one.since.UTC(), one.until.UTC(), one.enforce})
			}
		}
	}
	slices.SortFunc(out, func(a, b Suspect) int { return cmp.Or(a.Until.Compare(b.Until), cmp.Compare(a.Name, b.Name)) })
	return out
}

// means says whether a suspect is one for a client.
func (s *Suspects) means(o *suspect, client netip.Addr) bool {
	if o.who == 0 || o.client.IsValid() {
		return o.who == 0 || o.client == client
	}
	return o.who == s.hash(client)
}

// any says whether anything is suspected.
func (s *Suspects) any() bool { return s != nil && len(*s.current.Load()) > 0 }

// suspected adds to v what findings have against a registered domain. Popular
// domains are only watched.
func (d *Detector) suspected(st *state, q *Query, registered dnsname.Name, v *Verdict) {
	all := (*d.deps.Suspects.current.Load())[string(registered)]
	for i := range all {
		one := &all[i]
		if !q.Time.Before(one.until) || !d.deps.Suspects.means(one, q.Client.Unmap().WithZone("")) {
			continue
		}
		popular := st.popular.Has(registered)
		v.Popular = v.Popular || popular
		m := Match{List: FindingList, Rule: findingNames[one.kind], Info: one.info}
		enforce := one.enforce && !popular
		if enforce {
			m.Effect = EffectEnforce
		}
		v.add(m)
		st.policy.suspected.apply(v, OriginBehaviour, enforce)
	}
}

var (
	suspectNames   = prometheus.NewDesc("weir_suspect_domains", "Registered domains that findings speak against, by kind of finding and mode.", []string{"kind", "mode"}, nil)
	suspectEvicted = prometheus.NewDesc("weir_suspect_domains_evicted_total", "Findings that were forgotten before their time, since there are as many as may be.", nil, nil)
)

// suspectsCollector shows what a Suspects has.
type suspectsCollector struct{ s *Suspects }

func (c suspectsCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- suspectNames
	ch <- suspectEvicted
}

func (c suspectsCollector) Collect(ch chan<- prometheus.Metric) {
	var counts [FindingKinds][2]int
	for _, all := range *c.s.current.Load() {
		for _, one := range all {
			mode := 0 // of modeNames
			if one.enforce {
				mode = 1
			}
			counts[one.kind][mode]++
		}
	}
	for kind := range counts {
		if k := FindingKind(kind); k.Suspects() {
			for mode, n := range counts[kind] {
				ch <- prometheus.MustNewConstMetric(suspectNames, prometheus.GaugeValue, float64(n), k.String(), modeNames[mode])
			}
		}
	}
	c.s.mu.Lock()
	evicted := c.s.evicted
	c.s.mu.Unlock()
	ch <- prometheus.MustNewConstMetric(suspectEvicted, prometheus.CounterValue, float64(evicted))
}
