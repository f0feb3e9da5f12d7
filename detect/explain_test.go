package detect_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/weirdns/weir/detect"
)

// names are n made from a seed: letters at random, digits mixed in, pairs of
// words, hyphens.
func names(n int) []string {
	rng := rand.New(rand.NewPCG(7, uint64(n)))
	words := strings.Fields("river garden cloud bank table health media shop data north light paper house world travel fish stone game")
	alphabets := []string{"abcdefghijklmnopqrstuvwxyz", "abcdefghijklmnopqrstuvwxyz0123456789", "0123456789abcdef", "aeioubcdlmnrst"}
	out := make([]string, n)
	for i := range out {
		var b strings.Builder
		if rng.IntN(3) == 0 {
			for range 1 + rng.IntN(3) {
				b.WriteString(words[rng.IntN(len(words))])
				if rng.IntN(4) == 0 {
					fmt.Fprintf(&b, "%d", rng.IntN(100))
				}
			}
		} else {
			alphabet := alphabets[rng.IntN(len(alphabets))]
			for range 3 + rng.IntN(30) {
				b.WriteByte(alphabet[rng.IntN(len(alphabet))])
			}
		}
		out[i] = b.String() + []string{".com", ".net", ".info", ".de", ".co.uk"}[rng.IntN(5)]
	}
	return out
}

// The contributions of the features, and the reasons that they are summed to,
// are the whole score: nothing moves it that is not named.
func TestExplanationsAddUpToTheScore(t *testing.T) {
	m := embeddedModel(t)
	for _, name := range append(names(3000), "google.com", "a.com", generated) {
		s := splitName(t, name)
		score, err := m.Score(s)
		if err != nil {
			t.Fatal(err)
		}
		e, err := m.Explain(s)
		if err != nil {
			t.Fatal(err)
		}
		total, reasons := e.Bias, e.Bias
		for _, c := range e.Features {
			total += c.LogOdds
		}
		for _, r := range e.Grounds {
			reasons += r.LogOdds
		}
		for what, sum := range map[string]float64{"features": total, "reasons": reasons, "margin": e.Margin} {
			if got := 1 / (1 + math.Exp(-sum)); math.Abs(got-score) > 1e-12 {
				t.Fatalf("%s: the %s add up to %v, which is a score of %v, want %v", name, what, sum, got, score)
			}
		}
		if len(e.Features) != len(m.FeatureNames()) {
			t.Fatalf("%s: %d features explained of %d", name, len(e.Features), len(m.FeatureNames()))
		}
	}
}

func TestEveryFeatureHasWords(t *testing.T) {
	for _, f := range embeddedModel(t).FeatureNames() {
		if !detect.HasWords(f) {
			t.Errorf("%s has no topic in words.go: its ground would be %q", f, f+" 0.5")
		}
	}
}

func TestReasonsReadAsAPersonWouldSayThem(t *testing.T) {
	m := embeddedModel(t)
	for name, want := range map[string][]string{
		"xkqzvwjhtrpdbnfg.com":     {"16 letters, entropy 4.0", "no vowels", "no digits"},
		"qzxwvkjxqzwk.com":         {"no English-like letter sequences"},
		"k3v9xw1lm2t7.com":         {"12 characters, entropy 3.6", "5 digits among 12 characters, mixed"},
		"deadbeef0123456789ab.com": {"100 % hexadecimal characters", "of its characters repeat"},
		"x-y-z-facebook.com":       {"3 hyphens"},
		"strengths.com":            {"5 consonants in a row, 11 % vowels"},
		"wikipedia2024.com":        {"4 digits among 13 characters", "letter sequences are English-like"},
	} {
		// As if every feature had spoken against the name: what is said must
		// not depend on the model that is in the tree just now.
		var all []detect.Contribution
		for i, v := range m.Features(nil, splitName(t, name)) {
			all = append(all, detect.Contribution{Feature: m.FeatureNames()[i], Value: v, LogOdds: 1})
		}
		var texts []string
		for _, r := range detect.Grounds(all) {
			texts = append(texts, r.Text)
		}
		for _, w := range want {
			if !strings.Contains(strings.Join(texts, "; "), w) {
				t.Errorf("%s: %q, want %q among them", name, texts, w)
			}
		}
	}
}

// A feature that words.go does not know speaks for itself.
func TestAnUnknownFeatureIsNamed(t *testing.T) {
	got := detect.Grounds([]detect.Contribution{{Feature: "moon_phase", Value: 0.25, LogOdds: -2}, {Feature: "hyphens", Value: 2, LogOdds: 1}})
	if fmt.Sprint(got) != "[{moon_phase 0.25 -2} {2 hyphens 1}]" {
		t.Errorf("got %v", got)
	}
}

// A verdict carries the reasons against a name, the strongest first.
func TestWhyHoldsOnlyReasonsAgainst(t *testing.T) {
	e, err := embeddedModel(t).Explain(splitName(t, generated))
	if err != nil {
		t.Fatal(err)
	}
	w := e.Why()
	if len(w.Grounds) == 0 || len(w.Grounds) > 3 || w.Text == "" {
		t.Fatalf("%+v, want one to three reasons", w)
	}
	last := math.Inf(1)
	for _, r := range w.Grounds {
		if r.LogOdds <= 0 || r.LogOdds > last {
			t.Errorf("%q by %v after %v: want falling and above 0", r.Text, r.LogOdds, last)
		}
		last = r.LogOdds
	}
}

func BenchmarkExplain(b *testing.B) {
	m, s := embeddedModel(b), splitName(b, generated)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := m.Explain(s); err != nil {
			b.Fatal(err)
		}
	}
}
