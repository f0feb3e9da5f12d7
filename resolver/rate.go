package resolver

import (
	"errors"
	"fmt"
	"hash/maphash"
	"net/netip"
	"sync/atomic"
	"time"
)

// RateLimitConfig bounds what one network and one client get.
type RateLimitConfig struct {
	// ResponsesPerSecond over UDP to one network (IPv4Prefix, IPv6Prefix): what
	// somebody who forges its addresses could have sent there. Clients with a
	// valid DNS cookie have shown that theirs is not forged and do not count. 0:
	// no limit. Default 0.
	ResponsesPerSecond int `yaml:"responses_per_second"`
	// IPv4Prefix and IPv6Prefix are how large such a network is. Default 24, 56.
	IPv4Prefix int `yaml:"ipv4_prefix"`
	IPv6Prefix int `yaml:"ipv6_prefix"`
	// Slip answers each so many'th query above the limit with TC, so that true
	// clients ask over TCP; the others get nothing. 1: all, 0: none. Default 2.
	Slip int `yaml:"slip"`
	// ClientQueriesPerSecond over all transports from one client (in IPv6 one
	// /64). Above it queries are refused over connections and handled as Slip
	// says over UDP. 0: no limit. Default 0.
	ClientQueriesPerSecond int `yaml:"client_queries_per_second"`
	// Exempt networks have no limit. Default none.
	Exempt []string `yaml:"exempt"`
	// DryRun only counts what would have been limited. Default false.
	DryRun bool `yaml:"dry_run"`
}

const (
	// maxRate keeps a burst within the sixteen bits of a bucket.
	maxRate = 10000
	// burst is so many seconds of the rate.
	burst = 5
	// rateSlots bounds how many networks and how many clients are told apart,
	// 256 KiB each.
	rateSlots = 1 << 15
	// tick is the unit of a bucket's clock.
	ticksPerSecond = 1024
	// late is by how much workers' clocks may differ. What seems to be earlier
	// than that is the clock that began anew.
	late = 60 * ticksPerSecond
	// clientBits6 is the network that one IPv6 host has for itself.
	clientBits6 = 64
)

