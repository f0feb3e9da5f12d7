package alert

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"
)

// Why an alert is not told. Suppressed notifications are counted by these.
const (
	heldSilence = iota
	heldQuiet
	heldAck
	heldRepeat // it came back soon after it was told
	heldKinds
)

var heldNames = [heldKinds]string{heldSilence: "silence", heldQuiet: "quiet", heldAck: "acknowledged", heldRepeat: "repeat"}

// Tend does what time makes due, hands notifications on, and brings changes to the
// disk. An error means that the disk refuses; it is tried again.
func (e *Engine) Tend() error {
	e.mu.Lock()
	if e.restored != nil {
		e.log.Error("alerts of the last run cannot be read and begin anew", zap.Error(e.restored))
		e.restored = nil
	}
	now := e.nowLocked()
	e.settleLocked(now)
	pending := e.pending
	e.pending = nil
	e.mu.Unlock()

	var errs []error
	var again []delivery
	dead := map[*Receiver]bool{} // the others need not wait for it
	for _, d := range pending {
		if !dead[d.to] {
			err := d.to.Put(d.n)
			if err == nil {
				continue
			}
			dead[d.to] = true
			errs = append(errs, fmt.Errorf("alerts: receiver %s: %w", d.to.Name, err))
		}
		again = append(again, d)
	}
	e.mu.Lock()
	e.pending = append(again, e.pending...)
	if over := len(e.pending) - maxPending; over > 0 {
		e.counts.lost.Add(uint64(over))
		e.pending = slices.Delete(e.pending, 0, over)
	}
	e.mu.Unlock()
	// After the notifications: one that is told twice is better than one that is not.
	return errors.Join(append(errs, e.save(now, false))...)
}

// Close brings everything to the disk.
func (e *Engine) Close() error {
	err := e.Tend()
	e.mu.Lock()
	now := e.nowLocked()
	e.counts.lost.Add(uint64(len(e.pending)))
	e.pending = nil
	e.mu.Unlock()
	return errors.Join(err, e.save(now, true))
}

// settleLocked ends what is over and tells what is due.
func (e *Engine) settleLocked(now time.Time) {
	before := len(e.silences)
	e.silences = slices.DeleteFunc(e.silences, func(s Silence) bool { return !now.Before(s.Until) })
	e.dirty = e.dirty || len(e.silences) != before
	// In an order that chance has no part in.
	firing := make([]*Alert, 0, len(e.firing))
	for _, a := range e.firing {
		firing = append(firing, a)
	}
	slices.SortFunc(firing, func(a, b *Alert) int {
		return cmp.Or(a.Began.Compare(b.Began), cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Key, b.Key))
	})
	rules := *e.rules.Load()
	for _, a := range firing {
		i := slices.IndexFunc(rules, func(r *rule) bool { return r.Name == a.Rule })
		if i < 0 { // no rule of the present configuration
			e.overLocked(a, e.orphan, now, e.receivers)
			continue
		}
		r := rules[i]
		over := now.Sub(a.Last) >= r.ResolveAfter
		if !over || a.Notified.IsZero() { // what is over is not repeated first
			e.tellLocked(a, r, now, e.heldLocked(a, r, now))
		}
		if over {
			e.overLocked(a, r, now, slices.Concat(append(slices.Clone(r.steps), r.receives)...))
		}
	}
}

// overLocked ends an alert, and tells those that were told that it fires: silent
// or not, they wait for this.
func (e *Engine) overLocked(a *Alert, r *rule, now time.Time, told []*Receiver) {
	e.endLocked(a, now)
	if a.Owed {
		a.Owed = false // it came and went while nothing was told
	} else if len(a.ToldTo) > 0 {
		var to []*Receiver
		for _, re := range told {
			if re.Resolved && slices.Contains(a.ToldTo, re.Name) && !slices.Contains(to, re) {
				to = append(to, re)
			}
		}
		e.sendLocked(a, r, now, ReasonOver, to)
	}
	a.ToldTo = nil
}

