// Package privacy decides how much of a client's address is kept, and of which
// clients and names nothing is: once, for files, the database and everything that
// leaves the machine.
//
// It does not hide what a name says about who asks for it, and truncating or a
// pseudonym is no anonymity: whoever sees many queries of one client can often
// tell who that is.
package privacy

import (
	"fmt"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/weirdns/weir/internal/dnsname"
	"go.uber.org/zap"
)

// Deps are what a Guard works with.
type Deps struct {
	// Dir is the state folder, which has weir's own key. Empty: a key of hash
	// lives as long as the process.
	Dir string
	Log *zap.Logger
	// Now is the clock that keys grow old by; nil means the system's.
	Now func() time.Time
}

// Guard writes client addresses as far as they may be kept. It is safe for any
// number of goroutines.
type Guard struct {
	mode        Mode
	full, skip  networks
	names       map[string]struct{} // in wire form
	secret      atomic.Pointer[secret]
	rotation    time.Duration // 0: the key stays
	path        string        // of weir's own key; "": there is none
	kept        bool          // addresses come as Address returned them
	log         *zap.Logger
	now         func() time.Time
	anySkipping bool
}

// New makes a Guard, and its key where the mode needs one.
func New(cfg Config, deps Deps) (*Guard, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("privacy: %w", err)
	}
	g := Plain(cfg.ClientAddress)
	// Validate has read them.
	g.full, _ = parseNetworks("", cfg.FullClients)
	g.skip, _ = parseNetworks("", cfg.SkipClients)
	g.names, _ = parseNames(cfg.SkipNames)
	g.anySkipping = len(g.skip)+len(g.names) > 0
	if deps.Log != nil {
		g.log = deps.Log
	}
	if deps.Now != nil {
		g.now = deps.Now
	}
	if !g.mode.keyed() {
		return g, nil
	}
	if err := g.open(cfg, deps.Dir); err != nil {
		return nil, fmt.Errorf("privacy: %w", err)
	}
	return g, nil
}

// Plain is a Guard without exceptions. Of a mode that has a key it keeps
// nothing: those come from New.
func Plain(m Mode) *Guard { return &Guard{mode: m, log: zap.NewNop(), now: time.Now} }

// Mode is how much of clients is kept, but for exceptions.
func (g *Guard) Mode() Mode { return g.mode }

// Skips says whether a query of client for name is to leave no record. It is
// called on the answer path: no allocation, no lock.
func (g *Guard) Skips(client netip.Addr, name dnsname.Name) bool {
	if !g.anySkipping {
		return false
	}
	if len(g.skip) > 0 && g.skip.has(client.Unmap().WithZone("")) {
		return true
	}
	if len(g.names) == 0 {
		return false
	}
	for ; len(name) > 1; name = name.Parent() {
		if _, ok := g.names[string(name)]; ok {
			return true
		}
	}
	return false
}

// Address is as much of addr as may be kept, for what takes addresses alone:
// truncated it is the first of its network, and pseudonyms are addresses, too.
// The zero Addr is none.
func (g *Guard) Address(addr netip.Addr) netip.Addr {
	if g.kept {
		return addr
	}
	addr = addr.Unmap().WithZone("")
	switch {
	case !addr.IsValid() || g.mode == None && !g.full.has(addr):
		return netip.Addr{}
	case g.mode == Full || g.full.has(addr):
		return addr
	case g.mode == Truncated:
		return network(addr).Addr()
	}
	s := g.secret.Load()
	switch {
	case s == nil:
		return netip.Addr{}
	case g.mode == IPCrypt:
		return s.encrypt(addr)
	}
	return s.hash(addr)
}

// Append appends addr as far as it may be kept, nothing where it may not. A
// truncated address is written as a prefix, so that nobody takes it for an
// address.
func (g *Guard) Append(dst []byte, addr netip.Addr) []byte {
	return g.AppendKept(dst, g.Address(addr))
}

// AppendKept is Append for what Address returned.
func (g *Guard) AppendKept(dst []byte, kept netip.Addr) []byte {
	if !kept.IsValid() {
		return dst
	}
	if g.mode == Truncated && !g.full.has(kept) {
		return network(kept).AppendTo(dst)
	}
	return kept.AppendTo(dst)
}

// Kept writes addresses that a guard with this configuration returned before they
// were stored: it changes none of them, and needs no key.
func Kept(cfg Config) *Guard {
	g := Plain(cfg.ClientAddress)
	g.full, _ = parseNetworks("", cfg.FullClients) // New has said what is wrong
	g.kept = true
	return g
}

// Text is Append as a string.
func (g *Guard) Text(addr netip.Addr) string { return string(g.Append(nil, addr)) }

// Known is what an address that Address returned tells of the client: one address,
// the network that truncating leaves, or, where it is a pseudonym or none, the zero
// Prefix. Whatever else is said of a client may depend on no more than that.
func (g *Guard) Known(kept netip.Addr) netip.Prefix {
	switch {
	case !kept.IsValid():
		return netip.Prefix{}
	case g.mode == Full || g.full.has(kept):
		return netip.PrefixFrom(kept, kept.BitLen())
	case g.mode == Truncated:
		return network(kept)
	}
	return netip.Prefix{}
}

// network is the one that truncating leaves.
func network(addr netip.Addr) netip.Prefix {
	bits := 24
	if addr.Is6() {
		bits = 48
	}
	p, _ := addr.Prefix(bits) // fails only for bits over the address's length
	return p
}

// Reveal turns a pseudonym of ipcrypt back; ok is false for other modes.
func (g *Guard) Reveal(pseudonym netip.Addr) (addr netip.Addr, ok bool) {
	if s := g.secret.Load(); s != nil && g.mode == IPCrypt && pseudonym.IsValid() {
		return s.decrypt(pseudonym), true
	}
	return netip.Addr{}, false
}
