package upstream

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// lapseFirst is for how long a server is spared a question that it has not
	// answered; each further time doubles it, up to lapseMax (RFC 9520, section
	// 3.2).
	lapseFirst = 5 * time.Second
	lapseMax   = 5 * time.Minute
	// maxLapses bounds what is remembered; one more takes the place of another.
	maxLapses = 4096
)

// lapses are the questions that servers could not answer: each is put to the
// others first for a while. The failure of all is the resolver's cache's.
type lapses struct {
	count atomic.Int32 // so that nothing is locked while there are none

	mu    sync.Mutex // guards all below
	all   map[lapse]lapsed
	swept time.Time // when what is over was last looked for
}

// lapse is one question and the server that failed it.
type lapse struct {
	server   *server
	question uint64
}

type lapsed struct {
	until time.Time
	span  time.Duration
}

func newLapses() *lapses { return &lapses{all: map[lapse]lapsed{}} }

// question is what lapses know a question by.
func (g *Group) question(q *Question) uint64 {
	return maphash.Bytes(g.seed, q.Name) ^ (uint64(q.Type)<<16|uint64(q.Class))*0x9e3779b97f4a7c15
}

// note remembers a failure, at now. A row of them ends when the question was
// left alone for as long as the last one was remembered.
func (l *lapses) note(k lapse, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	was, known := l.all[k]
	span := lapseFirst
	if known && now.Before(was.until.Add(was.span)) {
		span = min(2*was.span, lapseMax)
	}
	if !known && len(l.all) >= maxLapses {
		l.makeRoomLocked(now)
	}
	l.all[k] = lapsed{now.Add(span), span}
	l.count.Store(int32(len(l.all)))
}

// makeRoomLocked forgets what is over, if it has not just looked for that, or
// else any.
func (l *lapses) makeRoomLocked(now time.Time) {
	if now.Sub(l.swept) >= lapseFirst {
		l.swept = now
		for k, v := range l.all {
			if !now.Before(v.until.Add(v.span)) {
				delete(l.all, k)
			}
		}
	}
	for k := range l.all {
		if len(l.all) < maxLapses {
			return
		}
		delete(l.all, k)
	}
}

// forget ends a row.
func (l *lapses) forget(k lapse) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.all, k)
	l.count.Store(int32(len(l.all)))
}

// has says whether the server is to be spared the question at now.
func (l *lapses) has(k lapse, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	v, known := l.all[k]
	return known && now.Before(v.until)
}

// spare puts the servers that failed this question of late behind all others,
// unless all of them did.
func (x *exchange) spare() {
	l := x.group.lapses
	if l.count.Load() == 0 || len(x.tries) < 2 {
		return
	}
	question, now := x.group.question(x.q), time.Now()
	kept, spared := make([]try, 0, len(x.tries)), []try(nil)
	for i := range x.tries {
		if t := x.tries[i]; l.has(lapse{t.server, question}, now) {
			t.spared = true
			spared = append(spared, t)
		} else {
			kept = append(kept, t)
		}
	}
	if len(spared) == 0 || len(kept) == 0 {
		return
	}
	x.group.metrics.spared.Add(float64(len(spared)))
	x.tries = append(kept, spared...)
}

// helped notes that t answered the question.
func (x *exchange) helped(t *try) {
	if l := x.group.lapses; l.count.Load() > 0 {
		l.forget(lapse{t.server, x.group.question(x.q)})
	}
}

// lapsed notes that t failed the question.
func (x *exchange) lapsed(t *try) {
	if len(x.tries) > 1 && !t.server.health.isDown.Load() { // it is last anyway
		x.group.lapses.note(lapse{t.server, x.group.question(x.q)}, time.Now())
	}
}
