package capture

import (
	"net/netip"
	"time"
)

// sourceShare is the part of a ledger that one source may fill: one in so many.
// Then its own oldest entry makes room, and not that of somebody else.
const sourceShare = 4

// ledger keeps the account of a table's memory: in all, and for each address
// that caused it. It knows in what order entries came or were last used, and so
// which of them has to go. The table itself is its owner's.
type ledger[T any] struct {
	max     int64 // octets
	used    int64
	all     chain[T]
	sources map[netip.Addr]*account[T]
	spare   []*account[T] // at most maxSpares
}

// account is what one source has caused.
type account[T any] struct {
	addr netip.Addr
	used int64
	own  chain[T]
}

// entry is a thing of the table, of.
type entry[T any] struct {
	of   *T
	seen time.Time // when it was added or last touched
	size int64
	by   *account[T]
	all  links[T] // among all, oldest first
	own  links[T] // among those of its source
}

type links[T any] struct{ older, newer *entry[T] }

// chain is a list of entries, the oldest first; which of an entry's links it
// runs along is said by pick.
type chain[T any] struct{ first, last *entry[T] }

func inAll[T any](e *entry[T]) *links[T] { return &e.all }
func inOwn[T any](e *entry[T]) *links[T] { return &e.own }

func (c *chain[T]) push(e *entry[T], pick func(*entry[T]) *links[T]) {
	*pick(e) = links[T]{older: c.last}
	if c.last != nil {
		pick(c.last).newer = e
	} else {
		c.first = e
	}
	c.last = e
}

func (c *chain[T]) cut(e *entry[T], pick func(*entry[T]) *links[T]) {
	l := pick(e)
	if l.older != nil {
		pick(l.older).newer = l.newer
	} else {
		c.first = l.newer
	}
	if l.newer != nil {
		pick(l.newer).older = l.older
	} else {
		c.last = l.older
	}
	*l = links[T]{}
}

// add enters e for a source, as the newest.
func (l *ledger[T]) add(e *entry[T], source netip.Addr, size int64, now time.Time) {
	by := l.sources[source]
	if by == nil {
		if n := len(l.spare); n > 0 {
			by, l.spare = l.spare[n-1], l.spare[:n-1]
		} else {
			by = new(account[T])
		}
		by.addr = source
		l.sources[source] = by
	}
	e.by, e.seen, e.size = by, now, 0
	l.all.push(e, inAll)
	by.own.push(e, inOwn)
	l.grow(e, size)
}

// grow adds to the size of e; by may be negative.
func (l *ledger[T]) grow(e *entry[T], by int64) {
	e.size += by
	e.by.used += by
	l.used += by
}

// touch makes e the newest.
func (l *ledger[T]) touch(e *entry[T], now time.Time) {
	e.seen = now
	if l.all.last != e {
		l.all.cut(e, inAll)
		l.all.push(e, inAll)
	}
	if own := &e.by.own; own.last != e {
		own.cut(e, inOwn)
		own.push(e, inOwn)
	}
}

// remove takes e out of the account.
func (l *ledger[T]) remove(e *entry[T]) {
	l.grow(e, -e.size)
	l.all.cut(e, inAll)
	e.by.own.cut(e, inOwn)
	if by := e.by; by.own.first == nil {
		delete(l.sources, by.addr)
		if len(l.spare) < maxSpares {
			l.spare = append(l.spare, by)
		}
	}
	e.by = nil
}

// surplus is what has to go so that the bounds hold, or nil. It is never e,
// which one entry's own bounds keep well below a source's share.
func (l *ledger[T]) surplus(e *entry[T]) *T {
	if e.by.used > l.max/sourceShare {
		if old := e.by.own.first; old != e {
			return old.of
		} else if old.own.newer != nil {
			return old.own.newer.of
		}
	}
	if l.used > l.max {
		if old := l.all.first; old != e {
			return old.of
		} else if old.all.newer != nil {
			return old.all.newer.of
		}
	}
	return nil
}

// expired is the oldest entry if its time is over at now, or nil. A jump back
// in time is as in pairs.expired.
func (l *ledger[T]) expired(now time.Time, timeout time.Duration) *T {
	if e := l.all.first; e != nil && now.Sub(e.seen).Abs() >= timeout {
		return e.of
	}
	return nil
}

// oldest is the entry that is to go first, or nil.
func (l *ledger[T]) oldest() *T {
	if l.all.first == nil {
		return nil
	}
	return l.all.first.of
}
