package upstream

import (
	"sync"
	"time"
)

// late is what goes on after questions have been answered.
type late struct {
	mu   sync.Mutex // guards done, and that nothing begins once it is set
	done bool
	stop chan struct{}
	wg   sync.WaitGroup
}

func (l *late) begin() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.done {
		return false
	}
	l.wg.Add(1)
	return true
}

// end stops what goes on, waits for it, and lets nothing begin any more.
func (l *late) end() {
	l.mu.Lock()
	if !l.done {
		l.done = true
		close(l.stop)
	}
	l.mu.Unlock()
	l.wg.Wait()
}

// linger lets the servers that lost against a's have a little longer, so that
// it is known how slow they are, or whether they answer at all; of one that is
// asked beside a faster one that would never be seen. So has one of whose
// packets over UDP the case was wrong: was that a forger, the true answer is
// still to come. It returns false if there is nothing to wait for.
func (x *exchange) linger() bool {
	if x.stop == nil || !x.group.late.begin() {
		return false
	}
	waited, due := 0, time.Time{}
	for i := range x.tries {
		t := &x.tries[i]
		lost := !t.done && !t.late && t.packets() == 1 && t != x.winner
		if t.open > 0 && (lost || t.doubt) && t.server.estimate.linger() {
			t.lingers = true
			waited++
			due = later(due, t.due)
			if t.doubt {
				due = later(due, time.Now().Add(caseDoubt))
			}
		} else {
			t.closeUDP()
		}
	}
	if waited == 0 {
		x.group.late.wg.Done()
		return false
	}
	go func() {
		defer x.group.late.wg.Done()
		defer x.close()
		x.waitLate(waited, due)
	}()
	return true
}

// caseDoubt is how long the true answer over UDP is waited for behind one with
// the wrong case.
const caseDoubt = 500 * time.Millisecond

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// waitLate waits for the answers of so many servers that lost, until due.
func (x *exchange) waitLate(waited int, due time.Time) {
	defer func() {
		for i := range x.tries {
			if t := &x.tries[i]; t.lingers {
				t.server.estimate.lingering.Add(-1)
			}
		}
	}()
	timer := time.NewTimer(time.Until(due))
	defer timer.Stop()
	for waited > 0 {
		var e event
		select {
		case <-timer.C:
			for i := range x.tries {
				if t := &x.tries[i]; t.lingers && t.doubt {
					t.server.caseLost()
				} else if t.lingers {
					x.failed(t, "timeout")
				}
			}
			return
		case e = <-x.events:
		case <-x.group.late.stop:
			return
		}
		t := e.try
		if e.last {
			t.open--
		}
		if !t.lingers {
			continue
		}
		switch e.kind {
		case kindAnswer:
			t.doubt = false
			x.learn(&e)
		case kindTruncated:
			t.doubt = false
			t.server.success()
		case kindTimeout:
			if !t.doubt {
				x.failed(t, "timeout")
			}
		case kindFailed:
			if !ownFault(e.err) {
				x.failed(t, "network")
			}
		}
		if e.last {
			if t.doubt {
				t.server.caseLost()
			}
			t.lingers = false
			t.server.estimate.lingering.Add(-1)
			waited--
		}
	}
}
