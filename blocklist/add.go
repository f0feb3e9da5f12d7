package blocklist

import (
	"net/netip"
	"strings"

	"github.com/weirdns/weir/internal/dnsname"
)

// What every format's reader makes of the names and addresses that it finds.

// parseAddr is netip.ParseAddr for tokens that are names most of the time: its
// error costs an allocation for each.
func parseAddr(token string) (netip.Addr, bool) {
	if token == "" || (token[0] < '0' || token[0] > '9') && !strings.Contains(token, ":") {
		return netip.Addr{}, false
	}
	addr, err := netip.ParseAddr(token)
	return addr, err == nil
}

func (p *parser) addAddr(addr netip.Addr, o own, addrs ...netip.Addr) error {
	addr = addr.Unmap().WithZone("")
	return p.addNetwork(answerNetwork, netip.PrefixFrom(addr, addr.BitLen()), o, addrs...)
}

// addNetwork adds a network that answers, or clients, are in.
func (p *parser) addNetwork(kind byte, net netip.Prefix, o own, addrs ...netip.Addr) error {
	if net.Addr().Is4In6() {
		p.reject(BadRule) // written in a way that two readers take for two things
		return nil
	}
	net = net.Masked()
	switch {
	case wide(net):
		p.reject(AddressRange)
		return nil
	case kind == answerNetwork && !listableNetwork(net):
		p.reject(PrivateAddress)
		return nil
	}
	e, ok := p.entry(flagAddr, o, addrs)
	if !ok {
		return nil
	}
	p.accepted++
	if p.out == nil {
		p.saw(subject{kind: kind, net: net})
		return nil
	}
	if p.locals != nil {
		p.keepLocal(appendNetwork(nil, kind, net.Addr(), net.Bits()), &e)
	}
	return p.out.addNetwork(kind, net, e)
}

func (p *parser) addName(token string, flags uint8, o own, addrs ...netip.Addr) error {
	e, ok := p.entry(flags, o, addrs)
	if !ok {
		return nil
	}
	name, reason, ok := p.parseName(token, e.guarded())
	if !ok {
		p.reject(reason)
		return nil
	}
	p.accepted++
	if p.out == nil {
		p.saw(subject{name: name})
		return nil
	}
	if p.locals != nil {
		p.keepLocal(appendKey(nil, name), &e)
	}
	return p.out.addOwn(name, e)
}

// subject is what an entry is about: a name, which is borrowed, a network, or
// what a regular expression matches.
type subject struct {
	name    dnsname.Name
	kind    byte // of net
	net     netip.Prefix
	pattern string
}

func (p *parser) saw(s subject) {
	if p.onEntry != nil {
		p.onEntry(s)
	}
}

// entry is one with a mind of its own, as far as the list lets it have one: in
// an allow list every entry lets pass, and only who may say what a name
// resolves to is listened to on that.
func (p *parser) entry(flags uint8, o own, addrs []netip.Addr) (entry, bool) {
	if p.allow {
		o = 0
	}
	if o.policy() != LocalData {
		return entry{flags: flags, own: o, info: p.info}, true
	}
	if !p.localData {
		return entry{flags: flags, own: o &^ (ownPolicy | ownZone), info: p.info}, true
	}
	if p.out == nil {
		return entry{flags: flags, own: o, info: p.info}, true
	}
	id, ok := p.out.locals.intern(addrs)
	if !ok {
		p.reject(TooManyAddresses)
	}
	return entry{flags: flags, own: o, local: id, info: p.info}, ok
}

// isBlocking says whether an address is how lists write "blocked", rather than
// a place to go to.
func isBlocking(addr netip.Addr) bool {
	addr = addr.Unmap()
	return addr.IsUnspecified() || addr.IsLoopback()
}

// localOrList is the policy of an address that stands for a name.
func localOrList(addr netip.Addr) own {
	if isBlocking(addr) {
		return own(AsList)
	}
	return own(LocalData)
}

// parseName makes a Name of a token, unless it is none or the guard objects. The
// Name is good until the next call.
func (p *parser) parseName(token string, flags uint8) (dnsname.Name, Reason, bool) {
	for i := 0; i < len(token); i++ {
		c := token[i]
		if c >= 0x80 {
			ascii, err := dnsname.ToASCII(token)
			if err != nil || ascii == token {
				return nil, NotAName, false
			}
			token, i = ascii, -1 // its other labels are still to be looked at
			continue
		}
		if c == '\\' {
			break // RFC 1035 escapes: whoever writes them means any octet
		}
		if !hostByte(c) {
			return nil, NotAName, false
		}
	}
	name, err := dnsname.AppendParse(p.name[:0], token)
	if err != nil {
		return nil, NotAName, false
	}
	reason, ok := p.guard.check(name, flags)
	return name, reason, ok
}

// hostByte says whether c stands in names without an escape.
func hostByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '.' || c == '_'
}
