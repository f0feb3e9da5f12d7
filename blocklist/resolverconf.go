package blocklist

import (
	"net/netip"
	"strings"
)

// Lists come as configuration of the resolvers that people use. Of each, this
// reads the statements that lists are made of; the others would configure
// somebody else's resolver.

// dnsmasqLine reads address=/name/.../target, and server= and local= likewise.
func (p *parser) dnsmasqLine(line string) error {
	if i := strings.IndexByte(line, '#'); i > 0 && (line[i-1] == ' ' || line[i-1] == '\t') {
		line = strings.TrimSpace(line[:i])
	}
	key, value, _ := strings.Cut(line, "=")
	key, value = strings.TrimSpace(key), strings.TrimSpace(value)
	switch key {
	case "address", "server", "local":
	default:
		p.reject(Unsupported)
		return nil
	}
	if !strings.HasPrefix(value, "/") {
		p.reject(Unsupported) // an upstream for all names
		return nil
	}
	end := strings.LastIndexByte(value, '/')
	if end == 0 {
		p.reject(BadRule)
		return nil
	}
	names, target := value[1:end], value[end+1:]
	var o own
	var addrs []netip.Addr
	addr, isAddr := parseAddr(target)
	switch {
	case target == "":
		o = own(NXDOMAIN)
	case key == "address" && target == "#": // 0.0.0.0 and ::
	case key == "address" && isAddr:
		if o = localOrList(addr); o.policy() == LocalData {
			addrs = []netip.Addr{addr.Unmap().WithZone("")}
		}
	case key == "address":
		p.reject(BadRule)
		return nil
	case target == "#": // the usual upstreams, for what is below a blocked name
		o = own(Passthru)
	default:
		p.reject(Unsupported) // an upstream for these names
		return nil
	}
	for name := range strings.SplitSeq(names, "/") {
		if name == "#" || name == "*" {
			p.reject(PublicSuffix) // every name there is
			continue
		}
		if err := p.addRule(name, o, addrs...); err != nil {
			return err
		}
	}
	return nil
}

// zonePolicies are the types of Unbound's local-zone.
var zonePolicies = map[string]Policy{
	"always_nxdomain": NXDOMAIN, "static": NXDOMAIN,
	"always_nodata": NODATA,
	"always_null":   AsList, // 0.0.0.0 and ::
	"refuse":        Refuse, "always_refuse": Refuse,
	"deny": Drop, "always_deny": Drop, "inform_deny": Drop,
	"redirect":    LocalData, // to what local-data says
	"transparent": Passthru, "always_transparent": Passthru, "typetransparent": Passthru,
}

// unboundLine reads local-zone: "name" type, and local-data: "name A address".
func (p *parser) unboundLine(line string) error {
	key, value, ok := strings.Cut(line, ":")
	if !ok {
		p.reject(BadRule)
		return nil
	}
	value = strings.TrimSpace(value)
	switch key {
	case "local-zone":
		return p.unboundZone(value)
	case "local-data":
		return p.unboundData(value)
	}
	if value == "" || value[0] == '#' {
		return nil // server: and other clauses
	}
	p.reject(Unsupported)
	return nil
}

func (p *parser) unboundZone(value string) error {
	name, rest, ok := cutQuoted(value)
	kind, rest := nextField(rest)
	if extra, _ := nextField(rest); !ok || kind == "" || extra != "" && extra[0] != '#' {
		p.reject(BadRule)
		return nil
	}
	policy, ok := zonePolicies[strings.ToLower(strings.Trim(kind, `"`))]
	if !ok {
		p.reject(Unsupported)
		return nil
	}
	o := own(policy)
	if policy == LocalData {
		o |= ownZone
	}
	return p.addRule(name, o)
}

func (p *parser) unboundData(value string) error {
	record, rest, ok := cutQuoted(value)
	if extra, _ := nextField(rest); !ok || extra != "" && extra[0] != '#' {
		p.reject(BadRule)
		return nil
	}
	name, rest := nextField(record)
	kind, data, ok := cutRecord(rest)
	switch {
	case !ok:
		p.reject(BadRule)
		return nil
	case kind != "A" && kind != "AAAA":
		p.reject(Unsupported)
		return nil
	}
	addr, ok := parseAddr(strings.TrimSpace(data))
	if !ok || addr.Is4() != (kind == "A") || addr.Zone() != "" {
		p.reject(BadRule)
		return nil
	}
	// A name in local-data is that name, whatever the list matches otherwise.
	return p.addName(name, flagExact, localOrList(addr), addr)
}

// bindLine reads: zone "name" { type master; file "..."; };
func (p *parser) bindLine(line string) error {
	word, rest := nextField(line)
	name, rest, ok := cutQuoted(strings.TrimSpace(rest))
	open, end := strings.IndexByte(rest, '{'), strings.LastIndexByte(rest, '}')
	if word != "zone" || !ok || open < 0 || end < open {
		p.reject(BadRule)
		return nil
	}
	for statement := range strings.SplitSeq(rest[open+1:end], ";") {
		key, value := nextField(statement)
		if key != "type" {
			continue
		}
		switch kind, _ := nextField(value); kind {
		case "master", "primary":
			return p.addRule(name, 0)
		}
	}
	p.reject(Unsupported) // a zone that somebody else serves
	return nil
}

// cutQuoted cuts the first word off a line, in quotes of either kind or none.
func cutQuoted(s string) (word, rest string, ok bool) {
	if s == "" {
		return "", "", false
	}
	if s[0] != '"' && s[0] != '\'' {
		word, rest = nextField(s)
		return word, rest, true
	}
	end := strings.IndexByte(s[1:], s[0])
	if end < 0 {
		return "", "", false
	}
	return s[1 : 1+end], s[2+end:], true
}
