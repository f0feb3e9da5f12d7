package blocklist

// A list may speak of one key on several lines. fold brings them together, in
// the order of the lines.

// folded is what a list says of one key so far: one entry, or two for a name
// where the name itself and what is below it are treated differently.
type folded struct {
	e [2]entry // with two: flagExact, flagBelow
	n int
}

// fold adds the next line's entry.
func (b *builder) fold(w *folded, e entry) {
	if w.n == 0 {
		w.e[0], w.n = e, 1
		return
	}
	if e.flags&flagAddr == 0 {
		old := w.e[0]
		if w.n == 2 || !b.join(&old, &e) {
			b.settle(w, e)
			return
		}
	}
	old := w.e[0]
	switch {
	case b.join(&old, &e):
		w.e[0] = merged(&old, &e)
	case e.beats(&old): // two entries for an address
		w.e[0] = e
	}
}

// join makes two entries for one key want the same, where that is what they
// mean together: addresses of one answer may stand on several lines, and a
// zone that is redirected may come before the addresses that it is
// redirected to.
func (b *builder) join(old, e *entry) bool {
	if old.alike(e) {
		return true
	}
	if old.own.rank() != e.own.rank() {
		return false
	}
	oldLocal, eLocal := old.own.policy() == LocalData, e.own.policy() == LocalData
	switch {
	case oldLocal && eLocal:
		// Addresses are those of the name that they stand beside, unless that is
		// redirected with all that is below it.
		if (old.flags^e.flags)&flagScope != 0 && (old.own|e.own)&ownZone == 0 {
			return false
		}
		id, ok := b.locals.join(old.local, e.local)
		if !ok {
			b.dropped++
			if b.onDrop != nil {
				b.onDrop(b.folding, e.local)
			}
			id = old.local
		}
		old.local, e.local = id, id
		old.own |= e.own & ownZone
		e.own = old.own
		return true
	case oldLocal && b.locals.empty(old.local) && e.own.policy() == AsList:
		old.own, old.local = e.own, e.local
		return true
	case eLocal && b.locals.empty(e.local) && old.own.policy() == AsList:
		e.own, e.local = old.own, old.local
		return true
	}
	return false
}

// beats says whether e goes before old, where both are for the same name and
// want different things: by rank, then a block before what lets pass, then
// whoever came first.
func (e *entry) beats(old *entry) bool {
	if e.own.rank() != old.own.rank() {
		return e.own.rank() > old.own.rank()
	}
	return old.own.passes() && !e.own.passes()
}

// merged is what two entries that want the same say together.
func merged(old, e *entry) entry {
	w := *old
	w.flags |= e.flags & flagScope
	// Only what every entry wants to be observed is.
	w.flags &= e.flags | ^uint8(flagObserve|flagURL)
	if w.info == "" {
		w.info = e.info
	}
	return w
}

// scopes are the two ways in which an entry matches.
var scopes = [2]uint8{flagExact, flagBelow}

// settle gives each scope of a name to the entry that goes before the other
// there: what is there, or e, which wants something else. A name whose scopes
// end up different has an entry for each; once it has two, it keeps two.
func (b *builder) settle(w *folded, e entry) {
	var wins [2]entry // of no scope where nothing matches
	for s, scope := range scopes {
		was := w.e[0]
		if w.n == 2 {
			was = w.e[s]
		}
		was.flags = was.flags&^flagScope | was.flags&scope
		now := e
		now.flags = now.flags&^flagScope | now.flags&scope
		switch {
		case now.flags&scope == 0:
			wins[s] = was
		case was.flags&scope == 0:
			wins[s] = now
		case b.join(&was, &now):
			wins[s] = merged(&was, &now)
		case now.beats(&was):
			wins[s] = now
		default:
			wins[s] = was
		}
	}
	exact, below := wins[0], wins[1]
	switch {
	case w.n == 2:
	case exact.flags&flagScope == 0:
		w.e[0] = below
		return
	case below.flags&flagScope == 0:
		w.e[0] = exact
		return
	case exact.alike(&below) && exact.info == below.info:
		exact.flags |= below.flags & flagScope
		w.e[0] = exact
		return
	}
	w.e, w.n = [2]entry{exact, below}, 2
}
