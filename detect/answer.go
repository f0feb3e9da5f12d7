package detect

import (
	"net/netip"

	"github.com/weirdns/weir/blocklist"
	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/internal/dnswire"
)

// answer is the answer to one query while it is inspected.
type answer struct {
	d        *Detector
	st       *state
	w        *view
	snapshot *blocklist.Snapshot
	q        *Query
	v        *Verdict
}

// alias judges the target of a CNAME record.
func (a *answer) alias(r *dnswire.Record, response []byte) {
	var buf [dnsname.MaxWire]byte
	if target, err := r.Target(buf[:0], response); err == nil {
		a.target(target)
	}
}

// target judges a name that the answer leads to.
func (a *answer) target(name dnsname.Name) {
	if mode := a.st.policy.cname; mode != ModeOff && !a.d.timedAllow(a.q, name, a.v, MatchTarget) {
		var buf [4]blocklist.Hit
		a.hits(a.snapshot.Match(buf[:0], name), MatchTarget, mode)
	}
}

// address judges an address that the answer gives.
func (a *answer) address(addr netip.Addr) {
	addr = addr.Unmap()
	if !addr.IsValid() {
		return
	}
	a.listed(addr)
	if p := a.st.policy; p.rebindingMode != ModeOff && private(addr) && a.d.public(a.st, a.q.Name) {
		p.rebinding.apply(a.v, OriginRebinding, true)
	}
}

// listed judges an address by the lists alone.
func (a *answer) listed(addr netip.Addr) {
	if mode := a.st.policy.address; mode != ModeOff {
		var buf [4]blocklist.Hit
		a.hits(a.snapshot.MatchAddr(buf[:0], addr), MatchAddress, mode)
	}
}

// service judges where an SVCB or HTTPS record sends clients: its target as that
// of a CNAME, its hints as addresses. Clients connect to hints without asking
// for A or AAAA.
func (a *answer) service(r *dnswire.Record, response []byte) {
	var buf [dnsname.MaxWire]byte
	target, hints, ok := r.Service(buf[:0], response)
	if !ok {
		return
	}
	if target != nil {
		a.target(target)
	}
	for addr, ok := hints.Next(); ok; addr, ok = hints.Next() {
		a.address(addr)
	}
}

// hits applies what one target or address of an answer hit. If an allow list
// has it, that one is fine, and the rest of the answer is still looked at.
func (a *answer) hits(hits []blocklist.Hit, kind MatchKind, mode string) {
	for i := range hits {
		if hits[i].List.Kind == blocklist.Allow {
			if r := a.w.list(hits[i].List.Name); r.applies(a.q.Time) {
				return
			}
		}
	}
	for i := range hits {
		hit := &hits[i]
		if r := a.w.list(hit.List.Name); hit.List.Kind != blocklist.Allow && r.applies(a.q.Time) {
			a.v.hit(r, hit, kind, mode == ModeEnforce)
		}
	}
}
