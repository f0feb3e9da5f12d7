package main

import (
	"errors"
	"math"
	"net/http"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/weirdns/weir/pdns/query"
	"github.com/weirdns/weir/pdns/store"
	"github.com/weirdns/weir/pdns/tally"
	"github.com/weirdns/weir/web"
)

// overviewReport is the answer of GET /api/v1/overview: how it goes, in numbers.
type overviewReport struct {
	Now       time.Time            `json:"now"`
	Started   time.Time            `json:"started"`
	Missing   []string             `json:"missing"` // what keeps weir from being ready
	Answers   []answerCount        `json:"answers"`
	Cache     map[string]float64   `json:"cache"` // entries, bytes, hits, misses, evictions
	Latency   []latency            `json:"latency"`
	Verdicts  []verdictCount       `json:"verdicts"`
	NotServed map[string]float64   `json:"not_served"` // messages without an answer, by reason
	Records   map[string]lossCount `json:"records"`    // transactions by where they go
	// Minutes are the last 60, the latest last. Null: nothing is counted
	// (store.enabled).
	Minutes []overviewMinute `json:"minutes"`
	Domains []tally.Count    `json:"domains"`
	Clients []tally.Count    `json:"clients"` // null: clients are not counted
}

type answerCount struct {
	Rcode  string  `json:"rcode"`
	Source string  `json:"source"`
	Count  float64 `json:"count"`
}

type verdictCount struct {
	Origin string  `json:"origin"`
	Action string  `json:"action"`
	Mode   string  `json:"mode"` // enforce or monitor
	Count  float64 `json:"count"`
}

// latency is how long answers took that were not at hand, since the start, in
// seconds. Null: more than the largest bucket, or nothing was measured.
type latency struct {
	Source string   `json:"source"`
	Count  uint64   `json:"count"`
	P50    *float64 `json:"p50"`
	P90    *float64 `json:"p90"`
	P99    *float64 `json:"p99"`
}

type lossCount struct {
	Recorded float64 `json:"recorded"`
	Dropped  float64 `json:"dropped"`
}

// overviewMinute is a minute with or without queries.
type overviewMinute struct {
	tally.Minute
	// Gap says that weir did not run in that minute, or not all of it: no queries
	// then does not mean that there were none.
	Gap bool `json:"gap"`
}

// overview is GET /api/v1/overview.
func (s *service) overview(*http.Request) (any, error) {
	families, err := s.registry.Gather()
	if err != nil {
		return nil, err
	}
	now := time.Now()
	o := &overviewReport{
		Now: now.UTC(), Started: s.began.UTC(), Missing: append([]string{}, s.missing()...), Answers: []answerCount{}, Latency: []latency{},
		Verdicts: []verdictCount{}, Cache: map[string]float64{}, NotServed: map[string]float64{}, Records: map[string]lossCount{},
	}
	for _, f := range families {
		o.add(f)
	}
	began := s.began
	if s.played != nil {
		o.Answers = s.played.addTo(o.Answers)
		began = began.Add(-demoPast)
	}
	if s.history != nil {
		report := s.history.tally.Report()
		o.Minutes = lastHour(report.Minutes, now, began)
		o.Domains, o.Clients = report.Domains, report.Clients
	}
	return o, nil
}

// lastHour is 60 minutes up to now, with those that nothing was counted in.
func lastHour(counted []tally.Minute, now, began time.Time) []overviewMinute {
	const n = 60
	byTime := map[int64]tally.Minute{}
	for _, m := range counted {
		byTime[m.Time] = m
	}
	last := now.Unix() / 60 * 60
	out := make([]overviewMinute, n)
	for i := range out {
		at := last - int64(n-1-i)*60
		m, ok := byTime[at]
		m.Time = at
		out[i] = overviewMinute{m, !ok && at < began.Unix()}
	}
	return out
}

// detections is GET /api/v1/detections.
func (s *service) detections(r *http.Request) (out any, err error) {
	p, err := query.DetectionsFromURL(r.URL.Query())
	if err != nil {
		return nil, web.BadRequest("%w", err)
	}
	err = s.history.store.View(func(reader *store.Reader) error {
		out, err = p.Run(r.Context(), reader, time.Now())
		return err
	})
	if errors.Is(err, store.ErrNotOpen) {
		err = &web.Error{Status: http.StatusServiceUnavailable, Err: err}
	}
	return out, err
}

// add takes what the overview shows out of a family of metrics.
func (o *overviewReport) add(f *dto.MetricFamily) {
	for _, m := range f.GetMetric() {
		label := func(name string) string {
			for _, l := range m.GetLabel() {
				if l.GetName() == name {
					return l.GetValue()
				}
			}
			return ""
		}
		value := m.GetCounter().GetValue() + m.GetGauge().GetValue()
		switch f.GetName() {
		case "weir_dns_responses_total":
			o.Answers = append(o.Answers, answerCount{label("rcode"), label("source"), value})
		case "weir_dns_request_duration_seconds":
			o.Latency = append(o.Latency, latencyOf(label("source"), m.GetHistogram()))
		case "weir_verdicts_total":
			o.Verdicts = append(o.Verdicts, verdictCount{label("origin"), label("action"), label("mode"), value})
		case "weir_dns_not_served_total":
			o.NotServed[label("reason")] = value
		case "weir_cache_entries", "weir_cache_bytes", "weir_cache_misses_total", "weir_cache_evictions_total":
			o.Cache[strings.TrimSuffix(strings.TrimPrefix(f.GetName(), "weir_cache_"), "_total")] = value
		case "weir_cache_hits_total":
			o.Cache["hits"] += value
		case "weir_sink_records_total":
			r := o.Records[label("sink")]
			r.Recorded = value
			o.Records[label("sink")] = r
		case "weir_sink_dropped_total":
			r := o.Records[label("sink")]
			r.Dropped += value
			o.Records[label("sink")] = r
		}
	}
}

func latencyOf(source string, h *dto.Histogram) latency {
	return latency{source, h.GetSampleCount(), quantile(0.5, h), quantile(0.9, h), quantile(0.99, h)}
}

// quantile is below which value a share q of a histogram's observations lies, by
// a line through its bucket.
func quantile(q float64, h *dto.Histogram) *float64 {
	rank := q * float64(h.GetSampleCount())
	below, low := 0.0, 0.0
	for _, b := range h.GetBucket() {
		n, high := float64(b.GetCumulativeCount()), b.GetUpperBound()
		if n >= rank && n > below && !math.IsInf(high, 1) {
			v := low + (high-low)*(rank-below)/(n-below)
			return &v
		}
		below, low = n, high
	}
	return nil
}
