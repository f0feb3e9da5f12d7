// Package unusual ranks what is least usual of a day: Apache Spot's suspicious
// connects, while they happen. Each transaction is made the word that Spot makes of
// it (whose name, how long, which hour, how random, which type, which code), and its
// surprise is −log2 P(word | client), backing off to the network where little is
// known of the client. There is no batch job: counters of a fixed size learn as
// transactions pass, what is old counts less, and a day's list is ranked when it is
// asked for.
//
// A client that asks for one domain in one way counts once an hour, so that a flood
// does not make itself usual. Unusual is not malicious: the list is for people to
// look at, and nothing is blocked by it.
package unusual

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/pdns/privacy"
)

var errDay = errors.New("day: must be like 2006-01-02")

// Deps are what a Tracker works with.
type Deps struct {
	// Dir is the state folder; empty: nothing survives.
	Dir      string
	Registry prometheus.Registerer
	// Privacy is how much of clients is kept. It must not be nil.
	Privacy *privacy.Guard
	// Standing says whose a name is; nil: everybody's.
	Standing func(name, registered dnsname.Name) detect.Standing
	// Suffixes finds registered domains; nil: the list that the module was built with.
	Suffixes *dnsname.Suffixes
	// Seed is the secret beginning of hashes until one is read from the state; 0: a
	// random one.
	Seed uint64
	// Now is the clock that says when the state is written; nil: the system's.
	Now func() time.Time
}

// Tracker is an output of a pdns.Recorder, and a detect.Sink for captures. It is
// safe for any number of goroutines.
type Tracker struct {
	cfg      Config
	dir      string
	guard    *privacy.Guard
	standing func(name, registered dnsname.Name) detect.Standing
	suffixes *dnsname.Suffixes
	now      func() time.Time
	book     *Book
	failed   prometheus.Counter

	mu       sync.Mutex // guards what is below
	profile  *profile
	recent   recent
	days     []*day // in order
	recorded uint64
	stale    uint64 // transactions of days that are finished
	saved    time.Time
	dirty    bool
	restored error // why there is no state of the last run
}

// New makes a Tracker with the state of the last run. State that cannot be used is no
// error: Restored says so, and it begins anew.
func New(cfg Config, deps Deps) (*Tracker, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("unusual: %w", err)
	}
	t := &Tracker{
		cfg: cfg, dir: deps.Dir, guard: deps.Privacy, standing: deps.Standing, suffixes: deps.Suffixes, now: deps.Now,
		recent: make(recent, recentKeys),
		failed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "weir_unusual_save_failures_total", Help: "Times that what is usual could not be written to the state folder.",
		}),
	}
	if t.suffixes == nil {
		t.suffixes = dnsname.DefaultSuffixes()
	}
	if t.now == nil {
		t.now = time.Now
	}
	if t.standing == nil {
		t.standing = func(dnsname.Name, dnsname.Name) detect.Standing { return detect.StandingOther }
	}
	if deps.Seed == 0 {
		var b [8]byte
		_, _ = rand.Read(b[:]) // cannot fail
		deps.Seed = binary.LittleEndian.Uint64(b[:])
	}
	t.profile = newProfile(cfg.HalfLife, cfg.MemoryBytes, deps.Seed)
	feedback := ""
	if t.dir != "" {
		t.restored = t.load()
		feedback = filepath.Join(t.dir, feedbackFile)
	}
	var err error
	if t.book, err = openBook(feedback); err != nil {
		t.restored = errors.Join(t.restored, err)
	}
	t.saved = t.now()
	stale := prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "weir_unusual_stale_total", Help: "Transactions of a day whose list was finished when they came.",
	}, func() float64 {
		t.mu.Lock()
		defer t.mu.Unlock()
		return float64(t.stale)
	})
	return t, errors.Join(deps.Registry.Register(t.failed), deps.Registry.Register(stale))
}

// Restored says why the state of the last run is not taken up; nil: it is. It is
// fs.ErrNotExist where there was none.
func (t *Tracker) Restored() error { return t.restored }

// Feedback is what analysts said.
func (t *Tracker) Feedback() *Book { return t.book }

