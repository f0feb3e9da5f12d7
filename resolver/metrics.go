package resolver

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/internal/dnswire"
)

// countedTypes have a series of their own; all others are "other", so that no
// client decides how many series there are.
var countedTypes = [...]uint16{
	dnswire.TypeA, dnswire.TypeAAAA, dnswire.TypeHTTPS, dnswire.TypeSVCB, dnswire.TypePTR, dnswire.TypeTXT,
	dnswire.TypeMX, dnswire.TypeNS, dnswire.TypeSOA, dnswire.TypeCNAME, dnswire.TypeDS, dnswire.TypeANY, srv,
}

const (
	srv        = 33
	otherType  = len(countedTypes)
	rcodeCount = 24
	noAnswer   = rcodeCount // in place of a code, for what policy dropped
	sources    = int(detect.FromWire) + 1
)

// metrics are plain counters, turned into series when somebody scrapes.
type metrics struct {
	s *Resolver

	requests  [len(protos)][2][len(countedTypes) + 1]atomic.Uint64 // by proto, IPv6, type
	responses [rcodeCount + 1][sources]atomic.Uint64
	typeIndex [256]uint8
	duration  [sources]prometheus.Observer

	ignored, refused, nameless            atomic.Uint64
	denied                                atomic.Uint64
	overloaded                            [admissions]atomic.Uint64
	prefetches, prefetchSkipped           atomic.Uint64
	snapshotSaved, snapshotFailed         atomic.Uint64
	snapshotLoaded, snapshotRefused       atomic.Uint64
	writeErrors, acceptErrors, tcpRefused atomic.Uint64
	panics                                atomic.Uint64
	proxyErrors, tlsErrors, httpRefused   atomic.Uint64
	badCookies                            atomic.Uint64
	datagrams, rateDropped                atomic.Uint64
}

// protos are the transports of clients.
var protos = [...]string{"udp", "tcp", "dot", "doh", "doq"}

// protoOf is a transport's place in protos.
var protoOf = [...]uint8{detect.UDP: 0, detect.TCP: 1, detect.DoT: 2, detect.DoH: 3, detect.DoQ: 4}

var (
	requestsDesc = prometheus.NewDesc("weir_dns_requests_total",
		"Queries by transport, address family and type.", []string{"proto", "family", "qtype"}, nil)
	responsesDesc = prometheus.NewDesc("weir_dns_responses_total",
		"Answers by response code and by where they came from; source policy with rcode none was dropped by policy.", []string{"rcode", "source"}, nil)
	droppedDesc = prometheus.NewDesc("weir_dns_not_served_total",
		"Messages that got no answer or an error before they were judged: ignored (no query), refused (malformed or unsupported), nameless (as refused, and without a query for a name: the only answers that are not recorded), denied (client not allowed), overloaded (no place to wait for an upstream), rate_limited (dropped by a rate limit), client_share and domain_share (one client network or registered domain holds its share of the places).", []string{"reason"}, nil)
	datagramsDesc = prometheus.NewDesc("weir_dns_datagrams_total",
		"Datagrams read from clients. Each is a response, or is counted as ignored, denied, rate_limited or a bad PROXY header.", nil, nil)
	errorsDesc = prometheus.NewDesc("weir_dns_socket_errors_total",
		"Answers that could not be written and connections that could not be accepted.", []string{"operation"}, nil)
	tcpDesc = prometheus.NewDesc("weir_tcp_connections",
		"Open client connections.", nil, nil)
	tcpRefusedDesc = prometheus.NewDesc("weir_tcp_refused_total",
		"Connections closed because a limit was reached.", nil, nil)
	quicDesc = prometheus.NewDesc("weir_quic_connections",
		"Open client connections over QUIC, those in their handshake included.", nil, nil)
	quicEventsDesc = prometheus.NewDesc("weir_quic_events_total",
		"What happened to connections over QUIC: retry (asked to show that the address is the client's own), refused (a limit was reached), handshake (did not end well), protocol (closed for what RFC 9250 forbids), incomplete (a query that never came whole).", []string{"event"}, nil)
	tcpEvictedDesc = prometheus.NewDesc("weir_tcp_evicted_total",
		"Idle connections closed to make room for a new one at a limit.", nil, nil)
	pacedDesc = prometheus.NewDesc("weir_dns_paced_total",
		"Answers over UDP held back for a moment: too many that had waited were due to one client at once.", nil, nil)
	pendingDesc = prometheus.NewDesc("weir_dns_pending",
		"Queries that wait for an upstream.", nil, nil)
	prefetchDesc = prometheus.NewDesc("weir_cache_prefetch_total",
		"Answers fetched anew before their TTL was over, and those that were not because there was no place, or somebody asked already.", []string{"result"}, nil)
	snapshotDesc = prometheus.NewDesc("weir_cache_snapshots_total",
		"The cache written to its file (saved, failed) and read from it at the start (loaded, refused: damaged, or from the future).", []string{"result"}, nil)
	handshakesDesc = prometheus.NewDesc("weir_dns_bad_requests_total",
		"What came over a transport and was none of it: proxy (no PROXY header from a proxy), tls (handshakes that failed), http (requests refused with a status), cookie (answered BADCOOKIE).", []string{"reason"}, nil)
	limitedDesc = prometheus.NewDesc("weir_dns_rate_limited_total",
		"Queries above a rate limit, by which: network or client; with dry_run they were answered.", []string{"limit"}, nil)
	panicsDesc = prometheus.NewDesc("weir_panics_recovered_total",
		"Bugs on the query path that cost one client its answer.", nil, nil)
)

