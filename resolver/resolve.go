package resolver

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/internal/dnswire"
	"github.com/weirdns/weir/resolver/cache"
	"github.com/weirdns/weir/resolver/upstream"
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

// answerHere answers what must not leave the house: special names, what policy
// blocks, and questions that ask us not to recurse.
func (s *Resolver) answerHere(r *request, live *live) bool {
	if what := live.special.lookup(r.ask.Name, r.ask.Type, live.ruledFor(r)); what != notSpecial {
		r.source = detect.FromLocal
		r.verdict.Yield() // a list may have the name, but it is not what answers
		if what == specialDesignated {
			r.answerDesignated(s.designated)
		} else {
			r.answerSpecial(what)
		}
		return true
	}
	if s.answerPolicy(r) {
		return true
	}
	if r.ask.Type == dnswire.TypeANY && r.ask.Transport == detect.UDP {
		r.source = detect.FromLocal
		r.answerANY()
		return true
	}
	return false
}

// answerPolicy answers an enforced verdict.
func (s *Resolver) answerPolicy(r *request) bool {
	v := &r.verdict
	if !v.Blocks() || v.Action == detect.Truncate && r.ask.Transport != detect.UDP {
		return false
	}
	r.source = detect.FromPolicy
	ttl := uint32(v.Answer.TTL / time.Second)
	r.begin(dnswire.RcodeSuccess)
	r.explain()
	switch v.Action {
	case detect.NXDOMAIN:
		r.begin(dnswire.RcodeNXDomain)
		r.addSOA(ttl)
	case detect.Refuse:
		r.begin(dnswire.RcodeRefused)
	case detect.Drop:
		r.out = r.out[:0]
	case detect.Truncate:
		r.truncate()
	case detect.ZeroIP, detect.Sinkhole:
		if !r.addSinkhole(ttl) {
			r.addSOA(ttl)
		}
	default: // NODATA
		r.addSOA(ttl)
	}
	return true
}

var (
	zeroV4 = [...]netip.Addr{netip.IPv4Unspecified()}
	zeroV6 = [...]netip.Addr{netip.IPv6Unspecified()}
)

