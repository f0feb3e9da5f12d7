package resolver

import (
	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/internal/dnswire"
	"github.com/weirdns/weir/resolver/cache"
)

// answerFromParent answers NXDOMAIN when the cache knows that a parent of the
// name does not exist: then nothing below it does (RFC 8020). It is not done
// for who wants proof of it (DO), since the parent's is another.
func (s *Resolver) answerFromParent(r *request) bool {
	if r.EDNS.DO {
		return false
	}
	q := s.cacheQuestion(r)
	live := s.live.Load()
	for at := r.ask.Name.Parent(); at.Labels() > 1; at = at.Parent() {
		if live.router != nil && live.router.Route(at, r.ask.Client) != r.route {
			return false // that parent is not of the servers that this name is of
		}
		q.Name = at
		msg, state := s.cache.Get(r.out[:0], &q, r.ask.Time, nil)
		if state != cache.Fresh {
			continue
		}
		if soa, ok := denial(msg); ok {
			r.source = detect.FromCache
			r.begin(dnswire.RcodeNXDomain)
			r.out = append(r.out, soa...)
			r.bump(8)
			return true
		}
	}
	return false
}

// denial is the SOA record, uncompressed, of an answer that says that the very
// name asked for does not exist. One at the end of aliases is none: there the
// name exists, and its target does not.
func denial(msg []byte) (soa []byte, ok bool) {
	h, walk, err := dnswire.WalkMessage(msg)
	if err != nil || h.Rcode() != dnswire.RcodeNXDomain || h.AN != 0 {
		return nil, false
	}
	for rec := (dnswire.Record{}); walk.Next(&rec); {
		if rec.Type == dnswire.TypeSOA && rec.Section == dnswire.Authority {
			soa, err := dnswire.CopySOA(make([]byte, 0, 2*dnsname.MaxWire), msg, &rec)
			return soa, err == nil
		}
	}
	return nil, false
}
