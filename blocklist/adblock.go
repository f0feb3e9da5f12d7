package blocklist

import (
	"net/netip"
	"strings"

	"github.com/weirdns/weir/internal/dnsname"
)

// adblockLine reads what the ad blockers' language says of whole hosts. All
// else in it is for browsers, which see URLs and pages: it is skipped and
// counted, never bent into a rule for the host, which would block too much.
func (p *parser) adblockLine(line string) error {
	switch {
	case line[0] == '[':
		return nil // [Adblock Plus 2.0]
	case isCosmetic(line):
		p.reject(Cosmetic)
		return nil
	}
	rule, exception := strings.CutPrefix(line, "@@")
	var o own
	if exception {
		o = own(Passthru) | ownException
	}
	if strings.HasPrefix(rule, "/") {
		return p.slashRule(rule, o)
	}
	pattern, modifiers, _ := strings.Cut(rule, "$")
	o, except, ok := p.modifiers(modifiers, o)
	if !ok {
		p.reject(Modifier)
		return nil
	}
	if host, ok := strings.CutPrefix(pattern, "||"); ok {
		return p.adblockHost(host, p.scope(), o, except)
	}
	if host, ok := strings.CutPrefix(pattern, "|"); ok {
		return p.adblockHost(host, flagExact, o, except)
	}
	if first, rest := nextField(pattern); strings.TrimSpace(rest) != "" && !exception {
		if _, ok := parseAddr(first); ok {
			return p.hostsLine(pattern)
		}
	}
	return p.adblockPlain(pattern, o)
}

// slashRule reads a rule that begins with a slash: a regular expression, or a
// path.
func (p *parser) slashRule(rule string, o own) error {
	end := strings.LastIndexByte(rule, '/')
	if end <= 1 || end < len(rule)-1 && rule[end+1] != '$' {
		p.reject(URLRule)
		return nil
	}
	o, except, ok := p.modifiers(strings.TrimPrefix(rule[end+1:], "$"), o)
	if !ok || len(except) > 0 {
		p.reject(Modifier)
		return nil
	}
	if strings.Contains(rule[1:end], `\/`) || strings.Contains(rule[1:end], "://") {
		p.reject(URLRule) // it asks for a slash, which no name has
		return nil
	}
	return p.addPattern(rule[1:end], o)
}

// adblockHost reads what follows "||" or "|": a host and "^", or the end. A host
// that is cut off anywhere else stands for some of its URLs, or for others'.
func (p *parser) adblockHost(s string, flags uint8, o own, except []string) error {
	host, tail := s, ""
	if strings.HasPrefix(s, "[") { // an IPv6 address
		if end := strings.IndexByte(s, ']'); end > 0 {
			host, tail = s[1:end], s[end+1:]
		}
	} else if end := strings.IndexAny(s, "^/?:|&="); end >= 0 {
		host, tail = s[:end], s[end:]
	}
	switch tail {
	case "", "^", "|", "^|", "^*":
	default:
		p.reject(URLRule)
		return nil
	}
	if name, ok := strings.CutPrefix(host, "*."); ok {
		host, flags = name, flagBelow
	}
	switch {
	case host == "":
		p.reject(BadRule)
		return nil
	case strings.Contains(host, "*") || strings.HasSuffix(host, ".") && tail == "": // "||ads." begins many names
		p.reject(Pattern)
		return nil
	}
	if addr, ok := parseAddr(host); ok {
		return p.addAddr(addr, o)
	}
	if len(except) > 0 {
		return p.adblockExcept(host, flags, o, except)
	}
	return p.addName(host, flags, o)
}

// adblockExcept reads a rule with $denyallow: the names in it, where they are
// below the rule's own, are passed by this and shorter rules. Unlike an
// exception, they give way to a rule of their own.
func (p *parser) adblockExcept(host string, flags uint8, o own, except []string) error {
	zone, err := dnsname.Parse(host)
	if err != nil {
		p.reject(NotAName)
		return nil
	}
	for _, n := range except {
		if _, err := dnsname.Parse(n); err != nil {
			p.reject(BadRule) // without it, the rule would block too much
			return nil
		}
	}
	if err := p.addName(host, flags, o); err != nil {
		return err
	}
	if p.allow {
		return nil
	}
	for _, n := range except {
		if name := dnsname.MustParse(n); !name.Within(zone) || name.Equal(zone) {
			continue // it says nothing: the rule does not reach there
		}
		if err := p.addName(n, flagScope, own(Passthru)|o&ownImportant); err != nil {
			return err
		}
	}
	return nil
}

// adblockPlain reads a rule without anchors: a name of its own line is meant as
// one, everything else as a piece of a URL.
func (p *parser) adblockPlain(pattern string, o own) error {
	pattern, _, _ = strings.Cut(pattern, " #")
	pattern = strings.TrimSpace(pattern)
	if addr, ok := parseAddr(pattern); ok {
		return p.addAddr(addr, o)
	}
	if net, err := netip.ParsePrefix(pattern); err == nil {
		return p.addNetwork(answerNetwork, net, o)
	}
	switch name := strings.TrimPrefix(pattern, "*."); {
	case strings.ContainsAny(name, "/?=&:,;"):
		p.reject(URLRule)
	case strings.ContainsAny(name, "*^|") || strings.HasSuffix(name, ".") || strings.HasPrefix(name, "-") || strings.HasPrefix(name, "_"):
		p.reject(Pattern)
	default:
		return p.domainsLine(pattern, o)
	}
	return nil
}

// modifiers reads what follows "$". Each that is not known here may narrow the
// rule, so that without it the rule would block too much.
func (p *parser) modifiers(s string, o own) (_ own, except []string, ok bool) {
	if s == "" {
		return o, nil, true
	}
	for m := range strings.SplitSeq(s, ",") {
		key, value, _ := strings.Cut(strings.TrimSpace(m), "=")
		switch {
		case key == "important" && value == "":
			o |= ownImportant
		case key == "all" && value == "":
		case key == "denyallow" && !o.passes() && value != "":
			except = strings.Split(value, "|")
		default:
			return o, nil, false
		}
	}
	return o, except, true
}
