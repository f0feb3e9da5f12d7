package upstream

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

const (
	// maxUDP and one over TCP is how often one server is asked one question
	// (RFC 9520, section 3.1 asks for restraint).
	maxUDP = 2
	// maxStreamed is how often a server that is asked over connections only is
	// asked one question: the second time on a new one, as the first may have
	// been dead.
	maxStreamed = 2
	// badLimit is after how many bad packets a server's answers over UDP are
	// not waited for any more: somebody is guessing, or it is broken.
	badLimit = 3
	// maxAsked is how often all servers together are asked one question, however
	// many there are.
	maxAsked = 8
	// doubtTimeout is how long a server may take, before the next is asked,
	// that has not answered yet or not since it failed last: enough for most,
	// so that the first questions into a black hole are not slow.
	doubtTimeout = 100 * time.Millisecond
)

// exchange is one question on its way. Its loop (run) owns all of it; the
// goroutines that it starts own one attempt each and only send events.
type exchange struct {
	group   *Group
	q       *Question
	ctx     context.Context
	stop    context.CancelFunc // nil until the first goroutine
	end     time.Time
	last    time.Time // when what still comes behind end is waited for no longer
	overdue bool      // it is behind end, and whoever waited has been told
	step    time.Time // when patience with those asked so far ends
	tries   []try     // in the order of asking
	sent    int       // packets and streams so far, over all servers
	hedging bool      // the turn that ends at step is shorter than patience
	// winner is who gave the useful answer.
	winner *try

	// events has room for everything that can ever be sent, so that no attempt
	// waits for the loop.
	events   chan event
	attempts sync.WaitGroup
}

// try is what one server has been asked and has said.
type try struct {
	server    *server
	udp       []*datagram
	streams   int       // how often asked over a connection
	spared    bool      // it failed this question a short while ago
	noUDP     bool      // not to be asked over UDP again
	noEDNS    bool      // ask without OPT
	vouched   bool      // the reason for noEDNS passed the checks
	late      bool      // a failure has been noted
	badCase   bool      // a packet over UDP was wrong in the case only
	badCookie bool      // or in the cookie only
	bad       int       // packets over UDP that were no answers
	open      int       // attempts that will still send events
	done      bool      // what may still come is of no interest
	lingers   bool      // waited for although the question is answered
	doubt     bool      // of the packets over UDP only the case was wrong, and TCP has answered
	due       time.Time // when not to have answered is a failure
	answer    *Answer
	err       error
}

// event is an outcome and where it is from.
type event struct {
	outcome
	try    *try
	stream bool
	redone bool // over TCP, asked a second time without OPT
	last   bool // the attempt has ended
}

func newExchange(ctx context.Context, g *Group, q *Question) *exchange {
	x := &exchange{group: g, q: q, ctx: ctx, end: time.Now().Add(g.cfg.Timeout)}
	if end, ok := ctx.Deadline(); ok && end.Before(x.end) {
		x.end = end
	}
	x.last = x.end
	if q.Overdue != nil {
		x.last = x.end.Add(g.cfg.Timeout)
	}
	x.tries = g.order(g.routes[g.Route(q.Name, q.Client)].servers)
	x.spare()
	return x
}

// close ends everything that run has left open and waits for it.
func (x *exchange) close() {
	if x.stop != nil {
		x.stop()
	}
	for i := range x.tries {
		x.tries[i].closeUDP()
	}
	x.attempts.Wait()
}

// run asks until there is an answer, or nothing more to wait for. The first
// packet is sent and waited for right here, and nearly always that is all;
// only if it is not does the rest begin, with goroutines. Until then ctx's end
// is noticed no later than attempt_timeout.
func (x *exchange) run() (*Answer, error) {
	t := &x.tries[0]
	if x.group.cfg.Strategy == StrategyRace && len(x.tries) > 1 && !x.tries[1].server.health.isDown.Load() && !x.tries[1].spared {
		x.begin()
		x.ask(t)
		x.ask(&x.tries[1])
		return x.loop()
	}
	if t.noUDP {
		x.begin()
		x.ask(t)
		return x.loop()
	}
	x.turn(t)
	d, err := t.server.sendUDP(x.ctx, x.q, !t.noEDNS)
	var o outcome
	if err != nil {
		o = failed(x.ctx, err)
	} else {
		t.udp = append(t.udp, d)
		o = d.receive(earlier(x.step, x.end))
	}
	if o.kind == kindAnswer && useful(o.answer.Rcode) {
		return x.handle(event{outcome: o, try: t}), nil
	}
	x.begin()
	if d != nil && (o.goesOn() || o.kind == kindTimeout) {
		x.listen(t, d)
	}
	if o.kind != kindTimeout { // loop sees to that
		x.handle(event{outcome: o, try: t})
	}
	return x.loop()
}

// begin prepares for goroutines.
func (x *exchange) begin() {
	x.ctx, x.stop = context.WithDeadline(x.ctx, x.last)
	x.events = make(chan event, len(x.tries)*(maxUDP+maxStreamed)*(badLimit+1))
}

