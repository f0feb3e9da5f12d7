package upstream

import (
	"testing"
	"time"
)

func TestLapsesBackOff(t *testing.T) {
	l, k, now := newLapses(), lapse{question: 1}, time.Now()
	for i, want := range []time.Duration{5, 10, 20, 40, 80, 160, 300, 300} {
		want *= time.Second
		l.note(k, now)
		if !l.has(k, now.Add(want-1)) || l.has(k, now.Add(want)) {
			t.Fatalf("failure %d is not remembered for %s", i+1, want)
		}
		now = now.Add(want)
	}
	if l.has(lapse{question: 2}, now) {
		t.Error("another question is spared too")
	}
	l.note(k, now.Add(10*time.Minute))
	if at := now.Add(10*time.Minute + lapseFirst); l.has(k, at) {
		t.Error("a failure long after the others goes on with their row")
	}
	l.forget(k)
	if l.has(k, now.Add(10*time.Minute)) || l.count.Load() != 0 {
		t.Error("an answer does not end the row")
	}
}

func TestLapsesAreBounded(t *testing.T) {
	l, now := newLapses(), time.Now()
	for i := range uint64(3 * maxLapses) {
		l.note(lapse{question: i}, now)
	}
	if n := len(l.all); n != maxLapses {
		t.Errorf("%d remembered, want %d", n, maxLapses)
	}
	l.note(lapse{question: 1 << 40}, now.Add(time.Hour))
	if n := len(l.all); n != 1 {
		t.Errorf("%d remembered after an hour, want the new one: what is over goes first", n)
	}
}
