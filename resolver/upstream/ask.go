package upstream

import (
	"time"

	"github.com/weirdns/weir/internal/dnswire"
)

// useful says whether an answer settles the question: there is data, or the
// name or type does not exist. After anything else another server may do
// better.
func useful(rcode uint16) bool {
	return rcode == dnswire.RcodeSuccess || rcode == dnswire.RcodeNXDomain ||
		rcode == rcodeYXDomain
}

// rcodeYXDomain is a DNAME whose result would be too long (RFC 6672, section
// 2.2): no other server can answer better.
const rcodeYXDomain = 6

func (t *try) asked() bool { return t.packets() > 0 }

// packets is how often the server has been asked: at most maxUDP+1.
func (t *try) packets() int { return len(t.udp) + t.streams }

func (t *try) canUDP() bool { return !t.noUDP && len(t.udp) < maxUDP }

func (t *try) canStream() bool {
	return t.streams == 0 || t.server.streamOnly() && t.streams < maxStreamed
}

func (t *try) canAsk() bool { return !t.done && (t.canUDP() || t.canStream()) }

func (t *try) closeUDP() {
	for _, d := range t.udp {
		d.release()
	}
}

// next is whose turn it is: of those that can still be asked the one that was
// asked least, the earlier in order. So the second server comes before the
// first one's second turn, and TCP last.
func (x *exchange) next() (next *try) {
	if x.sent >= maxAsked || x.overdue {
		return nil
	}
	for i := range x.tries {
		t := &x.tries[i]
		if t.canAsk() && (next == nil || t.packets() < next.packets()) {
			next = t
		}
	}
	return next
}

// waiting says whether something that matters may still come.
func (x *exchange) waiting() bool {
	for i := range x.tries {
		if t := &x.tries[i]; t.open > 0 && !t.done {
			return true
		}
	}
	return false
}

// patience is how long t may take before it counts as a failure.
func (x *exchange) patience(t *try) time.Duration {
	full := x.group.cfg.AttemptTimeout
	if t.server.health.proven.Load() {
		return full
	}
	for i := range x.tries {
		if o := &x.tries[i]; o != t && !o.asked() && !o.server.health.isDown.Load() {
			return min(full, doubtTimeout)
		}
	}
	return full
}

// others says whether there is a server besides t that has not been asked yet.
func (x *exchange) others(t *try) bool {
	for i := range x.tries {
		if o := &x.tries[i]; o != t && !o.asked() && o.canAsk() {
			return true
		}
	}
	return false
}

// turn notes that t is asked now, and sets when the next one's turn is: at the
// end of the patience with t, or for the first packet of all, when the answer
// takes longer than nineteen of twenty (a hedge: it costs one packet in twenty).
// Where all have been asked, the first repetition takes half as long again: a
// second query that is open for the same question gives a forger a second
// chance, and a server that is only slow gets nothing done sooner by it.
func (x *exchange) turn(t *try) {
	now, patience := time.Now(), x.patience(t)
	if t.due.IsZero() {
		t.due = now.Add(patience)
	}
	x.hedging = false
	switch hedge := t.server.estimate.hedge(); {
	case !x.others(t):
		if !t.asked() {
			patience += patience / 2
		}
	case x.sent == 0 && hedge < patience && x.group.cfg.Hedge && t.server.health.proven.Load():
		patience, x.hedging = hedge, true
	}
	x.sent++
	x.step = earlier(now.Add(patience), x.end)
}

// ask sends t one more packet.
func (x *exchange) ask(t *try) {
	x.turn(t)
	if !t.canUDP() {
		x.askStream(t)
		return
	}
	d, err := t.server.sendUDP(x.ctx, x.q, !t.noEDNS)
	if err != nil {
		t.udp = append(t.udp, &datagram{})
		t.open++
		x.events <- event{outcome: failed(x.ctx, err), try: t, last: true}
		return
	}
	t.udp = append(t.udp, d)
	x.listen(t, d)
}

// listen waits for d's answers until one is good, too many are bad, the time
// is over or the socket closed.
func (x *exchange) listen(t *try, d *datagram) {
	t.open++
	x.attempts.Go(func() {
		for bad := 1; ; bad++ {
			o := d.receive(x.last)
			last := !o.goesOn() || bad == badLimit
			x.events <- event{outcome: o, try: t, last: last}
			if last {
				return
			}
		}
	})
}

// askTCP asks t over TCP, once, beside what it is being asked.
func (x *exchange) askTCP(t *try) {
	if t.streams == 0 {
		x.sent++
		x.askStream(t)
	}
}

func (x *exchange) askStream(t *try) {
	t.streams++
	t.open++
	edns, redo, fresh := !t.noEDNS, t.packets() <= maxUDP, t.streams > 1
	x.attempts.Go(func() {
		o, redone := t.server.exchange(x.ctx, x.q, edns, redo, fresh, func(o outcome) {
			x.events <- event{outcome: o, try: t, stream: true}
		})
		x.events <- event{outcome: o, try: t, stream: true, redone: redone, last: true}
	})
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
