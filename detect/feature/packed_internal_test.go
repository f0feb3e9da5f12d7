package feature

import (
	"math/rand/v2"
	"slices"
	"testing"
)

func TestPackedFindsWhatItWasGivenAndNothingElse(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	// The second is as full as a table of 15 bits may be, the third does not
	// fit one.
	for _, n := range []int{0, 3 << minPlaceBits / 4, 3<<minPlaceBits/4 + 1, 200_000} {
		want := make(map[uint32]uint16, n)
		for len(want) < n {
			want[random.Uint32()&keyMask] = uint16(random.Uint32())
		}
		var keys []uint32
		var values []uint16
		for key, value := range want {
			keys, values = append(keys, key), append(values, value)
		}
		p, err := newPacked(keys, values)
		if err != nil {
			t.Fatalf("%d keys: %v", n, err)
		}
		for key, value := range want {
			if got, ok := p.find(key); !ok || got != value {
				t.Fatalf("%d keys: found %d, %v for %d, want %d", n, got, ok, key, value)
			}
		}
		for range 200_000 {
			key := random.Uint32() & keyMask
			if _, known := want[key]; known {
				continue
			}
			if got, ok := p.find(key); ok {
				t.Fatalf("%d keys: found %d for %d, which is none of them", n, got, key)
			}
		}
		slices.Sort(keys)
		for i, got := range p.pairs() {
			if got.key != keys[i] || got.value != want[keys[i]] {
				t.Fatalf("%d keys: pair %d is %v, want %d, %d", n, i, got, keys[i], want[keys[i]])
			}
		}
		if p.len() != n || len(p.pairs()) != n {
			t.Errorf("%d keys: %d, of which %d are listed", n, p.len(), len(p.pairs()))
		}
	}
}

// crowd are keys whose places follow each other closely, at whichever size.
func crowd(n int) (keys []uint32, values []uint16) {
	inverse := uint32(1)
	for inverse*shuffle&keyMask != 1 {
		inverse += 2
	}
	for i := range n {
		// From the last places over the end to the first.
		keys = append(keys, (keyMask-uint32(n/2)+uint32(i))*inverse&keyMask)
	}
	return keys, make([]uint16, n)
}

func TestPackedTakesCrowdsThatFitAndRefusesOthers(t *testing.T) {
	keys, values := crowd(5000)
	p, err := newPacked(keys, values)
	if err != nil {
		t.Fatal(err)
	}
	for i, key := range keys {
		if _, ok := p.find(key); !ok {
			t.Fatalf("key %d of a crowd is not found", i)
		}
	}
	k := (keys[len(keys)-1] + 1) & keyMask
	if _, ok := p.find(k); ok {
		t.Error("found a key beside the crowd")
	}
	if slices.Sort(keys); !slices.EqualFunc(p.pairs(), keys, func(p pair, key uint32) bool { return p.key == key }) {
		t.Error("the pairs of a crowd are not its keys")
	}
	if _, err := newPacked(crowd(20_000)); err == nil {
		t.Error("20,000 keys for the same few places are taken")
	}
}
