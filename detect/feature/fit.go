package feature

import (
	"maps"
	"math"
	"slices"
)

// Fitter counts n-grams for a table.
type Fitter struct {
	documents uint32
	grams     map[uint32]tally
	seen      map[string]struct{}
}

type tally struct {
	count     uint32 // occurrences
	documents uint32 // strings with at least one
	last      uint32 // the latest of those
}

// NewFitter makes one that has seen nothing.
func NewFitter() *Fitter {
	return &Fitter{grams: make(map[uint32]tally), seen: make(map[string]struct{})}
}

// Add counts the n-grams of s. A string counts once, however often it is added.
func (f *Fitter) Add(s string) {
	if _, ok := f.seen[s]; ok || s == "" {
		return
	}
	f.seen[s] = struct{}{}
	f.documents++
	codes := make([]uint32, len(s))
	copyCodes(codes, []byte(s))
	for i := range codes {
		for n := minGram; n <= maxGram && i+n <= len(codes); n++ {
			if key, ok := gramKey(codes[i : i+n]); ok {
				t := f.grams[key]
				t.count++
				if t.last != f.documents {
					t.documents++
					t.last = f.documents
				}
				f.grams[key] = t
			}
		}
	}
}

// gramKey is the key of one whole n-gram, if all of it is in the alphabet.
func gramKey(codes []uint32) (key uint32, ok bool) {
	for i := range maxGram {
		key *= base
		if i < len(codes) {
			if codes[i] == 0 {
				return 0, false
			}
			key += codes[i]
		}
	}
	return key, true
}

// Table gives the n-grams that occur in at least minDF of the strings, a share
// from 0 to 1. N-grams that occur once in all are left out too: their weight,
// log10(1), is zero, so the sum of weights is the same without them. (What
// counts as covered is not: there an n-gram must have occurred twice.) It fails
// where a table has no room for so many.
func (f *Fitter) Table(minDF float64) (*Grams, error) {
	minimum := max(minDF*float64(f.documents), 0)
	var keys, counts []uint32
	for _, key := range slices.Sorted(maps.Keys(f.grams)) {
		if t := f.grams[key]; t.count > 1 && float64(t.documents) >= minimum {
			keys, counts = append(keys, key), append(counts, t.count)
		}
	}
	return newGrams(f.documents, uint32(math.Ceil(minimum)), keys, counts)
}
