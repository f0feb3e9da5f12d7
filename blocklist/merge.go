package blocklist

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

// merge puts what old, the entry of slot i, and e say together into that slot.
func (b *builder) merge(i int, old, e entry) error {
	key, was := e.key(), old
	if !b.join(&old, &e) {
		if e.beats(&old) { // two entries for an address
			return b.rewrite(i, key, e)
		}
		return nil
	}
	const kept = flagScope | flagObserve
	w := merged(&old, &e)
	if w.flags&kept == was.flags&kept && w.info == was.info && w.alike(&was) {
		return nil
	}
	return b.rewrite(i, key, w)
}

// merged is what two entries that want the same say together.
func merged(old, e *entry) entry {
	w := *old
	w.flags |= e.flags & flagScope
	if e.flags&flagObserve == 0 { // only what every entry wants to be observed is
		w.flags &^= flagObserve
	}
	if w.info == "" {
		w.info = e.info
	}
	return w
}

// scopes are the two ways in which an entry matches.
var scopes = [2]uint8{flagExact, flagBelow}

// settle gives each scope of a key to the entry that goes before the other
// there: old, whose slot is i, or e, which wants something else. A key whose
// scopes end up different has an entry for each; once it has two, it keeps two.
func (b *builder) settle(h uint64, i int, old, e entry) error {
	key := e.key()
	slots := [2]int{i, i}
	var wins [2]entry // of no scope where nothing matches
	for s, scope := range scopes {
		was := old
		if old.flags&flagSplit != 0 {
			slots[s], _ = b.probe(h, &old, scope)
			was = b.entry(b.set.slots[slots[s]])
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
	exact, below := &wins[0], &wins[1]
	if old.flags&flagSplit == 0 {
		if exact.flags&flagScope == 0 {
			return b.rewrite(i, key, *below)
		}
		if below.flags&flagScope == 0 || exact.alike(below) && exact.info == below.info {
			exact.flags |= below.flags & flagScope
			return b.rewrite(i, key, *exact)
		}
		slots[1] = b.free(h)
		b.place(h, slots[1], below, 0)
	}
	for s := range scopes {
		wins[s].flags |= flagSplit
		if err := b.rewrite(slots[s], key, wins[s]); err != nil {
			return err
		}
	}
	return nil
}

// free is the first free slot for a hash.
func (b *builder) free(h uint64) int {
	i, _ := home(h, len(b.set.tags))
	for b.set.tags[i] != 0 {
		if i++; i == len(b.set.tags) {
			i = 0
		}
	}
	return i
}

// rewrite makes e, with that key, what stands in slot i.
func (b *builder) rewrite(i int, key string, e entry) error {
	if err := b.add(e, []byte(key)); err != nil {
		return err
	}
	at := b.open.Len() - len(b.buf)
	b.set.slots[i] = uint32(len(b.set.blocks))<<blockBits | uint32(at)
	return nil
}
