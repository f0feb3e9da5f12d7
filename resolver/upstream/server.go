package upstream

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/weirdns/weir/internal/dnswire"
	"github.com/weirdns/weir/internal/quicdns"
)

const (
	// noEDNSFor is how long a server that did not know OPT is asked without.
	noEDNSFor = 10 * time.Minute
	// noCaseFor is how long a server that did not give the case back is asked
	// in lower case.
	noCaseFor = time.Hour
	// plainStrikes is after how many questions in a row a server that has shown
	// OPT before is believed not to know it. One that refuses it for some names
	// (what stands behind it may), must not lose it, and DO with it, for all.
	plainStrikes = 3
	// caseStrikes is after how many questions in a row that happens. A single
	// wrong case may be somebody's forgery.
	caseStrikes = 3
)

// server is one configured upstream.
type server struct {
	target
	name   string // as configured; the label of its metrics
	group  *Group
	health health
	pool   pool
	spares spares
	tls    *tls.Config // nil: not over TLS
	https  atomic.Pointer[http.Client]
	http3  *quicdns.HTTP3  // what https sends by; nil: by HTTP/2 or 1.1
	quic   *quicdns.Client // nil: not over QUIC
	jar    jar             // cookies

	estimate  estimate
	durations [rcodeLabels]atomic.Pointer[prometheus.Observer] // by response code, made when first seen

	packets, streams prometheus.Counter

	epoch   time.Time    // what the two instants below count from
	noEDNS  atomic.Int64 // until then without OPT
	shown   atomic.Bool  // it has answered with OPT
	plain   atomic.Int32 // questions in a row, since it did, that it refused for OPT
	noCase  atomic.Int64 // until then without random case
	strikes atomic.Int32 // questions in a row in which the case was wrong
	crumbs  atomic.Int32 // or the cookie

	mu      sync.Mutex
	invalid map[reason]struct{} // logged once each
}

func newServer(g *Group, name string, t target, roots *x509.CertPool) *server {
	s := &server{target: t, name: name, group: g, epoch: time.Now(), invalid: map[reason]struct{}{}}
	s.estimate.start(g.cfg.AttemptTimeout)
	g.metrics.up.WithLabelValues(name).Set(1)
	s.packets = g.metrics.packets.WithLabelValues(name, "udp")
	s.streams = g.metrics.packets.WithLabelValues(name, max(overTCP, t.proto).String())
	s.pool.ctx, s.pool.cancel = context.WithCancel(context.Background())
	switch t.proto {
	case overTLS:
		s.tls = t.tlsConfig(roots, "dot")
	case overHTTPS:
		s.tls = t.tlsConfig(roots, "h2", "http/1.1")
		s.https.Store(s.newHTTPS())
	case overHTTP3:
		s.http3 = quicdns.NewHTTP3(t.addrs, t.tlsConfig(roots), idleTLS, g.cfg.Timeout)
		s.https.Store(httpClient(s.http3))
	case overQUIC:
		s.quic = quicdns.NewClient(t.addrs, t.tlsConfig(roots), idleTLS, g.cfg.Timeout)
	}
	return s
}

// exchange asks s over a connection; see exchangeStream.
func (s *server) exchange(ctx context.Context, q *Question, edns, redo, fresh bool, bad func(outcome)) (o outcome, redone bool) {
	switch s.proto {
	case overHTTPS, overHTTP3:
		return s.exchangeHTTPS(ctx, q, edns, redo, fresh)
	case overQUIC:
		return s.exchangeQUIC(ctx, q, edns, redo, fresh)
	}
	return s.exchangeStream(ctx, q, edns, redo, fresh, bad)
}

// close ends all connections.
func (s *server) close() {
	s.pool.close()
	s.spares.end()
	switch {
	case s.http3 != nil:
		s.http3.Close()
	case s.quic != nil:
		s.quic.Close()
	case s.https.Load() != nil:
		s.https.Load().CloseIdleConnections()
	}
}

// cookies is what queries over UDP take theirs from; nil: they have none.
func (s *server) cookies() *jar {
	if !s.group.cfg.Cookies {
		return nil
	}
	return &s.jar
}

