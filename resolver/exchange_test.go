package resolver_test

import (
	"testing"

	"github.com/miekg/dns"
)

// A panic while an upstream is asked costs those who wait for it their answer,
// and nobody else anything.
func TestAPanicInAnExchangeIsServfailForItsClients(t *testing.T) {
	up := &fakeUpstream{answer: func(q *dns.Msg) (*dns.Msg, error) {
		if q.Question[0].Name == "boom.example." {
			panic("boom")
		}
		return zone("www.example. 300 IN A 192.0.2.1")(q)
	}}
	s := start(t, up, nil, nil)
	if r := s.ask(t, "udp", "boom.example.", dns.TypeA, edns); r.Rcode != dns.RcodeServerFailure {
		t.Errorf("got %v, want SERVFAIL", r)
	}
	if r := s.ask(t, "udp", "www.example.", dns.TypeA, nil); len(r.Answer) != 1 {
		t.Errorf("got %v, want the others served", r)
	}
	if got := counter(t, s.registry, "weir_panics_recovered_total"); got != 1 {
		t.Errorf("weir_panics_recovered_total = %v, want 1", got)
	}
	if got := gauge(t, s.registry, "weir_dns_pending"); got != 0 {
		t.Errorf("%v queries pending, want none", got)
	}
}
