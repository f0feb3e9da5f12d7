package resolver

import (
	"errors"
	"time"

	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/internal/dnswire"
	"github.com/weirdns/weir/resolver/cache"
	"go.uber.org/zap"
)

// serve is the query path, from octets to an answer. It returns true when
// r.out is what the client gets (nothing, if it is empty), and false when the
// request went on to an upstream: it then belongs to the exchange, whose end
// calls r.from.reply.
//
// The order is fixed by what it means: policy before cache, so that a new list
// applies to cached answers at once; the answer checked after the cache, for
// the same reason.
func (s *Resolver) serve(r *request, msg []byte) (done bool) {
	defer s.recovered(r, &done)
	live := s.live.Load()
	if !s.decode(r, msg) {
		return s.complete(r)
	}
	r.route = live.route(r)
	s.detector.Inspect(&r.ask, &r.verdict)
	if s.answerHere(r, live) {
		return s.complete(r)
	}
	if s.answerFromCache(r, live) {
		if r.found.Prefetch {
			s.prefetch(r, live)
		}
		s.checkAnswer(r)
		return s.complete(r)
	}
	return s.forward(r, live)
}

// decode reads the query and refuses what is none. False: r.out is the answer.
func (s *Resolver) decode(r *request, msg []byte) bool {
	r.reset()
	err := dnswire.ReadQuery(&r.Query, msg)
	if errors.Is(err, dnswire.ErrShort) || r.Response() {
		// Answering an answer would make a loop of two servers.
		s.metrics.ignored.Add(1)
		return false
	}
	s.readOptions(r)
	r.maxSize = s.answerSize(r)
	if r.End > 0 {
		r.keepQuestion(msg)
		r.ask.Name, r.ask.Type, r.ask.Class = r.Query.Question.Name, r.Query.Type, r.Query.Class
	}
	switch {
	case r.Opcode() != dnswire.OpcodeQuery:
		return s.decline(r, dnswire.RcodeNotImp)
	case err != nil:
		return s.decline(r, dnswire.RcodeFormErr)
	case r.EDNS.Version > 0:
		return s.decline(r, dnswire.RcodeBadVers)
	}
	if rcode := unsupported(r.Query.Type, r.Query.Class); rcode != dnswire.RcodeSuccess {
		if rcode != dnswire.RcodeFormErr {
			r.setEDE(dnswire.EDENotSupported, nil)
		}
		return s.decline(r, rcode)
	}
	s.metrics.request(r)
	return s.welcome(r)
}

// unsupported is the code for questions that a forwarder has no answer to:
// other classes, zone transfers, and types that are no data.
func unsupported(qtype, qclass uint16) uint16 {
	switch {
	case qclass != dnswire.ClassIN:
		return dnswire.RcodeRefused
	case qtype < dnswire.TypeOPT, qtype > dnswire.TypeOPT && qtype < dnswire.TypeNXNAME:
		if qtype == 0 {
			return dnswire.RcodeFormErr
		}
		return dnswire.RcodeSuccess
	}
	switch qtype {
	case dnswire.TypeOPT, dnswire.TypeNXNAME: // RFC 9824, section 3.5
		return dnswire.RcodeFormErr
	case dnswire.TypeAXFR, dnswire.TypeIXFR:
		return dnswire.RcodeRefused
	case dnswire.TypeTKEY, dnswire.TypeTSIG, dnswire.TypeMAILA, dnswire.TypeMAILB:
		return dnswire.RcodeNotImp
	}
	return dnswire.RcodeSuccess
}

func (s *Resolver) refuse(r *request, rcode uint16) bool {
	if r.nameless() {
		s.metrics.nameless.Add(1)
	} else {
		s.metrics.refused.Add(1)
	}
	r.begin(rcode)
	r.source = detect.FromLocal
	return false
}

// answerSize is how large an answer this client can take: over UDP what its
// OPT says, within our own limit, and 512 octets without one.
func (s *Resolver) answerSize(r *request) int {
	if r.ask.Transport != detect.UDP {
		return 1<<16 - 1
	}
	if !r.EDNS.Present {
		return minUDPSize
	}
	return min(max(int(r.EDNS.UDPSize), minUDPSize), s.cfg.MaxUDPSize)
}

func (s *Resolver) cacheQuestion(r *request) cache.Question {
	return cache.Question{
		Name: r.ask.Name, Type: r.ask.Type, Class: r.ask.Class,
		DO: r.EDNS.DO, CD: r.Flags&dnswire.FlagCD != 0, View: r.route,
	}
}

