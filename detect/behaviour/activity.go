package behaviour

import (
	"net/netip"
	"strconv"
	"time"

	"github.com/weirdns/weir/detect"
)

// activity is how a client asks.
type activity struct {
	missing window  // registered domains that do not exist, by hour
	usual   float64 // of them in an hour, of late
	queries uint32  // today
	streak  int16   // days in a row with enough queries
	last    int64   // Unix seconds of the last query
}

// usualDecay is what an hour keeps of the baseline: a tenth is left after two
// days.
const usualDecay = 0.953

// active counts a transaction for its client.
func (w *Watcher) active(e *event) {
	a, _ := w.activities.put(e.client)
	a.queries++
	a.last = max(a.last, e.at)
	if !w.cfg.NXDOMAINBursts.on() || !e.said.missing || !e.known || e.registered == nil || staysHere(e.Verdict.Unscored) {
		return
	}
	if hour := e.at / hourSeconds; a.missing.number > 0 && hour > a.missing.number {
		// The hours between had none.
		for n := a.missing.this.names; hour > a.missing.number; hour-- {
			a.usual = usualDecay*a.usual + (1-usualDecay)*n
			n = 0
			if a.usual < 1e-3 {
				break
			}
		}
	}
	a.missing.add(e.at, hourSeconds, e.domain, volume{names: 1})
	c := &w.cfg.NXDOMAINBursts
	names, least := a.missing.sum(e.at, hourSeconds).names, max(float64(c.Hour), a.usual*c.Times)
	if names < least {
		return
	}
	level := detect.LevelLow
	switch {
	case names >= 5*least:
		level = detect.LevelHigh
	case names >= 2*least:
		level = detect.LevelMedium
	}
	w.tell(detect.NXDOMAINBurst, level, e.Query.Time, e.client, nil,
		detect.Fact{Key: "domains_hour", Value: strconv.Itoa(int(names))},
		detect.Fact{Key: "usual_hour", Value: strconv.FormatFloat(a.usual, 'f', 1, 64)},
		detect.Fact{Key: "example", Value: e.registered.String()})
}

// silent tells, at the end of a day, of clients that asked enough on many days in
// a row and not at all on that one.
func (w *Watcher) silent(at int64) {
	c := &w.cfg.SilentClients
	w.activities.each(func(client netip.Addr, a *activity) {
		enough := int(a.queries) >= c.Queries
		if a.queries == 0 && int(a.streak) >= c.Days && c.on() {
			w.tell(detect.SilentClient, detect.LevelLow, time.Unix(at, 0).UTC(), client, nil,
				detect.Fact{Key: "days_before", Value: strconv.Itoa(int(a.streak))},
				detect.Fact{Key: "last_query", Value: time.Unix(a.last, 0).UTC().Format(time.RFC3339)})
		}
		if a.queries = 0; !enough {
			a.streak = 0
		} else if a.streak < 1<<14 {
			a.streak++
		}
	})
}
