package resolver

import (
	"hash/maphash"
	"net/netip"
	"sync"

	"github.com/weirdns/weir/internal/dnsname"
)

// shares divides slots among those who want them: a client network (IPv4 /24,
// IPv6 /56) or a registered domain that asks for more than it can get answered
// must not keep the others from being served. While others hold slots too and
// half of them are taken, none gets more than a quarter. Alone, a domain gets
// three quarters and a network seven eighths, so that there is room for who
// comes next.
type shares struct {
	seed     maphash.Seed
	suffixes *dnsname.Suffixes // nil: a domain is the last two labels

	mu      sync.Mutex // guards all below
	max     int
	total   int
	clients map[netip.Prefix]int
	domains map[uint64]int
}

// share is what one holder of a slot counts for.
type share struct {
	client netip.Prefix
	domain uint64
}

// admission says whether a slot was given, and if not, why.
type admission uint8

const (
	admitted admission = iota
	allTaken
	clientShare
	domainShare
	admissions
)

func (a admission) String() string {
	return [...]string{"admitted", "overloaded", "client_share", "domain_share"}[a]
}

func newShares(slots int, suffixes *dnsname.Suffixes) *shares {
	return &shares{
		seed: maphash.MakeSeed(), suffixes: suffixes, max: slots,
		clients: map[netip.Prefix]int{}, domains: map[uint64]int{},
	}
}

// of is what a question from client counts for.
func (s *shares) of(client netip.Addr, name dnsname.Name) (h share) {
	bits := 24
	if client.Is6() {
		bits = 56
	}
	h.client, _ = client.WithZone("").Prefix(bits) // fails only for the zero Addr, which is a share too
	h.domain = maphash.Bytes(s.seed, s.registered(name))
	return h
}

func (s *shares) registered(name dnsname.Name) dnsname.Name {
	if s.suffixes != nil {
		if split := s.suffixes.Split(name); split.Registered != nil {
			return split.Registered
		}
	}
	for name.Labels() > 2 {
		name = name.Parent()
	}
	return name
}

// enter takes a slot for h.
func (s *shares) enter(h share) admission {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.total >= s.max:
		return allTaken
	case s.domains[h.domain] >= s.limitLocked(len(s.domains), s.max/4):
		return domainShare
	case s.clients[h.client] >= s.limitLocked(len(s.clients), s.max/8):
		return clientShare
	}
	s.total++
	s.clients[h.client]++
	s.domains[h.domain]++
	return admitted
}

// limitLocked is how many slots one of so many holders may have, of which a
// single one leaves some spare.
func (s *shares) limitLocked(holders, spare int) int {
	switch {
	case s.total < s.max/2:
		return s.max
	case holders < 2:
		return s.max - spare
	}
	return max(s.max/4, 1)
}

// leave gives the slot of h back.
func (s *shares) leave(h share) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.total--
	if s.clients[h.client]--; s.clients[h.client] == 0 {
		delete(s.clients, h.client)
	}
	if s.domains[h.domain]--; s.domains[h.domain] == 0 {
		delete(s.domains, h.domain)
	}
}

// taken is how many slots are.
func (s *shares) taken() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.total
}
