package alert

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/pdns/privacy"
	"go.uber.org/zap"
)

// Receiver is whom an Engine tells.
type Receiver struct {
	Name        string
	MinSeverity Severity
	// OnlyNamed: not told by rules that name no receivers.
	OnlyNamed bool
	// Resolved: told when an alert is over, too.
	Resolved bool
	// Put takes a notification, for good: it is on the disk when Put returns. An
	// error means that it is to be tried again.
	Put func(n *Notification) error
}

// Deps are what an Engine works with.
type Deps struct {
	// Dir is the folder for alerts and counters. Empty: they are not kept.
	Dir      string
	Log      *zap.Logger
	Registry prometheus.Registerer
	// Privacy says how much of a client is kept and told, and who is not looked at.
	Privacy *privacy.Guard
	// Suffixes finds registered domains; nil means those of the build.
	Suffixes *dnsname.Suffixes
	// Receivers that rules name.
	Receivers []Receiver
	// Schedules that rules name.
	Schedules map[string]*detect.Schedule
	// Group says which group of clients an address belongs to; nil: none.
	Group func(client netip.Addr, t time.Time) string
	// Now lets time pass while nothing comes, for data that come as they happen;
	// nil: only data move it.
	Now func() time.Time
}

// rule is a Rule made ready to use.
type rule struct {
	Rule
	matcher  *matcher
	texts    *texts
	quiet    *detect.Schedule
	windows  memory[*window]
	seen     memory[int64] // of First: when a key was last met, Unix nanoseconds
	fired    atomic.Uint64
	events   atomic.Uint64
	receives []*Receiver
	steps    [][]*Receiver // of Escalate
}

// Engine evaluates rules. It is an output of a pdns.Recorder and a
// detect.FindingSink, and may be used by many goroutines.
type Engine struct {
	rules    atomic.Pointer[[]*rule] // a reload replaces them; what they remember is under mu
	privacy  *privacy.Guard
	suffixes *dnsname.Suffixes
	group    groupOf
	log      *zap.Logger
	clock    func() time.Time
	counts   counters
	files    *files // nil: nothing is kept
	restored error  // why the last run's state was not taken up; said once

	mu        sync.Mutex // guards what is below, and what rules remember
	cfg       Config
	receivers []*Receiver
	orphan    *rule     // tells of alerts whose rule is gone
	latest    time.Time // of the data
	firing    map[string]*Alert
	over      []*Alert // the newest last
	silences  []Silence
	pending   []delivery
	dirty     bool // alerts or silences changed
	counted   bool // what rules remember changed
	recorded  uint64
}

// delivery is a notification on its way to one receiver.
type delivery struct {
	to *Receiver
	n  *Notification
}

// maxPending bounds what waits for a disk that refuses.
const maxPending = 1000

// New makes an Engine with what the last run left, and registers its metrics.
// State that cannot be read is said in the log and begins anew.
func New(cfg Config, deps Deps) (*Engine, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("alerts: %w", err)
	}
	if deps.Suffixes == nil {
		deps.Suffixes = dnsname.DefaultSuffixes()
	}
	e := &Engine{
		cfg: cfg, privacy: deps.Privacy, suffixes: deps.Suffixes, group: deps.Group, log: deps.Log, clock: deps.Now,
		firing: map[string]*Alert{},
	}
	rules, receivers, err := compile(&cfg, deps.Receivers, deps.Schedules)
	if err != nil {
		return nil, fmt.Errorf("alerts: %w", err)
	}
	e.rules.Store(&rules)
	e.receivers = receivers
	texts, err := parseTemplates("", "")
	if err != nil {
		return nil, fmt.Errorf("alerts: %w", err)
	}
	e.orphan = &rule{texts: texts}
	if deps.Dir != "" {
		e.files = &files{dir: deps.Dir}
		e.restored = e.restore()
	}
	if err := e.register(deps.Registry); err != nil {
		return nil, fmt.Errorf("alerts: metrics: %w", err)
	}
	return e, nil
}

