package detect

import (
	"net/netip"
	"strings"
	"time"

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
	return w.group, w.explain(out, d.deps.Lists.Snapshot().MatchFrom(nil, q.Name, q.Client), q.Time, MatchName, ModeEnforce, allowed)
}

// ExplainAddress is ExplainLists for an address in the answer to a query.
func (d *Detector) ExplainAddress(q *Query, addr netip.Addr) (group string, out []ListMatch) {
	policy := d.state.Load().policy
	w := policy.viewOf(q.Client, q.Time)
	return w.group, w.explain(nil, d.deps.Lists.Snapshot().MatchAddr(nil, addr), q.Time, MatchAddress, policy.address, false)
}

// explain appends what each hit does by itself; mode is how far hits of this kind
// go at most, and allowed says that the name passes whatever they say.
func (w *view) explain(out []ListMatch, hits []blocklist.Hit, at time.Time, kind MatchKind, mode string, allowed bool) []ListMatch {
	for _, hit := range hits {
		r := w.list(hit.List.Name)
		note := ""
		switch {
		case mode == ModeOff:
			note = "addresses in answers are not looked at"
		case r.off:
			note = "not for clients of group " + w.group
		case !r.when.active(at):
			note = "not at this time: outside of schedule " + r.when.name
		}
		var v Verdict
		if note == "" && hit.List.Kind == blocklist.Allow {
			v.add(Match{List: hit.List.Name, Rule: hit.Rule, Info: hit.Info, Kind: kind, Effect: EffectPass})
			allowed = true
		} else {
			v.hit(r, &hit, kind, note == "" && mode == ModeEnforce)
		}
		m := v.Matches[0]
		m.Rule = hit.Rule // whole, a client's too: this is no record
		out = append(out, ListMatch{m, hit.List.Kind, note})
	}
	for i := range out {
		if m := &out[i]; allowed && m.Note == "" && m.Effect != EffectPass {
			m.Effect = EffectOverruled
		}
	}
	return out
}

// AnswerChecks is how far what an answer holds is judged: targets and addresses
// by the lists, and private addresses for public names. Each is off, monitor or
// enforce.
func (d *Detector) AnswerChecks() (target, address, rebinding string) {
	p := d.state.Load().policy
	return p.cname, p.address, p.rebindingMode
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
