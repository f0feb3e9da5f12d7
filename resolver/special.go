package resolver

import (
	"net/netip"

	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/internal/dnswire"
)

// special is what a name that we answer ourselves gets.
type special uint8

const (
	notSpecial special = iota
	specialNX          // it does not exist
	specialLoopback
	specialPTR // of a loopback address
	specialNODATA
	specialZone       // an empty zone: nothing below its apex exists
	specialDesignated // what we offer over encryption; never forwarded
)

// specialTable is the names that never leave the house.
type specialTable struct {
	zones  map[string]special
	sizes  [dnsname.MaxWire + 1]bool // that some zone's name has, so that most lookups end here
	except []dnsname.Name
}

func (t *specialTable) add(zone string, what special) {
	n := dnsname.MustParse(zone)
	t.zones[string(n)] = what
	t.sizes[len(n)] = true
}

// newSpecialTable has own, where it is not empty, as the name that we go by.
func newSpecialTable(names, reverse bool, except []dnsname.Name, own string) *specialTable {
	t := &specialTable{zones: map[string]special{}, except: except}
	t.add("resolver.arpa", specialDesignated) // RFC 9462
	if own != "" {
		t.add(dnsLabel+own, specialDesignated)
	}
	if reverse {
		for _, zone := range reverseZones() {
			t.add(zone, specialZone)
		}
		for _, name := range loopbackNames() {
			t.add(name, specialPTR)
		}
	}
	if !names {
		return t
	}
	for zone, what := range map[string]special{
		"localhost": specialLoopback, // RFC 6761, section 6.3
		"invalid":   specialNX,       // RFC 6761, section 6.4
		"local":     specialNX,       // RFC 6762: multicast only
		"onion":     specialNX,       // RFC 7686
		"home.arpa": specialZone,     // RFC 8375
		"alt":       specialNX,       // RFC 9476
		// Asked by browsers and phones before they send their DNS elsewhere.
		// Only NXDOMAIN keeps them here; an address, even 0.0.0.0, sends them off.
		"use-application-dns.net": specialNX,
		"mask.icloud.com":         specialNX,
		"mask-h2.icloud.com":      specialNX,
	} {
		t.add(zone, what)
	}
	return t
}

// lookup says what n is. A zone of ruled, which has servers of its own for who
// asks, takes from a special zone what lies in it, as long as it is not above
// that: a rule for all names leaves special ones special.
func (t *specialTable) lookup(n dnsname.Name, qtype uint16, ruled []dnsname.Name) special {
	for at := n; len(at) > 1; at = at.Parent() {
		if !t.sizes[len(at)] {
			continue
		}
		what := t.zones[string(at)]
		if what == notSpecial {
			continue
		}
		if what != specialDesignated && t.opened(n, at, ruled) {
			return notSpecial
		}
		apex := len(at) == len(n)
		switch {
		case what == specialZone && apex && qtype == dnswire.TypeDS:
			// The parent's to answer: a validator behind us must find the zone
			// unsigned, or it would hold our answers for bogus (RFC 8375, section 4).
			return notSpecial
		case what == specialZone && apex:
			return specialNODATA
		case what == specialZone, what == specialPTR && !apex:
			return specialNX
		}
		return what
	}
	return notSpecial
}

// opened says whether n, which is special because of zone, is forwarded all the
// same.
func (t *specialTable) opened(n, zone dnsname.Name, ruled []dnsname.Name) bool {
	for _, e := range t.except {
		if n.Within(e) {
			return true
		}
	}
	for _, z := range ruled {
		if len(z) >= len(zone) && n.Within(z) {
			return true
		}
	}
	return false
}

var (
	loopback4 = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	loopback6 = netip.IPv6Loopback()
)

// specialTTL of answers about special names: they never change, but a stub may
// sit in front of the next network tomorrow.
const specialTTL = 3600

func (r *request) answerSpecial(what special) {
	switch {
	case what == specialNX:
		r.begin(dnswire.RcodeNXDomain)
		r.addSOA(specialTTL)
	case what == specialLoopback && r.Type == dnswire.TypeA:
		r.begin(dnswire.RcodeSuccess)
		r.addAddress(loopback4, specialTTL)
	case what == specialLoopback && r.Type == dnswire.TypeAAAA:
		r.begin(dnswire.RcodeSuccess)
		r.addAddress(loopback6, specialTTL)
	case what == specialPTR && r.Type == dnswire.TypePTR:
		r.begin(dnswire.RcodeSuccess)
		r.out = dnswire.AppendPTR(r.out, localhost, r.Class, specialTTL)
		r.bump(6)
	default:
		r.begin(dnswire.RcodeSuccess)
		r.addSOA(specialTTL)
	}
}

// answerANY is the answer to a question for all types (RFC 8482): one record
// that says nothing, so that nobody's datagrams are made large with it.
func (r *request) answerANY() {
	r.begin(dnswire.RcodeSuccess)
	r.out = dnswire.AppendHINFO(r.out, r.Class, specialTTL)
	r.bump(6)
}