// Check says what is wrong with the references of c: its receivers and schedules.
func Check(c *Config, receivers []string, schedules map[string]*detect.Schedule) error {
	var all []Receiver
	for _, name := range receivers {
		all = append(all, Receiver{Name: name})
	}
	_, _, err := compile(c, all, schedules)
	return err
}

// compile makes the rules, and receivers that are theirs. Errors begin with the
// field.
func compile(c *Config, told []Receiver, schedules map[string]*detect.Schedule) ([]*rule, []*Receiver, error) {
	var errs []error
	var receivers []*Receiver
	byName := map[string]*Receiver{}
	for _, r := range told {
		receivers = append(receivers, &r)
		byName[r.Name] = &r
	}
	at := func(name string) string {
		i := slices.IndexFunc(c.Rules, func(r Rule) bool { return r.Name == name })
		return fmt.Sprintf("rules[%d].", i)
	}
	find := func(field string, names []string, s Severity) (out []*Receiver) {
		for i, name := range names {
			r := byName[name]
			if r == nil {
				errs = append(errs, fmt.Errorf("%s[%d]: no receiver is named %q", field, i, name))
			} else if s >= r.MinSeverity {
				out = append(out, r)
			}
		}
		return out
	}
	var out []*rule
	for _, conf := range c.rules() {
		r := &rule{
			Rule:    conf,
			windows: memory[*window]{max: c.MaxKeys, all: map[string]*window{}, last: func(w *window) int64 { return w.Last }},
			seen:    memory[int64]{max: c.MaxKeys, all: map[string]int64{}, last: func(at int64) int64 { return at }},
		}
		var err error
		if r.matcher, err = newMatcher(&conf.Match); err != nil {
			errs = append(errs, prefixed(at(conf.Name)+"match.", err)...)
			continue
		}
		subject, body := conf.Subject, conf.Body
		if subject == "" {
			subject = c.Subject
		}
		if body == "" {
			body = c.Body
		}
		if r.texts, err = parseTemplates(subject, body); err != nil {
			errs = append(errs, fmt.Errorf("%s%w", at(conf.Name), err))
		}
		if r.quiet = schedules[conf.Quiet]; r.quiet == nil && conf.Quiet != "" {
			errs = append(errs, fmt.Errorf("%squiet: no schedule is named %q", at(conf.Name), conf.Quiet))
		}
		if len(conf.Receivers) > 0 {
			r.receives = find(at(conf.Name)+"receivers", conf.Receivers, conf.Severity)
		} else {
			for _, to := range receivers {
				if !to.OnlyNamed && conf.Severity >= to.MinSeverity {
					r.receives = append(r.receives, to)
				}
			}
		}
		for i, s := range conf.Escalate {
			r.steps = append(r.steps, find(fmt.Sprintf("%sescalate[%d].receivers", at(conf.Name), i), s.Receivers, Critical))
		}
		out = append(out, r)
	}
	return out, receivers, errors.Join(errs...)
}

// Name is the output's name in metrics.
func (e *Engine) Name() string { return "alerts" }

// Wants says whether a rule is about t. It is called on the answer path.
func (e *Engine) Wants(t *detect.Transaction) bool {
	for _, r := range *e.rules.Load() {
		if r.matcher.transaction(t, e.group) {
			return true
		}
	}
	return false
}

// Consume takes a transaction.
func (e *Engine) Consume(t *detect.Transaction) {
	var event *Event
	e.mu.Lock()
	defer e.mu.Unlock()
	e.recorded++
	e.passLocked(t.Query.Time)
	for _, r := range *e.rules.Load() {
		if !r.matcher.transaction(t, e.group) {
			continue
		}
		if event == nil {
			event = e.event(t)
		}
		e.countLocked(r, t.Query.Client, t.Query.Name, event)
	}
}

// Find takes a finding.
func (e *Engine) Find(f *detect.Finding) {
	if e.privacy.Skips(f.Client, f.Name) {
		return
	}
	var event *Event
	e.mu.Lock()
	defer e.mu.Unlock()
	e.passLocked(f.Time)
	for _, r := range *e.rules.Load() {
		if !r.matcher.finding(f, e.group) {
			continue
		}
		if event == nil {
			event = e.found(f)
		}
		e.countLocked(r, f.Client, f.Name, event)
	}
}

