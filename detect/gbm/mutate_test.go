package gbm_test

import (
	"errors"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/weirdns/weir/detect/gbm"
)

// TestMutatedModelsAreRefusedOrSound damages a good model in some thousand
// ways, of the kinds that editing, cutting and bad disks bring. Each result is
// refused, or answers every probe with a score: none panics, none hangs.
func TestMutatedModelsAreRefusedOrSound(t *testing.T) {
	good := text(t, "binary.txt")
	good = good[:strings.Index(good, "end of trees")+len("end of trees\n")]
	all := probes(t)[:20]
	rng := rand.New(rand.NewPCG(1, 2))
	refused, same, other := 0, 0, 0
	for range 4000 {
		bad := mutate(rng, good)
		m, err := gbm.Load(strings.NewReader(bad), features)
		if err != nil {
			if !errors.Is(err, gbm.ErrModel) {
				t.Fatalf("error %v does not wrap ErrModel", err)
			}
			refused++
			continue
		}
		score(t, m, all)
		equal := true
		for _, p := range all {
			got, err := m.Score(p.vector)
			equal = equal && err == nil && math.Abs(got-p.score) < 1e-15
		}
		if equal {
			same++ // a line about training, or a digit too small to see
		} else {
			other++ // another number where any number may stand: the manifest's sum is for that
		}
	}
	t.Logf("%d refused, %d score the same, %d score differently", refused, same, other)
	if refused < 1000 || same+other < 100 {
		t.Errorf("%d refused, %d loaded: the mutations no longer reach both sides", refused, same+other)
	}
}

func mutate(rng *rand.Rand, s string) string {
	at := func() int { return rng.IntN(len(s)) }
	number := func() (int, int) { // where a random number of the text stands
		i := at()
		for i > 0 && !strings.ContainsRune(" =\n", rune(s[i-1])) {
			i--
		}
		j := i
		for j < len(s) && !strings.ContainsRune(" =\n", rune(s[j])) {
			j++
		}
		return i, j
	}
	switch rng.IntN(7) {
	case 0: // a bit
		i := at()
		return s[:i] + string([]byte{s[i] ^ 1<<rng.IntN(8)}) + s[i+1:]
	case 1: // the end
		return s[:at()]
	case 2: // a piece
		i := at()
		j := min(len(s), i+1+rng.IntN(200))
		return s[:i] + s[j:]
	case 3: // a piece twice
		i := at()
		j := min(len(s), i+1+rng.IntN(2000))
		return s[:j] + s[i:]
	case 4: // a line
		lines := strings.Split(s, "\n")
		i := rng.IntN(len(lines))
		return strings.Join(append(lines[:i:i], lines[i+1:]...), "\n")
	case 5: // two lines changed for each other
		lines := strings.Split(s, "\n")
		i, j := rng.IntN(len(lines)), rng.IntN(len(lines))
		lines[i], lines[j] = lines[j], lines[i]
		return strings.Join(lines, "\n")
	}
	i, j := number()
	values := []string{"", "0", "1", "-1", "-2", "3", "7", "8", "-8", "-9", "4294967296", "-2147483649", "NaN", "inf", "-1e309", "1e308", "0x1p-3", "1_0"}
	return s[:i] + values[rng.IntN(len(values))] + s[j:]
}
