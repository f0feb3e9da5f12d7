package blocklist

import (
	"net/netip"
	"strings"
)

// The two formats of names alone, one a line or behind an address.

// domainsLine reads "name", "*.name", ".name" or an address, and o of whoever
// knows more of it.
func (p *parser) domainsLine(line string, o own) error {
	if isCosmetic(line) {
		p.reject(Cosmetic) // "name##.banner" is not a name with a comment
		return nil
	}
	line, _, _ = strings.Cut(line, "#")
	token, rest := nextField(line)
	if extra, _ := nextField(rest); extra != "" {
		p.reject(NotAName)
		return nil
	}
	if addr, ok := parseAddr(token); ok {
		return p.addAddr(addr, o)
	}
	if strings.Contains(token, "/") {
		if net, err := netip.ParsePrefix(token); err == nil {
			return p.addNetwork(answerNetwork, net, o)
		}
	}
	return p.addRule(token, o)
}

// addRule is addName for "name", "*.name" and ".name".
func (p *parser) addRule(token string, o own, addrs ...netip.Addr) error {
	flags := p.scope()
	if name, ok := strings.CutPrefix(token, "*."); ok {
		token, flags = name, flagBelow
	} else if name, ok := strings.CutPrefix(token, "."); ok && name != "" {
		token, flags = name, flagScope
	}
	return p.addName(token, flags, o, addrs...)
}

// hostsLine reads an address and names. Which address stands in front is not
// looked at: lists use 0.0.0.0, 127.0.0.1, :: and others for the same thing.
func (p *parser) hostsLine(line string) error {
	line, _, _ = strings.Cut(line, "#")
	first, rest := nextField(line)
	_, ok := parseAddr(first)
	if name, _ := nextField(rest); !ok || name == "" {
		p.reject(NotAName)
		return nil
	}
	for {
		var token string
		if token, rest = nextField(rest); token == "" {
			return nil
		}
		if _, ok := parseAddr(token); ok {
			p.reject(IPAsName)
			continue
		}
		if err := p.addName(token, p.scope(), 0); err != nil {
			return err
		}
	}
}
