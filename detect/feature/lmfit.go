package feature

import (
	"math"
	"slices"
)

// LanguageFitter counts n-grams for a Language.
type LanguageFitter struct {
	seen map[string]struct{}
	keys [maxOrder + 1][]uint32 // of every n-gram met, in no order
}

// NewLanguageFitter makes one that has seen nothing.
func NewLanguageFitter() *LanguageFitter {
	return &LanguageFitter{seen: make(map[string]struct{})}
}

// Add counts the n-grams of a label. A label counts once, however often it is
// added.
func (f *LanguageFitter) Add(label string) {
	if _, ok := f.seen[label]; ok || label == "" {
		return
	}
	f.seen[label] = struct{}{}
	var keys [maxOrder + 1]uint32
	keys[1] = edge
	for i := range len(label) + 1 {
		k := uint32(edge)
		if i < len(label) {
			k = lmCode(label[i])
		}
		for n := maxOrder; n > 1; n-- {
			keys[n] = keys[n-1]*lmBase + k
		}
		keys[1] = k
		for n := 1; n <= min(maxOrder, i+2); n++ {
			f.keys[n] = append(f.keys[n], keys[n])
		}
	}
}

// Language is the model of what was added: Witten and Bell's interpolation over
// the n-grams that occurred least[n] times at least, n from 1 to 5. least must
// not fall, so that what is kept has its beginning and its end kept too. It
// fails where a model has no room for so many.
func (f *LanguageFitter) Language(least [maxOrder + 1]int) (*Language, error) {
	var counted [maxOrder + 1][]counted
	for n := 1; n <= maxOrder; n++ {
		counted[n] = count(f.keys[n], least[n])
	}
	var probability [maxOrder + 1]map[uint32]float64
	var left [maxOrder + 1]map[uint32]float64 // mass that a context leaves to shorter ones
	probability[1] = make(map[uint32]float64, lmBase)
	total := 0.0
	for _, c := range counted[1] {
		total += float64(c.count)
	}
	for k := uint32(1); k < lmBase; k++ {
		probability[1][k] = 1 / (total + lmBase - 1) // one more of each, so that none is impossible
	}
	for _, c := range counted[1] {
		probability[1][c.key] = float64(c.count+1) / (total + lmBase - 1)
	}
	var entries [maxOrder + 1][]lmEntry
	mod := uint32(1) // of the n-gram without its first byte
	for n := 2; n <= maxOrder; n++ {
		mod *= lmBase
		left[n-1] = make(map[uint32]float64)
		probability[n] = make(map[uint32]float64, len(counted[n]))
		for at := 0; at < len(counted[n]); {
			context := counted[n][at].key / lmBase
			sum, kinds, end := 0.0, 0.0, at
			for ; end < len(counted[n]) && counted[n][end].key/lmBase == context; end++ {
				sum += float64(counted[n][end].count)
				kinds++
			}
			left[n-1][context] = kinds / (sum + kinds)
			for _, c := range counted[n][at:end] {
				shorter := probability[n-1][c.key%mod]
				probability[n][c.key] = (float64(c.count) + kinds*shorter) / (sum + kinds)
			}
			at = end
		}
	}
	for n := 1; n <= maxOrder; n++ {
		keys := make([]uint32, 0, len(probability[n]))
		for key := range probability[n] {
			keys = append(keys, key)
		}
		slices.Sort(keys)
		for _, key := range keys {
			e := lmEntry{key: key, lmCost: lmCost{cost: steps(probability[n][key])}}
			if mass, ok := left[n][key]; ok && n < maxOrder {
				e.leave = steps(mass)
			}
			entries[n] = append(entries[n], e)
		}
	}
	return newLanguage(uint32(len(f.seen)), entries)
}

type counted struct{ key, count uint32 }

// count sorts keys and counts those that occur least times at least.
func count(keys []uint32, least int) []counted {
	slices.Sort(keys)
	var out []counted
	for at := 0; at < len(keys); {
		end := at
		for end < len(keys) && keys[end] == keys[at] {
			end++
		}
		if end-at >= least {
			out = append(out, counted{keys[at], uint32(end - at)})
		}
		at = end
	}
	return out
}

// steps is the cost of a probability.
func steps(p float64) uint8 {
	return uint8(min(math.Round(-math.Log2(p)*costSteps), maxCost))
}
