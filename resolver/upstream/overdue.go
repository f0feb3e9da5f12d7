package upstream

// maxOverdue bounds the questions whose time is over and that are still waited
// for. Each holds a socket or two.
const maxOverdue = 256

// goOverdue tells who asked that the time is over, and gives the question as
// long again: an answer that comes late is still one for who asks next, and
// clients ask again. False: there is no place, or something else is known that
// will do.
func (x *exchange) goOverdue() bool {
	if x.overdue || x.q.Overdue == nil {
		return false
	}
	x.noteLate(true)
	up := false
	for i := range x.tries {
		if x.tries[i].answer != nil {
			return false // a failure that a server has reported
		}
		up = up || !x.tries[i].server.health.isDown.Load()
	}
	if !up {
		return false // an outage: once it is over, the question is to be asked anew
	}
	g := x.group
	if g.overdue.Add(1) > maxOverdue {
		g.overdue.Add(-1)
		g.metrics.overdue.WithLabelValues("refused").Inc()
		return false
	}
	g.inFlight.Add(-1)
	x.overdue, x.step = true, x.last
	x.q.Overdue(x.failure())
	return true
}

// leave gives back the place that x holds.
func (x *exchange) leave() {
	if !x.overdue {
		x.group.inFlight.Add(-1)
		return
	}
	x.group.overdue.Add(-1)
	result := "silent"
	if x.winner != nil {
		result = "answered"
	}
	x.group.metrics.overdue.WithLabelValues(result).Inc()
}
