package behaviour

import (
	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/internal/dnswire"
)

// rebinding tells of an answer that points a public name into private address
// space, which detect.InspectAnswer has found. It is low: names for
// servers at home and forgotten records do the same.
func (w *Watcher) rebinding(e *event) {
	if e.Verdict.Origin != detect.OriginRebinding {
		return
	}
	facts := []detect.Fact{{Key: "registered_domain", Value: e.registered.String()}}
	_, walk, err := dnswire.WalkMessage(e.Response)
	for r := (dnswire.Record{}); err == nil && walk.Next(&r) && r.Section == dnswire.Answer && len(facts) < maxFacts; {
		if a := r.Address(e.Response); a.IsValid() {
			facts = append(facts, detect.Fact{Key: "address", Value: a.String()})
		}
	}
	w.tell(detect.Rebinding, detect.LevelLow, e.Query.Time, e.client, e.Query.Name, facts...)
}

// maxFacts bounds the evidence of a finding.
const maxFacts = 10