func newMetrics(reg prometheus.Registerer, s *Resolver) *metrics {
	m := &metrics{s: s}
	for i := range m.typeIndex {
		m.typeIndex[i] = uint8(otherType)
	}
	for i, t := range countedTypes {
		m.typeIndex[t] = uint8(i)
	}
	h := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "weir_dns_request_duration_seconds",
		Help:    "Time from a query's arrival to its answer, for answers that were not at hand.",
		Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2},
	}, []string{"source"})
	for src := range m.duration {
		switch detect.Source(src) {
		case detect.FromUpstream, detect.FromStale, detect.FromLocal:
			m.duration[src] = h.WithLabelValues(detect.Source(src).String())
		}
	}
	reg.MustRegister(h, m)
	return m
}

func (m *metrics) request(r *request) {
	var v6 int
	if r.ask.Client.Is6() {
		v6 = 1
	}
	index := uint8(otherType)
	if r.ask.Type < uint16(len(m.typeIndex)) {
		index = m.typeIndex[r.ask.Type]
	}
	m.requests[protoOf[r.ask.Transport]][v6][index].Add(1)
}

// response counts what became of a query. Ignored messages are none.
func (m *metrics) response(r *request, latency time.Duration) {
	if len(r.out) == 0 && r.source != detect.FromPolicy {
		return
	}
	rcode := r.rcode
	switch {
	case len(r.out) == 0:
		rcode = noAnswer
	case rcode >= rcodeCount:
		rcode = dnswire.RcodeServFail
	}
	m.responses[rcode][r.source].Add(1)
	if o := m.duration[r.source]; o != nil {
		o.Observe(latency.Seconds())
	}
}

// Describe is part of prometheus.Collector.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		requestsDesc, responsesDesc, droppedDesc, errorsDesc, tcpDesc, tcpRefusedDesc, tcpEvictedDesc, pacedDesc, pendingDesc, prefetchDesc, snapshotDesc, panicsDesc,
		handshakesDesc, limitedDesc, datagramsDesc, quicDesc, quicEventsDesc,
	} {
		ch <- d
	}
}

// Collect is part of prometheus.Collector.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	counter := func(d *prometheus.Desc, v *atomic.Uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v.Load()), labels...)
	}
	for p, proto := range protos {
		for v6, family := range []string{"4", "6"} {
			for i := range m.requests[p][v6] {
				if v := &m.requests[p][v6][i]; v.Load() > 0 {
					counter(requestsDesc, v, proto, family, typeLabel(i))
				}
			}
		}
	}
	for rcode := range m.responses {
		for src := range m.responses[rcode] {
			if v := &m.responses[rcode][src]; v.Load() > 0 {
				counter(responsesDesc, v, rcodeLabel(rcode), detect.Source(src).String())
			}
		}
	}
	counter(droppedDesc, &m.ignored, "ignored")
	counter(droppedDesc, &m.refused, "refused")
	counter(droppedDesc, &m.nameless, "nameless")
	counter(droppedDesc, &m.denied, "denied")
	counter(droppedDesc, &m.rateDropped, "rate_limited")
	counter(datagramsDesc, &m.datagrams)
	for why := allTaken; why < admissions; why++ {
		counter(droppedDesc, &m.overloaded[why], why.String())
	}
	counter(snapshotDesc, &m.snapshotSaved, "saved")
	counter(snapshotDesc, &m.snapshotFailed, "failed")
	counter(snapshotDesc, &m.snapshotLoaded, "loaded")
	counter(snapshotDesc, &m.snapshotRefused, "refused")
	counter(prefetchDesc, &m.prefetches, "started")
	counter(prefetchDesc, &m.prefetchSkipped, "skipped")
	counter(errorsDesc, &m.writeErrors, "write")
	counter(errorsDesc, &m.acceptErrors, "accept")
	counter(tcpRefusedDesc, &m.tcpRefused)
	counter(tcpEvictedDesc, &m.s.limits.evicted)
	counter(pacedDesc, &m.s.pacer.paced)
	counter(panicsDesc, &m.panics)
	counter(handshakesDesc, &m.proxyErrors, "proxy")
	counter(handshakesDesc, &m.tlsErrors, "tls")
	counter(handshakesDesc, &m.httpRefused, "http")
	counter(handshakesDesc, &m.badCookies, "cookie")
	if l := m.s.rates; l != nil {
		counter(limitedDesc, &l.over[0], "network")
		counter(limitedDesc, &l.over[1], "client")
	}
	ch <- prometheus.MustNewConstMetric(tcpDesc, prometheus.GaugeValue, float64(m.s.limits.open()))
	if len(m.s.quic) > 0 {
		m.collectQUIC(ch)
	}
	ch <- prometheus.MustNewConstMetric(pendingDesc, prometheus.GaugeValue, float64(m.s.pending.taken()))
}

func (m *metrics) collectQUIC(ch chan<- prometheus.Metric) {
	st := m.s.quicStats()
	for event, n := range map[string]uint64{
		"retry": st.Retries, "refused": st.Refused, "handshake": st.Failed, "protocol": st.Protocol, "incomplete": st.Incomplete,
	} {
		ch <- prometheus.MustNewConstMetric(quicEventsDesc, prometheus.CounterValue, float64(n), event)
	}
	ch <- prometheus.MustNewConstMetric(quicDesc, prometheus.GaugeValue, float64(st.Open))
}

func rcodeLabel(rcode int) string {
	if rcode == noAnswer {
		return "none"
	}
	return dnswire.RcodeString(uint16(rcode))
}

func typeLabel(i int) string {
	if i == otherType {
		return "other"
	}
	return dnswire.TypeString(countedTypes[i])
}
