package alert

import (
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
)

// Bounds of what people may do.
const (
	maxSilences = 256
	maxNote     = 200 // octets
	// MaxSilence is how long a silence may last.
	MaxSilence = 31 * 24 * time.Hour
)

// Errors of operations.
var (
	ErrUnknown  = errors.New("there is no such alert or silence")
	ErrTooMany  = fmt.Errorf("there are %d silences already; end some", maxSilences)
	ErrBadNote  = fmt.Errorf("note: must be one line of at most %d octets", maxNote)
	ErrDuration = fmt.Errorf("for: must be 1s to %v", MaxSilence)
	ErrNoRule   = errors.New("rule: no rule has that name")
)

// Report is what is listed: the alerts that fire, then those that are over, each
// the newest first.
type Report struct {
	Alerts   []Alert   `json:"alerts"`
	Silences []Silence `json:"silences"`
}

// Report says how things stand.
func (e *Engine) Report() Report {
	e.mu.Lock()
	defer e.mu.Unlock()
	r := Report{Alerts: []Alert{}, Silences: append([]Silence{}, e.silences...)}
	for _, a := range e.firing {
		r.Alerts = append(r.Alerts, a.copy())
	}
	slices.SortFunc(r.Alerts, newestFirst)
	for _, a := range slices.Backward(e.over) {
		r.Alerts = append(r.Alerts, a.copy())
	}
	return r
}

func (a *Alert) copy() Alert {
	c := *a
	c.Events, c.ToldTo = slices.Clone(a.Events), slices.Clone(a.ToldTo)
	return c
}

func newestFirst(a, b Alert) int { return cmp.Or(b.Began.Compare(a.Began), cmp.Compare(a.ID, b.ID)) }

// Ack says that somebody knows of an alert that fires: it is not told again nor
// escalated until it is over. id may be the beginning of one.
func (e *Engine) Ack(id, note string) (Alert, error) {
	if err := checkNote(note); err != nil {
		return Alert{}, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	var found *Alert
	for _, a := range e.firing {
		if a.ID == id {
			found = a
			break
		}
		if len(id) >= 4 && strings.HasPrefix(a.ID, id) {
			if found != nil {
				return Alert{}, fmt.Errorf("%w: %q is the beginning of several", ErrUnknown, id)
			}
			found = a
		}
	}
	if found == nil {
		return Alert{}, ErrUnknown
	}
	found.Acked = &Ack{Time: e.nowLocked().UTC(), Note: note}
	e.dirty = true
	return found.copy(), nil
}

// AddSilence keeps alerts of a rule, of a client, network or name, or both, from
// being told for a while.
func (e *Engine) AddSilence(s Silence, lasts time.Duration) (Silence, error) {
	if err := checkNote(s.Note); err != nil {
		return Silence{}, err
	}
	if lasts < time.Second || lasts > MaxSilence {
		return Silence{}, ErrDuration
	}
	if s.Rule != "" && !slices.ContainsFunc(*e.rules.Load(), func(r *rule) bool { return r.Name == s.Rule }) {
		return Silence{}, ErrNoRule
	}
	if len(s.Key) > 1024 || strings.ContainsFunc(s.Key, unicode.IsControl) {
		return Silence{}, errors.New("key: must be a client, network or name as an alert shows it")
	}
	var id [4]byte
	_, _ = rand.Read(id[:]) // never fails
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.silences) >= maxSilences {
		return Silence{}, ErrTooMany
	}
	s.ID, s.Until = hex.EncodeToString(id[:]), e.nowLocked().Add(lasts).UTC()
	e.silences = append(e.silences, s)
	e.dirty = true
	return s, nil
}

// EndSilence ends one before its time.
func (e *Engine) EndSilence(id string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	i := slices.IndexFunc(e.silences, func(s Silence) bool { return s.ID == id })
	if i < 0 {
		return ErrUnknown
	}
	e.silences = slices.Delete(e.silences, i, i+1)
	e.dirty = true
	return nil
}

func checkNote(note string) error {
	if len(note) > maxNote || strings.ContainsFunc(note, unicode.IsControl) {
		return ErrBadNote
	}
	return nil
}
