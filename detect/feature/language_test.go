package feature_test

import (
	"bytes"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/weirdns/weir/detect/feature"
)

// languageLeast keeps every n-gram.
var languageLeast = [...]int{0, 1, 1, 1, 1, 1}

func language(t testing.TB, least [6]int) *feature.Language {
	t.Helper()
	f := feature.NewLanguageFitter()
	for _, w := range lines(t, "words.txt") {
		f.Add(w)
		f.Add(w) // counts once
	}
	return learned(t, f, least)
}

func learned(t testing.TB, f *feature.LanguageFitter, least [6]int) *feature.Language {
	t.Helper()
	l, err := f.Language(least)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// witten is Witten and Bell's interpolation by its textbook recursion, over
// strings. The beginning is written ^, the end $.
type witten map[string]map[string]float64 // context to what followed it

func newWitten(words []string, least int) witten {
	counts := make(map[string]int)
	for _, w := range words {
		w = "^" + w + "$"
		for end := 2; end <= len(w); end++ {
			for n := 1; n <= 5 && n <= end; n++ {
				counts[w[end-n:end]]++
			}
		}
	}
	out := make(witten)
	for gram, n := range counts {
		if len(gram) > 1 && n < least {
			continue
		}
		context, last := gram[:len(gram)-1], gram[len(gram)-1:]
		if out[context] == nil {
			out[context] = make(map[string]float64)
		}
		out[context][last] += float64(n)
	}
	return out
}

func (w witten) probability(context, last string) float64 {
	follow, sum := w[context], 0.0
	for _, n := range follow {
		sum += n
	}
	if context == "" {
		return (follow[last] + 1) / (sum + 39)
	}
	shorter := w.probability(context[1:], last)
	if sum == 0 {
		return shorter
	}
	kinds := float64(len(follow))
	return (follow[last] + kinds*shorter) / (sum + kinds)
}

// mean is the cost of a label in bits a byte.
func (w witten) mean(label string, order int) float64 {
	text, sum := "^"+label+"$", 0.0
	for end := 1; end < len(text); end++ {
		sum -= math.Log2(w.probability(text[max(0, end-order+1):end], text[end:end+1]))
	}
	return sum / float64(len(label)+1)
}

func TestLanguageCostsAreThoseOfTheTextbook(t *testing.T) {
	for _, least := range []int{1, 2} {
		words := lines(t, "words.txt")
		want := newWitten(words, least)
		x := feature.New(feature.Tables{Popular: language(t, [6]int{0, 1, least, least, least, least})})
		for _, label := range []string{"the", "thereof", "a", "x9q-z", "otherwisewith", "aaaaaaa", "1234"} {
			got := vector(t, x, label+".com")
			for order, name := range map[int]string{2: "lm_cost_2", 3: "lm_cost_3", 4: "lm_cost_4", 5: "lm_cost_5"} {
				// A cost is a stored one and one more for each order that it was
				// reached over, each rounded to a sixteenth of a bit.
				if w := want.mean(label, order); math.Abs(got[name]-w) > 5.0/32 {
					t.Errorf("least %d: %s of %s: got %.3f, want %.3f", least, name, label, got[name], w)
				}
			}
		}
	}
}

func TestLanguageFeaturesSayWhatTheyAreCalled(t *testing.T) {
	x := feature.New(feature.Tables{Popular: language(t, languageLeast), Algorithmic: letters(t)})
	word, random := vector(t, x, "otherwise.com"), vector(t, x, "qxzvkjwqpxv.com")
	for _, name := range []string{
		"lm_cost_2", "lm_cost_3", "lm_cost_4", "lm_cost_5", "lm_cost_max", "lm_cost_top_quarter", "lm_cost_low_quarter",
		"lm_improbable_run", "lm_excess", "lm_contrast", "lm_contrast_sum",
	} {
		if word[name] >= random[name] {
			t.Errorf("%s is %.2f of a word and %.2f of random letters", name, word[name], random[name])
		}
	}
	if word["lm_expected_run"] <= random["lm_expected_run"] {
		t.Errorf("lm_expected_run is %v of a word and %v of random letters", word["lm_expected_run"], random["lm_expected_run"])
	}
	nothing := vector(t, feature.New(feature.Tables{}), "otherwise.com")
	if nothing["lm_cost_5"] != 0 || nothing["lm_contrast"] != 0 {
		t.Errorf("without models: costs %v and %v, want 0", nothing["lm_cost_5"], nothing["lm_contrast"])
	}
}

// letters is the model of names whose letters all follow each other alike.
func letters(t testing.TB) *feature.Language {
	t.Helper()
	f := feature.NewLanguageFitter()
	for _, a := range "abcdefghijklmnopqrstuvwxyz" {
		for _, b := range "abcdefghijklmnopqrstuvwxyz" {
			f.Add(string(a) + string(b))
		}
	}
	return learned(t, f, [6]int{0, 1, 1, 100, 100, 100})
}

func TestLanguageSurvivesItsFile(t *testing.T) {
	want := language(t, languageLeast)
	data := want.Append(nil)
	got, err := feature.ReadLanguage(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	if got.Len() != want.Len() || got.Documents() != want.Documents() || got.Documents() < 100 {
		t.Errorf("got %d n-grams of %d labels, want %d of %d", got.Len(), got.Documents(), want.Len(), want.Documents())
	}
	if !bytes.Equal(got.Append(nil), data) {
		t.Error("writing what was read gives another file")
	}
	a, b := feature.New(feature.Tables{Popular: want}), feature.New(feature.Tables{Popular: got})
	for _, name := range lines(t, "names.txt") {
		s := split(t, name)
		v, w := a.Append(nil, s), b.Append(nil, s)
		for i := range v {
			if v[i] != w[i] {
				t.Fatalf("%s: %s is %v before and %v after", name, feature.Names()[i], v[i], w[i])
			}
		}
	}
}

func TestDamagedLanguagesAreRefused(t *testing.T) {
	good := language(t, languageLeast).Append(nil)
	const header = 8 + 4 + 4 + 4*5
	for _, c := range []struct {
		why  string
		data []byte
		want string
	}{
		{"empty", nil, "too few"},
		{"magic", edit(good, func(d []byte) { d[0] = 'X' }), "WEIRLANG"},
		{"version", resum(edit(good, func(d []byte) { d[8] = 2 })), "version 2"},
		{"order", resum(edit(good, func(d []byte) { d[9] = 6 })), "order 6"},
		{"one bit", edit(good, func(d []byte) { d[len(d)/2] ^= 4 }), "checksum"},
		{"cut", good[:len(good)-9], "checksum"},
		{"more entries than bytes", resum(edit(good, func(d []byte) { d[19] = 0xff })), "cannot stand"},
		{"one byte without a cost", resum(edit(good, func(d []byte) { d[16]-- })), "n-grams of 2"},
		{"one n-gram too many", resum(edit(good, func(d []byte) { d[32]++ })), "cut short"},
		{"one n-gram too few", resum(edit(good, func(d []byte) { d[32]-- })), "after the last"},
		{"key twice", resum(edit(good, func(d []byte) { d[header+3] = 0 })), "out of order"},
		{"no n-gram", resum(edit(good, func(d []byte) { d[header] = 40 })), "out of order or range"},
		{"impossible cost", resum(edit(good, func(d []byte) { d[header+1] = 255 })), "at most 254"},
		{"without its end", resum(edit(good, func(d []byte) { d[header+39*3] = 1 })), "is no n-gram"},
	} {
		_, err := feature.ReadLanguage(bytes.NewReader(c.data))
		if !errors.Is(err, feature.ErrTable) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got error %v, want one with %q", c.why, err, c.want)
		}
	}
}

func FuzzReadLanguage(f *testing.F) {
	f.Add(language(f, languageLeast).Append(nil))
	f.Add(letters(f).Append(nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) >= 4 {
			data = resum(data)
		}
		l, err := feature.ReadLanguage(bytes.NewReader(data))
		if err != nil {
			return
		}
		if _, err := feature.ReadLanguage(bytes.NewReader(l.Append(nil))); err != nil {
			t.Fatalf("read once, written, read again: %v", err)
		}
		feature.New(feature.Tables{Popular: l}).Append(nil, split(t, "a0-zzyx.com"))
	})
}
