package behaviour

import (
	"math"
	"net/netip"
	"slices"
)

// Client-days are counted by their highest sum in bins of this width, the last
// of them open.
const (
	peakStep = 0.25
	peakBins = 400
	// A rate of one in n is known from three times as many client-days on: what
	// none of them reached is rarer than that with a confidence of 95 %.
	daysPerRate = 3
	// Calibration moves a threshold so far and no farther: neither may a quiet
	// site make every odd name an infection, nor an infected one hide what it has.
	leastFactor, mostFactor = 0.5, 2
	// daysFull is where all counts are halved, so that the site may change.
	daysFull = 1 << 20
)

// peaks are client-days by their highest sum.
type peaks struct {
	bins  [peakBins]uint32
	total uint32
}

func (p *peaks) add(peak float64) {
	p.bins[min(int(peak/peakStep), peakBins-1)]++
	if p.total++; p.total < daysFull {
		return
	}
	p.total = 0
	for i := range p.bins {
		p.bins[i] /= 2
		p.total += p.bins[i]
	}
}

// reachedBy is the least sum that at most one in n client-days reaches, with a
// confidence of 95 %; ok is false if too few were seen to say.
func (p *peaks) reachedBy(n int) (sum float64, ok bool) {
	if int(p.total) < daysPerRate*n {
		return 0, false
	}
	left := mostSeen(float64(p.total) / float64(n))
	i := peakBins - 1
	for ; i >= 0 && int(p.bins[i]) <= left; i-- {
		left -= int(p.bins[i])
	}
	return float64(i+1) * peakStep, true
}

// mostSeen is how many of what happens mean times may have been seen at most, for
// the mean to be no more than that with a confidence of 95 %: the largest k whose
// upper limit, half the quantile of chi-squared with 2 k + 2 degrees of freedom by
// Wilson and Hilferty, is at most mean.
func mostSeen(mean float64) (k int) {
	upper := func(k int) float64 {
		n := float64(k + 1)
		return n * math.Pow(1-1/(9*n)+normal95/(3*math.Sqrt(n)), 3)
	}
	for upper(k+1) <= mean {
		k++
	}
	return k
}

const normal95 = 1.6449 // the quantile of the normal distribution at 95 %

// thresholds are the sums from which a client is infected and suspicious.
func (w *Watcher) thresholds() (infected, suspicious float64) {
	c := &w.cfg.Infected
	one := func(n int, fallback float64) float64 {
		if t, ok := w.peaks.reachedBy(n); ok {
			return min(max(t, fallback*leastFactor), fallback*mostFactor)
		}
		return fallback
	}
	infected = one(c.OneIn, c.Threshold)
	return infected, min(one(max(1, c.OneIn/suspiciousOften), c.Threshold*suspiciousShare), infected)
}

const (
	suspiciousOften = 10  // times as many client-days are suspicious as are infected
	suspiciousShare = 0.7 // of the threshold, until the site is known
)

// turn ends the day of the data if at is in a later one: client-days are counted,
// and today's domains are known from now on.
func (w *Watcher) turn(at int64) {
	day := at / daySeconds
	if day == w.day || day < w.day && w.day-day < 2 {
		return
	}
	first, ended := w.day == 0, w.day
	w.day = day
	if first {
		return
	}
	w.accounts.each(func(_ netip.Addr, a *account) {
		// The first day of a site is no measure: everything is new. A client that
		// stays infected counts on the day that it became so.
		if a.active && w.days > 0 && (a.standing != Infected || a.since/daySeconds == ended) {
			w.peaks.add(a.peak)
		}
		a.decay(at, w.cfg.Infected.Window)
		a.peak, a.active, a.known, a.patterns = a.sum, false, sketch{}, nil
		if a.standing == Clean {
			oldest := at - int64(w.cfg.Infected.Window.Seconds())
			a.evidence = slices.DeleteFunc(a.evidence, func(e evidence) bool { return e.at < oldest })
		}
	})
	w.days++
	w.newToday = 0
	w.silent(at)
	w.domains.turn()
}
