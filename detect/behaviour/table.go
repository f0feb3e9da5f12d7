package behaviour

// table holds a bounded number of entries. When it is full the one that was not
// used for longest makes room. Its zero value with most set is empty and takes
// no memory.
type table[K comparable, V any] struct {
	most    int
	evicted uint64

	at            map[K]link
	slots         []slot[K, V]
	young, eldest link // ends of the list by use
}

// link is the number of a slot and 1; 0 is none.
type link int32

type slot[K comparable, V any] struct {
	key            K
	value          V
	younger, older link
}

// get is the value of k, which counts as used now; nil if there is none. It is
// good until the next put.
func (t *table[K, V]) get(k K) *V {
	i := t.at[k]
	if i == 0 {
		return nil
	}
	if i != t.young {
		t.unlink(i)
		t.front(i)
	}
	return &t.slots[i-1].value
}

// put is the value of k, made if there was none. It is good until the next put.
func (t *table[K, V]) put(k K) (v *V, fresh bool) {
	if v := t.get(k); v != nil {
		return v, false
	}
	var i link
	if len(t.slots) < t.most {
		if t.at == nil {
			t.at = map[K]link{}
		}
		t.slots = append(t.slots, slot[K, V]{key: k})
		i = link(len(t.slots))
	} else {
		i = t.eldest
		t.unlink(i)
		delete(t.at, t.slots[i-1].key)
		t.evicted++
		t.slots[i-1] = slot[K, V]{key: k}
	}
	t.at[k] = i
	t.front(i)
	return &t.slots[i-1].value, true
}

func (t *table[K, V]) len() int { return len(t.at) }

func (t *table[K, V]) unlink(i link) {
	s := &t.slots[i-1]
	if s.younger != 0 {
		t.slots[s.younger-1].older = s.older
	} else {
		t.young = s.older
	}
	if s.older != 0 {
		t.slots[s.older-1].younger = s.younger
	} else {
		t.eldest = s.younger
	}
}

func (t *table[K, V]) front(i link) {
	s := &t.slots[i-1]
	s.younger, s.older = 0, t.young
	if t.young != 0 {
		t.slots[t.young-1].younger = i
	} else {
		t.eldest = i
	}
	t.young = i
}

// each calls do with every entry, the last used first.
func (t *table[K, V]) each(do func(k K, v *V)) {
	for i := t.young; i != 0; i = t.slots[i-1].older {
		do(t.slots[i-1].key, &t.slots[i-1].value)
	}
}
