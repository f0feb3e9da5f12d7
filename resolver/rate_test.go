package resolver

import (
	"net/netip"
	"testing"
	"time"
)

// A bucket fills up again however long it was left alone, and however long the
// process runs: neither its clock's 32 bits nor a product's 64 may hold a client
// back.
func TestLimitedClientIsServedAfterAnyPause(t *testing.T) {
	const rate, day = 2, 24 * time.Hour
	client := netip.MustParseAddr("192.0.2.1")
	for _, started := range []time.Duration{0, 40 * day, 208 * day, 208*day + 12*time.Hour, 900 * day} {
		for _, pause := range []time.Duration{10 * time.Second, time.Hour, day, 23 * day, 25 * day, 30 * day, 47 * day, 100 * day} {
			b := newBuckets(rate)
			now := b.epoch.Add(started)
			for b.take(client, now) {
			}
			now = now.Add(pause)
			got := 0
			for got <= rate*burst && b.take(client, now) {
				got++
			}
			if got != rate*burst {
				t.Errorf("up for %s, then a pause of %s: %d queries pass, want %d", started, pause, got, rate*burst)
			}
		}
	}
}

// Workers read their clocks one after the other: a little back in time gives
// nothing and takes nothing.
func TestLimitTakesALateClock(t *testing.T) {
	b := newBuckets(2)
	client, now := netip.MustParseAddr("192.0.2.1"), b.epoch.Add(time.Hour)
	for b.take(client, now) {
	}
	if b.take(client, now.Add(-10*time.Millisecond)) {
		t.Error("an earlier time filled an empty bucket")
	}
	if b.take(client, now.Add(time.Second)); !b.take(client, now.Add(time.Second)) {
		t.Error("the bucket did not fill any more")
	}
}
