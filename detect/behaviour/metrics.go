package behaviour

import "github.com/prometheus/client_golang/prometheus"

var (
	entriesDesc = prometheus.NewDesc("weir_behaviour_entries", "What detections by behaviour remember, by table.", []string{"table"}, nil)
	evictedDesc = prometheus.NewDesc("weir_behaviour_evicted_total", "Entries that made room for others, by table.", []string{"table"}, nil)
)

// collector shows how full the tables are.
type collector struct{ w *Watcher }

func (c collector) Describe(ch chan<- *prometheus.Desc) {
	ch <- entriesDesc
	ch <- evictedDesc
}

func (c collector) Collect(ch chan<- prometheus.Metric) {
	for _, t := range c.w.tables() {
		ch <- prometheus.MustNewConstMetric(entriesDesc, prometheus.GaugeValue, float64(t.entries), t.name)
		ch <- prometheus.MustNewConstMetric(evictedDesc, prometheus.CounterValue, float64(t.evicted), t.name)
	}
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
		{"clients", w.accounts.len(), w.accounts.evicted},
		{"flows", w.flows.len(), w.flows.evicted},
	}
}
