package upstream

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	duration *prometheus.HistogramVec
	up       *prometheus.GaugeVec
	invalid  *prometheus.CounterVec
	failures *prometheus.CounterVec
	rejected prometheus.Counter
	packets  *prometheus.CounterVec
	hedges   prometheus.Counter
	overdue  *prometheus.CounterVec
	spared   prometheus.Counter
}

func newMetrics(reg prometheus.Registerer, inFlight func() float64) *metrics {
	m := &metrics{
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "weir_upstream_request_duration_seconds",
			Help:    "Time from a query to its valid answer, by server and response code.",
			Buckets: []float64{.001, .002, .005, .01, .02, .05, .1, .2, .4, .8, 1.6},
		}, []string{"upstream", "rcode"}),
		up: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "weir_upstream_up",
			Help: "Whether the server is taken to be up.",
		}, []string{"upstream"}),
		invalid: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "weir_upstream_invalid_total",
			Help: "Packets from the server's address that were no valid answer, by what was wrong.",
		}, []string{"upstream", "reason"}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "weir_upstream_failures_total",
			Help: "Questions that a server did not answer in its time (timeout) or that could not be put to it (network).",
		}, []string{"upstream", "reason"}),
		packets: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "weir_upstream_queries_total",
			Help: "Queries sent to the server, by transport; races, hedges and repetitions are why they are more than questions.",
		}, []string{"upstream", "proto"}),
		hedges: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "weir_upstream_hedges_total",
			Help: "Questions asked again because the answer took longer than nineteen of twenty do.",
		}),
		spared: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "weir_upstream_spared_total",
			Help: "Times that a server was asked last, or not at all, because it had failed the same question a short while ago.",
		}),
		overdue: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "weir_upstream_overdue_total",
			Help: "Questions whose answer was waited for after their time was over, by what came of it: answered, silent, or refused (too many are waited for).",
		}, []string{"result"}),
		rejected: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "weir_upstream_rejected_total",
			Help: "Questions refused because max_in_flight were waiting.",
		}),
	}
	reg.MustRegister(m.duration, m.up, m.invalid, m.failures, m.rejected, m.packets, m.hedges, m.overdue, m.spared,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "weir_upstream_in_flight",
			Help: "Questions waiting for an answer now.",
		}, inFlight))
	return m
}