// passLocked lets the time of the data pass.
func (e *Engine) passLocked(t time.Time) {
	if t.After(e.latest) {
		e.latest = t
	}
}

// nowLocked is the time that alerts grow old by.
func (e *Engine) nowLocked() time.Time {
	if e.clock != nil {
		return e.clock()
	}
	return e.latest
}

// countLocked adds an event to what it belongs to, and fires if that is enough.
func (e *Engine) countLocked(r *rule, client netip.Addr, name dnsname.Name, event *Event) {
	r.events.Add(1)
	key := e.key(r.By, client, name)
	at := event.Time
	if r.First {
		last, known := r.seen.all[key]
		if !known {
			e.counts.forgotten.Add(uint64(r.seen.room(at.Add(-r.Forget).UnixNano())))
		}
		r.seen.all[key] = max(last, at.UnixNano())
		e.counted = true
		if known = known && at.Sub(time.Unix(0, last)) < r.Forget; known && e.firing[place(r.Name, key)] == nil {
			return
		}
	}
	if a := e.firing[place(r.Name, key)]; a != nil {
		a.Count++
		if at.After(a.Last) {
			a.Last = at
		}
		a.Events = keep(a.Events, *event)
		e.dirty = true
		return
	}
	if r.Count <= 1 {
		e.fireLocked(r, key, 1, at, []Event{*event})
		return
	}
	w := r.windows.all[key]
	if w == nil {
		e.counts.forgotten.Add(uint64(r.windows.room(at.Add(-r.Window).UnixNano())))
		w = &window{}
		r.windows.all[key] = w
	}
	e.counted = true
	n := 0
	if r.Distinct {
		n = w.addName(e.registered(name), at, r.Window)
	} else {
		n = w.add(at, r.Window)
	}
	w.Events = keep(w.Events, *event)
	if n >= r.Count {
		delete(r.windows.all, key)
		e.fireLocked(r, key, uint64(n), at, w.Events)
	}
}

// place is the key of an alert that fires.
func place(rule, key string) string { return rule + "\x00" + key }

// fireLocked begins an alert, or goes on with one that was over for a short time.
func (e *Engine) fireLocked(r *rule, key string, count uint64, at time.Time, events []Event) {
	for i, a := range slices.Backward(e.over) {
		if a.Rule != r.Name || a.Key != key {
			continue
		}
		if at.Sub(a.Notified) >= r.Repeat {
			break
		}
		e.over = slices.Delete(e.over, i, i+1)
		a.State, a.Ended, a.Last, a.Count, a.Owed, a.Held = Firing, time.Time{}, at, a.Count+count, true, ""
		for _, event := range events {
			a.Events = keep(a.Events, event)
		}
		e.firing[place(r.Name, key)] = a
		e.counts.suppressed[heldRepeat].Add(1)
		e.dirty = true
		return
	}
	if len(e.firing) >= e.cfg.MaxAlerts {
		e.counts.refused.Add(1)
		return
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%s\x00%d", r.Name, key, at.UnixNano()))
	a := &Alert{
		ID: hex.EncodeToString(sum[:8]), Rule: r.Name, Severity: r.Severity, State: Firing, By: r.By, Key: key,
		Began: at, Last: at, Count: count, Events: slices.Clone(events), Owed: true,
	}
	e.firing[place(r.Name, key)] = a
	r.fired.Add(1)
	e.dirty = true
	// Without name or client: those are for who asks.
	e.log.Info("an alert fires", zap.String("rule", r.Name), zap.Stringer("severity", r.Severity), zap.String("id", a.ID))
}

// Stopping has nothing to do: Close writes, and waits for nobody.
func (e *Engine) Stopping() {}

// Recorded counts transactions.
func (e *Engine) Recorded() uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.recorded
}

// Dropped is 0: what is forgotten for want of room has a metric of its own.
func (e *Engine) Dropped() uint64 { return 0 }
