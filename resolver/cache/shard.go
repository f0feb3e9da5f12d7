package cache

import (
	"encoding/binary"
	"sync"
	"time"
	"unsafe"
)

const (
	second = int64(time.Second)
	// shardBytes is what a shard has at least, but for a very small cache: the
	// largest entry must not be a large part of it.
	shardBytes = 4 << 20
	// maxShards is more than the processors that a sidecar has.
	maxShards = 64
	// shardFixed is what a shard takes besides its slices.
	shardFixed = int(unsafe.Sizeof(shard{}))
	// minProbation is two of the largest entries.
	minProbation = 2 * maxEntry
	// maxSpared bounds the work of one Put: so many entries that were hit are
	// spared in search of one that was not; then the next goes, hit or not.
	maxSpared = 16
)

func shardCount(maxBytes int64) int {
	n := 1
	for n < maxShards && int64(n)*2*shardBytes <= maxBytes {
		n *= 2
	}
	return n
}

// shard evicts by S3-FIFO (Yang et al., "FIFO queues are all you need for
// cache eviction", SOSP 2023), on rings of octets. New answers go to probation,
// a tenth of the room. The oldest there moves on to main if it was asked for
// again, else it leaves, and only its fingerprint is remembered: so a flood of
// names that are asked once goes through probation and never touches main. In
// main the oldest goes round again as often as it was hit, at most maxHits.
// Chosen over LRU and SIEVE because first-in first-out is what a ring does by
// itself: no fragments, no links, exact bytes, and a hit is one octet written.
type shard struct {
	mu sync.Mutex // held for some 100 ns: copy one message, patch its TTLs

	data      []byte
	probation ring
	main      ring
	index     index
	ghosts    ghosts

	hits, stale, misses, evictions uint64
	_                              [64]byte // keeps neighbours' locks off this cache line
}

// init divides room octets among the index, the ghosts and the two rings.
func (s *shard) init(room, maxEntry int) {
	s.index = newIndex(room)
	s.ghosts = newGhosts(len(s.index.slots))
	room -= len(s.index.slots)*slotBytes + len(s.ghosts.prints)*4
	room &^= 7
	s.data = make([]byte, room)
	small := max(room/10, minProbation) &^ 7
	s.probation = ring{data: s.data, base: 0, size: small}
	s.main = ring{data: s.data, base: small, size: room - small}
}

func (s *shard) at(off int) entry { return s.main.at(off) }

// find returns the live entry for q and its offset.
func (s *shard) find(q *Question, print uint32) (entry, int) {
	x := &s.index
	for i := print & x.mask; x.slots[i].pos != 0; i = (i + 1) & x.mask {
		if x.slots[i].print != print {
			continue
		}
		off := x.slots[i].off()
		if e := s.at(off); e.matches(q) {
			return e, off
		}
	}
	return nil, 0
}

func (s *shard) get(dst []byte, q *Question, print uint32, now int64, rules *rules, f *Found) ([]byte, State) {
	s.mu.Lock()
	defer s.mu.Unlock() // also if this panics: others go on
	e, off := s.find(q, print)
	if e == nil {
		s.misses++
		return dst, Miss
	}
	state := e.state(now, rules.maxStale)
	switch state {
	case Miss:
		if !e.failure() { // else the next failure is to know of this one
			s.removeLocked(e, off)
		}
		s.misses++
		return dst, Miss
	case Fresh:
		s.hits++
	default:
		s.stale++
	}
	if h := e.hits(); h < maxHits {
		e.setHits(h + 1)
	}
	if f != nil {
		f.read(e, state)
		f.Prefetch = state == Fresh && e.prefetch(now, rules.prefetch)
	}
	start := len(dst)
	dst = append(dst, e.msg()...)
	age := uint32(max(now-e.stored(), 0) / second)
	for i := range e.records() {
		field := dst[start+e.ttlAt(i):]
		ttl := uint32(staleTTL)
		if state == Fresh {
			ttl = binary.BigEndian.Uint32(field)
			ttl -= min(ttl, age)
		}
		binary.BigEndian.PutUint32(field, ttl)
	}
	return dst, state
}

// minPrefetch is the shortest life whose last tenth is worth acting in.
const minPrefetch = 10 * second

// prefetch counts a use of e, which is fresh, and says whether the caller is to
// fetch it anew: it was asked for often enough, and will soon be over. It says
// so once.
func (e entry) prefetch(now int64, often uint8) bool {
	if often == 0 {
		return false
	}
	n := e.uses()
	if n < maxUses {
		n++
		e.setUses(n)
	}
	left := e.stored() + e.life() - now
	if n < often || left*10 > e.life() || e.life() < minPrefetch || e.is(flagPrefetch) || e.failure() {
		return false
	}
	e.mark(flagPrefetch)
	return true
}

// state says what e is good for at now.
func (e entry) state(now, maxStale int64) State {
	over := now - e.stored() - e.life()
	switch {
	case over < 0:
		return Fresh
	case e.failure() || over >= maxStale:
		return Miss
	case now < e.held():
		return StaleHeld
	}
	return Stale
}

