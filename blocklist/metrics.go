package blocklist

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are labelled with names of lists, which come from the configuration
// and are bounded by it. Series of a list that is gone are removed.
type metrics struct {
	reloads  *prometheus.CounterVec
	rejected *prometheus.CounterVec
	entries  *prometheus.Desc
	success  *prometheus.Desc
	snapshot func() *Snapshot
}

func newMetrics(r prometheus.Registerer, snapshot func() *Snapshot) (*metrics, error) {
	list := []string{"list"}
	m := &metrics{
		reloads: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "weir_list_reload_total",
			Help: "Attempts to load a list, by result: ok, not_modified, or why the data from before keep serving.",
		}, []string{"list", "result"}),
		rejected: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "weir_list_rejected_lines_total",
			Help: "Items of sources that were taken which did not become entries, by reason.",
		}, []string{"list", "reason"}),
		entries: prometheus.NewDesc("weir_list_entries", "Names, networks and regular expressions of the list that serve.", list, nil),
		success: prometheus.NewDesc("weir_list_last_success_timestamp_seconds",
			"When a URL list's source last gave or confirmed its data, and when a local list was last read; 0 for never.", list, nil),
		snapshot: snapshot,
	}
	return m, errors.Join(r.Register(m.reloads), r.Register(m.rejected), r.Register(m))
}

// Describe is for prometheus.
func (m *metrics) Describe(c chan<- *prometheus.Desc) {
	c <- m.entries
	c <- m.success
}

// Collect is for prometheus.
func (m *metrics) Collect(c chan<- prometheus.Metric) {
	for _, l := range m.snapshot().lists {
		c <- prometheus.MustNewConstMetric(m.entries, prometheus.GaugeValue, float64(l.Entries+l.Addresses+l.Patterns), l.Name)
		var when float64
		if !l.Checked.IsZero() {
			when = float64(l.Checked.UnixNano()) / 1e9
		}
		c <- prometheus.MustNewConstMetric(m.success, prometheus.GaugeValue, when, l.Name)
	}
}

// loaded counts one attempt and, for data that were taken, what was refused of them.
func (m *metrics) loaded(list, result string, d *data) {
	m.reloads.WithLabelValues(list, result).Inc()
	if d == nil {
		return
	}
	for r, n := range d.rejected {
		if n > 0 {
			m.rejected.WithLabelValues(list, Reason(r).String()).Add(float64(n))
		}
	}
}

// forget removes the series of a list.
func (m *metrics) forget(list string) {
	m.reloads.DeletePartialMatch(prometheus.Labels{"list": list})
	m.rejected.DeletePartialMatch(prometheus.Labels{"list": list})
}
