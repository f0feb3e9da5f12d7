package upstream

import (
	"context"
	"sync"
	"time"

	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/internal/dnswire"
)

// probeEvery is how often a server that is down is probed: what a client may
// wait longer once it is back, and one packet a second to a host that is not.
const probeEvery = time.Second

// probe probes the servers that want it until ctx ends.
func (g *Group) probe(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-g.wake:
		case <-tick.C:
		}
		for _, s := range g.servers {
			s.pruneStreams()
			s.spares.expire(time.Now())
			if s.health.startProbe() {
				wg.Go(func() { s.probe(ctx) })
			}
		}
	}
}

// probe asks s for what every server has an answer to, be it REFUSED.
func (s *server) probe(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, s.group.cfg.AttemptTimeout)
	defer cancel()
	q := &Question{Name: dnsname.Root(), Type: dnswire.TypeNS, Class: dnswire.ClassIN}
	o := outcome{kind: kindFailed}
	if s.streamOnly() {
		o, _ = s.exchange(ctx, q, s.edns(), false, s.health.isDown.Load(), func(outcome) {})
	} else if d, err := s.sendUDP(ctx, q, s.edns()); err == nil {
		stop := context.AfterFunc(ctx, func() { _ = d.conn.Close() })
		end, _ := ctx.Deadline()
		for range badLimit {
			if o = d.receive(end); o.kind != kindBad {
				break
			}
		}
		stop()
		_ = d.conn.Close()
	}
	if ctx.Err() != nil && context.Cause(ctx) == context.Canceled {
		s.health.endProbe(true) // stopped, not unanswered
		return
	}
	answered := o.kind == kindAnswer || o.kind == kindTruncated || o.kind == kindBadCookie || o.kind == kindNoEDNS && !o.bare
	if answered {
		s.success()
	}
	if s.health.endProbe(answered) {
		s.wentDown()
	}
}
