package detect

import (
	"strings"

	"github.com/weirdns/weir/blocklist"
)

// ListMatch is one entry that a query meets, and what comes of it.
type ListMatch struct {
	Match
	Kind blocklist.Kind
	// Note says why the list does not apply to the query; empty if it does.
	Note string
}

// ExplainLists is every list entry that a query meets, those too of lists that
// do not apply to its client or at its time, and the group that its client is
// in, "" for none. It is for people: it takes its time, and nothing is counted.
func (d *Detector) ExplainLists(q *Query) (group string, out []ListMatch) {
	w := d.state.Load().policy.viewOf(q.Client, q.Time)
	var v Verdict
	allowed := d.timedAllow(q, q.Name, &v, MatchName)
	for _, m := range v.Matches {
		out = append(out, ListMatch{Match: m, Kind: blocklist.Allow})
	}
	for _, hit := range d.deps.Lists.Snapshot().MatchFrom(nil, q.Name, q.Client) {
		r := w.list(hit.List.Name)
		v = Verdict{}
		switch {
		case r.off:
			v.hit(r, &hit, MatchName, false)
			out = append(out, ListMatch{v.Matches[0], hit.List.Kind, "not for clients of group " + w.group})
			continue
		case !r.when.active(q.Time):
			v.hit(r, &hit, MatchName, false)
			out = append(out, ListMatch{v.Matches[0], hit.List.Kind, "not at this time: outside of schedule " + r.when.name})
			continue
		case hit.List.Kind == blocklist.Allow:
			v.add(Match{List: hit.List.Name, Rule: hit.Rule, Info: hit.Info, Effect: EffectPass})
			allowed = true
		default:
			v.hit(r, &hit, MatchName, true)
		}
		out = append(out, ListMatch{Match: v.Matches[0], Kind: hit.List.Kind})
	}
	for i := range out {
		if m := &out[i]; allowed && m.Note == "" && m.Effect != EffectPass {
			m.Effect = EffectOverruled
		}
	}
	return w.group, out
}

// clientRule is how rules about clients begin. What stands behind is a client's
// network, which is nothing for records.
const clientRule = "client "

// withoutClient is a match as records may have it.
func withoutClient(m Match) Match {
	if at := strings.TrimPrefix(m.Rule, "@@"); strings.HasPrefix(at, clientRule) {
		m.Rule, m.Kind = m.Rule[:len(m.Rule)-len(at)]+strings.TrimSpace(clientRule), MatchClient
	}
	return m
}
