package alert

import (
	"fmt"
	"slices"

	"github.com/weirdns/weir/detect"
)

// Reload puts other rules, receivers and schedules in place. What fires goes on
// to, and a rule of the same name goes on with what it counted, unless it counts
// something else now. An alert whose rule is gone is over with the next Tend. With
// an error nothing has changed.
func (e *Engine) Reload(cfg Config, told []Receiver, schedules map[string]*detect.Schedule) error {
	if err := cfg.Validate(); err != nil {
		return fmt.Errorf("alerts: %w", err)
	}
	rules, receivers, err := compile(&cfg, told, schedules)
	if err != nil {
		return fmt.Errorf("alerts: %w", err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	before := *e.rules.Load()
	for _, r := range rules {
		if i := slices.IndexFunc(before, func(o *rule) bool { return o.Name == r.Name }); i >= 0 {
			r.inherit(before[i])
		}
	}
	// What the disk has refused so far is for who has the name now.
	e.pending = slices.DeleteFunc(e.pending, func(d delivery) bool {
		return !slices.ContainsFunc(receivers, func(r *Receiver) bool { return r.Name == d.to.Name }) && e.lose()
	})
	for i := range e.pending {
		at := slices.IndexFunc(receivers, func(r *Receiver) bool { return r.Name == e.pending[i].to.Name })
		e.pending[i].to = receivers[at]
	}
	e.cfg, e.receivers = cfg, receivers
	e.rules.Store(&rules)
	e.dirty, e.counted = true, true
	return nil
}

// lose counts a notification that nobody is there for any more.
func (e *Engine) lose() bool {
	e.counts.lost.Add(1)
	return true
}

// inherit takes over what the rule of that name remembered, where that means the
// same.
func (r *rule) inherit(before *rule) {
	r.fired.Store(before.fired.Load())
	r.events.Store(before.events.Load())
	if r.By != before.By {
		return
	}
	if r.Window == before.Window && r.Distinct == before.Distinct {
		r.windows.all = before.windows.all
	}
	if r.First && before.First {
		r.seen.all = before.seen.all
	}
}
