package resolver

import (
	"net/netip"
	"time"

	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/internal/dnswire"
)

// answerHere answers what must not leave the house: special names, what policy
// blocks, and questions that ask us not to recurse.
func (s *Resolver) answerHere(r *request, live *live) bool {
	if what := live.special.lookup(r.ask.Name, r.ask.Type, live.ruledFor(r)); what != notSpecial {
		r.source = detect.FromLocal
		r.verdict.Yield() // a list may have the name, but it is not what answers
		if what == specialDesignated {
			r.answerDesignated(s.designated)
		} else {
			r.answerSpecial(what)
		}
		return true
	}
	if s.answerPolicy(r) {
		return true
	}
	if r.ask.Type == dnswire.TypeANY && r.ask.Transport == detect.UDP {
		r.source = detect.FromLocal
		r.answerANY()
		return true
	}
	return false
}

// answerPolicy answers an enforced verdict.
func (s *Resolver) answerPolicy(r *request) bool {
	v := &r.verdict
	if !v.Blocks() || v.Action == detect.Truncate && r.ask.Transport != detect.UDP {
		return false
	}
	r.source = detect.FromPolicy
	ttl := uint32(v.Answer.TTL / time.Second)
	r.begin(dnswire.RcodeSuccess)
	r.explain()
	switch v.Action {
	case detect.NXDOMAIN:
		r.begin(dnswire.RcodeNXDomain)
		r.addSOA(ttl)
	case detect.Refuse:
		r.begin(dnswire.RcodeRefused)
	case detect.Drop:
		r.out = r.out[:0]
	case detect.Truncate:
		r.truncate()
	case detect.ZeroIP, detect.Sinkhole:
		if !r.addSinkhole(ttl) {
			r.addSOA(ttl)
		}
	default: // NODATA
		r.addSOA(ttl)
	}
	return true
}

var (
	zeroV4 = [...]netip.Addr{netip.IPv4Unspecified()}
	zeroV6 = [...]netip.Addr{netip.IPv6Unspecified()}
)

// addSinkhole adds the addresses that stand for a blocked name, and says
// whether there is one of the type that was asked for. Any other type, HTTPS
// and SVCB with their address hints among them, gets NODATA.
func (r *request) addSinkhole(ttl uint32) bool {
	v := &r.verdict
	addrs := v.Answer.V4
	switch {
	case r.ask.Type != dnswire.TypeA && r.ask.Type != dnswire.TypeAAAA:
		return false
	case v.Action == detect.ZeroIP && r.ask.Type == dnswire.TypeA:
		addrs = zeroV4[:]
	case v.Action == detect.ZeroIP:
		addrs = zeroV6[:]
	case r.ask.Type == dnswire.TypeAAAA:
		addrs = v.Answer.V6
	}
	for _, a := range addrs {
		r.addAddress(a, ttl)
	}
	return len(addrs) > 0
}
