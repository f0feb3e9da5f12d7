package cache

import "github.com/prometheus/client_golang/prometheus"

// collector reads the shards' own counters when it is scraped, so that a hit
// costs no more than an addition under a lock that is held anyway.
type collector struct {
	cache                                   *Cache
	entries, bytes, hits, misses, evictions *prometheus.Desc
}

func newCollector(c *Cache) *collector {
	return &collector{
		cache:     c,
		entries:   prometheus.NewDesc("weir_cache_entries", "Answers in the cache.", nil, nil),
		bytes:     prometheus.NewDesc("weir_cache_bytes", "Bytes taken by the answers in the cache.", nil, nil),
		hits:      prometheus.NewDesc("weir_cache_hits_total", "Questions answered from the cache.", []string{"state"}, nil),
		misses:    prometheus.NewDesc("weir_cache_misses_total", "Questions not in the cache.", nil, nil),
		evictions: prometheus.NewDesc("weir_cache_evictions_total", "Usable answers put out for room.", nil, nil),
	}
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.entries, c.bytes, c.hits, c.misses, c.evictions} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	s := c.cache.Stats()
	gauge := func(d *prometheus.Desc, v float64) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v)
	}
	counter := func(d *prometheus.Desc, v uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	gauge(c.entries, float64(s.Entries))
	gauge(c.bytes, float64(s.Bytes))
	counter(c.hits, s.Hits, "fresh")
	counter(c.hits, s.Stale, "stale")
	counter(c.misses, s.Misses)
	counter(c.evictions, s.Evictions)
}
