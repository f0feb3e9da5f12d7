package cache

import (
	"bytes"
	"encoding/binary"
	"math"
	"time"

	"github.com/weirdns/weir/internal/dnswire"
)

// rules are the parts of Config that decide about one answer, in the units of
// the decision: seconds for TTLs, nanoseconds for instants.
type rules struct {
	minTTL, maxTTL, negative, failure, failureMax uint32
	maxStale                                      int64
	maxEntry                                      int
	prefetch                                      uint8 // uses; 0: off
}

func newRules(cfg *Config) rules {
	secs := func(d time.Duration) uint32 { return uint32(d / time.Second) }
	return rules{
		minTTL:     secs(cfg.MinTTL),
		maxTTL:     secs(cfg.MaxTTL),
		negative:   secs(cfg.NegativeMaxTTL),
		failure:    secs(cfg.FailureTTL),
		failureMax: secs(cfg.FailureMaxTTL),
		maxStale:   int64(cfg.MaxStale),
		maxEntry:   int(cfg.MaxEntryBytes),
		prefetch:   uint8(cfg.PrefetchHits),
	}
}

// plan is what Put found out about an answer before it takes the shard's lock.
type plan struct {
	size     int    // of the entry; 0: not to be kept, but newer than what is there
	life     uint32 // seconds; it ends with the first record that is sent
	failure  bool
	positive bool
	records  int
	soaAt    int // of the TTL of a negative answer's SOA; 0: none
	soaTTL   uint32
	failures uint8 // in a row, this one included
	outage   bool
	known    bool         // it has been asked for more than once
	onlyNew  bool         // what is there is newer
	ede      *dnswire.EDE // nil: none
}

// backoff is how long the n-th failure in a row is believed, in seconds.
func (r *rules) backoff(n uint8) uint32 {
	ttl := r.failure
	for ; n > 1 && ttl < r.failureMax; n-- {
		ttl *= 2
	}
	return min(ttl, r.failureMax)
}

// plan reads msg and says how it may be stored; false means that it is to be
// passed over altogether.
func (r *rules) plan(p *plan, q *Question, msg []byte) bool {
	h, err := dnswire.ReadHeader(msg)
	end := dnswire.HeaderLen + len(q.Name) + 4
	if err != nil || h.QD != 1 || h.Flags&dnswire.FlagTC != 0 || len(msg) < end || len(msg) > math.MaxUint16 {
		return false
	}
	// Any case: the name of the entry is q's. A compressed or different
	// question is not what upstream hands out.
	at := end - 4
	if !dnswire.EqualFold(msg[dnswire.HeaderLen:at], q.Name) ||
		binary.BigEndian.Uint16(msg[at:]) != q.Type || binary.BigEndian.Uint16(msg[at+2:]) != q.Class {
		return false
	}
	rcode := h.Rcode()
	p.failure = rcode != dnswire.RcodeSuccess && rcode != dnswire.RcodeNXDomain
	p.life = math.MaxUint32
	if rcode == dnswire.RcodeSuccess {
		p.positive = answers(q, msg, h, end)
	}
	walk := dnswire.Walk(msg, h, end)
	for rec := (dnswire.Record{}); walk.Next(&rec); p.records++ {
		if rec.Type == dnswire.TypeOPT {
			return false // hop by hop, and its TTL is none
		}
		ttl := r.clamp(rec.TTL, p.positive)
		if min, ok := rec.MinimumTTL(msg); ok && rec.Section == dnswire.Authority && !p.positive {
			ttl = minimum(ttl, ttlOf(min), r.negative)
			p.soaAt, p.soaTTL = rec.TTLAt, ttl
		}
		p.life = minimum(p.life, ttl)
	}
	if walk.Err() != nil {
		return false
	}
	switch {
	case p.failure:
		p.life, p.failures = r.failure, 1
	case !p.positive && p.soaAt == 0:
		p.life = 0 // RFC 2308, section 5: no SOA, no negative caching
	}
	if size := entrySize(len(msg), p.records, p.ede); p.life > 0 && size <= r.maxEntry {
		p.size = size
	}
	return true
}

// answers says whether msg has a record of the type asked for. A chain of
// CNAMEs that leads to none is a negative answer (RFC 2308, section 2.1).
func answers(q *Question, msg []byte, h dnswire.Header, at int) bool {
	h.NS, h.AR = 0, 0
	walk := dnswire.Walk(msg, h, at)
	for rec := (dnswire.Record{}); walk.Next(&rec); {
		if rec.Type == q.Type || q.Type == dnswire.TypeANY {
			return true
		}
	}
	return false
}

func (r *rules) clamp(ttl uint32, positive bool) uint32 {
	ttl = ttlOf(ttl)
	if positive {
		ttl = max(ttl, r.minTTL)
	}
	return minimum(ttl, r.maxTTL)
}

// ttlOf reads a TTL as sent: with the top bit set it means zero (RFC 2181,
// section 8).
func ttlOf(v uint32) uint32 {
	if v > math.MaxInt32 {
		return 0
	}
	return v
}

func minimum(v uint32, others ...uint32) uint32 {
	for _, o := range others {
		v = min(v, o)
	}
	return v
}

// write fills an entry's message and TTL table.
func (p *plan) write(e entry, q *Question, msg []byte, r *rules) {
	m := e.msg()
	copy(m, msg)
	dnswire.SetID(m, 0)
	copy(m[dnswire.HeaderLen:], q.Name)
	h, _ := dnswire.ReadHeader(m) // read once by plan, as is all below
	walk := dnswire.Walk(m, h, dnswire.HeaderLen+len(q.Name)+4)
	rec := dnswire.Record{}
	for i := 0; walk.Next(&rec); i++ {
		ttl := r.clamp(rec.TTL, p.positive)
		if rec.TTLAt == p.soaAt {
			ttl = p.soaTTL
		}
		binary.BigEndian.PutUint32(m[rec.TTLAt:], ttl)
		e.setTTLAt(i, rec.TTLAt)
	}
	if p.ede != nil {
		e.setEDE(p.ede)
	}
}

// matches says whether e answers q. The name stands in the message already.
func (e entry) matches(q *Question) bool {
	m := e.msg()
	end := dnswire.HeaderLen + len(q.Name)
	return e.question() == q.flags() && len(m) >= end+4 &&
		bytes.Equal(m[dnswire.HeaderLen:end], q.Name) &&
		binary.BigEndian.Uint16(m[end:]) == q.Type &&
		binary.BigEndian.Uint16(m[end+2:]) == q.Class
}