// heldLocked says why nothing may be told now, "" if it may.
func (e *Engine) heldLocked(a *Alert, r *rule, now time.Time) string {
	for i := range e.silences {
		if e.silences[i].covers(a, now) {
			return heldNames[heldSilence]
		}
	}
	switch {
	case r.quiet.Active(now):
		return heldNames[heldQuiet]
	case a.Acked != nil:
		return heldNames[heldAck]
	}
	return ""
}

// tellLocked tells what is due of an alert that fires.
func (e *Engine) tellLocked(a *Alert, r *rule, now time.Time, held string) {
	reason := ""
	switch {
	case a.Owed && (a.Notified.IsZero() || now.Sub(a.Notified) >= r.Repeat):
		reason = ReasonFires
	case !a.Owed && r.Repeat > 0 && now.Sub(a.Notified) >= r.Repeat:
		reason = ReasonRepeated
	}
	if reason != "" && held != "" {
		if a.Held != held {
			e.counts.suppressed[slices.Index(heldNames[:], held)].Add(1)
			a.Held, e.dirty = held, true
		}
		return
	}
	if reason != "" {
		a.Owed, a.Held, a.Notified, e.dirty = false, "", now, true
		if a.Told.IsZero() {
			a.Told = now
		}
		e.sendLocked(a, r, now, reason, r.receives)
	}
	if held != "" || a.Told.IsZero() {
		return
	}
	for a.Escalated < len(r.steps) {
		if s := r.Escalate[a.Escalated]; now.Sub(a.Told) < s.After || a.Count < s.Events {
			return
		}
		a.Escalated, e.dirty = a.Escalated+1, true
		e.sendLocked(a, r, now, ReasonEscalated, r.steps[a.Escalated-1])
	}
}

// endLocked takes an alert from those that fire.
func (e *Engine) endLocked(a *Alert, now time.Time) {
	delete(e.firing, place(a.Rule, a.Key))
	a.State, a.Ended, a.Acked, a.Held, a.Escalated, a.Told = Resolved, now, nil, "", 0, time.Time{}
	e.over = append(e.over, a)
	if n := len(e.over) - e.cfg.MaxAlerts; n > 0 {
		e.over = slices.Delete(e.over, 0, n)
	}
	e.dirty = true
	e.log.Info("an alert is over", zap.String("rule", a.Rule), zap.String("id", a.ID))
}

// forgetAfter is when a receiver may take an alert for over that is never told
// again.
const forgetAfter = 7 * 24 * time.Hour

// sendLocked makes one notification and queues it for each receiver.
func (e *Engine) sendLocked(a *Alert, r *rule, now time.Time, reason string, to []*Receiver) {
	if len(to) == 0 {
		return
	}
	a.Sent++
	for _, re := range to {
		if !slices.Contains(a.ToldTo, re.Name) {
			a.ToldTo = append(a.ToldTo, re.Name)
		}
	}
	n := &Notification{ID: fmt.Sprintf("%s-%d", a.ID, a.Sent), Reason: reason, Time: now.UTC(), Host: e.cfg.Host, Alert: *a}
	n.Alert.Events, n.Alert.ToldTo = slices.Clone(a.Events), nil
	switch {
	case reason == ReasonOver:
		n.Until = now.UTC()
	case r.Repeat > 0:
		n.Until = now.Add(r.Repeat + r.Repeat/4).UTC() // the repetition comes before that
	default:
		n.Until = now.Add(forgetAfter).UTC()
	}
	if err := r.texts.render(n); err != nil {
		e.counts.templates.Add(1)
		e.log.Warn("an alert's template fails, weir's own is used", zap.String("rule", r.Name), zap.Error(err))
		plain, _ := parseTemplates("", "") // weir's own: a test reads them
		_ = plain.render(n)                // and renders them
	}
	for _, re := range to {
		e.pending = append(e.pending, delivery{re, n})
	}
}
