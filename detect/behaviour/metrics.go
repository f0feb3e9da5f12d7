package behaviour

import "github.com/prometheus/client_golang/prometheus"

var (
	entriesDesc = prometheus.NewDesc("weir_behaviour_entries", "What detections by behaviour remember, by table.", []string{"table"}, nil)
	evictedDesc = prometheus.NewDesc("weir_behaviour_evicted_total", "Entries that made room for others, by table.", []string{"table"}, nil)
	untoldDesc  = prometheus.NewDesc("weir_behaviour_untold_total", "New domains beyond detect.behaviour.new_domains.per_day.", nil, nil)
)

// collector shows how full the tables are.
type collector struct{ w *Watcher }

func (c collector) Describe(ch chan<- *prometheus.Desc) {
	ch <- entriesDesc
	ch <- evictedDesc
	ch <- untoldDesc
}

func (c collector) Collect(ch chan<- prometheus.Metric) {
	for _, t := range c.w.tables() {
		ch <- prometheus.MustNewConstMetric(entriesDesc, prometheus.GaugeValue, float64(t.entries), t.name)
		ch <- prometheus.MustNewConstMetric(evictedDesc, prometheus.CounterValue, float64(t.evicted), t.name)
	}
	c.w.mu.Lock()
	untold := c.w.newUntold
	c.w.mu.Unlock()
	ch <- prometheus.MustNewConstMetric(untoldDesc, prometheus.CounterValue, float64(untold))
}

type tableStats struct {
	name    string
	entries int
	evicted uint64
}

func (w *Watcher) tables() []tableStats {
	w.mu.Lock()
	defer w.mu.Unlock()
	return []tableStats{
		{"findings", w.told.len(), w.told.evicted},
		{"activities", w.activities.len(), w.activities.evicted},
		{"beacons", w.timers.len(), w.timers.evicted},
		{"clients", w.accounts.len(), w.accounts.evicted},
		{"flows", w.flows.len(), w.flows.evicted},
		{"fluxes", w.fluxes.len(), w.fluxes.evicted},
	}
}