func (s *shard) put(p *plan, q *Question, msg []byte, print uint32, now int64, r *rules) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, off := s.find(q, print)
	known := false // asked for more than once
	if e != nil {
		state := e.state(now, r.maxStale)
		if p.onlyNew {
			return
		}
		if p.failure {
			p.failures = e.failedAgain(now, r)
			if !e.failure() && state != Miss {
				if state != Fresh {
					e.hold(uint32(now/second)+r.backoff(p.failures), p.failures, p.outage)
				}
				return
			}
			p.life = r.backoff(p.failures)
		}
		known = s.main.holds(off) || e.hits() > 0
		// A refresh mostly has the size of what it replaces: keep its place.
		if p.size > 0 && p.size <= e.size() {
			hits := e.hits()
			e.setHeader(p, q.flags(), print, now, len(msg))
			e.setHits(hits)
			p.write(e, q, msg, r)
			return
		}
		s.removeLocked(e, off)
	}
	if p.size == 0 {
		return
	}
	for s.index.full() {
		s.evictAnyLocked()
	}
	var at int
	if known || p.known || s.ghosts.take(print) {
		e, at = s.allocMainLocked(p.size, now, r.maxStale)
	} else {
		e, at = s.allocProbationLocked(p.size, now, r.maxStale)
	}
	e.setHeader(p, q.flags(), print, now, len(msg))
	p.write(e, q, msg, r)
	s.index.insert(print, at)
}

// failedAgain is the number of failures in a row of which one more has come. A
// row ends when the question was let alone for as long as its last failure was
// believed.
func (e entry) failedAgain(now int64, r *rules) uint8 {
	until := e.held() + int64(r.backoff(e.failures()))*second
	if e.failure() {
		until = e.stored() + 2*e.life()
	}
	if now >= until {
		return 1
	}
	return min(e.failures()+1, maxFailures)
}

// hold keeps a stale answer in use until an instant, in seconds.
func (e entry) hold(until uint32, failures uint8, outage bool) {
	e.setHeld(until)
	e[7], e[6] = failures, e[6]&^flagOutage
	if outage {
		e.mark(flagOutage)
	}
}

// removeLocked makes e dead. Its octets come free when the tail gets there.
func (s *shard) removeLocked(e entry, off int) {
	s.index.remove(e.print(), off)
	e.kill()
}

func (s *shard) allocProbationLocked(n int, now, maxStale int64) (entry, int) {
	r := &s.probation
	for {
		if off, skip, ok := r.room(n); ok {
			return r.take(off, skip, n), r.base + off
		}
		e, off := r.oldest()
		switch {
		case !e.live():
		case e.state(now, maxStale) != Miss && (e.hits() > 0 || s.main.fits(e.size())):
			// Until main has been full once, nothing needs to leave.
			to, at := s.allocMainLocked(e.size(), now, maxStale)
			copy(to, e)
			to.setHits(0)
			s.index.move(e.print(), off, at)
		default:
			s.ghosts.add(e.print())
			s.evictLocked(e, off, now, maxStale)
		}
		r.drop()
	}
}

func (s *shard) allocMainLocked(n int, now, maxStale int64) (entry, int) {
	r := &s.main
	for spared := 0; ; {
		if off, skip, ok := r.room(n); ok {
			return r.take(off, skip, n), r.base + off
		}
		e, from := r.oldest()
		if !e.live() {
			r.drop()
			continue
		}
		hits, size, print := e.hits(), e.size(), e.print()
		if hits == 0 || spared == maxSpared || e.state(now, maxStale) == Miss {
			s.evictLocked(e, from, now, maxStale)
			r.drop()
			continue
		}
		// Round again. The place it goes to may overlap the one it leaves, and
		// the gap's mark may too: first move, then mark.
		spared++
		r.drop()
		off, skip, ok := r.room(size)
		if !ok {
			s.evictLocked(e, from, now, maxStale)
			continue
		}
		to := r.base + off
		copy(r.data[to:to+size], e)
		again := r.take(off, skip, size)
		again.setHits(hits - 1)
		s.index.move(print, from, to)
	}
}

// evictLocked forgets e; the caller frees its octets.
func (s *shard) evictLocked(e entry, off int, now, maxStale int64) {
	if e.state(now, maxStale) != Miss {
		s.evictions++
	}
	s.removeLocked(e, off)
}

// evictAnyLocked makes room in the index, whose slots ran out before the
// octets: the oldest goes, from probation if there is one.
func (s *shard) evictAnyLocked() {
	r := &s.probation
	if r.used == 0 {
		r = &s.main
	}
	if e, off := r.oldest(); e.live() {
		s.evictions++
		s.removeLocked(e, off)
	}
	r.drop()
}

func (s *shard) flush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.index.reset()
	clear(s.ghosts.prints)
	s.probation.reset()
	s.main.reset()
}

func (s *shard) addStats(sum *Stats) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sum.Entries += s.index.count
	sum.Bytes += int64(s.probation.used + s.main.used + s.index.count*(slotBytes+1))
	sum.Hits += s.hits
	sum.Stale += s.stale
	sum.Misses += s.misses
	sum.Evictions += s.evictions
}