// Name is the output's name in metrics.
func (t *Tracker) Name() string { return "unusual" }

// Wants says that everything with a name is looked at.
func (t *Tracker) Wants(tx *detect.Transaction) bool { return len(tx.Query.Name) > 1 }

// Record is Consume for captures: it waits, and leaves out what is not to be kept.
func (t *Tracker) Record(tx *detect.Transaction) {
	if t.Wants(tx) && !t.guard.Skips(tx.Query.Client, tx.Query.Name) {
		t.Consume(tx)
	}
}

// observation is a transaction as it is looked at.
type observation struct {
	client       netip.Addr // as much of it as may be kept
	domain, name dnsname.Name
	ident        uint64
	word         word
	at           int64
}

// Consume looks at a transaction.
func (t *Tracker) Consume(tx *detect.Transaction) {
	registered := tx.Verdict.Registered
	if registered == nil {
		registered = t.suffixes.Split(tx.Query.Name).Registered
	}
	standing := t.standing(tx.Query.Name, registered)
	domain := registered
	if domain == nil {
		domain = lastLabel(tx.Query.Name)
	}
	o := observation{
		client: t.guard.Address(tx.Query.Client), domain: domain, name: tx.Query.Name,
		word: makeWord(tx, standing, domain), at: tx.Query.Time.Unix(),
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.recorded++
	d := t.today(dayOf(o.at))
	if d == nil {
		t.stale++
		return
	}
	t.dirty = true
	o.ident = t.identity(tx.Query.Client, o.client)
	var number [8]byte
	binary.LittleEndian.PutUint64(number[:], uint64(d.number)) //nolint:gosec // only its bits
	key := o.word.key()
	if t.recent.add(hash64(o.ident^t.profile.seed, o.domain, key[:], number[:])) {
		t.profile.observe(o.ident, &o.word, o.at)
		d.note(t.profile, &o, t.cfg.Top)
	}
	d.count(&o)
}

// lastLabel is the part of a name that stands for a registered domain where there is
// none: the last label.
func lastLabel(n dnsname.Name) dnsname.Name {
	for {
		up := n.Parent()
		if len(up) <= 1 {
			return n
		}
		n = up
	}
}

// identity is a client in profiles: its address where that is there for this run
// only, its pseudonym where that is what is known of it.
func (t *Tracker) identity(addr, kept netip.Addr) uint64 {
	if t.guard.Known(kept) == (netip.Prefix{}) && kept.IsValid() {
		addr = kept
	}
	if !addr.IsValid() {
		return 0
	}
	b := addr.Unmap().WithZone("").As16()
	return max(hash64(t.profile.seed, b[:]), 1)
}

// today is the day under way, or the one before it, for what comes late; nil for
// one that is finished.
func (t *Tracker) today(number int64) *day {
	if n := len(t.days); n > 0 {
		if last := t.days[n-1]; last.number == number && !last.finished {
			return last
		}
	}
	for _, d := range t.days {
		if d.number == number {
			if d.finished {
				return nil
			}
			return d
		}
	}
	if n := len(t.days); n > 0 && number < t.days[n-1].number-1 {
		return nil
	}
	t.days = append(t.days, newDay(number))
	slices.SortFunc(t.days, func(a, b *day) int { return int(a.number - b.number) })
	latest := t.days[len(t.days)-1].number
	for _, d := range t.days {
		if d.number < latest-1 {
			d.finish(t.profile, t.cfg.Top)
		}
	}
	if over := len(t.days) - t.cfg.Days; over > 0 {
		t.days = slices.Delete(t.days, 0, over)
	}
	if i := slices.IndexFunc(t.days, func(d *day) bool { return d.number == number }); i >= 0 {
		return t.days[i]
	}
	return nil // there is no room for one that old
}

// Recorded counts the transactions that were looked at.
func (t *Tracker) Recorded() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.recorded
}

// Dropped is 0: there is always room.
func (t *Tracker) Dropped() uint64 { return 0 }

// Stopping does nothing: no call here takes long.
func (t *Tracker) Stopping() {}
