package upstream

import (
	"encoding/binary"

	"github.com/weirdns/weir/internal/dnswire"
)

const (
	// lastRcode is the last response code with a meaning for whoever asked;
	// those above are unassigned or about EDNS, TSIG and cookies on one hop.
	lastRcode = 10
	// maxTTL is seven days, in seconds (RFC 8767, section 4).
	maxTTL = 7 * 24 * 3600
)

// clean makes the message that is handed out from one that has passed
// validate: a copy without what belongs to this hop (ID, OPT, TSIG, the random
// case, what follows the last record) and without answers for other names.
func clean(msg []byte, s *query, r *reply) ([]byte, reason) {
	question := dnswire.HeaderLen + len(s.q.Name) + 4
	var out []byte
	switch {
	case r.rcode > lastRcode:
		out = append(out, msg[:question]...)
		dnswire.SetCounts(out, 0, 0, 0)
		dnswire.SetFlags(out, r.h.Flags&^0xf|dnswire.RcodeServFail)
	case r.repack:
		var err error
		out, err = dnswire.Repack(msg[:r.end], func(rec *dnswire.Record) bool {
			return rec.Type != dnswire.TypeOPT && rec.Type != dnswire.TypeTSIG &&
				(rec.Section != dnswire.Answer || r.chain.has(msg, rec))
		})
		if err != nil {
			return nil, badRepack
		}
	default:
		out = make([]byte, r.cut)
		copy(out, msg)
		dnswire.SetCounts(out, r.h.AN, r.h.NS, r.h.AR-r.hops)
	}
	dnswire.SetID(out, 0)
	copy(out[dnswire.HeaderLen:], s.q.Name)
	h, _ := dnswire.ReadHeader(out)
	walk := dnswire.Walk(out, h, question)
	for rec := (dnswire.Record{}); walk.Next(&rec); {
		if ttl := sane(rec.TTL); ttl != rec.TTL {
			binary.BigEndian.PutUint32(out[rec.TTLAt:], ttl)
		}
		// A server that does not compress repeats the qname in our random case.
		if end := rec.Start + len(s.q.Name); end <= rec.TTLAt && dnswire.EqualFold(out[rec.Start:end], s.q.Name) {
			copy(out[rec.Start:], s.q.Name)
		}
	}
	evenTTLs(out, dnswire.Walk(out, h, question))
	return out, valid
}
