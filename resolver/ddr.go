package resolver

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"

	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/internal/dnswire"
	"github.com/weirdns/weir/internal/quicdns"
)

// DDRConfig is what clients that ask us in the clear are told about our
// encrypted listeners (discovery of designated resolvers, RFC 9462).
type DDRConfig struct {
	// Name is what the certificate of the encrypted listeners is for. Clients
	// that insist on proof want the address that they know us by in it too.
	// Default "": nothing is offered.
	Name string `yaml:"name"`
	// Addresses are where clients reach the encrypted listeners, at the ports of
	// listen_tls, listen_https and listen_quic. Default none: clients look Name up.
	Addresses []string `yaml:"addresses"`
}

// maxDesignated addresses: an offer without EDNS must fit 512 octets.
const maxDesignated = 4

func (c *DDRConfig) validate(encrypted bool) error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.Name == "" {
		if len(c.Addresses) > 0 {
			bad("ddr.name: needs the name that the certificate is for, beside ddr.addresses")
		}
	} else if _, err := dnsname.ParseHost(c.Name); err != nil {
		bad("ddr.name: %q is not a domain name: %v", c.Name, err)
	} else if _, err := dnsname.Parse(dnsLabel + c.Name); err != nil {
		bad("ddr.name: %q is too long to ask _dns.%s", c.Name, c.Name)
	} else if !encrypted {
		bad("ddr.name: nothing to offer without listen_tls, listen_https or listen_quic")
	}
	if len(c.Addresses) > maxDesignated {
		bad("ddr.addresses: at most %d, got %d", maxDesignated, len(c.Addresses))
	}
	for i, s := range c.Addresses {
		if a, err := netip.ParseAddr(s); err != nil || a.Zone() != "" || a.IsUnspecified() {
			bad("ddr.addresses[%d]: must be an IP address, got %q", i, s)
		}
	}
	return errors.Join(errs...)
}

// dnsLabel is in front of a resolver's name where clients ask how it is reached
// (RFC 9461, section 3).
const dnsLabel = "_dns."

// designatedName is where clients ask that know no name of it (RFC 9462, section
// 4).
var designatedName = dnsname.MustParse(dnsLabel + "resolver.arpa")

// designation is the offer, made once: service bindings and the addresses of
// their target, as they stand in every answer.
type designation struct {
	own                 dnsname.Name // where clients ask that know our name (RFC 9462, section 5)
	records             []byte
	answers, additional uint16
}

// designate makes the offer of the listeners that are bound; nil: there is none.
func (s *Resolver) designate() *designation {
	if s.cfg.DDR.Name == "" {
		return nil
	}
	d := &designation{own: dnsname.MustParse(dnsLabel + s.cfg.DDR.Name)}
	target := dnsname.MustParse(s.cfg.DDR.Name)
	var hints []netip.Addr
	for _, text := range s.cfg.DDR.Addresses {
		hints = append(hints, netip.MustParseAddr(text).Unmap())
	}
	offer := func(svc dnswire.ServiceParams, usual uint16, addrs []string) {
		known := map[uint16]bool{}
		for _, text := range addrs {
			port := netip.MustParseAddrPort(text).Port()
			if known[port] {
				continue
			}
			known[port] = true
			d.answers++
			svc.Priority, svc.Target, svc.Hints = d.answers, target, hints
			if svc.Port = port; port == usual {
				svc.Port = 0
			}
			d.records = dnswire.AppendSVCB(d.records, &svc, specialTTL)
		}
	}
	// The usual ports are those of RFC 9461, section 4.2.
	offer(dnswire.ServiceParams{ALPN: "dot"}, 853, s.AddrsTLS())
	offer(dnswire.ServiceParams{ALPN: "h2", DoHPath: dohPath + "{?dns}"}, 443, s.AddrsHTTPS())
	offer(dnswire.ServiceParams{ALPN: quicdns.ALPN}, 853, s.AddrsQUIC())
	for _, a := range hints {
		d.records = dnswire.AppendHostAddress(d.records, target, a, dnswire.ClassIN, specialTTL)
		d.additional++
	}
	return d
}

// answerDesignated answers about resolver.arpa, and about our own name with _dns
// in front: what we offer, or that there is nothing (RFC 9462, section 6.4). An
// upstream's offer would lead clients around us.
func (r *request) answerDesignated(d *designation) {
	r.begin(dnswire.RcodeSuccess)
	if d == nil || r.ask.Type != dnswire.TypeSVCB || !bytes.Equal(r.ask.Name, designatedName) && !bytes.Equal(r.ask.Name, d.own) {
		r.addSOA(specialTTL)
		return
	}
	r.out = append(r.out, d.records...)
	dnswire.SetCounts(r.out, d.answers, 0, d.additional)
}
