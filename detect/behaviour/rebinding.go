package behaviour

import (
	"strings"
	"time"

	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/internal/dnswire"
)

const (
	// flipWithin is how long after a public address a private one is a flip, in
	// seconds; flipTTL the longest TTL that the public one may have: an attacker
	// wants the name to be asked for again while a page is open.
	flipWithin = hourSeconds
	flipTTL    = 600
	// publicPlaces is how many names with public addresses are remembered, 16 octets
	// each. A place is taken over by what comes last.
	publicPlaces = 1 << 12
)

// publics remembers which names pointed to a public address, by hash.
type publics [publicPlaces]struct {
	name uint64
	at   int64 // Unix seconds
}

// pointed remembers the public addresses of a name that may be rebound: those with
// a short TTL.
func (w *Watcher) pointed(e *event) {
	if e.said.count == 0 || e.said.ttl > flipTTL {
		return
	}
	if a := e.said.addresses[0]; a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() {
		return // of a zone that may: nobody told of it
	}
	if w.publics == nil {
		w.publics = new(publics)
	}
	hash := w.pointer(e)
	place := &w.publics[hash%publicPlaces]
	place.name, place.at = hash, e.at
}

// pointer is the event's name and type, by hash: an IPv6 address beside an IPv4 one
// is no change.
func (w *Watcher) pointer(e *event) uint64 {
	return w.hash(e.Query.Name) ^ uint64(e.Query.Type)*0x9e3779b97f4a7c15
}

// flipped says how long ago the event's name had a public address.
func (w *Watcher) flipped(e *event) (ago time.Duration, ok bool) {
	if w.publics == nil {
		return 0, false
	}
	hash := w.pointer(e)
	place := &w.publics[hash%publicPlaces]
	past := e.at - place.at
	return time.Duration(past) * time.Second, place.name == hash && past >= 0 && past <= flipWithin
}

// rebinding tells of an answer that points a public name into private address
// space, which detect.InspectAnswer has found. It is low: names for servers at
// home and forgotten records do the same. A name that had a public address a
// while ago, for a short time, is what an attack looks like; that one which is
// out of order points to this machine happens as well.
func (w *Watcher) rebinding(e *event) {
	if e.Verdict.Origin != detect.OriginRebinding {
		w.pointed(e)
		return
	}
	facts := []detect.Fact{{Key: "registered_domain", Value: e.registered.String()}}
	level, loopback := detect.LevelLow, false
	if ago, ok := w.flipped(e); ok {
		level = detect.LevelHigh
		facts = append(facts, detect.Fact{Key: "public_before", Value: ago.String()})
	}
	var addresses []string
	_, walk, err := dnswire.WalkMessage(e.Response)
	for r := (dnswire.Record{}); err == nil && walk.Next(&r) && r.Section == dnswire.Answer && len(addresses) < maxShown; {
		if a := r.Address(e.Response); a.IsValid() {
			loopback = loopback || a.Unmap().IsLoopback()
			addresses = append(addresses, a.String())
		}
	}
	facts = append(facts, detect.Fact{Key: "address", Value: strings.Join(addresses, " ")})
	if level == detect.LevelHigh && loopback {
		level = detect.LevelMedium
	}
	w.tell(detect.Rebinding, level, e.Query.Time, e.client, e.Query.Name, facts...)
}

// maxShown bounds the addresses in the evidence of a finding.
const maxShown = 8