// addSinkhole adds the addresses that stand for a blocked name, and says
// whether there is one of the type that was asked for. Any other type, HTTPS
// and SVCB with their address hints among them, gets NODATA.
func (r *request) addSinkhole(ttl uint32) bool {
	v := &r.verdict
	addrs := v.Answer.V4
	switch {
	case r.ask.Type != dnswire.TypeA && r.ask.Type != dnswire.TypeAAAA:
		return false
	case v.Action == detect.ZeroIP && r.ask.Type == dnswire.TypeA:
		addrs = zeroV4[:]
	case v.Action == detect.ZeroIP:
		addrs = zeroV6[:]
	case r.ask.Type == dnswire.TypeAAAA:
		addrs = v.Answer.V6
	}
	for _, a := range addrs {
		r.addAddress(a, ttl)
	}
	return len(addrs) > 0
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
		f, what, why := s.flights.join(r)
		switch what {
		case joined:
		case opened:
			s.work.Go(func() { s.exchange(f, live) })
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

// exchange asks the upstreams one question for all who wait for it.
func (s *Resolver) exchange(f *flight, live *live) {
	if f.stale {
		defer s.staleLater(f, live)()
	}
	// Not the server's context: at shutdown the clients still get their answer.
	// The exchange has a time-out of its own.
	answer, err := s.askUpstream(f, live.upstream)
	var ede *dnswire.EDE
	switch {
	case s.live.Load().views != live.views:
		if err != nil { // and the cache's views have changed meanwhile: it gets nothing
			ede = failureEDE(err)
		}
	case err == nil:
		s.cache.Put(&f.key, answer.Msg, answer.EDE, s.now())
	case errors.Is(err, upstream.ErrOverloaded):
		ede = failureEDE(err)
	default:
		// The failure is remembered too, so that it is not found out anew for
		// every client (RFC 9520).
		ede = failureEDE(err)
		s.cache.Fail(&f.key, ede, !live.up(), s.now())
	}
	// After Put: who asks from now on finds the answer in the cache.
	for _, r := range s.flights.land(f) {
		s.deliver(r, answer, ede)
	}
}

// errPanic is an exchange that ended in a bug.
var errPanic = errors.New("exchange panicked")

// askUpstream has up answer f. A panic is an error like others: somebody waits,
// and the rest of the program has nothing to do with it.
func (s *Resolver) askUpstream(f *flight, up Exchanger) (answer *upstream.Answer, err error) {
	defer func() {
		if recover() != nil {
			s.metrics.panics.Add(1)
			s.log.Error("exchange panicked", zap.Stack("stack"))
			answer, err = nil, errPanic
		}
	}()
	return up.Exchange(context.Background(), &f.question)
}

// failureEDE says why there is no answer (RFC 8914).
func failureEDE(err error) *dnswire.EDE {
	switch {
	case errors.Is(err, errPanic):
		return &dnswire.EDE{Code: 0, Text: []byte("internal error")}
	case errors.Is(err, upstream.ErrInvalid):
		return &dnswire.EDE{Code: dnswire.EDEInvalidData, Text: []byte("upstreams gave only invalid answers")}
	case errors.Is(err, upstream.ErrTimeout):
		return &dnswire.EDE{Code: dnswire.EDENoReachable, Text: []byte("no upstream answered in time")}
	case errors.Is(err, upstream.ErrOverloaded):
		return &dnswire.EDE{Code: dnswire.EDENotReady, Text: []byte("too many queries to the upstreams")}
	}
	return &dnswire.EDE{Code: dnswire.EDENetworkError, Text: []byte("no upstream could be reached")}
}

// staleLater has those who wait for f answered, after a while, from what is past
// its time; the upstreams are asked on (RFC 8767, section 5). While none is up
// there is little to wait for. The caller calls stop when f has landed.
func (s *Resolver) staleLater(f *flight, live *live) (stop func()) {
	after := s.cfg.StaleAfter
	if !live.up() {
		after = min(after, downStaleAfter)
	}
	done := make(chan struct{})
	timer := time.AfterFunc(after, func() {
		defer close(done)
		for _, r := range s.flights.late(f) {
			s.finishWaiting(r, func() {
				if !s.answerStale(r) {
					r.failed(dnswire.EDENoReachable, "no upstream answered in time")
				}
			})
		}
	})
	return func() {
		if !timer.Stop() {
			<-done
		}
	}
}

// downStaleAfter is how long a stale answer waits for upstreams that are all
// taken to be down: one may just be back.
const downStaleAfter = 25 * time.Millisecond

// prefetch fetches the answer that r was just given anew, before it is over.
func (s *Resolver) prefetch(r *request, live *live) {
	f := s.flights.refresh(r)
	if f == nil {
		s.metrics.prefetchSkipped.Add(1)
		return
	}
	s.metrics.prefetches.Add(1)
	s.work.Go(func() { s.exchange(f, live) })
}

// deliver gives one waiting client the outcome of the exchange.
func (s *Resolver) deliver(r *request, answer *upstream.Answer, ede *dnswire.EDE) {
	s.finishWaiting(r, func() { s.settle(r, answer, ede) })
}

// finishWaiting has settle answer a query that has waited, and sends the answer.
func (s *Resolver) finishWaiting(r *request, settle func()) {
	var done bool
	func() {
		defer s.recovered(r, &done)
		settle()
		s.checkAnswer(r)
		s.complete(r)
	}()
	s.pending.leave(r.share)
	r.from.reply(r)
}

// settle picks the answer: the upstream's, or a stale one, or the failure.
func (s *Resolver) settle(r *request, answer *upstream.Answer, ede *dnswire.EDE) {
	failed := answer == nil || answer.Rcode != dnswire.RcodeSuccess && answer.Rcode != dnswire.RcodeNXDomain
	switch {
	case failed && s.answerStale(r):
	case answer == nil:
		r.failed(ede.Code, string(ede.Text))
	default:
		r.out = append(r.out[:0], answer.Msg...)
		r.source, r.upstream = detect.FromUpstream, answer.Server
		s.adopted(r) // with the code of Msg: answer.Rcode may be one of the hop
		if answer.EDE != nil {
			r.setEDE(answer.EDE.Code, answer.EDE.Text)
		} else if r.rcode == dnswire.RcodeServFail {
			r.setEDE(dnswire.EDEOther, []byte("the upstream failed"))
		}
	}
}

// answerStale answers from the cache what is past its time (RFC 8767).
func (s *Resolver) answerStale(r *request) bool {
	q := s.cacheQuestion(r)
	msg, state := s.cache.Get(r.out[:0], &q, s.now(), nil)
	if state == cache.Miss || state == cache.Fresh && failureCode(uint16(msg[3]&0xf)) {
		return false
	}
	s.adoptStale(r, msg)
	return true
}

func failureCode(rcode uint16) bool {
	return rcode != dnswire.RcodeSuccess && rcode != dnswire.RcodeNXDomain
}

func (s *Resolver) adoptStale(r *request, msg []byte) {
	r.out, r.source = msg, detect.FromStale
	s.adopted(r)
	code := dnswire.EDEStaleAnswer
	if r.rcode == dnswire.RcodeNXDomain {
		code = dnswire.EDEStaleNXDOMAIN
	}
	r.setEDE(code, []byte("upstreams failed"))
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
