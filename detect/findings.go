package detect

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// Findings brings findings to all sinks, less those that are muted, and counts
// them. It is a FindingSink.
type Findings struct {
	sinks []FindingSink
	mutes atomic.Pointer[[]mute]
	told  [FindingKinds][LevelHigh + 1]atomic.Uint64
	muted [FindingKinds]atomic.Uint64
}

// NewFindings makes one with valid mutes and registers its metrics.
func NewFindings(mutes []MuteConfig, reg prometheus.Registerer, sinks ...FindingSink) *Findings {
	f := &Findings{sinks: sinks}
	f.SetMutes(mutes)
	reg.MustRegister(findingsCollector{f})
	return f
}

// SetMutes replaces the mutes by others that are valid.
func (f *Findings) SetMutes(mutes []MuteConfig) {
	var parsed []mute
	for i := range mutes {
		if m, err := mutes[i].parse(); err == nil {
			parsed = append(parsed, m)
		}
	}
	f.mutes.Store(&parsed)
}

// Muted says whether found is not to be told.
func (f *Findings) Muted(found *Finding) bool {
	for _, m := range *f.mutes.Load() {
		if m.covers(found) {
			return true
		}
	}
	return false
}

// Find hands found to all sinks unless it is muted.
func (f *Findings) Find(found *Finding) {
	if f.Muted(found) {
		f.muted[found.Kind].Add(1)
		return
	}
	f.told[found.Kind][found.Level].Add(1)
	for _, s := range f.sinks {
		s.Find(found)
	}
}

// Told is how many findings of a kind the sinks got.
func (f *Findings) Told(k FindingKind) (n uint64) {
	for l := range f.told[k] {
		n += f.told[k][l].Load()
	}
	return n
}

var (
	findingsTold  = prometheus.NewDesc("weir_findings_total", "Findings told, by kind and level.", []string{"kind", "level"}, nil)
	findingsMuted = prometheus.NewDesc("weir_findings_muted_total", "Findings not told since detect.behaviour.mute covers them.", []string{"kind"}, nil)
)

// findingsCollector shows what a Findings has counted.
type findingsCollector struct{ f *Findings }

func (c findingsCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- findingsTold
	ch <- findingsMuted
}

func (c findingsCollector) Collect(ch chan<- prometheus.Metric) {
	for k := range FindingKinds {
		for l := LevelLow; l <= LevelHigh; l++ {
			ch <- prometheus.MustNewConstMetric(findingsTold, prometheus.CounterValue, float64(c.f.told[k][l].Load()), k.String(), l.String())
		}
		ch <- prometheus.MustNewConstMetric(findingsMuted, prometheus.CounterValue, float64(c.f.muted[k].Load()), k.String())
	}
}
