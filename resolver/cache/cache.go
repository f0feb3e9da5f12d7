// Package cache keeps answers in wire form, bounded in bytes, and gives them
// back with their TTLs aged. One entry is the whole answer to one question: it
// never indexes a record under a name that was not asked for, so an answer
// cannot speak for another question, and a stale entry is only ever replaced
// by a whole new one.
//
// It refuses to judge: messages come validated and without OPT from
// resolver/upstream, and ID, flags and the client's own spelling of the name
// are the caller's business. It stores nothing that is truncated, and it does
// not know about lists or scores, which may change while an answer is kept.
//
// The store is our own because of what it holds: variable octet strings with
// TTLs to patch, counted in bytes with their overhead, and nothing for the
// garbage collector to walk. General caches count entries, or weights that they
// do not check, and keep a pointer per entry.
package cache

import (
	"hash/maphash"
	"math/bits"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/internal/dnswire"
)

// Question is what an answer is stored under. DO and CD are part of it because
// an upstream answers differently to each.
type Question struct {
	Name        dnsname.Name // canonical
	Type, Class uint16
	DO, CD      bool
	// View keeps the answers apart that different clients get to one question,
	// because they are asked of different upstreams. Up to 63; 0 where all get
	// the same.
	View uint8
}

// State says what Get found.
type State uint8

const (
	// Miss: nothing that may be used.
	Miss State = iota
	// Fresh: an answer within its TTL, or a failure younger than failure_ttl.
	Fresh
	// Stale: an answer past its TTL that may be used if nothing better can be
	// had (RFC 8767): ask the upstream first.
	Stale
	// StaleHeld: as Stale, and a refresh has failed less than failure_ttl ago:
	// use it without asking again (RFC 8767, section 5; RFC 9520).
	StaleHeld
)

// staleTTL is the TTL of every record of a stale answer, in seconds (RFC 8767,
// section 4 recommends 30).
const staleTTL = 30

// Cache is safe for any number of callers.
type Cache struct {
	rules  rules
	seed   maphash.Seed
	shift  uint // of a hash, to the number of its shard
	shards []shard
	// epoch is what instants are counted from. It carries the monotonic clock,
	// so that a step of the wall clock neither expires nor revives anything.
	epoch time.Time
}

// New makes a cache and registers its metrics. It takes its memory at once;
// the system backs it as it fills. The caller has called cfg.Validate.
func New(cfg Config, reg prometheus.Registerer) *Cache {
	n := shardCount(cfg.MaxBytes)
	c := &Cache{
		rules:  newRules(&cfg),
		seed:   maphash.MakeSeed(),
		shift:  64 - uint(bits.TrailingZeros(uint(n))),
		shards: make([]shard, n),
		epoch:  time.Now(),
	}
	for i := range c.shards {
		c.shards[i].init(int(cfg.MaxBytes)/n-shardFixed, int(cfg.MaxEntryBytes))
	}
	reg.MustRegister(newCollector(c))
	return c
}

// Get appends the stored answer to q to dst: ID zero, no OPT, the question in
// lower case, TTLs less the seconds since it was stored (30 for a stale one).
// On a Miss dst comes back as it is. It allocates only to grow dst.
// What else is known about it goes into f, which may be nil.
func (c *Cache) Get(dst []byte, q *Question, now time.Time, f *Found) (msg []byte, state State) {
	h := c.hash(q)
	return c.shard(h).get(dst, q, uint32(h), int64(now.Sub(c.epoch)), &c.rules, f)
}

// Found is what Get knows about an answer besides its octets. It may be used
// again and again, and is only filled in if the state is not Miss.
type Found struct {
	// HasEDE: an Extended DNS Error came with the answer.
	HasEDE bool
	EDE    dnswire.EDE // Text is of this Found
	// Outage: the last try to resolve failed while no upstream was up, so that
	// one that is up again may well answer.
	Outage bool
	// Prefetch: asked for often and soon over. The caller is to ask upstream
	// and Put the answer; nobody else is told.
	Prefetch bool

	text [dnswire.MaxEDEText]byte
}

func (f *Found) read(e entry, state State) {
	f.HasEDE = e.is(flagEDE) && (state == Fresh || e.failure())
	f.Outage = e.is(flagOutage)
	if f.HasEDE {
		code, text := e.ede()
		f.EDE = dnswire.EDE{Code: code, Text: f.text[:copy(f.text[:], text)]}
	}
}

// Put stores msg, a validated answer to q without OPT, for as long as its
// records and the configuration allow. What may not be cached is passed over;
// so is a failure while there is something better. A failure again is believed
// twice as long as the one before it. ede is what came with the answer, if
// anything. msg and ede stay the caller's.
func (c *Cache) Put(q *Question, msg []byte, ede *dnswire.EDE, now time.Time) {
	c.put(&plan{ede: ede}, q, msg, now)
}

// Fail stores that there was no answer to q, for the reason in ede. outage says
// that this was because no upstream was up.
func (c *Cache) Fail(q *Question, ede *dnswire.EDE, outage bool, now time.Time) {
	msg := dnswire.AppendHeader(make([]byte, 0, dnswire.HeaderLen+len(q.Name)+4), dnswire.Header{
		Flags: dnswire.FlagQR | dnswire.FlagRD | dnswire.FlagRA | dnswire.RcodeServFail, QD: 1,
	})
	msg = dnswire.AppendQuestion(msg, q.Name, q.Type, q.Class)
	c.put(&plan{ede: ede, outage: outage}, q, msg, now)
}

func (c *Cache) put(p *plan, q *Question, msg []byte, now time.Time) {
	if p.ede != nil && len(p.ede.Text) > dnswire.MaxEDEText {
		p.ede = &dnswire.EDE{Code: p.ede.Code, Text: p.ede.Text[:dnswire.MaxEDEText]}
	}
	if !c.rules.plan(p, q, msg) {
		return
	}
	h := c.hash(q)
	c.shard(h).put(p, q, msg, uint32(h), int64(now.Sub(c.epoch)), &c.rules)
}

// Flush forgets everything.
func (c *Cache) Flush() {
	for i := range c.shards {
		c.shards[i].flush()
	}
}

// Stats are counts since the start, except Entries and Bytes, which are of now.
type Stats struct {
	Entries   int
	Bytes     int64 // what the entries take, framing and index included
	Hits      uint64
	Stale     uint64
	Misses    uint64
	Evictions uint64 // entries that could still have been used, put out for room
}

// Stats adds up all shards.
func (c *Cache) Stats() (sum Stats) {
	for i := range c.shards {
		c.shards[i].addStats(&sum)
	}
	return sum
}

// hash is seeded, so that nobody can choose names that fall together.
func (c *Cache) hash(q *Question) uint64 {
	h := maphash.Bytes(c.seed, q.Name)
	h ^= (uint64(q.Type)<<24 | uint64(q.Class)<<8 | uint64(q.flags())) * 0x9e3779b97f4a7c15
	// The finisher of MurmurHash3: the shard comes from the upper bits, the
	// index slot from the lower ones, and both must depend on the type.
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}

func (c *Cache) shard(h uint64) *shard { return &c.shards[h>>c.shift] }

// Bits of a question's flags.
const (
	flagDO = 1 << iota
	flagCD
)

func (q *Question) flags() (f uint8) {
	if q.DO {
		f |= flagDO
	}
	if q.CD {
		f |= flagCD
	}
	return f | q.View<<2
}
