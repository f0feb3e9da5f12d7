// Package incident keeps what an analyst puts together of a case: events that
// belong to each other, and notes. One is a file in the state folder, of which
// there are a bounded number, each bounded.
//
// It reads no clock and judges nothing: what an event says is what whoever added
// it saw.
package incident

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
)

// Bounds.
const (
	MaxIncidents = 256
	MaxEvents    = 500 // of an incident
	maxTitle     = 200 // octets
	maxNote      = 16 << 10
	maxField     = 1100 // a name in presentation form has 1,020 at most
)

// Errors.
var (
	ErrFull    = fmt.Errorf("there are %d incidents already; export some and remove them", MaxIncidents)
	ErrUnknown = errors.New("no such incident")
	// ErrNotKept is a change that could not be written, and so was not made.
	ErrNotKept = errors.New("nothing changed, since it could not be kept")
)

// Event is one thing that belongs to an incident. It has no other rule than that
// it says something.
type Event struct {
	Time   time.Time `json:"time"`             // of what happened
	Kind   string    `json:"kind,omitempty"`   // as blocklist, model, finding, note
	Name   string    `json:"name,omitempty"`   // presentation form
	Client string    `json:"client,omitempty"` // as far as it is kept
	Text   string    `json:"text,omitempty"`
}

// Incident is a case.
type Incident struct {
	ID      string    `json:"id"`
	Title   string    `json:"title"`
	Note    string    `json:"note"`
	Created time.Time `json:"created"`
	Updated time.Time `json:"updated"`
	Events  []Event   `json:"events"` // by time
}

// Change is what is done to an incident; fields that are nil stay.
type Change struct {
	Title  *string `json:"title,omitempty"`
	Note   *string `json:"note,omitempty"`
	Add    []Event `json:"add,omitempty"`
	Remove []int   `json:"remove,omitempty"` // places in Events
}

// Book is all incidents. It is safe for use by many goroutines.
type Book struct {
	dir string

	mu  sync.Mutex
	all map[string]*Incident // immutable; a change replaces one
}

// List is all incidents, the latest changed first.
func (b *Book) List() []Incident {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := []Incident{}
	for _, i := range b.all {
		out = append(out, *i)
	}
	slices.SortFunc(out, func(a, b Incident) int {
		return cmp.Or(b.Updated.Compare(a.Updated), cmp.Compare(a.ID, b.ID))
	})
	return out
}

// Get is one incident.
func (b *Book) Get(id string) (Incident, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if i, ok := b.all[id]; ok {
		return *i, nil
	}
	return Incident{}, ErrUnknown
}

// Open begins an incident.
func (b *Book) Open(c Change, now time.Time) (Incident, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.all) >= MaxIncidents {
		return Incident{}, ErrFull
	}
	if c.Title == nil || strings.TrimSpace(*c.Title) == "" {
		return Incident{}, errors.New("title: must not be empty")
	}
	return b.changeLocked(Incident{ID: strings.ToLower(rand.Text()[:12]), Created: now.UTC()}, c, now)
}

// Change changes an incident.
func (b *Book) Change(id string, c Change, now time.Time) (Incident, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	i, ok := b.all[id]
	if !ok {
		return Incident{}, ErrUnknown
	}
	return b.changeLocked(*i, c, now)
}

func (b *Book) changeLocked(i Incident, c Change, now time.Time) (Incident, error) {
	next, err := i.with(c)
	if err != nil {
		return Incident{}, err
	}
	next.Updated = now.UTC()
	if err := b.write(&next); err != nil {
		return Incident{}, fmt.Errorf("%w: %w", ErrNotKept, err)
	}
	b.all[next.ID] = &next
	return next, nil
}

// Remove forgets an incident.
func (b *Book) Remove(id string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, ok := b.all[id]; !ok {
		return ErrUnknown
	}
	if err := b.erase(id); err != nil {
		return fmt.Errorf("%w: %w", ErrNotKept, err)
	}
	delete(b.all, id)
	return nil
}

// with is i after c.
func (i Incident) with(c Change) (Incident, error) {
	if c.Title != nil {
		i.Title = strings.TrimSpace(*c.Title)
	}
	if c.Note != nil {
		i.Note = *c.Note
	}
	gone := slices.Clone(c.Remove)
	slices.Sort(gone)
	i.Events = slices.Clone(i.Events)
	for _, at := range slices.Backward(slices.Compact(gone)) {
		if at < 0 || at >= len(i.Events) {
			return Incident{}, fmt.Errorf("remove: there is no event %d", at)
		}
		i.Events = slices.Delete(i.Events, at, at+1)
	}
	for _, e := range c.Add {
		e.Time = e.Time.UTC()
		if !slices.Contains(i.Events, e) { // the same thing, selected twice
			i.Events = append(i.Events, e)
		}
	}
	slices.SortStableFunc(i.Events, func(a, b Event) int { return a.Time.Compare(b.Time) })
	return i, i.check()
}

// check says everything that is wrong with i.
func (i *Incident) check() error {
	var errs []error
	text := func(what, s string, most int, lines bool) {
		if len(s) > most {
			errs = append(errs, fmt.Errorf("%s: at most %d octets, got %d", what, most, len(s)))
		}
		if strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) && (!lines || r != '\n' && r != '\t') }) {
			errs = append(errs, fmt.Errorf("%s: control characters", what))
		}
	}
	if i.Title == "" {
		errs = append(errs, errors.New("title: must not be empty"))
	}
	text("title", i.Title, maxTitle, false)
	text("note", i.Note, maxNote, true)
	if len(i.Events) > MaxEvents {
		errs = append(errs, fmt.Errorf("events: at most %d, got %d", MaxEvents, len(i.Events)))
		return errors.Join(errs...)
	}
	for n, e := range i.Events {
		at := fmt.Sprintf("events[%d]", n)
		if y := e.Time.Year(); e.Time.IsZero() || y < 1970 || y > 9999 {
			errs = append(errs, fmt.Errorf("%s.time: is needed, from 1970 on", at))
		}
		if e.Name == "" && e.Client == "" && e.Text == "" {
			errs = append(errs, fmt.Errorf("%s: says nothing", at))
		}
		for what, s := range map[string]string{"kind": e.Kind, "name": e.Name, "client": e.Client, "text": e.Text} {
			text(at+"."+what, s, maxField, false)
		}
	}
	return errors.Join(errs...)
}
