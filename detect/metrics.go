package detect

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/weirdns/weir/detect/lookalike"
)

// metrics counts verdicts without a lock or a label look-up on the query path:
// plain counters by place, turned into series when somebody scrapes.
type metrics struct {
	verdicts [len(originNames)][len(actionNames)][2]atomic.Uint64
	failed   atomic.Uint64
	// compared counts registered domains by the level that the model in use
	// gave them and the level that the model on trial did.
	compared     [len(levelNames)][len(levelNames)]atomic.Uint64
	shadowFailed atomic.Uint64
	popular      atomic.Int64 // domains in Popularity
	score        prometheus.Histogram
	took         prometheus.Histogram
	model        *prometheus.GaugeVec
	site         *Site
	// imitations counts queries by how they imitate a brand.
	imitations [lookalike.Kinds][lookalike.GradeHigh + 1]atomic.Uint64
}

var (
	verdictsDesc = prometheus.NewDesc("weir_verdicts_total",
		"Queries by whose judgement it was, the action that policy wants, and whether it is enforced or only watched.",
		[]string{"origin", "action", "mode"}, nil)
	failedDesc = prometheus.NewDesc("weir_detect_failures_total",
		"Names that could not be judged because the scorer failed.", nil, nil)
)

var (
	comparedDesc = prometheus.NewDesc("weir_shadow_names_total",
		"Registered domains by the level that the model in use gave them and the one that the model on trial did.",
		[]string{"level", "shadow_level"}, nil)
	shadowFailedDesc = prometheus.NewDesc("weir_shadow_failures_total",
		"Names that the model on trial failed on.", nil, nil)
)

var imitationsDesc = prometheus.NewDesc("weir_lookalike_queries_total",
	"Queries for names that imitate a brand, by how, and by how much that says.",
	[]string{"kind", "grade"}, nil)

var (
	siteNamesDesc = prometheus.NewDesc("weir_site_names",
		"Registered domains that the site's own figures of scores rest on.", nil, nil)
	popularDesc = prometheus.NewDesc("weir_popular_names",
		"Registered domains that the configured lists agree are popular.", nil, nil)
	siteResultsDesc = prometheus.NewDesc("weir_site_names_total",
		"Registered domains that resolved with a new score, by whether the site's figures counted them.",
		[]string{"result"}, nil)
)

var modeNames = [2]string{ModeMonitor, ModeEnforce}

func newMetrics(reg prometheus.Registerer, site *Site) *metrics {
	m := &metrics{
		site: site,
		score: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "weir_score",
			Help:    "Scores of registered domains, one for each evaluation of the model (not for cached scores).",
			Buckets: []float64{.01, .05, .1, .25, .5, .75, .9, .95, .99, .999},
		}),
		took: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "weir_score_duration_seconds",
			Help:    "Time of one evaluation of the model, features included.",
			Buckets: []float64{1e-6, 2e-6, 4e-6, 8e-6, 16e-6, 32e-6, 64e-6, 256e-6, 1e-3},
		}),
		model: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "weir_model_info",
			Help: "The models: the one in use, and the one on trial (role shadow); the value is always 1.",
		}, []string{"role", "name", "version", "features", "sha256"}),
	}
	reg.MustRegister(m.score, m.took, m.model, m)
	return m
}

func (m *metrics) place(v *Verdict) *atomic.Uint64 {
	mode := 0
	if v.Enforced {
		mode = 1
	}
	return &m.verdicts[v.Origin][v.Action][mode]
}

func (m *metrics) count(v *Verdict) {
	m.place(v).Add(1)
	if l := &v.Lookalike; l.Grade != lookalike.GradeNone {
		m.imitations[l.Kind][l.Grade].Add(1)
	}
}

func (m *metrics) scored(score float64, took time.Duration) {
	m.score.Observe(score)
	m.took.Observe(took.Seconds())
}

func (m *metrics) setModels(live, shadow *Model) {
	m.model.Reset()
	for role, model := range map[string]*Model{"live": live, "shadow": shadow} {
		if model != nil {
			info := model.Info()
			m.model.WithLabelValues(role, info.Name, info.Version, info.FeatureSet, info.SHA256).Set(1)
		}
	}
}

// Describe is part of prometheus.Collector.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) {
	ch <- verdictsDesc
	ch <- failedDesc
	ch <- comparedDesc
	ch <- imitationsDesc
	ch <- shadowFailedDesc
	ch <- siteNamesDesc
	ch <- popularDesc
	ch <- siteResultsDesc
}

// Collect is part of prometheus.Collector. Series that never moved are left
// out, except those of an unjudged and of a passed query.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	for o := range m.verdicts {
		for a := range m.verdicts[o] {
			for e := range m.verdicts[o][a] {
				if n := m.verdicts[o][a][e].Load(); n > 0 || (a == 0 && e == 0) {
					ch <- prometheus.MustNewConstMetric(verdictsDesc, prometheus.CounterValue, float64(n),
						originNames[o], actionNames[a], modeNames[e])
				}
			}
		}
	}
	ch <- prometheus.MustNewConstMetric(failedDesc, prometheus.CounterValue, float64(m.failed.Load()))
	ch <- prometheus.MustNewConstMetric(shadowFailedDesc, prometheus.CounterValue, float64(m.shadowFailed.Load()))
	for kind := range m.imitations {
		for grade := range m.imitations[kind] {
			if n := m.imitations[kind][grade].Load(); n > 0 {
				ch <- prometheus.MustNewConstMetric(imitationsDesc, prometheus.CounterValue, float64(n), lookalike.Kind(kind).String(), lookalike.Grade(grade).String())
			}
		}
	}
	for live := range m.compared {
		for shadow := range m.compared[live] {
			if n := m.compared[live][shadow].Load(); n > 0 {
				ch <- prometheus.MustNewConstMetric(comparedDesc, prometheus.CounterValue, float64(n), levelNames[live], levelNames[shadow])
			}
		}
	}
	ch <- prometheus.MustNewConstMetric(siteNamesDesc, prometheus.GaugeValue, float64(m.site.Names()))
	ch <- prometheus.MustNewConstMetric(popularDesc, prometheus.GaugeValue, float64(m.popular.Load()))
	for i := range m.site.results {
		ch <- prometheus.MustNewConstMetric(siteResultsDesc, prometheus.CounterValue, float64(m.site.results[i].Load()), siteResults[i])
	}
}
