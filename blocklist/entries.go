package blocklist

import (
	"net/netip"

	"github.com/weirdns/weir/internal/dnsname"
)

// Entry is what a list has under one key.
type Entry struct {
	// Name is whom the entry is about, borrowed until the next; nil for an
	// entry about a network.
	Name         dnsname.Name
	Exact, Below bool // whether it stands for the name, for what is below it, or both
	// Network is the addresses it is about: of answers, or of clients.
	Network netip.Prefix
	Clients bool
	Policy  Policy // what it wants itself
	// ObserveOnly is as in Hit.
	ObserveOnly bool
}

// Each yields every entry of the list, in an order of no meaning that stays
// the same as long as the list does.
func (l *List) Each(yield func(*Entry) bool) {
	if l.set == nil {
		return
	}
	var buf [dnsname.MaxWire]byte
	l.set.all(func(f found) bool {
		e := Entry{
			Exact: f.flags&flagExact != 0, Below: f.flags&flagBelow != 0,
			Policy: f.own.policy(), ObserveOnly: f.flags&flagObserve != 0,
		}
		if f.flags&flagAddr != 0 {
			var kind byte
			kind, e.Network = networkOf(f.key)
			e.Clients = kind&0xf0 == clientNetwork
		} else {
			e.Name = appendName(buf[:0], f.key)
		}
		return yield(&e)
	})
}
