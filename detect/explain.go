package detect

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"github.com/weirdns/weir/detect/feature"
	"github.com/weirdns/weir/internal/dnsname"
)

// Explanation says how the score of a registered domain came about. It adds
// up: Bias and all Features are Margin, whose logistic function is the score,
// and the Grounds are the Features summed by what they are about.
type Explanation struct {
	Model    string // version
	Bias     float64
	Margin   float64
	Features []Contribution // the largest first, by amount
	Grounds  []Ground       // the same
}

// Contribution is what one feature did to the score.
type Contribution struct {
	Feature string
	Value   float64
	LogOdds float64 // above 0: towards generated
}

// Ground is what the features of one kind did to the score, in words.
type Ground struct {
	Text    string
	LogOdds float64 // above 0: towards generated
}

// Why is the short form of an Explanation that verdicts carry: the reasons
// against the name, the strongest first. It is immutable and shared.
type Why struct {
	Grounds []Ground
	Text    string // of all of them, one line
}

// maxGrounds is how many reasons a verdict carries; a fourth convinces nobody.
const maxGrounds = 3

// Explain says what moved the score of the registered domain. It costs about
// twice what Score does, and allocates.
func (m *Model) Explain(split dnsname.Split) (*Explanation, error) {
	vector := m.Features(nil, split)
	if len(vector) == 0 {
		return nil, ErrNoVector
	}
	out := make([]float64, len(vector))
	bias, err := m.trees.Explain(vector, out)
	if err != nil {
		return nil, err
	}
	e := &Explanation{Model: m.info.Version, Bias: bias, Margin: bias, Features: make([]Contribution, len(out))}
	for i, name := range feature.Names() {
		e.Features[i] = Contribution{Feature: name, Value: vector[i], LogOdds: out[i]}
		e.Margin += out[i]
	}
	e.Grounds = grounds(e.Features)
	slices.SortStableFunc(e.Features, func(a, b Contribution) int { return cmp.Compare(math.Abs(b.LogOdds), math.Abs(a.LogOdds)) })
	return e, nil
}

// Why is the short form.
func (e *Explanation) Why() *Why {
	w := &Why{}
	var texts []string
	for _, r := range e.Grounds {
		if r.LogOdds <= 0 || len(w.Grounds) == maxGrounds {
			continue
		}
		w.Grounds = append(w.Grounds, r)
		texts = append(texts, r.Text)
	}
	w.Text = strings.Join(texts, "; ")
	return w
}

// grounds sums contributions by what they are about, and says it in words. A
// kind that contributed nothing is left out.
func grounds(all []Contribution) []Ground {
	values := make(facts, len(all))
	sums := map[topic]float64{}
	var order []topic
	other := map[topic]Contribution{}
	for _, c := range all {
		values[c.Feature] = c.Value
		t, ok := topics[c.Feature]
		if !ok {
			t = topic(c.Feature)
			other[t] = c
		}
		if _, ok := sums[t]; !ok {
			order = append(order, t)
		}
		sums[t] += c.LogOdds
	}
	var out []Ground
	for _, t := range order {
		if sums[t] == 0 {
			continue
		}
		r := Ground{LogOdds: sums[t]}
		if c, ok := other[t]; ok {
			r.Text = c.Feature + " " + number(c.Value)
		} else {
			r.Text = phrases[t](values, sums[t] > 0)
		}
		out = append(out, r)
	}
	slices.SortStableFunc(out, func(a, b Ground) int { return cmp.Compare(math.Abs(b.LogOdds), math.Abs(a.LogOdds)) })
	return out
}
