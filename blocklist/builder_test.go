package blocklist

import (
	"fmt"
	"strings"
	"testing"

	"github.com/weirdns/weir/internal/dnsname"
)

// Entries for one name may come far apart, in blocks that are sealed, and their
// merger goes to a block of its own.
func TestMergingAcrossBlocks(t *testing.T) {
	const n = 20_000
	b := newBuilder(workshop{seed: 7})
	name := func(i int) dnsname.Name { return dnsname.MustParse(fmt.Sprintf("host-%d.sub.example.com", i)) }
	add := func(i int, flags uint8, info string) {
		if err := b.addName(name(i), flags, info); err != nil {
			t.Fatal(err)
		}
	}
	for i := range n {
		add(i, flagBelow|flagObserve, "")
	}
	for i := range n {
		switch i % 3 {
		case 0:
			add(i, flagExact, "info")
		case 1:
			add(i, flagBelow|flagObserve, "info")
		}
	}
	s, err := b.freeze()
	if err != nil {
		t.Fatal(err)
	}
	if s.names != n {
		t.Fatalf("%d names, want %d", s.names, n)
	}
	want := []struct {
		flags uint8
		rule  string
		info  string
	}{
		{flagExact | flagBelow, "", "info"},
		{flagBelow | flagObserve, "*.", "info"},
		{flagBelow | flagObserve, "*.", ""},
	}
	for i := range n {
		w := want[i%3]
		got, ok := s.lookup(name(i), flagBelow)
		if !ok || got.flags&^flagInfo != w.flags || got.rule() != w.rule+name(i).String() || string(got.info) != w.info {
			t.Fatalf("entry %d is %+v, %v, want %+v", i, got, ok, w)
		}
	}
}

func TestSetThatIsFullSaysSo(t *testing.T) {
	b := newBuilder(workshop{seed: 7})
	b.maxPart = 4096
	for i := range 64 << 10 {
		if err := b.addName(dnsname.MustParse(fmt.Sprintf("n%d.example.com", i)), flagExact, strings.Repeat("x", maxInfo)); err != nil {
			return
		}
	}
	t.Error("a partition grew without bound, and nothing was refused")
}
