package resolver_test

import (
	"testing"

	"github.com/miekg/dns"
	"github.com/weirdns/weir/detect"
)

// A list may have a special name, but it is not what answers: nothing was
// blocked, and nobody is told so.
func TestASpecialNameOnAListIsNoBlock(t *testing.T) {
	j := &judge{inspect: func(_ *detect.Query, v *detect.Verdict) {
		v.Origin, v.Action, v.Enforced, v.Answer = detect.OriginBlockList, detect.ZeroIP, true, &detect.BlockAnswer{}
		v.Matches = append(v.Matches, detect.Match{List: "doh", Rule: "use-application-dns.net", Effect: detect.EffectEnforce})
	}}
	s := start(t, &fakeUpstream{answer: zone()}, j, nil)
	r := s.ask(t, "udp", "use-application-dns.net.", dns.TypeA, nil)
	if r.Rcode != dns.RcodeNameError || len(r.Answer) != 0 {
		t.Errorf("%v, want NXDOMAIN, which is the only answer that keeps a browser here", r)
	}
	if r := s.ask(t, "udp", "www.example.", dns.TypeA, nil); r.Rcode != dns.RcodeSuccess || len(r.Answer) != 1 {
		t.Errorf("%v, want the name beside it blocked", r)
	}
	s.sink.mu.Lock()
	defer s.sink.mu.Unlock()
	if s.sink.blocked != 1 {
		t.Errorf("%d queries recorded as blocked, want the one that was", s.sink.blocked)
	}
}
