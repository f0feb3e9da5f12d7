package cache

import (
	"bytes"

	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/internal/dnswire"
)

// FlushName forgets all answers to questions for name and, with subtree, for
// every name below it, whatever their types. It returns how many they were. It
// walks the whole cache, one shard at a time, and is for a person who asks.
func (c *Cache) FlushName(name dnsname.Name, subtree bool) (n int) {
	for i := range c.shards {
		n += c.shards[i].flushName(name, subtree)
	}
	return n
}

func (s *shard) flushName(name dnsname.Name, subtree bool) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range []*ring{&s.probation, &s.main} {
		r.each(func(e entry, off int) {
			if qname := e.name(); bytes.Equal(qname, name) || subtree && qname.Within(name) {
				s.removeLocked(e, off)
				n++
			}
		})
	}
	return n
}

// each calls f with the live entries of r, the oldest first, and where they
// stand in data.
func (r *ring) each(f func(e entry, off int)) {
	at := r.tail
	for left := r.used; left > 0; {
		e := r.at(r.base + at)
		size := e.size()
		if e.live() {
			f(e, r.base+at)
		}
		left -= size
		if at += size; at == r.size {
			at = 0
		}
	}
}

// name is the qname that e answers.
func (e entry) name() dnsname.Name {
	m := e.msg()[dnswire.HeaderLen:]
	end := 0
	for m[end] != 0 {
		end += 1 + int(m[end])
	}
	return dnsname.Name(m[:end+1])
}
