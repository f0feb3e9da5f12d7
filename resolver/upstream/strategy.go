package upstream

import (
	"math/rand/v2"
	"net/netip"
	"slices"
)

// Strategies: how servers are chosen. Servers that are down come last in all.
const (
	// StrategyRace asks two servers at once, picked by speed and reliability,
	// and takes what comes first. Every question then costs two packets, and a
	// forger has two to guess at; what a server does badly costs nobody time.
	StrategyRace = "race"
	// StrategyFailover asks the first server that is up.
	StrategyFailover = "failover"
	// StrategyRoundRobin asks the servers in turn.
	StrategyRoundRobin = "round_robin"
	// StrategyRandom asks any.
	StrategyRandom = "random"
)

// RacesStrangers says whether a question may be put to a server in private address
// space and to a public one at once: where one knows names that the other does
// not, chance decides between their answers.
func (c *Config) RacesStrangers() bool {
	var private, public bool
	for _, text := range c.Servers {
		t, err := parseTarget(text, c.Hosts)
		if err != nil || len(t.addrs) == 0 {
			continue // Validate says so
		}
		a := t.addrs[0].Addr()
		inside := a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast()
		private, public = private || inside, public || !inside
	}
	return c.Strategy == StrategyRace && private && public
}

// AsksOutside says whether there are servers, and none in private address space:
// not of the zones either whose rules are for clients alone. A server of this
// machine, which asks others in turn, is none there.
func (c *Config) AsksOutside() bool {
	servers := c.Servers
	for _, z := range c.Zones {
		if !z.Disabled && len(z.Zones) == 0 {
			servers = slices.Concat(servers, z.Servers)
		}
	}
	for _, text := range servers {
		t, err := parseTarget(text, c.Hosts)
		if err != nil {
			continue // Validate says so
		}
		for _, at := range t.addrs {
			if a := at.Addr(); a.IsPrivate() || a.IsLinkLocalUnicast() || sharedSpace.Contains(a) {
				return false
			}
		}
	}
	return len(c.Servers) > 0
}

// sharedSpace is carrier grade NAT (RFC 6598), where some clouds have their
// resolvers.
var sharedSpace = netip.MustParsePrefix("100.64.0.0/10")

// order is servers in the order in which one question asks them.
func (g *Group) order(servers []*server) []try {
	tries := make([]try, 0, len(servers))
	for _, s := range servers {
		if !s.health.isDown.Load() {
			tries = append(tries, newTry(s))
		}
	}
	if up := tries; len(up) > 1 {
		switch g.cfg.Strategy {
		case StrategyRace:
			pick(up)
			pick(up[1:])
		case StrategyRoundRobin:
			rotate(up, int(g.turn.Add(1)%uint64(len(up))))
		case StrategyRandom:
			rand.Shuffle(len(up), func(i, j int) { up[i], up[j] = up[j], up[i] })
		}
	}
	if len(tries) < len(servers) {
		for _, s := range servers {
			if s.health.isDown.Load() && !has(tries, s) {
				tries = append(tries, newTry(s))
			}
		}
	}
	return tries
}

func newTry(s *server) try {
	return try{server: s, noUDP: s.streamOnly(), noEDNS: !s.edns()}
}

func has(tries []try, s *server) bool {
	for i := range tries {
		if tries[i].server == s {
			return true
		}
	}
	return false
}

// pick puts one of tries in front, at random by weight. The slow ones are
// picked too, now and then: how else would one be found to have become fast?
func pick(tries []try) {
	sum := 0.0
	for i := range tries {
		sum += tries[i].server.estimate.weight()
	}
	at, left := 0, rand.Float64()*sum
	for i := range tries {
		at = i
		if left -= tries[i].server.estimate.weight(); left < 0 {
			break
		}
	}
	tries[0], tries[at] = tries[at], tries[0]
}

func rotate(tries []try, by int) {
	turned := append(append(make([]try, 0, len(tries)), tries[by:]...), tries[:by]...)
	copy(tries, turned)
}
