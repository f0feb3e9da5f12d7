package dnstest

import (
	"strings"

	"github.com/miekg/dns"
)

// zone holds the records of one zone by owner name in lower case.
type zone struct {
	origin string
	soa    dns.RR // nil if the text has none: then negative answers have none
	names  map[string][]dns.RR
}

// LoadZone adds a zone from master text. Names without a final dot are below
// origin; the default TTL is an hour. Without an SOA in the text there is none
// in negative answers either.
func (s *Server) LoadZone(origin, text string) {
	s.t.Helper()
	z := &zone{origin: canonical(origin), names: map[string][]dns.RR{}}
	p := dns.NewZoneParser(strings.NewReader(text), z.origin, "")
	p.SetDefaultTTL(3600)
	for rr, ok := p.Next(); ok; rr, ok = p.Next() {
		owner := canonical(rr.Header().Name)
		z.names[owner] = append(z.names[owner], rr)
		if rr.Header().Rrtype == dns.TypeSOA {
			z.soa = rr
		}
		// Empty non-terminals exist (RFC 8020).
		for off, end := dns.NextLabel(owner, 0); !end && len(owner[off:]) > len(z.origin); off, end = dns.NextLabel(owner, off) {
			if _, ok := z.names[owner[off:]]; !ok {
				z.names[owner[off:]] = nil
			}
		}
	}
	if err := p.Err(); err != nil {
		s.t.Fatalf("dnstest: zone %s: %v", origin, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.zones = append(s.zones, z)
}

// find returns the zone with the longest origin that name is in.
func (s *Server) find(name string) (best *zone) {
	for _, z := range s.zones {
		if dns.IsSubDomain(z.origin, name) && (best == nil || len(z.origin) > len(best.origin)) {
			best = z
		}
	}
	return best
}

// lookup makes the true answer to req, not yet cut to a size.
func (s *Server) lookup(req *dns.Msg) *dns.Msg {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := new(dns.Msg)
	m.SetReply(req)
	m.Compress = true
	m.RecursionAvailable = true
	do := false
	if opt := req.IsEdns0(); opt != nil {
		do = opt.Do()
		m.SetEdns0(4096, do)
	}
	q := req.Question[0]
	// The owner of the first record is spelled as in the question.
	owner, name := q.Name, canonical(q.Name)
	for range 20 { // the longest chain of CNAMEs that is followed
		z := s.find(name)
		if z == nil {
			if len(m.Answer) == 0 {
				m.Rcode = dns.RcodeRefused
			}
			return m
		}
		m.Authoritative = true
		rrs, exists := z.names[name]
		if !exists {
			rrs, exists = z.wildcard(name)
		}
		found := pick(rrs, owner, q.Qtype, do)
		if len(found) == 0 {
			if !exists {
				m.Rcode = dns.RcodeNameError
			}
			if z.soa != nil {
				m.Ns = append(m.Ns, z.soa)
			}
			return m
		}
		m.Answer = append(m.Answer, found...)
		cname, ok := found[0].(*dns.CNAME)
		if !ok || q.Qtype == dns.TypeCNAME || q.Qtype == dns.TypeANY {
			return m
		}
		owner, name = cname.Target, canonical(cname.Target)
	}
	return m
}

// wildcard finds the records of the wildcard that covers name.
func (z *zone) wildcard(name string) ([]dns.RR, bool) {
	for off, end := dns.NextLabel(name, 0); !end && len(name[off:]) >= len(z.origin); off, end = dns.NextLabel(name, off) {
		if rrs, ok := z.names["*."+name[off:]]; ok {
			return rrs, true
		}
		if _, ok := z.names[name[off:]]; ok {
			break // the closest encloser has no wildcard
		}
	}
	return nil, false
}

// pick copies the records that answer a question of type qtype: those of the
// type, or a CNAME; and with DO their signatures.
func pick(rrs []dns.RR, owner string, qtype uint16, do bool) (found []dns.RR) {
	want := qtype
	for _, rr := range rrs {
		if rr.Header().Rrtype == dns.TypeCNAME {
			want = dns.TypeCNAME
		}
	}
	add := func(rr dns.RR) {
		rr = dns.Copy(rr)
		rr.Header().Name = owner
		found = append(found, rr)
	}
	for _, rr := range rrs {
		if rr.Header().Rrtype == want || qtype == dns.TypeANY {
			add(rr)
		}
	}
	for _, rr := range rrs {
		if sig, ok := rr.(*dns.RRSIG); ok && do && sig.TypeCovered == want && qtype != dns.TypeANY && len(found) > 0 {
			add(rr)
		}
	}
	return found
}
