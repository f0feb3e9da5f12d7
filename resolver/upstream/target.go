package upstream

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"

	"github.com/weirdns/weir/internal/dnsname"
)

// proto is how a server is asked.
type proto uint8

const (
	overUDP proto = iota // and TCP where UDP does not do
	overTCP
	overTLS
	overHTTPS
	overQUIC
	overHTTP3
)

var protoNames = [...]string{overUDP: "udp", overTCP: "tcp", overTLS: "tls", overHTTPS: "https", overQUIC: "quic", overHTTP3: "h3"}

func (p proto) String() string { return protoNames[p] }

// defaultPort of each proto (RFC 1035, RFC 7858, RFC 8484, RFC 9250).
var defaultPort = [...]uint16{overUDP: 53, overTCP: 53, overTLS: 853, overHTTPS: 443, overQUIC: 853, overHTTP3: 443}

// dohPath is where most servers have DNS over HTTPS.
const dohPath = "/dns-query"

// target is where a server is, how it is asked and who it must be.
type target struct {
	proto proto
	addrs []netip.AddrPort // one for UDP; else tried in turn
	name  string           // in the certificate: a host name or an address
	path  string           // of HTTPS and HTTP/3
	pins  [][]byte         // SHA-256 of the certificate's public key; instead of a CA's word
	tbs   [][]byte         // SHA-256 of a certificate of the chain (DNS stamps); beside a CA's word
}

func (t *target) encrypted() bool { return t.proto >= overTLS }

// web says whether the server is asked by URL.
func (t *target) web() bool { return t.proto == overHTTPS || t.proto == overHTTP3 }

// streamOnly says whether nothing is asked over UDP.
func (t *target) streamOnly() bool { return t.proto != overUDP }

// key is what makes two targets the same.
func (t *target) key() string { return fmt.Sprint(t.proto, t.addrs, t.name, t.path) }

// errTarget is what a server may look like.
var errTarget = errors.New("must be an IP address, or one with a port, or tcp://, tls://, quic://, https:// or h3:// with one, or a DNS stamp (sdns://); names not for UDP and TCP, and only with their addresses in hosts")

// parseTarget reads a server as configured.
func parseTarget(text string, hosts []HostConfig) (target, error) {
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok {
		scheme, rest = "", text
	}
	t := target{}
	switch scheme {
	case "":
		t.proto = overUDP
	case "tcp":
		t.proto = overTCP
	case "tls":
		t.proto = overTLS
	case "https":
		t.proto = overHTTPS
	case "quic":
		t.proto = overQUIC
	case "h3":
		t.proto = overHTTP3
	case "sdns":
		return parseStamp(rest, hosts)
	default:
		return target{}, errTarget
	}
	if t.encrypted() {
		return t.named(text, hosts)
	}
	addr, err := parseAddr(rest, defaultPort[t.proto])
	if err != nil {
		return target{}, err
	}
	t.addrs = []netip.AddrPort{addr}
	return t, nil
}

// named completes a target with a certificate: tls://HOST[:PORT][#NAME] or
// https://HOST[:PORT]/PATH[#NAME], HOST being an address or in hosts; quic is
// written like tls, and h3 like https.
func (t target) named(text string, hosts []HostConfig) (target, error) {
	text, _, _ = strings.Cut(text, "{") // RFC 8484 writes a template
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return target{}, errTarget
	case u.User != nil, u.RawQuery != "", !t.web() && u.Path != "":
		return target{}, errTarget
	}
	if t.web() {
		if t.path = u.Path; t.path == "" || t.path == "/" {
			t.path = dohPath
		}
	}
	if t.name = u.Fragment; t.name == "" {
		t.name = u.Hostname()
	}
	return t.located(u.Host, hosts)
}

// located finds the addresses of host[:port], and what hosts says of the name.
func (t target) located(host string, hosts []HostConfig) (target, error) {
	if _, err := netip.ParseAddr(t.name); err != nil {
		if _, err := dnsname.ParseHost(t.name); err != nil {
			return target{}, fmt.Errorf("%q is neither a host name nor an address", t.name)
		}
	}
	t.name = strings.ToLower(strings.TrimSuffix(t.name, "."))
	var found *HostConfig
	for i := range hosts {
		if strings.EqualFold(strings.TrimSuffix(hosts[i].Name, "."), t.name) {
			found = &hosts[i]
		}
	}
	if found != nil {
		t.pins, _ = parsePins(found.Pins) // Validate has looked at them
	}
	addr, err := parseAddr(host, defaultPort[t.proto])
	if err == nil {
		return t.at(addr)
	}
	bare, port, ok := strings.Cut(host, ":")
	if !ok {
		port = fmt.Sprint(defaultPort[t.proto])
	}
	if found == nil || len(found.Addresses) == 0 || !strings.EqualFold(strings.TrimSuffix(bare, "."), t.name) {
		return target{}, fmt.Errorf("no address for %q: give it in hosts, for to look it up a resolver would be needed first", bare)
	}
	for _, a := range found.Addresses {
		ip, err := netip.ParseAddr(a)
		if err != nil {
			continue // Validate says so
		}
		ap, err := parseAddr(net.JoinHostPort(ip.Unmap().String(), port), 0)
		if err != nil {
			return target{}, err
		}
		t.addrs = append(t.addrs, ap)
	}
	return t.at(t.addrs...)
}

// at puts t where it is.
func (t target) at(addrs ...netip.AddrPort) (target, error) {
	t.addrs = addrs
	if t.proto == overQUIC && len(addrs) > 0 && addrs[0].Port() == 53 {
		return target{}, errors.New("not port 53 over QUIC (RFC 9250, section 4.1.1)")
	}
	return t, nil
}

// parseAddr reads the address of a host, with or without a port.
func parseAddr(text string, port uint16) (netip.AddrPort, error) {
	a, err := netip.ParseAddrPort(text)
	if addr, aerr := netip.ParseAddr(strings.Trim(text, "[]")); aerr == nil {
		a = netip.AddrPortFrom(addr, port)
	} else if err != nil {
		return netip.AddrPort{}, errTarget
	}
	a = netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
	switch {
	case a.Port() == 0:
		return netip.AddrPort{}, errors.New("port 0")
	case a.Addr().IsUnspecified(), a.Addr().IsMulticast():
		return netip.AddrPort{}, errors.New("not the address of a host")
	}
	return a, nil
}
