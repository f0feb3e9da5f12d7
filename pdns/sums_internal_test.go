package pdns

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestSumsAreThoseOfAMap holds sums against a map and a list, over additions,
// flushes and flushes that are cut short.
func TestSumsAreThoseOfAMap(t *testing.T) {
	type want struct {
		first, last int64
		count       uint64
	}
	random := rand.New(rand.NewPCG(1, 2))
	var s sums
	known, order := map[string]want{}, []string(nil)
	var key []byte
	for round := range 60 {
		for range random.IntN(3000) {
			now := random.Int64N(1_000_000) - 500_000
			key = fmt.Appendf(key[:0], "%0*d", 1+random.IntN(12), random.IntN(2000))
			if round%7 == 0 {
				key = key[:0] // of any length
			}
			s.add(key, now)
			w, ok := known[string(key)]
			if !ok {
				order = append(order, string(key))
				w = want{first: now, last: now}
			}
			known[string(key)] = want{min(w.first, now), max(w.last, now), w.count + 1}
		}
		if s.count != len(known) {
			t.Fatalf("round %d: %d observations, want %d", round, s.count, len(known))
		}
		if (s.bytes() == 0) != (len(known) == 0) {
			t.Fatalf("round %d: %d octets for %d observations", round, s.bytes(), len(known))
		}
		room := len(order)
		if round%3 == 0 {
			room = random.IntN(len(order) + 1)
		}
		if round%5 == 0 {
			continue // let them gather
		}
		taken := 0
		ok := s.flush(func(o observation) bool {
			if taken == room {
				return false
			}
			if got, want := string(o.key), order[taken]; got != want {
				t.Fatalf("round %d: observation %d is of %q, want %q", round, taken, got, want)
			}
			if got, w := (want{o.first, o.last, o.count}), known[order[taken]]; got != w {
				t.Fatalf("round %d: %q: got %v, want %v", round, o.key, got, w)
			}
			taken++
			return true
		})
		if taken != room || ok != (room == len(order)) {
			t.Fatalf("round %d: %d of %d taken, want %d; ok is %v", round, taken, len(order), room, ok)
		}
		for _, k := range order[:taken] {
			delete(known, k)
		}
		order = slices.Delete(order, 0, taken)
	}
}

// Of so many keys some have the same hash, of which a slot keeps 32 bits.
func TestSumsTellKeysOfOneHashApart(t *testing.T) {
	const keys = 400_000
	var s sums
	var key []byte
	for i := range keys {
		key = fmt.Appendf(key[:0], "key %d", i)
		s.add(key, 0)
	}
	if s.count != keys {
		t.Errorf("%d keys are counted as %d", keys, s.count)
	}
}