func (x *exchange) loop() (*Answer, error) {
	timer := time.NewTimer(time.Until(x.step))
	defer timer.Stop()
	for x.waiting() || x.next() != nil {
		timer.Reset(time.Until(x.step))
		select {
		case e := <-x.events:
			if a := x.handle(e); a != nil {
				return a, nil
			}
		case <-timer.C:
			switch now := time.Now(); {
			case now.Before(x.end):
				x.tick()
			case now.Before(x.last) && x.goOverdue():
			default:
				// ctx ends now too. To wait for that here would be to spin, and
				// thousands that spin keep its timer from running.
				return x.conclude()
			}
		case <-x.ctx.Done():
			return x.conclude()
		}
	}
	return x.conclude()
}

// handle acts on an event; it returns an answer that ends the exchange.
func (x *exchange) handle(e event) *Answer {
	t := e.try
	if e.last {
		t.open--
	}
	if t.done {
		return nil
	}
	switch e.kind {
	case kindAnswer:
		x.learn(&e)
		if useful(e.answer.Rcode) {
			x.winner = t
			x.helped(t)
			return e.answer
		}
		x.lapsed(t)
		// The server is there but does not help. Keep what it says in case
		// nobody else does better.
		t.answer, t.done = e.answer, true
		t.closeUDP()
	case kindTruncated:
		t.server.success()
		t.noUDP = true
		x.askTCP(t)
	case kindBadCookie:
		t.server.success()
		if t.canAsk() {
			x.ask(t)
		}
	case kindNoEDNS:
		t.noEDNS = true
		if !e.bare {
			t.vouched = true
			t.server.success()
		}
		if e.stream {
			t.err = ErrInvalid
		} else if t.canAsk() {
			x.ask(t)
		}
	case kindBad:
		if e.stream {
			t.err = ErrInvalid
			break
		}
		t.bad++
		t.badCase = t.badCase || e.reason == badCase
		t.badCookie = t.badCookie || e.reason == badCookie
		if t.bad == badLimit {
			t.noUDP = true
			t.closeUDP()
		}
		x.askTCP(t)
	case kindFailed:
		t.noUDP = t.noUDP || !e.stream
		t.err = fmt.Errorf("%w: %w", ErrNetwork, e.err)
		if !ownFault(e.err) {
			x.failed(t, "network")
		}
	case kindTimeout:
	}
	// Somebody failed: go on at once, but to one that has been asked already
	// only when nothing else is under way.
	if n := x.next(); n != nil && (t.done || t.open == 0) && (!n.asked() || !x.waiting()) {
		x.ask(n)
	}
	return nil
}

// learn takes from a valid answer what it says about its server.
func (x *exchange) learn(e *event) {
	t := e.try
	t.server.success()
	switch {
	case e.stream && t.badCookie:
		t.server.cookieLost()
	case e.stream && t.badCase:
		t.doubt = true // until it is seen that nothing better comes over UDP
	case !e.stream:
		t.server.caseKept()
	}
	if e.redone || t.noEDNS && t.vouched {
		t.server.knowsNoEDNS()
	}
}

// tick ends the patience with those asked so far: the next one's turn.
func (x *exchange) tick() {
	x.noteLate(false)
	if n := x.next(); n != nil && time.Now().Before(x.end) {
		if x.hedging {
			x.group.metrics.hedges.Inc()
		}
		x.ask(n)
	} else {
		x.step = x.end
	}
}

// noteLate notes the servers whose time is over without an answer, or all.
func (x *exchange) noteLate(all bool) {
	now := time.Now()
	for i := range x.tries {
		if t := &x.tries[i]; t.asked() && !t.done && (all || !now.Before(t.due)) {
			x.failed(t, "timeout")
		}
	}
}

// failed notes once that a server did not do its part.
func (x *exchange) failed(t *try, why string) {
	if !t.late {
		t.late = true
		x.lapsed(t)
		t.server.failure(x.group.zone(x.q.Name), why)
	}
}

// conclude is the end without a useful answer.
func (x *exchange) conclude() (*Answer, error) {
	if !time.Now().Before(x.step) {
		x.noteLate(true)
	}
	if err := x.ctx.Err(); errors.Is(err, context.Canceled) {
		return nil, err
	}
	for i := range x.tries {
		if a := x.tries[i].answer; a != nil {
			return a, nil
		}
	}
	return nil, x.failure()
}

// failure is why there is no answer.
func (x *exchange) failure() error {
	var errs []error
	for i := range x.tries {
		t := &x.tries[i]
		switch {
		case t.err != nil:
			errs = append(errs, fmt.Errorf("%s: %w", t.server.name, t.err))
		case !t.asked():
		case t.bad > 0:
			errs = append(errs, fmt.Errorf("%s: %w, %w", t.server.name, ErrTimeout, ErrInvalid))
		default:
			errs = append(errs, fmt.Errorf("%s: %w", t.server.name, ErrTimeout))
		}
	}
	if len(errs) == 0 {
		return ErrTimeout // it was over before anybody was asked
	}
	return errors.Join(errs...)
}
