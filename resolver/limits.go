package resolver

import (
	"net/netip"
	"sync"
)

// connLimits bounds the connections of listeners that share it: all together,
// and from one client, which is an IPv4 address or an IPv6 /64. One host has
// such a network for itself and may come from any address in it.
type connLimits struct {
	maxAll, maxClient int

	mu  sync.Mutex // guards all below
	all int
	per map[netip.Addr]int // by the first address of the client's network
}

func newConnLimits(all, client int) *connLimits {
	return &connLimits{maxAll: all, maxClient: client, per: map[netip.Addr]int{}}
}

// holder is what connections of client count for; client is unmapped.
func holder(client netip.Addr) netip.Addr { return prefixOf(client, 32, clientBits6) }

// acquire counts a connection. One whose client is not known yet, behind a
// proxy, has no address.
func (l *connLimits) acquire(client netip.Addr) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all >= l.maxAll {
		return false
	}
	if client.IsValid() && !l.nameLocked(client) {
		return false
	}
	l.all++
	return true
}

// name gives a connection that was counted without one its client.
func (l *connLimits) name(client netip.Addr) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.nameLocked(client)
}

func (l *connLimits) nameLocked(client netip.Addr) bool {
	h := holder(client)
	if l.per[h] >= l.maxClient {
		return false
	}
	l.per[h]++
	return true
}

// full says whether client has all the connections that it may have.
func (l *connLimits) full(client netip.Addr) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return client.IsValid() && l.per[holder(client)] >= l.maxClient
}

func (l *connLimits) release(client netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all--
	if !client.IsValid() {
		return
	}
	h := holder(client)
	if l.per[h]--; l.per[h] == 0 {
		delete(l.per, h)
	}
}

func (l *connLimits) open() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all
}