func (s *Resolver) answerFromCache(r *request, live *live) bool {
	q := s.cacheQuestion(r)
	msg, state := s.cache.Get(r.out[:0], &q, r.ask.Time, &r.found)
	switch state {
	case cache.Fresh:
		if r.found.Outage && live.up() {
			return false // it failed because nobody was there, and now somebody is
		}
		r.out, r.source = msg, detect.FromCache
		s.adopted(r)
		if r.found.HasEDE {
			r.setEDE(r.found.EDE.Code, r.found.EDE.Text)
		} else if r.rcode == dnswire.RcodeServFail {
			r.setEDE(dnswire.EDECachedError, nil)
		}
		return true
	case cache.StaleHeld:
		if r.found.Outage && live.up() {
			r.stale = true
			return false
		}
		// The upstreams failed a moment ago: they are not asked for each client.
		s.adoptStale(r, msg)
		return true
	case cache.Stale:
		r.stale = true
	case cache.Miss:
		return s.cfg.NXDOMAINCut && s.answerFromParent(r)
	}
	return false
}

// adopted makes the message in r.out the client's.
func (s *Resolver) adopted(r *request) {
	r.adopt()
	r.rcode = uint16(r.out[3] & 0xf)
}

// checkAnswer looks at what the answer points to, and blocks it if a list and
// the policy say so.
func (s *Resolver) checkAnswer(r *request) {
	s.detector.InspectAnswer(&r.ask, r.out, &r.verdict)
	if r.verdict.Blocks() {
		s.answerPolicy(r)
	}
}

// forward hands the request to the exchange for its question, a new one or one
// that is already under way.
func (s *Resolver) forward(r *request, live *live) (done bool) {
	if r.Flags&dnswire.FlagRD == 0 {
		// Without recursion desired, we may say only what we know.
		r.setEDE(dnswire.EDENotAuthoritative, nil)
		s.refuse(r, dnswire.RcodeRefused)
		return s.complete(r)
	}
	r.share = s.pending.of(r.ask.Client, r.ask.Name)
	if why := s.pending.enter(r.share); why != admitted {
		return s.turnAway(r, why)
	}
	for {
		f, what, why := s.flights.join(r, live.views)
		switch what {
		case joined:
		case opened:
			s.begin(f, live)
		case slow:
			if !s.answerStale(r) {
				r.stale = false // it has gone meanwhile
				continue
			}
			s.pending.leave(r.share)
			s.checkAnswer(r)
			return s.complete(r)
		case refused:
			s.pending.leave(r.share)
			return s.turnAway(r, why)
		}
		return false
	}
}

// turnAway answers a query for which there is no place to wait.
func (s *Resolver) turnAway(r *request, why admission) (done bool) {
	s.metrics.overloaded[why].Add(1)
	if !s.answerStale(r) {
		r.failed(dnswire.EDENotReady, "too many queries waiting")
	}
	s.checkAnswer(r)
	return s.complete(r)
}

// complete makes the answer final, counts it and records the transaction.
func (s *Resolver) complete(r *request) bool {
	r.finish(s.cfg.MaxUDPSize)
	latency := time.Duration(0)
	if r.source == detect.FromUpstream || r.source == detect.FromStale || r.source == detect.FromLocal {
		latency = s.now().Sub(r.ask.Time)
	}
	s.metrics.response(r, latency)
	if r.nameless() {
		return true
	}
	r.record = detect.Transaction{
		Query: r.ask, Verdict: r.verdict, Source: r.source, Rcode: r.rcode,
		Response: r.out, Upstream: r.upstream, Latency: latency,
	}
	for _, sink := range s.sinks {
		sink.Record(&r.record)
	}
	return true
}

// recovered turns a panic on the query path into SERVFAIL for one client. It
// is a bug, counted as such, and no reason to stop answering the others.
func (s *Resolver) recovered(r *request, done *bool) {
	if recover() != nil {
		s.metrics.panics.Add(1)
		s.log.Error("query path panicked", zap.Stack("stack"))
		*done = true
		r.out = r.out[:0]
		if len(r.asked) > 0 {
			r.failed(0, "internal error")
			r.finish(s.cfg.MaxUDPSize)
			s.metrics.response(r, s.now().Sub(r.ask.Time))
		} else {
			s.metrics.ignored.Add(1)
		}
	}
}
