package resolver

import (
	"sync"

	"github.com/weirdns/weir/internal/dnswire"
	"github.com/weirdns/weir/resolver/cache"
	"github.com/weirdns/weir/resolver/upstream"
)

// flights keeps equal questions together while one of them is asked: one query
// upstream, however many clients wait. Without it an attacker who asks the
// same thing many times has as many chances to forge the answer (VU#457875).
type flights struct {
	mu   *sync.Mutex
	open map[string]*flight
}

// flight is one question under way and those who wait for it.
type flight struct {
	id       string
	key      cache.Question
	question upstream.Question
	waiting  []*request
}

func newFlights() flights {
	return flights{mu: new(sync.Mutex), open: map[string]*flight{}}
}

// join adds r to the flight for its question. It returns the flight if it is
// new, and so the caller's to carry out.
func (fs *flights) join(r *request) *flight {
	var buf [300]byte
	id := flightID(buf[:0], r)
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if f := fs.open[string(id)]; f != nil {
		f.waiting = append(f.waiting, r)
		return nil
	}
	// The first request may be answered and reused while others still wait, so
	// the flight owns its name.
	name := r.ask.Name.Clone()
	do, cd := r.EDNS.DO, r.Flags&dnswire.FlagCD != 0
	f := &flight{
		id:      string(id),
		key:     cache.Question{Name: name, Type: r.ask.Type, Class: r.ask.Class, DO: do, CD: cd},
		waiting: []*request{r},
		// AD says that we understand the bit (RFC 6840, section 5.7). It is the
		// same for all, so that it splits no flight; adopt takes it out again.
		question: upstream.Question{Name: name, Type: r.ask.Type, Class: r.ask.Class, DO: do, CD: cd, AD: true},
	}
	fs.open[f.id] = f
	return f
}

// land ends a flight and returns all who waited.
func (fs *flights) land(f *flight) []*request {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	delete(fs.open, f.id)
	return f.waiting
}

// flightID is what makes two questions the same: all that changes the answer.
func flightID(dst []byte, r *request) []byte {
	var bits byte
	if r.EDNS.DO {
		bits |= 1
	}
	if r.Flags&dnswire.FlagCD != 0 {
		bits |= 2
	}
	dst = append(dst, bits, byte(r.ask.Type>>8), byte(r.ask.Type), byte(r.ask.Class>>8), byte(r.ask.Class))
	return append(dst, r.ask.Name...)
}
