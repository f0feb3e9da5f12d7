package store_test

import (
	"testing"

	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/pdns/store"
)

// A busy name is asked for a thousand times and fetched once: the sum is of what
// servers said, and a hit of the cache costs the store nothing.
func TestTheCacheIsNoNewObservation(t *testing.T) {
	p := newPart(t)
	s := p.open(t)
	defer shut(t, s)
	for _, source := range []detect.Source{detect.FromUpstream, detect.FromCache, detect.FromStale, detect.FromWire, detect.FromPolicy} {
		tx := said(t, 0, "www.example.com", "a www.example.com. 60 IN A 192.0.2.1")
		tx.Source = source
		if got, want := s.Wants(tx), source == detect.FromUpstream || source == detect.FromWire; got != want {
			t.Errorf("%s: Wants = %v, want %v", source, got, want)
		}
		s.Consume(tx)
	}
	tend(t, s)
	check(t, "a name that two servers and the cache answered", find(t, s, store.Query{Name: said(t, 0, "www.example.com").Query.Name}),
		"www.example.com A 192.0.2.1 zone=? in=1 +0 +0 n=2")
	flagged := said(t, 0, "paypa1.com")
	flagged.Source, flagged.Verdict.Origin, flagged.Verdict.Action = detect.FromCache, detect.OriginLookalike, detect.ZeroIP
	if !s.Wants(flagged) {
		t.Error("a detection on a cached answer is not wanted")
	}
}