func (c *RateLimitConfig) validate() error {
	var errs []error
	inRange := func(field string, got, low, high int) {
		if got < low || got > high {
			errs = append(errs, fmt.Errorf("rate_limit.%s: must be %d to %d, got %d", field, low, high, got))
		}
	}
	inRange("responses_per_second", c.ResponsesPerSecond, 0, maxRate)
	inRange("client_queries_per_second", c.ClientQueriesPerSecond, 0, maxRate)
	inRange("ipv4_prefix", c.IPv4Prefix, 8, 32)
	inRange("ipv6_prefix", c.IPv6Prefix, 16, 128)
	inRange("slip", c.Slip, 0, 100)
	if _, err := parseNetworks("rate_limit.exempt", c.Exempt); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// rateVerdict is what a query above a limit gets.
type rateVerdict uint8

const (
	withinRate rateVerdict = iota
	dropRate
	slipRate
	refuseRate
)

// rateLimits is nil where there is no limit.
type rateLimits struct {
	cfg      RateLimitConfig
	exempt   *acl
	networks *buckets // nil: none
	clients  *buckets
	slips    atomic.Uint64
	over     [2]atomic.Uint64 // networks, clients
}

func newRateLimits(cfg RateLimitConfig) *rateLimits {
	if cfg.ResponsesPerSecond == 0 && cfg.ClientQueriesPerSecond == 0 {
		return nil
	}
	exempt, _ := parseNetworks("", cfg.Exempt) // Validate has read them
	return &rateLimits{
		cfg: cfg, exempt: exempt,
		networks: newBuckets(cfg.ResponsesPerSecond),
		clients:  newBuckets(cfg.ClientQueriesPerSecond),
	}
}

// judge says what a query of client gets. proven: its address is not forged.
func (l *rateLimits) judge(client netip.Addr, udp, proven bool, now time.Time) rateVerdict {
	if l.exempt.allows(client) {
		return withinRate
	}
	over := false
	if l.clients != nil && !l.clients.take(prefixOf(client, 32, clientBits6), now) {
		l.over[1].Add(1)
		over = true
	}
	if l.networks != nil && udp && !proven && !l.networks.take(prefixOf(client, l.cfg.IPv4Prefix, l.cfg.IPv6Prefix), now) {
		l.over[0].Add(1)
		over = true
	}
	switch {
	case !over, l.cfg.DryRun:
		return withinRate
	case !udp:
		return refuseRate
	case l.cfg.Slip > 0 && l.slips.Add(1)%uint64(l.cfg.Slip) == 0:
		return slipRate
	}
	return dropRate
}

func prefixOf(a netip.Addr, v4, v6 int) netip.Addr {
	bits := v6
	if a.Is4() {
		bits = v4
	}
	p, _ := a.WithZone("").Prefix(bits) // bits are within the address
	return p.Addr()
}

// buckets is a token bucket for each key, in a fixed table: sixteen bits of the
// key's hash, thirty-two of the time, sixteen of tokens. Where two keys want
// one place, the one that has been quiet long enough to have a full bucket
// goes; where none has, the newcomer takes the place with a full one: nobody is
// held back for what another did.
type buckets struct {
	rate  uint64
	seed  maphash.Seed
	epoch time.Time
	slots []atomic.Uint64
}

func newBuckets(rate int) *buckets {
	if rate == 0 {
		return nil
	}
	return &buckets{rate: uint64(rate), seed: maphash.MakeSeed(), epoch: time.Now(), slots: make([]atomic.Uint64, rateSlots)}
}

func (b *buckets) full() uint64 { return b.rate * burst }

// take takes a token of key's bucket; false: there is none.
func (b *buckets) take(key netip.Addr, now time.Time) bool {
	raw := key.As16()
	h := maphash.Bytes(b.seed, raw[:])
	tag := h >> 48
	at := ticks(now.Sub(b.epoch))
	for range 4 { // others may be at the same slot
		slot, was := b.find(h&(rateSlots-1), tag, at)
		tokens, last := b.full(), at
		if was != 0 && was>>48 == tag {
			tokens, last = b.refilled(was, at)
		}
		ok := tokens > 0
		if ok {
			tokens--
		}
		if slot.CompareAndSwap(was, tag<<48|last<<16|tokens) {
			return ok
		}
	}
	return true
}

// ticks is d by a bucket's clock, which begins anew after 48 days.
func ticks(d time.Duration) uint64 {
	d = max(d, 0)
	// Seconds apart from their parts: the product of the whole would be too
	// large after 208 days.
	return (uint64(d/time.Second)*ticksPerSecond + uint64(d%time.Second)*ticksPerSecond/uint64(time.Second)) & (1<<32 - 1)
}

// find is the place of tag: its own, else an empty or idle one of two.
func (b *buckets) find(i, tag, at uint64) (*atomic.Uint64, uint64) {
	first, second := &b.slots[i], &b.slots[i^1]
	f, s := first.Load(), second.Load()
	switch {
	case f != 0 && f>>48 == tag:
		return first, f
	case s != 0 && s>>48 == tag:
		return second, s
	}
	if tokens, _ := b.refilled(f, at); f != 0 && tokens < b.full() {
		return second, s
	}
	return first, f
}

// refilled is what a bucket holds now, and the instant up to which that is
// accounted for.
func (b *buckets) refilled(was, at uint64) (tokens, last uint64) {
	tokens, last = was&(1<<16-1), was>>16&(1<<32-1)
	passed := (at - last) & (1<<32 - 1)
	if passed > 1<<32-late {
		return tokens, last // another worker's clock was a little later
	}
	add := passed * b.rate / ticksPerSecond
	if tokens+add >= b.full() {
		return b.full(), at
	}
	return tokens + add, (last + add*ticksPerSecond/b.rate) & (1<<32 - 1)
}
