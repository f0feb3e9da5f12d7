package capture

import (
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/internal/dnsname"
)

// FindingsConfig says what is looked for beyond single transactions, where
// somebody takes findings.
type FindingsConfig struct {
	// Resolvers are the addresses and prefixes of the resolvers that clients
	// should ask. Empty: no client bypasses any. Default: none.
	Resolvers []string `yaml:"resolvers"`
	// DoHNames and DoHAddresses are known servers of DNS over HTTPS, beside
	// those that are built in; names with all below them. Default: none.
	DoHNames     []string `yaml:"doh_names"`
	DoHAddresses []string `yaml:"doh_addresses"`
	// Repeat is how long the same finding is not told again. Default: 1h.
	Repeat time.Duration `yaml:"repeat"`
	// MaxEntries bounds what is remembered of each kind: findings that were
	// told, answers to compare. When it is full all of a kind is forgotten,
	// counted. An entry takes about 200 bytes. Default: 65536.
	MaxEntries int `yaml:"max_entries"`
}

// DefaultFindingsConfig is what a FindingsConfig says by default.
func DefaultFindingsConfig() FindingsConfig {
	return FindingsConfig{Repeat: time.Hour, MaxEntries: 1 << 16}
}

func (c *FindingsConfig) validate() (errs []error) {
	for i, s := range c.Resolvers {
		if _, err := parsePrefix(s); err != nil {
			errs = append(errs, fmt.Errorf("findings.resolvers[%d]: must be an address or a prefix, got %q", i, s))
		}
	}
	for i, s := range c.DoHAddresses {
		if _, err := netip.ParseAddr(s); err != nil {
			errs = append(errs, fmt.Errorf("findings.doh_addresses[%d]: must be an address, got %q", i, s))
		}
	}
	for i, s := range c.DoHNames {
		if _, err := dnsname.Parse(s); err != nil {
			errs = append(errs, fmt.Errorf("findings.doh_names[%d]: %w", i, err))
		}
	}
	if c.Repeat < 0 {
		errs = append(errs, fmt.Errorf("findings.repeat: must not be below 0s, got %v", c.Repeat))
	}
	if c.MaxEntries < 16 {
		errs = append(errs, fmt.Errorf("findings.max_entries: must be at least 16, got %d", c.MaxEntries))
	}
	return errs
}

func parsePrefix(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	return p.Masked(), err
}

// watcher looks for findings in what all workers see.
type watcher struct {
	resolvers []netip.Prefix
	dohAddrs  map[netip.Addr]bool
	dohNames  map[string]bool
	repeat    time.Duration
	most      int
	sinks     []detect.FindingSink

	found     [detect.FindingKinds]atomic.Uint64
	forgotten atomic.Uint64

	mu      sync.Mutex // guards what is below
	told    map[toldKey]time.Time
	said    map[questionKey]statement
	settled map[exchangeKey]settlement
	finding detect.Finding
	facts   []detect.Fact
}

// toldKey is one finding, by what makes it the same one.
type toldKey struct {
	kind   detect.FindingKind
	client netip.Addr
	server netip.Addr
	about  string
}

// newWatcher is nil if nobody takes findings.
func newWatcher(c *FindingsConfig, sinks []detect.FindingSink) *watcher {
	if len(sinks) == 0 {
		return nil
	}
	w := &watcher{
		dohAddrs: map[netip.Addr]bool{}, dohNames: map[string]bool{}, repeat: c.Repeat, most: c.MaxEntries, sinks: sinks,
		told: map[toldKey]time.Time{}, said: map[questionKey]statement{}, settled: map[exchangeKey]settlement{},
	}
	for _, s := range c.Resolvers {
		p, _ := parsePrefix(s) // Validate saw to it
		w.resolvers = append(w.resolvers, p)
	}
	for _, s := range append(strings.Fields(knownDoHAddresses), c.DoHAddresses...) {
		w.dohAddrs[netip.MustParseAddr(s).Unmap()] = true
	}
	for _, s := range append(strings.Fields(knownDoHNames), c.DoHNames...) {
		w.dohNames[strings.ToLower(strings.TrimSuffix(s, "."))] = true
	}
	return w
}

