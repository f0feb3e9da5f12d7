package resolver

import (
	"context"
	"encoding/binary"
	"sync"

	"github.com/weirdns/weir/internal/dnswire"
	"github.com/weirdns/weir/resolver/cache"
	"github.com/weirdns/weir/resolver/upstream"
)

// flights keeps equal questions together while one of them is asked: one query
// upstream, however many clients wait. Without it an attacker who asks the
// same thing many times has as many chances to forge the answer (VU#457875).
type flights struct {
	shares *shares // of the questions that may be under way

	mu      *sync.Mutex
	open    map[string]*flight
	stopped bool
}

// flight is one question under way and those who wait for it.
type flight struct {
	id       string
	key      cache.Question
	question upstream.Question
	waiting  []*request
	share    share // of the questions under way
	stale    bool  // who opened it has a stale answer
	// slow: it takes so long that whoever can do with a stale answer gets one.
	slow bool
	// overdue: the time for it is over, and only a late answer is waited for. It
	// holds no slot, and giveUp ends it if nobody waits and all is to end.
	overdue bool
	giveUp  context.CancelFunc
}

func newFlights(sh *shares) flights {
	return flights{shares: sh, mu: new(sync.Mutex), open: map[string]*flight{}}
}

// boarding is what became of a request.
type boarding uint8

const (
	joined  boarding = iota
	opened           // and so the caller's to carry out
	slow             // not added: it has a stale answer, and the flight takes long
	refused          // no flight, and no place for one more
)

// join adds r to the flight for its question, or opens one.
func (fs *flights) join(r *request, views uint32) (f *flight, what boarding, why admission) {
	var buf [300]byte
	id := flightID(buf[:0], r, views)
	fs.mu.Lock()
	defer fs.mu.Unlock()
	f = fs.open[string(id)]
	switch {
	case f == nil:
		if f, why = fs.openLocked(string(id), r); f == nil {
			return nil, refused, why
		}
		f.waiting = []*request{r}
		return f, opened, admitted
	case f.slow && r.stale:
		return nil, slow, admitted
	}
	f.waiting = append(f.waiting, r)
	return f, joined, admitted
}

// refresh opens a flight for r's question that r does not wait for; nil if
// there is one already, or no place for it.
func (fs *flights) refresh(r *request, views uint32) *flight {
	var buf [300]byte
	id := flightID(buf[:0], r, views)
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if fs.open[string(id)] != nil {
		return nil
	}
	f, _ := fs.openLocked(string(id), r)
	return f
}

func (fs *flights) openLocked(id string, r *request) (*flight, admission) {
	sh := fs.shares.of(r.ask.Client, r.ask.Name)
	if why := fs.shares.enter(sh); why != admitted {
		return nil, why
	}
	// The first request may be answered and reused while others still wait, so
	// the flight owns its name.
	name := r.ask.Name.Clone()
	do, cd := r.EDNS.DO, r.Flags&dnswire.FlagCD != 0
	f := &flight{
		id: id, share: sh, stale: r.stale,
		key: cache.Question{Name: name, Type: r.ask.Type, Class: r.ask.Class, DO: do, CD: cd, View: r.route},
		// AD says that we understand the bit (RFC 6840, section 5.7). It is the
		// same for all, so that it splits no flight; adopt takes it out again.
		question: upstream.Question{Name: name, Type: r.ask.Type, Class: r.ask.Class, DO: do, CD: cd, AD: true, Client: r.ask.Client},
	}
	fs.open[f.id] = f
	return f, admitted
}

// late marks f as slow and returns those of its waiters who have a stale
// answer; they wait no longer.
func (fs *flights) late(f *flight) (out []*request) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if fs.open[f.id] != f {
		return nil // landed
	}
	f.slow = true
	stay := f.waiting[:0]
	for _, r := range f.waiting {
		if r.stale {
			out = append(out, r)
		} else {
			stay = append(stay, r)
		}
	}
	f.waiting = stay
	return out
}

// goOverdue marks f as such and returns all who have waited so far. Whoever asks
// from now on waits for the late answer.
func (fs *flights) goOverdue(f *flight) []*request {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	f.overdue = true
	fs.shares.leave(f.share)
	if fs.stopped {
		f.giveUp()
	}
	out := f.waiting
	f.waiting = nil
	return out
}

// stop ends the flights that nobody waits for; no more will be opened.
func (fs *flights) stop() {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.stopped = true
	for _, f := range fs.open {
		if f.overdue && len(f.waiting) == 0 {
			f.giveUp()
		}
	}
}

// land ends a flight and returns all who waited.
func (fs *flights) land(f *flight) []*request {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	delete(fs.open, f.id)
	if !f.overdue {
		fs.shares.leave(f.share)
	}
	return f.waiting
}

// flightID is what makes two questions the same: all that changes the answer.
// A route means something only together with views.
func flightID(dst []byte, r *request, views uint32) []byte {
	var bits byte
	if r.EDNS.DO {
		bits |= 1
	}
	if r.Flags&dnswire.FlagCD != 0 {
		bits |= 2
	}
	dst = binary.BigEndian.AppendUint32(dst, views)
	dst = append(dst, r.route, bits, byte(r.ask.Type>>8), byte(r.ask.Type), byte(r.ask.Class>>8), byte(r.ask.Class))
	return append(dst, r.ask.Name...)
}