func (s *server) success() {
	if s.health.success() {
		s.group.metrics.up.WithLabelValues(s.name).Set(1)
		s.group.log.Info("upstream is up", zap.String("upstream", s.name))
	}
}

// failure notes that a question about zone was not answered.
func (s *server) failure(zone uint64, why string) {
	s.group.metrics.failures.WithLabelValues(s.name, why).Inc()
	s.estimate.failed()
	wentDown, suspect := s.health.failure(zone)
	if wentDown {
		s.wentDown()
	}
	if suspect {
		select {
		case s.group.wake <- struct{}{}:
		default: // Run has one to see already
		}
	}
}

func (s *server) wentDown() {
	s.group.metrics.up.WithLabelValues(s.name).Set(0)
	s.group.log.Warn("upstream is down", zap.String("upstream", s.name))
}

// bad counts a packet that was no answer.
func (s *server) bad(why reason) {
	s.group.metrics.invalid.WithLabelValues(s.name, string(why)).Inc()
	s.mu.Lock()
	_, logged := s.invalid[why]
	s.invalid[why] = struct{}{}
	s.mu.Unlock()
	if !logged {
		s.group.log.Warn("upstream sent a packet that is no valid answer; logged once per reason, then only counted",
			zap.String("upstream", s.name), zap.String("reason", string(why)))
	}
}

// rcodeLabels is how many response codes have a series: the upstream must not
// decide how many there are, so those from the last on share one.
const rcodeLabels = int(dnswire.RcodeBadVers) + 2

// answered measures a valid answer.
func (s *server) answered(rcode uint16, rtt time.Duration) {
	s.estimate.answered(rtt)
	i := min(int(rcode), rcodeLabels-1)
	o := s.durations[i].Load()
	if o == nil {
		label := "other"
		if i < rcodeLabels-1 {
			label = dnswire.RcodeString(rcode)
		}
		made := s.group.metrics.duration.WithLabelValues(s.name, label)
		o = &made
		s.durations[i].Store(o) // the same series, whoever comes last
	}
	(*o).Observe(rtt.Seconds())
}

func (s *server) edns() bool { return s.now() >= s.noEDNS.Load() }

func (s *server) randomCase() bool {
	return s.group.cfg.CaseRandomization && s.now() >= s.noCase.Load()
}

func (s *server) now() int64 { return int64(time.Since(s.epoch)) }

// knowsNoEDNS remembers that asking without OPT is what helped.
func (s *server) knowsNoEDNS() {
	if !s.edns() {
		return // another question has found out
	}
	if s.shown.Load() && s.plain.Add(1) < plainStrikes {
		return
	}
	s.plain.Store(0)
	s.shown.Store(false)
	s.noEDNS.Store(s.now() + int64(noEDNSFor))
	s.group.log.Warn("upstream does not know EDNS; asked without for ten minutes", zap.String("upstream", s.name))
}

// showsEDNS notes an answer with OPT.
func (s *server) showsEDNS() {
	if !s.shown.Load() {
		s.shown.Store(true)
	}
	if s.plain.Load() != 0 {
		s.plain.Store(0)
	}
}

// caseKept notes that an answer over UDP had the case that was sent.
func (s *server) caseKept() {
	if s.strikes.Load() != 0 {
		s.strikes.Store(0)
	}
	if s.crumbs.Load() != 0 {
		s.crumbs.Store(0)
	}
}

// cookieLost notes a question whose answers over UDP had everything right but
// the cookie, while the server answered over TCP: a farm of servers, not all of
// which have cookies, or not the same secret.
func (s *server) cookieLost() {
	if s.crumbs.Add(1) < caseStrikes {
		return
	}
	s.crumbs.Store(0)
	s.jar.suspend(noCaseFor)
	s.group.log.Warn("upstream does not keep to its cookies; asked without for an hour", zap.String("upstream", s.name))
}

// caseLost notes a question whose answers over UDP had everything right but
// the case, while the server answered over TCP: the self-test of 0x20.
func (s *server) caseLost() {
	if s.strikes.Add(1) < caseStrikes {
		return
	}
	s.strikes.Store(0)
	s.noCase.Store(s.now() + int64(noCaseFor))
	s.group.log.Warn("upstream does not give back the case of names; asked in lower case for an hour",
		zap.String("upstream", s.name))
}
