package unusual

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/pdns/privacy"
)

// Severity is what an analyst thinks of an entry. "" is that nobody said.
type Severity string

// Severities.
const (
	Benign Severity = "benign"
	Low    Severity = "low"
	Medium Severity = "medium"
	High   Severity = "high"
)

func (s Severity) order() int {
	return slices.Index([]Severity{"", Low, Medium, High}, s)
}

// Valid says whether s is one that can be given.
func (s Severity) Valid() bool { return s == Benign || s.order() > 0 }

// Feedback is what an analyst said of a name, with all below it, or of clients.
type Feedback struct {
	Time     time.Time `json:"time"`
	Day      string    `json:"day"`    // whose list it was said of: a reset of the day takes it back
	Target   string    `json:"target"` // a name, or an address or network as clients are kept
	Severity Severity  `json:"severity"`
	Note     string    `json:"note,omitempty"`
	Removed  bool      `json:"removed,omitempty"` // on the disk: takes back what was said of Target, or of all, on that day

	clients netip.Prefix // the target, if it is that
}

// Bounds of feedback.
const (
	maxFeedback = 1 << 16
	maxNote     = 1024 // octets
)

// ErrFeedbackFull is that there is no room for more feedback.
var ErrFeedbackFull = fmt.Errorf("feedback: more than %d entries; take some back", maxFeedback)

// ErrNotKept is that the disk does not take what was said; it does not hold.
var ErrNotKept = errors.New("feedback: cannot be kept")

// Book is all feedback, in a file that only grows and is written anew where much of
// it was taken back. It is safe for any number of goroutines.
type Book struct {
	path string // "": nothing is kept

	mu      sync.Mutex // guards what is below, and the file
	all     []Feedback // in order of time
	names   map[string]Feedback
	clients []Feedback
	lines   int   // in the file
	size    int64 // of the file's whole lines
}

// Add takes what an analyst said, now, with the target as it is kept. It holds when
// it is on the disk.
func (b *Book) Add(f Feedback, guard *privacy.Guard) (Feedback, error) {
	if !f.Severity.Valid() {
		return f, fmt.Errorf("severity: must be benign, low, medium or high, got %q", f.Severity)
	}
	if _, err := ParseDay(f.Day); err != nil {
		return f, err
	}
	if len(f.Note) > maxNote || !utf8.ValidString(f.Note) || strings.ContainsFunc(f.Note, unicode.IsControl) {
		return f, fmt.Errorf("note: must be a line of at most %d octets", maxNote)
	}
	var err error
	if f.Target, err = target(f.Target, guard); err != nil {
		return f, err
	}
	f.Removed = false
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.all) >= maxFeedback {
		return f, ErrFeedbackFull
	}
	if err := b.append(f); err != nil {
		return f, errors.Join(ErrNotKept, err)
	}
	b.apply(f)
	b.index()
	return f, nil
}

// Remove takes back what was said of a target on a day, of all targets where it is
// "", and says how many.
func (b *Book) Remove(day, of string, guard *privacy.Guard, now time.Time) (n int, err error) {
	if _, err := ParseDay(day); err != nil {
		return 0, err
	}
	if of != "" {
		if of, err = target(of, guard); err != nil {
			return 0, err
		}
	}
	f := Feedback{Time: now, Day: day, Target: of, Removed: true}
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range b.all {
		if b.all[i].Day == day && (of == "" || b.all[i].Target == of) {
			n++
		}
	}
	if n == 0 {
		return 0, nil
	}
	if err := b.append(f); err != nil {
		return 0, errors.Join(ErrNotKept, err)
	}
	b.apply(f)
	b.index()
	return n, nil
}

// List is the feedback of a day, of all days where it is "", the latest last.
func (b *Book) List(day string) []Feedback {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := []Feedback{}
	for _, f := range b.all {
		if day == "" || f.Day == day {
			out = append(out, f)
		}
	}
	return out
}

// target is a name or an address as it is compared.
func target(s string, guard *privacy.Guard) (string, error) {
	if p, ok := parseClients(s); ok {
		if p.IsSingleIP() {
			// As much of the client as may be kept, and no more.
			kept := guard.Text(p.Addr())
			if kept == "" {
				return "", errors.New("target: privacy.client_address keeps nothing of clients; only names can be told apart")
			}
			return kept, nil
		}
		return p.String(), nil
	}
	n, err := dnsname.Parse(strings.TrimSuffix(s, "."))
	if err != nil || n.IsRoot() {
		return "", fmt.Errorf("target: must be a name, an address or a network, got %q", s)
	}
	return n.String(), nil
}

func parseClients(s string) (netip.Prefix, bool) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), true
	}
	p, err := netip.ParsePrefix(s)
	return p.Masked(), err == nil
}

// apply takes f up in memory; mu is held. The latest of a target and day stays.
func (b *Book) apply(f Feedback) {
	b.all = slices.DeleteFunc(b.all, func(o Feedback) bool {
		return o.Day == f.Day && (o.Target == f.Target || f.Removed && f.Target == "")
	})
	if !f.Removed {
		f.clients, _ = parseClients(f.Target)
		b.all = append(b.all, f)
	}
}

// index finds the latest of each target; mu is held.
func (b *Book) index() {
	b.names, b.clients = map[string]Feedback{}, nil
	for _, f := range b.all {
		if f.clients.IsValid() {
			b.clients = slices.DeleteFunc(b.clients, func(o Feedback) bool { return o.Target == f.Target })
			b.clients = append(b.clients, f)
		} else {
			b.names[f.Target] = f
		}
	}
}

// of is the feedback that holds for an entry: that of the longest name, else that of
// the smallest network of clients. A name is that of the entry's query, so what is
// said of one host is not said of others of the domain.
func (b *Book) of(e *entry) Feedback {
	b.mu.Lock()
	defer b.mu.Unlock()
	for n := dnsname.Name(e.name); len(n) > 1; n = n.Parent() {
		if f, ok := b.names[n.String()]; ok {
			return f
		}
	}
	var best Feedback
	for _, f := range b.clients {
		if e.client.IsValid() && f.clients.Contains(e.client) && (best.Severity == "" || f.clients.Bits() >= best.clients.Bits()) {
			best = f
		}
	}
	return best
}

// Of is what was said of a name and of a client as it is kept; its Severity is ""
// where nothing was.
func (b *Book) Of(name dnsname.Name, client netip.Addr) Feedback {
	return b.of(&entry{name: string(name), client: client})
}
