package detect

import (
	"math"

	"github.com/weirdns/weir/internal/dnsname"
)

// Tail is the share of benign names that score as high, by the model's card:
// exact at its thresholds, and between and beyond them on straight lines of the
// logarithm over the log-odds, up to 1. It is for names of which the site itself
// cannot say how rare they are yet. Without thresholds it is 1: nothing is known
// to be rare.
func (m *Model) Tail(score float64) float64 {
	t := m.info.Thresholds
	x := logOdds(score)
	low, high := t[0], t[1]
	if score >= t[1].Score {
		low, high = t[1], t[2]
	}
	a, b := logOdds(low.Score), logOdds(high.Score)
	if !(low.FPR > 0 && high.FPR > 0) || !(a < b) {
		return 1
	}
	slope := (math.Log(high.FPR) - math.Log(low.FPR)) / (b - a)
	tail := math.Exp(math.Log(low.FPR) + slope*(x-a))
	// Beyond the last threshold the names that it was made with say nothing.
	return min(max(tail, t[2].FPR/10), 1)
}

func logOdds(p float64) float64 { return math.Log(p / (1 - p)) }

// Tail is the share of benign names that score as high as a verdict, by this
// site's own names if enough were seen, else by the model's card. 1 without a
// score.
func (d *Detector) Tail(v *Verdict) float64 {
	switch m := d.Model(); {
	case v.Unscored != Scored || m == nil:
		return 1
	case v.OneIn > 0:
		return 1 / float64(v.OneIn)
	default:
		return m.Tail(v.Score)
	}
}

// Popular says whether detect.popularity has a registered domain.
func (d *Detector) Popular(domain dnsname.Name) bool { return d.state.Load().popular.Has(domain) }
