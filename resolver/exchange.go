package resolver

import (
	"context"
	"errors"
	"time"

	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/internal/dnswire"
	"github.com/weirdns/weir/resolver/cache"
	"github.com/weirdns/weir/resolver/upstream"
	"go.uber.org/zap"
)

// begin starts the exchange for f.
func (s *Resolver) begin(f *flight, live *live) {
	s.work.Add(1)
	s.crew.do(func() {
		defer s.work.Done()
		s.exchange(f, live)
	})
}

// exchange asks the upstreams one question for all who wait for it.
func (s *Resolver) exchange(f *flight, live *live) {
	if f.stale {
		defer s.staleLater(f, live)()
	}
	// Not the server's context: at shutdown the clients still get their answer.
	// The exchange has a time-out of its own.
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	f.giveUp = cancel
	f.question.Overdue = func(err error) {
		ede := failureEDE(err)
		for _, r := range s.flights.goOverdue(f) {
			s.deliver(r, nil, ede)
		}
	}
	answer, ede := s.ask(ctx, f, live)
	// After it is in the cache: who asks from now on finds it there.
	for _, r := range s.flights.land(f) {
		s.deliver(r, answer, ede)
	}
}

// errPanic is an exchange that ended in a bug.
var errPanic = errors.New("exchange panicked")

// ask has an upstream answer f, and keeps what comes of it. A panic is an error
// like others: somebody waits, and the rest of the program has nothing to do
// with it.
func (s *Resolver) ask(ctx context.Context, f *flight, live *live) (answer *upstream.Answer, ede *dnswire.EDE) {
	defer func() {
		if recover() != nil {
			s.metrics.panics.Add(1)
			s.log.Error("exchange panicked", zap.Stack("stack"))
			answer, ede = nil, failureEDE(errPanic)
		}
	}()
	answer, err := live.upstream.Exchange(ctx, &f.question)
	if err != nil {
		ede = failureEDE(err)
	}
	// Under the lock, a reload after which the same question would go elsewhere
	// comes before this, or flushes it.
	s.routes.RLock()
	defer s.routes.RUnlock()
	switch {
	case s.live.Load().views != live.views:
	case err == nil:
		s.cache.Put(&f.key, answer.Msg, answer.EDE, s.now())
	case errors.Is(err, upstream.ErrOverloaded), errors.Is(err, context.Canceled):
	default:
		// The failure is remembered too, so that it is not found out anew for
		// every client (RFC 9520).
		s.cache.Fail(&f.key, ede, !live.up(), s.now())
	}
	return answer, ede
}

// failureEDE says why there is no answer (RFC 8914).
func failureEDE(err error) *dnswire.EDE {
	switch {
	case errors.Is(err, errPanic):
		return &dnswire.EDE{Code: 0, Text: []byte("internal error")}
	case errors.Is(err, upstream.ErrInvalid):
		return &dnswire.EDE{Code: dnswire.EDEInvalidData, Text: []byte("upstreams gave only invalid answers")}
	case errors.Is(err, upstream.ErrTimeout), errors.Is(err, context.Canceled):
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
	f := s.flights.refresh(r, live.views)
	if f == nil {
		s.metrics.prefetchSkipped.Add(1)
		return
	}
	s.metrics.prefetches.Add(1)
	s.begin(f, live)
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
