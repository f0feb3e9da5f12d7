package blocklist

import (
	"fmt"
	"hash/maphash"
	"strings"
	"testing"

	"github.com/weirdns/weir/internal/dnsname"
)

// Entries for one name may come far apart, in blocks that are sealed, and their
// merger goes to a block of its own.
func TestMergingAcrossBlocks(t *testing.T) {
	const n = 20_000
	b := newBuilder(maphash.MakeSeed())
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
	if s.names != n || len(s.blocks) < 3 {
		t.Fatalf("%d names in %d blocks, want %d in several", s.names, len(s.blocks), n)
	}
	want := []entry{
		{flags: flagExact | flagBelow | flagInfo, info: "info"},
		{flags: flagBelow | flagObserve | flagInfo | flagStar, text: "*.", info: "info"},
		{flags: flagBelow | flagObserve | flagStar, text: "*."},
	}
	for i := range n {
		w := want[i%3]
		w.text += name(i).String()
		if got, ok := s.lookup(name(i), flagBelow); !ok || got != w {
			t.Fatalf("entry %d is %+v, %v, want %+v", i, got, ok, w)
		}
	}
}

func TestSetThatIsFullSaysSo(t *testing.T) {
	b := newBuilder(maphash.MakeSeed())
	b.set.blocks = make([]string, maxBlocks-1)
	info := strings.Repeat("x", maxInfo)
	for i := range 2 * blockSize / maxInfo {
		if err := b.addName(dnsname.MustParse(fmt.Sprintf("n%d.example.com", i)), flagExact, info); err != nil {
			return
		}
	}
	t.Error("offsets would not have fitted into 32 bits, and nothing was refused")
}