func (w *watcher) register(reg prometheus.Registerer) []error {
	return []error{reg.Register(prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "weir_findings_forgotten_total", Help: "Entries that findings are made of and that were forgotten since there were too many.",
	}, func() float64 { return float64(w.forgotten.Load()) }))}
}

// levels is what each kind says by itself: to speak past a resolver is worth a
// look, and two answers that cannot both be true want an explanation.
var levels = [detect.FindingKinds]detect.Level{
	detect.EncryptedDNS: detect.LevelLow, detect.BypassedResolver: detect.LevelLow,
	detect.AnswersDiffer: detect.LevelMedium, detect.AnswersRace: detect.LevelMedium,
}

// tellLocked tells a finding unless it was told lately.
func (w *watcher) tellLocked(kind detect.FindingKind, at time.Time, client, server netip.Addr, name dnsname.Name, about string, facts ...detect.Fact) {
	key := toldKey{kind, client, server, about}
	if last, ok := w.told[key]; ok && at.Sub(last).Abs() < w.repeat {
		return
	}
	roomLocked(w, w.told)
	w.told[key] = at
	w.found[kind].Add(1)
	w.facts = append(append(w.facts[:0], detect.Fact{Key: "server", Value: server.String()}), facts...)
	w.finding = detect.Finding{Time: at, Kind: kind, Level: levels[kind], Client: client, Name: name, Evidence: w.facts}
	for _, s := range w.sinks {
		s.Find(&w.finding)
	}
}

// roomLocked makes room for one more.
func roomLocked[K comparable, V any](w *watcher, m map[K]V) {
	if len(m) >= w.most {
		w.forgotten.Add(uint64(len(m)))
		clear(m)
	}
}

// isResolver says whether an address is one of the site's resolvers.
func (w *watcher) isResolver(a netip.Addr) bool {
	for _, p := range w.resolvers {
		if p.Contains(a.Unmap()) {
			return true
		}
	}
	return false
}

// asked looks at a query: does it go to a server of the site?
func (w *watcher) asked(d *datagram, m *message) {
	client, server := d.src.Addr(), d.dst.Addr()
	if len(w.resolvers) == 0 || w.isResolver(server) || w.isResolver(client) {
		return
	}
	w.mu.Lock()
	w.tellLocked(detect.BypassedResolver, d.time, client, server, m.question.Name, "", detect.Fact{Key: "protocol", Value: "dns"})
	w.mu.Unlock()
}

// encrypted looks at the begin of a connection.
func (w *watcher) encrypted(e *encrypted, at time.Time) {
	client, server := e.client.Addr(), e.server.Addr()
	if w.isResolver(client) {
		return // it forwards so
	}
	name := string(e.sni)
	known := w.dohAddrs[server.Unmap()] || w.knownName(name)
	protocol := ""
	switch dot := e.server.Port() == portDoT; {
	case dot && e.udp:
		protocol = "doq"
	case dot:
		protocol = "dot"
	case !known:
		return
	case e.udp:
		protocol = "doh3"
	default:
		protocol = "doh"
	}
	var wire dnsname.Name
	if n, err := dnsname.Parse(name); err == nil && name != "" {
		wire = n
	}
	w.mu.Lock()
	w.tellLocked(detect.EncryptedDNS, at, client, server, wire, protocol, detect.Fact{Key: "protocol", Value: protocol}, detect.Fact{Key: "sni", Value: name})
	w.mu.Unlock()
}

func (w *watcher) knownName(name string) bool {
	for name = strings.ToLower(name); name != ""; _, name, _ = strings.Cut(name, ".") {
		if w.dohNames[name] {
			return true
		}
	}
	return false
}
