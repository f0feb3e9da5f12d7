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
	was, fresh := w.told.put(toldKey{kind, client, w.hash(name)})
	if !fresh && was.level >= level && at.Sub(was.at).Abs() < w.cfg.Repeat {
		return
	}
	*was = toldState{at, level}
	w.facts = append(w.facts[:0], facts...)
	w.finding = detect.Finding{Time: at, Kind: kind, Level: level, Client: client, Name: name, Evidence: w.facts}
	w.deps.Findings.Find(&w.finding)
}
