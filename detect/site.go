package detect

import (
	"crypto/sha256"
	"encoding/binary"
	"math"
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/internal/dnswire"
	"github.com/weirdns/weir/internal/seen"
)

// Site knows how the names of this site score, so that a score can be said as
// "1 in N of this site's names scores this high": what is rare differs from
// site to site more than models do.
//
// It counts registered domains that are new to it, by score, in fixed bins over
// the log-odds. Its numbers must not be anybody's to move, so a domain counts
//
//   - only if it resolved: a flood of made-up names costs its sender nothing,
//     but each one that exists was registered by somebody;
//   - once, while it is remembered: the last 262,144 to 524,288 domains are;
//   - against the share of its client, 1,000 an hour: one client alone, even
//     with a list of existing names, does not make the site's figures.
//
// At 8,388,608 domains all counts are halved, so that the site may change. It
// takes 1.1 MiB, whatever comes. It belongs to one model; another one begins
// anew. It is safe for use by many goroutines.
type Site struct {
	tails [siteBins]atomic.Uint32 // domains in a bin or above, as of a little ago
	total atomic.Uint32           // of these, all

	results [len(siteResults)]atomic.Uint64 // for metrics

	mu      sync.Mutex
	model   [sha256.Size]byte // SHA-256 of the model whose scores these are
	key     SiteKey
	bins    [siteBins]uint32
	counted uint32 // in bins
	stale   uint32 // counted since tails were made
	seen    seen.Names
	shares  [clientShares]clientShare
}

// SiteKey is a secret that keeps others from aiming at places of the memory of
// domains.
type SiteKey [16]byte

const (
	// Eight bins an octave of the odds p/(1-p), from 2^-24 to 2^24, which is
	// what a cached score can tell apart, and one at each end.
	siteOctaves = 24
	siteSteps   = 8
	siteBins    = 2*siteOctaves*siteSteps + 2
	siteFull    = 1 << 23
	// SiteNamesNeeded is from how many domains on "1 in N" is said at all.
	SiteNamesNeeded = 1000

	clientShares   = 4096
	clientsPerHour = 1000
)

// What became of a domain that was new to the score cache and resolved.
const (
	siteCounted = iota
	siteKnown   // remembered: it counted before
	siteShare   // its client's share was used up
)

var siteResults = [...]string{siteCounted: "counted", siteKnown: "known", siteShare: "client_share"}

// clientShare is what the clients of one place have used of their hour. Clients
// that share a place share it all: that only counts fewer.
type clientShare struct {
	hour int64
	used uint32
}

// siteBin is where a score is counted.
func siteBin(score float64) int {
	// The exponent and the upper three bits of the fraction of the odds: a
	// logarithm in steps, without computing one.
	const bottom = (1023 - siteOctaves) * siteSteps
	at := int(math.Float64bits(score/(1-score))>>49) - bottom + 1
	return min(max(at, 0), siteBins-1)
}

// oneIn says in how many of the site's domains one scores as high, 0 if too few
// were seen. A domain asked about counts as one of them, so N is never beyond
// what the figures carry.
func (s *Site) oneIn(score float64) uint32 {
	total := s.total.Load()
	if total < SiteNamesNeeded {
		return 0
	}
	return (total + 1) / (s.tails[siteBin(score)].Load() + 1)
}

// OneIn says in how many of the site's registered domains one scores as high; 0:
// fewer than SiteNamesNeeded were seen.
func (s *Site) OneIn(score float64) uint32 { return s.oneIn(score) }

// knows says whether the site has seen enough for a rate of 1 in n: three times
// as many, so that a score that none of them reached is rarer than that with a
// confidence of 95 %.
func (s *Site) knows(n uint32) bool { return s.total.Load() >= 3*n }

// Names is how many domains its figures rest on.
func (s *Site) Names() int { return int(s.total.Load()) }

// note counts the registered domain of a transaction whose score is new.
func (s *Site) note(t *Transaction) {
	if !t.Answered() || t.Rcode != dnswire.RcodeSuccess {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	hash := s.hash(t.Verdict.Registered)
	switch {
	case s.seen.Has(hash):
		s.results[siteKnown].Add(1)
		return
	case !s.share(t):
		s.results[siteShare].Add(1)
		return
	}
	s.seen.Add(hash)
	s.results[siteCounted].Add(1)
	s.bins[siteBin(t.Verdict.Score)]++
	s.counted++
	if s.counted >= siteFull {
		s.halve()
	}
	// At every domain as long as it matters, then at every hundredth or so.
	if s.stale++; s.stale > s.counted/128 {
		s.publish()
	}
}

// share takes one from the share of the client, in the time of the data.
func (s *Site) share(t *Transaction) bool {
	client := t.Query.Client.Unmap().WithZone("")
	if client.Is6() {
		client = netip.PrefixFrom(client, 64).Masked().Addr()
	}
	octets := client.As16()
	place := &s.shares[s.hash(octets[:])%clientShares]
	if hour := t.Query.Time.Unix() / 3600; place.hour != hour {
		*place = clientShare{hour: hour}
	}
	place.used++
	return place.used <= clientsPerHour
}

// hash is keyed and the same after a restart, unlike that of the score cache.
func (s *Site) hash(b []byte) uint64 {
	var buf [len(s.key) + dnsname.MaxWire]byte
	n := copy(buf[:], s.key[:])
	n += copy(buf[n:], b)
	sum := sha256.Sum256(buf[:n])
	return binary.LittleEndian.Uint64(sum[:])
}

// publish lets verdicts see what was counted.
func (s *Site) publish() {
	tail := uint32(0)
	for i := siteBins - 1; i >= 0; i-- {
		tail += s.bins[i]
		s.tails[i].Store(tail)
	}
	s.total.Store(tail)
	s.stale = 0
}

func (s *Site) halve() {
	s.counted = 0
	for i := range s.bins {
		s.bins[i] /= 2
		s.counted += s.bins[i]
	}
}

// use makes the figures those of a model, and empties them if they were those
// of another.
func (s *Site) use(model [sha256.Size]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.model != model {
		s.clear(model)
	}
}

// Reset forgets all domains and sets the secret.
func (s *Site) Reset(key SiteKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.key = key
	s.clear(s.model)
}

func (s *Site) clear(model [sha256.Size]byte) {
	s.model, s.bins, s.counted = model, [siteBins]uint32{}, 0
	s.seen.Clear()
	s.publish()
}
