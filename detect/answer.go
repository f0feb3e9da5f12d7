package detect

import (
	"net/netip"
	"strconv"

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
	if p := a.st.policy; p.rebindingMode != ModeOff && private(addr) && a.d.public(a.st, a.q.Name) && !code(a.q.Name, addr) {
		p.rebinding.apply(a.v, OriginRebinding, true)
	}
}

// localhost is the one address of 127.0.0.0/8 that no list of addresses answers
// with.
var localhost = netip.AddrFrom4([4]byte{127, 0, 0, 1})

// code says whether an answer is the code of a DNS list of addresses rather than
// an address (RFC 5782, sections 2.1 and 2.4): within 127.0.0.0/8, for a name that
// begins with the four octets of an IPv4 address, or the 32 digits of one of IPv6.
func code(name dnsname.Name, addr netip.Addr) bool {
	if !addr.Is4() || !addr.IsLoopback() || addr == localhost {
		return false
	}
	return leading(name, 4, func(label []byte) bool {
		_, err := strconv.ParseUint(string(label), 10, 8)
		return err == nil
	}) || leading(name, 32, func(label []byte) bool { return len(label) == 1 && isHex(label[0]) })
}

// leading says whether the first labels of a name, so many, are all as is says.
func leading(name dnsname.Name, labels int, is func(label []byte) bool) bool {
	for ; labels > 0; labels-- {
		if len(name) <= 1 || !is(name.Label()) {
			return false
		}
		name = name.Parent()
	}
	return true
}

func isHex(c byte) bool { return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' }

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
