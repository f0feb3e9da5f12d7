package detect

import (
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/weirdns/weir/detect/allow"
)

// Hits is what came of the queries that met one list, each query counted once,
// by the most that the list did to it.
type Hits struct {
	// Enforced queries met an entry that blocks. Monitored ones met one that
	// would, if the list did not only watch.
	Enforced, Monitored uint64
	Observed            uint64 // platforms that many share
	Passed              uint64 // let pass by the list
	Overruled           uint64 // something else counted more
	Last                time.Time
}

// listHits are the counters behind Hits. They outlive a reload.
type listHits struct {
	effects [len(effectNames)]atomic.Uint64
	last    atomic.Int64 // Unix nanoseconds of the newest query; 0: none
}

// weight orders effects by what they do to a query.
var weight = [...]uint8{EffectEnforce: 5, EffectMonitor: 4, EffectPass: 3, EffectObserve: 2, EffectOverruled: 1}

// countHits counts a query for each list that it met.
func (p *policy) countHits(t *Transaction) {
	matches := t.Verdict.Matches
next:
	for i := range matches {
		effect := matches[i].Effect
		for j := range matches {
			if matches[j].List != matches[i].List {
				continue
			}
			if j < i {
				continue next // counted already
			}
			if weight[matches[j].Effect] > weight[effect] {
				effect = matches[j].Effect
			}
		}
		h := p.hits[matches[i].List]
		if h == nil {
			continue // the list is gone since
		}
		h.effects[effect].Add(1)
		for at := t.Query.Time.UnixNano(); ; {
			was := h.last.Load()
			if at <= was || h.last.CompareAndSwap(was, at) {
				break
			}
		}
	}
}

func (h *listHits) read() Hits {
	out := Hits{
		Enforced: h.effects[EffectEnforce].Load(), Monitored: h.effects[EffectMonitor].Load(), Observed: h.effects[EffectObserve].Load(),
		Passed: h.effects[EffectPass].Load(), Overruled: h.effects[EffectOverruled].Load(),
	}
	if last := h.last.Load(); last != 0 {
		out.Last = time.Unix(0, last).UTC()
	}
	return out
}

// Hits is what came of the queries that met a list since weir started; zero for
// one that is not configured.
func (d *Detector) Hits(list string) Hits {
	if h := d.state.Load().policy.hits[list]; h != nil {
		return h.read()
	}
	return Hits{}
}

// keepHits gives the policy the counters of its lists: those of the policy
// before it where the list was there already.
func (p *policy) keepHits(old *policy) {
	p.hits = make(map[string]*listHits, len(p.lists)+1)
	names := append(slices.Collect(maps.Keys(p.lists)), allow.List)
	for _, name := range names {
		if old != nil && old.hits[name] != nil {
			p.hits[name] = old.hits[name]
		} else {
			p.hits[name] = &listHits{}
		}
	}
}

var (
	hitsDesc = prometheus.NewDesc("weir_list_hits_total",
		"Queries that met a list, once each, by the most that the list did to them: enforce, monitor (would have blocked), pass, observe or overruled.",
		[]string{"list", "effect"}, nil)
	lastHitDesc = prometheus.NewDesc("weir_list_last_hit_timestamp_seconds",
		"When a query last met the list; 0 for never.", []string{"list"}, nil)
)

// hitsCollector shows the counters of the lists that are configured now.
type hitsCollector struct{ d *Detector }

// Describe is part of prometheus.Collector.
func (c hitsCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- hitsDesc
	ch <- lastHitDesc
}

// Collect is part of prometheus.Collector. Of the effects, those that lists are
// for are there from the beginning.
func (c hitsCollector) Collect(ch chan<- prometheus.Metric) {
	st := c.d.state.Load()
	if st == nil {
		return
	}
	for name, h := range st.policy.hits {
		for effect := range h.effects {
			if n := h.effects[effect].Load(); n > 0 || Effect(effect) <= EffectEnforce {
				ch <- prometheus.MustNewConstMetric(hitsDesc, prometheus.CounterValue, float64(n), name, effectNames[effect])
			}
		}
		ch <- prometheus.MustNewConstMetric(lastHitDesc, prometheus.GaugeValue, float64(h.last.Load())/1e9, name)
	}
}
