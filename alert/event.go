package alert

import (
	"net/netip"
	"strings"

	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/internal/dnsname"
)

// maxWhy bounds the reason of an event, octets.
const maxWhy = 400

// event is t as an alert shows it.
func (e *Engine) event(t *detect.Transaction) *Event {
	v := &t.Verdict
	out := &Event{
		Time: t.Query.Time.UTC(), Client: e.privacy.Text(t.Query.Client), Name: t.Query.Name.String(),
		Kind: v.Origin.String(), Enforced: v.Blocks(),
	}
	if v.Unscored == detect.Scored && v.Level != detect.LevelNone {
		out.Level = v.Level.String()
	}
	if v.Action != detect.Pass {
		out.Action = v.Action.String()
	}
	for i := range v.Matches {
		if m := &v.Matches[i]; m.Effect != detect.EffectOverruled && len(out.Lists) < 4 {
			out.Lists = append(out.Lists, strings.Clone(m.List))
			if out.Why == "" {
				out.Why = strings.TrimSpace(m.Rule + " " + m.Info)
			}
		}
	}
	switch {
	case v.Origin == detect.OriginLookalike && v.Lookalike.Brand != "":
		out.Why = "imitates " + v.Lookalike.Brand
	case v.Why != nil && v.Origin == detect.OriginModel:
		out.Why = v.Why.Text
	}
	out.Why = cut(out.Why)
	return out
}

// found is f as an alert shows it.
func (e *Engine) found(f *detect.Finding) *Event {
	out := &Event{Time: f.Time.UTC(), Client: e.privacy.Text(f.Client), Kind: f.Kind.String()}
	if f.Level != detect.LevelNone {
		out.Level = f.Level.String()
	}
	if f.Name != nil {
		out.Name = f.Name.String()
	}
	var facts []string
	for _, fact := range f.Evidence {
		facts = append(facts, fact.Key+"="+fact.Value)
	}
	out.Why = cut(strings.Join(facts, " "))
	return out
}

// cut is s as one line of bounded length that belongs to nobody else.
func cut(s string) string {
	s = strings.Join(strings.Fields(strings.ToValidUTF8(s, "\ufffd")), " ")
	if len(s) > maxWhy {
		s = strings.ToValidUTF8(s[:maxWhy], "") + "..."
	}
	return strings.Clone(s)
}

// key says which alert of a rule an event belongs to. Of a client it has what may
// be kept, so that what lies on the disk says no more, and counts go on after a
// restart: with truncated addresses the clients of a network are one.
func (e *Engine) key(by string, client netip.Addr, name dnsname.Name) string {
	switch by {
	case ByClient:
		return e.privacy.Text(client)
	case ByNetwork:
		client = client.Unmap().WithZone("")
		bits := 24
		if client.Is6() {
			bits = 48
		}
		p, err := client.Prefix(bits)
		if err != nil {
			return ""
		}
		switch kept := e.privacy.Address(p.Addr()); {
		case kept == p.Addr(): // full, or truncated to the same
			return p.String()
		case kept.IsValid():
			return kept.String() // a pseudonym of the network
		}
	case ByName:
		return e.registered(name)
	}
	return ""
}

// registered is the registered domain of a name, or the name where there is none.
func (e *Engine) registered(name dnsname.Name) string {
	if len(name) == 0 {
		return ""
	}
	if r := e.suffixes.Split(name).Registered; r != nil {
		name = r
	}
	return name.String()
}
