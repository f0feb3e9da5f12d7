package alert

import (
	"errors"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// counters of an Engine.
type counters struct {
	suppressed [heldKinds]atomic.Uint64
	forgotten  atomic.Uint64 // keys
	refused    atomic.Uint64 // alerts
	lost       atomic.Uint64 // notifications
	templates  atomic.Uint64
	unsaved    atomic.Uint64
}

// register makes the counters visible. They are read when they are asked for.
func (e *Engine) register(reg prometheus.Registerer) error {
	var errs []error
	counter := func(name, help string, labels prometheus.Labels, read func() uint64) {
		errs = append(errs, reg.Register(prometheus.NewCounterFunc(
			prometheus.CounterOpts{Name: name, Help: help, ConstLabels: labels}, func() float64 { return float64(read()) })))
	}
	errs = append(errs, reg.Register(ruleCounters{e}))
	for kind, name := range heldNames {
		counter("weir_alerts_suppressed_total", "Times that an alert was not told, by reason.", prometheus.Labels{"reason": name}, e.counts.suppressed[kind].Load)
	}
	counter("weir_alerts_forgotten_total", "Clients, networks and names that rules forgot to make room.", nil, e.counts.forgotten.Load)
	counter("weir_alerts_refused_total", "Alerts that were not begun since as many fired as may.", nil, e.counts.refused.Load)
	counter("weir_alerts_lost_total", "Notifications that were lost since the disk refused them.", nil, e.counts.lost.Load)
	counter("weir_alerts_template_failures_total", "Notifications with weir's own text, since the configured template failed.", nil, e.counts.templates.Load)
	counter("weir_alerts_save_failures_total", "Times that alerts and counters could not be written.", nil, e.counts.unsaved.Load)
	for s := range Critical + 1 {
		errs = append(errs, reg.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "weir_alerts_firing", Help: "Alerts that fire.", ConstLabels: prometheus.Labels{"severity": s.String()},
		}, func() float64 {
			e.mu.Lock()
			defer e.mu.Unlock()
			n := 0
			for _, a := range e.firing {
				if a.Severity == s {
					n++
				}
			}
			return float64(n)
		})))
	}
	return errors.Join(errs...)
}

// ruleCounters are the counters of the rules that there are now.
type ruleCounters struct{ *Engine }

var (
	firedDesc  = prometheus.NewDesc("weir_alerts_fired_total", "Alerts that began to fire, by rule.", []string{"rule"}, nil)
	eventsDesc = prometheus.NewDesc("weir_alerts_events_total", "Transactions and findings that a rule is about.", []string{"rule"}, nil)
)

// Describe is part of prometheus.Collector.
func (c ruleCounters) Describe(ch chan<- *prometheus.Desc) {
	ch <- firedDesc
	ch <- eventsDesc
}

// Collect is part of prometheus.Collector.
func (c ruleCounters) Collect(ch chan<- prometheus.Metric) {
	for _, r := range *c.rules.Load() {
		ch <- prometheus.MustNewConstMetric(firedDesc, prometheus.CounterValue, float64(r.fired.Load()), r.Name)
		ch <- prometheus.MustNewConstMetric(eventsDesc, prometheus.CounterValue, float64(r.events.Load()), r.Name)
	}
}
