package resolver

import (
	"net/netip"
	"slices"
	"testing"
	"time"
)

// Two thousand answers that are due to one client in one moment leave as a
// stream, all of them and soon; others do not notice.
func TestAnswersThatWaitedDoNotComeInOnePulse(t *testing.T) {
	p := newPacer()
	client, now := netip.MustParseAddr("192.0.2.1"), time.Now()
	came := now.Add(-time.Second)
	var leave []time.Duration
	for range 2000 {
		leave = append(leave, p.delay(client, came, now))
	}
	slices.Sort(leave)
	if last := leave[len(leave)-1]; last > 500*time.Millisecond {
		t.Errorf("the last leaves after %s", last)
	}
	for i, j := 0, 0; i < len(leave); i++ {
		for leave[i]-leave[j] >= 10*time.Millisecond {
			j++
		}
		if n := i - j + 1; n > 100 {
			t.Fatalf("%d answers in ten milliseconds", n)
		}
	}
	if n := p.paced.Load(); n < 1900 {
		t.Errorf("%d counted as held back, want nearly all", n)
	}
	if d := p.delay(client, now.Add(-time.Millisecond), now); d != 0 {
		t.Errorf("an answer that did not wait is held back by %s", d)
	}
	if d := p.delay(client, came, now.Add(time.Second)); d != 0 {
		t.Errorf("after a second the client's answers are still held back, by %s", d)
	}
	others := 0
	for i := range 100 {
		if p.delay(netip.AddrFrom4([4]byte{198, 51, 100, byte(i)}), came, now) > 0 {
			others++
		}
	}
	if others > 5 { // some fall together with the client
		t.Errorf("answers to %d of 100 other clients are held back", others)
	}
}
