// Package allow holds the names that an operator lets through for a while,
// against whatever lists and model say. They outlive a restart.
//
// It reads no clock: the time is the query's, or that of who asks.
package allow

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"

	"github.com/weirdns/weir/internal/dnsname"
)

// List is what records and metrics call these allows, beside the names of
// lists. No list of a configuration can have it.
const List = "timed allow"

// Bounds.
const (
	MaxEntries = 1024
	MaxFor     = 31 * 24 * time.Hour
	maxReason  = 200 // octets
)

// ErrFull is that there are MaxEntries already.
var ErrFull = fmt.Errorf("%d names are let through already; remove some, or put them into an allow list", MaxEntries)

// ErrNotKept is that a change could not be written, and so was not made.
var ErrNotKept = errors.New("nothing changed, since it could not be kept")

// Entry lets a name, and all below it, through until a moment.
type Entry struct {
	Name string `json:"name"` // presentation form
	// Client is who may pass; the zero Prefix, "" in JSON: everybody.
	Client netip.Prefix `json:"client"`
	Since  time.Time    `json:"since"`
	Until  time.Time    `json:"until"`
	Reason string       `json:"reason"`
}

// Book is all entries. Match may run at any time beside the rest.
type Book struct {
	path string // "": kept in memory only

	mu      sync.Mutex // guards changes
	current atomic.Pointer[index]
}

// index is the entries at one moment, ready to be looked up. It is immutable.
type index struct {
	entries []Entry
	byName  map[string][]place // by wire form
}

// place is an Entry as it is matched.
type place struct {
	client netip.Prefix // of everybody where invalid
	since  time.Time
	until  time.Time
	name   string
	reason string
}

// Match says whether a name of a client passes at t, and by which entry: its
// name and the reason that was given. It neither locks nor allocates.
func (b *Book) Match(n dnsname.Name, client netip.Addr, t time.Time) (name, reason string, ok bool) {
	if b == nil {
		return "", "", false
	}
	x := b.current.Load()
	if x == nil {
		return "", "", false
	}
	client = client.Unmap().WithZone("")
	for at := n; len(at) > 1; at = at.Parent() {
		for _, p := range x.byName[string(at)] {
			if holds(t, p.since, p.until) && (!p.client.IsValid() || p.client.Contains(client)) {
				return p.name, p.reason, true
			}
		}
	}
	return "", "", false
}

// clockStep is how far a clock may be set back before what was made by the old
// one no longer counts.
const clockStep = 5 * time.Minute

// holds says whether t lies in the time of an entry. One that was made by a clock
// that was far ahead would hold, by a clock that is right, until that moment
// comes: days instead of minutes.
func holds(t, since, until time.Time) bool {
	return t.Before(until) && !t.Before(since.Add(-clockStep))
}

// Add lets e's name through from now on, instead of what there is for the same
// name and client. It returns the entry as it is kept.
func (b *Book) Add(e Entry, now time.Time) (Entry, error) {
	e.Since = now
	e, err := check(e)
	if err != nil {
		return Entry{}, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	kept := slices.DeleteFunc(b.entriesAt(now), func(o Entry) bool { return o.Name == e.Name && o.Client == e.Client })
	if len(kept) >= MaxEntries {
		return Entry{}, ErrFull
	}
	return e, b.replaceLocked(append(kept, e))
}

// Remove ends what lets name through, for one client if it is valid, else for
// all, and says how many entries that were.
func (b *Book) Remove(name string, client netip.Prefix, now time.Time) (int, error) {
	n, err := parseName(name)
	if err != nil {
		return 0, err
	}
	name = n.String()
	b.mu.Lock()
	defer b.mu.Unlock()
	before := b.entriesAt(now)
	kept := slices.DeleteFunc(slices.Clone(before), func(o Entry) bool {
		return o.Name == name && (!client.IsValid() || o.Client == client)
	})
	if len(kept) == len(before) {
		return 0, nil
	}
	return len(before) - len(kept), b.replaceLocked(kept)
}

// Entries are those that hold at t, in the order of their ends.
func (b *Book) Entries(t time.Time) []Entry {
	out := b.entriesAt(t)
	slices.SortStableFunc(out, func(a, b Entry) int { return cmp.Or(a.Until.Compare(b.Until), cmp.Compare(a.Name, b.Name)) })
	return out
}

// entriesAt is a copy of the entries without those that are over.
func (b *Book) entriesAt(t time.Time) []Entry {
	x := b.current.Load()
	if x == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(x.entries), func(e Entry) bool { return !t.Before(e.Until) })
}

// replaceLocked keeps entries, on the disk first: what is said to be let
// through still is after a restart.
func (b *Book) replaceLocked(entries []Entry) error {
	if b.path != "" {
		if err := save(b.path, entries); err != nil {
			return fmt.Errorf("%w: %w", ErrNotKept, err)
		}
	}
	b.use(entries)
	return nil
}

// use makes entries, which were checked, the ones that hold.
func (b *Book) use(entries []Entry) {
	if len(entries) == 0 {
		b.current.Store(nil)
		return
	}
	x := &index{entries: entries, byName: make(map[string][]place, len(entries))}
	for _, e := range entries {
		n := string(dnsname.MustParse(e.Name))
		x.byName[n] = append(x.byName[n], place{e.Client, e.Since, e.Until, e.Name, e.Reason})
	}
	b.current.Store(x)
}

// check says what is wrong with an entry, and gives it the form in which it is
// kept.
func check(e Entry) (Entry, error) {
	var errs []error
	n, err := parseName(e.Name)
	if err != nil {
		errs = append(errs, err)
	} else {
		e.Name = n.String()
	}
	if e.Client.IsValid() {
		if e.Client.Addr().Is4In6() {
			errs = append(errs, fmt.Errorf("client: write %s as IPv4", e.Client))
		}
		e.Client = e.Client.Masked()
	}
	if d := e.Until.Sub(e.Since); d < time.Second || d > MaxFor {
		errs = append(errs, fmt.Errorf("for: must be 1s to %s, got %s", MaxFor, d))
	}
	if len(e.Reason) > maxReason || strings.ContainsFunc(e.Reason, unicode.IsControl) {
		errs = append(errs, fmt.Errorf("reason: must be one line of at most %d octets", maxReason))
	}
	// Without the monotonic clock: what is read from the disk has none.
	e.Since, e.Until = e.Since.UTC().Round(0), e.Until.UTC().Round(0)
	return e, errors.Join(errs...)
}

func parseName(s string) (dnsname.Name, error) {
	n, err := dnsname.ParseHost(s)
	if err != nil {
		return nil, fmt.Errorf("name: %q is not a domain name: %w", s, err)
	}
	if split := dnsname.DefaultSuffixes().Split(n); n.IsRoot() || split.Registered == nil && split.Known {
		return nil, fmt.Errorf("name: %s is a public suffix: everybody's names are in it", s)
	}
	return n, nil
}
