package resolver

import (
	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/internal/dnswire"
)

// CookieConfig is about DNS cookies of clients.
type CookieConfig struct {
	// Enabled answers cookies with ours. Default true.
	Enabled bool `yaml:"enabled"`
	// Require answers BADCOOKIE to a client that speaks cookies and shows none of
	// ours over UDP: it asks again with the one that comes along. Default false.
	Require bool `yaml:"require"`
}

// welcome turns away who must show a cookie first, or is above a limit. False:
// r.out is the answer.
func (s *Resolver) welcome(r *request) bool {
	udp, state := r.ask.Transport == detect.UDP, r.options.state
	switch {
	case state == malformedCookie:
		return s.decline(r, dnswire.RcodeFormErr)
	case state == clientCookie && udp && s.cfg.Cookies.Require:
		s.metrics.badCookies.Add(1)
		return s.decline(r, dnswire.RcodeBadCookie)
	}
	return s.withinRate(r)
}

// decline is refuse for what has not been held against the limits yet: who
// forges addresses has use for errors, too.
func (s *Resolver) decline(r *request, rcode uint16) bool {
	if !s.withinRate(r) {
		return false
	}
	return s.refuse(r, rcode)
}

// withinRate holds a query against the limits. False: r.out is the answer.
func (s *Resolver) withinRate(r *request) bool {
	if s.rates == nil {
		return true
	}
	switch s.rates.judge(r.ask.Client, r.ask.Transport == detect.UDP, r.options.state == validCookie, r.ask.Time) {
	case dropRate:
		s.metrics.rateDropped.Add(1)
		r.asked, r.out = nil, r.out[:0] // counted, and nothing more
		return false
	case slipRate:
		r.begin(dnswire.RcodeSuccess)
		r.truncate()
		r.source = detect.FromLocal
		return false
	case refuseRate:
		r.setEDE(dnswire.EDEProhibited, []byte("too many queries"))
		r.begin(dnswire.RcodeRefused)
		r.source = detect.FromLocal
		return false
	}
	return true
}
