package behaviour

import (
	"net/netip"
	"time"

	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/internal/dnsname"
)

// toldKey is what makes two findings the same one.
type toldKey struct {
	kind   detect.FindingKind
	client netip.Addr
	name   uint64 // hash
}

type toldState struct {
	at    time.Time
	level detect.Level
}

// tell tells a finding unless the same was told lately at that level or a
// higher one. name may be nil.
func (w *Watcher) tell(kind detect.FindingKind, level detect.Level, at time.Time, client netip.Addr, name dnsname.Name, facts ...detect.Fact) {
	key := toldKey{kind, client, w.hash(name)}
	if kind == detect.Imitation {
		key.client = netip.Addr{} // it is about the name; who asks is where to look first
	}
	was, fresh := w.told.put(key)
	if !fresh && was.level >= level && at.Sub(was.at).Abs() < w.cfg.Repeat {
		return
	}
	*was = toldState{at, level}
	w.facts = append(w.facts[:0], facts...)
	w.finding = detect.Finding{Time: at, Kind: kind, Level: level, Client: client, Name: name, Evidence: w.facts}
	// A day's end tells of clients that are not those of the transaction which ended it.
	if !client.IsValid() || client == w.event.client {
		w.finding.Transaction = w.event.Transaction
	}
	if kind.Suspects() {
		w.finding.Until, w.finding.Enforce = at.Add(w.cfg.Repeat), w.enforced(kind, level, name)
	}
	w.deps.Findings.Find(&w.finding)
}

// enforced says whether what is found is to be blocked.
func (w *Watcher) enforced(kind detect.FindingKind, level detect.Level, name dnsname.Name) bool {
	if kind == detect.Tunnel && w.isHarmless(name) {
		return false
	}
	from, ok := w.cfg.EnforcedFrom(kind)
	return ok && level >= from
}

// EnforcedFrom is the level from which findings of a kind are blocked; ok is false
// where none are.
func (c *Config) EnforcedFrom(kind detect.FindingKind) (from detect.Level, ok bool) {
	mode, level := "", detect.LevelMedium.String()
	switch kind {
	case detect.Tunnel:
		mode, level = c.Tunnels.Mode, c.Tunnels.Level
	case detect.Beacon:
		mode, level = c.Beacons.Mode, c.Beacons.Level
	case detect.FastFlux:
		mode = c.FastFlux.Mode
	case detect.NewDomain:
		mode, level = c.NewDomains.Mode, c.NewDomains.Level
	case detect.Imitation:
		mode, level = c.Lookalikes.Mode, c.Lookalikes.Level
	}
	if mode != detect.ModeEnforce {
		return detect.LevelNone, false
	}
	return detect.ParseLevel(level)
}

// tellsAnew says whether next blocks what c only told: then it must be told again.
func (c *Config) tellsAnew(next *Config) bool {
	for kind := range detect.FindingKinds {
		was, enforced := c.EnforcedFrom(kind)
		if from, ok := next.EnforcedFrom(kind); ok && (!enforced || from < was) {
			return true
		}
	}
	return false
}
