package blocklist

import (
	"net/netip"
	"strconv"
	"strings"
)

// A response policy zone (draft-vixie-dnsop-dns-rpz) is read line by line here
// and not by a zone parser: one bad record must cost one record and not the
// zone, a stray parenthesis must not swallow what follows, and $INCLUDE and
// $GENERATE must do nothing at all.

// maxRecordLines is how many lines one record may span. Only SOA does, and it
// has seven fields.
const maxRecordLines = 12

// rpzZone is where in a zone file the parser stands. Names are text without
// the final dot, in lower case.
type rpzZone struct {
	apex   string // of the zone, once known
	known  bool
	origin string // what relative names are relative to
	placed bool   // an origin was given
	owner  string // of the last record, for lines that begin with a space
	inside int    // lines of an open parenthesis so far, 0 for none
}

// nowhere is the origin while the file has not said any: no name ends so.
const nowhere = "\x00"

// rpzLine reads one record: [owner] [TTL] [class] type data, or a directive.
func (p *parser) rpzLine(line string, indented bool) error {
	z := &p.zone
	whole := line
	line = cutComment(line)
	if z.inside > 0 {
		z.inside++
		switch {
		case strings.Contains(line, ")"):
			z.inside = 0
		case z.inside > maxRecordLines:
			z.inside = 0
			p.reject(BadRule)
		}
		return nil
	}
	if line == "" {
		return nil
	}
	if line[0] == '$' {
		p.rpzDirective(line)
		return nil
	}
	rest := line
	if !indented {
		var owner string
		owner, rest = nextField(line)
		z.owner = z.absolute(owner)
	}
	kind, data, ok := cutRecord(rest)
	if strings.Contains(data, "(") {
		if !strings.Contains(data, ")") {
			z.inside = 1
		}
		ok = ok && kind == "SOA"
	}
	if !ok {
		p.reject(BadRule)
		return nil
	}
	if kind == "SOA" {
		z.apex, z.known = z.owner, true
		return nil
	}
	p.info = urlhausComment(whole[len(line):])
	err := p.rpzRecord(kind, strings.TrimSpace(data))
	p.info = ""
	return err
}

// urlhausComment makes an info of what URLhaus' zone says behind a record:
//
//	; Malware download (2025-07-19), see https://urlhaus.abuse.ch/host/bad.example/
//
// Other comments are not kept: they are for who reads the file.
func urlhausComment(s string) string {
	s = strings.Trim(s, "; \t")
	what, link, ok := strings.Cut(s, ", see ")
	threat, date, dated := strings.Cut(strings.TrimSuffix(what, ")"), " (")
	if !ok || !dated || day(date) == "" || !strings.HasPrefix(link, "https://") {
		return ""
	}
	threat = strings.ReplaceAll(strings.ToLower(threat), " ", "_")
	return clean(threat, maxThreat) + " " + clean(link, maxLink) + " " + day(date)
}

func (p *parser) rpzDirective(line string) {
	word, rest := nextField(line)
	value, _ := nextField(rest)
	switch strings.ToUpper(word) {
	case "$TTL":
	case "$ORIGIN":
		if value == "" {
			p.reject(BadRule)
			return
		}
		p.zone.origin, p.zone.placed = p.zone.absolute(value), true
	default:
		p.reject(Unsupported)
	}
}

// absolute is a name as the file writes it, made whole.
func (z *rpzZone) absolute(name string) string {
	name = strings.ToLower(name)
	origin := z.origin
	if !z.placed {
		origin = nowhere
		if z.known {
			origin = z.apex
		}
	}
	switch {
	case name == "@":
		return origin
	case name == ".":
		return ""
	case strings.HasSuffix(name, ".") && !strings.HasSuffix(name, `\.`):
		return name[:len(name)-1]
	case origin == "":
		return name
	}
	return name + "." + origin
}

// rpzRecord reads what the last owner's record says.
func (p *parser) rpzRecord(kind, data string) error {
	z := &p.zone
	if !z.known { // a zone without SOA: it is where it says that it is
		z.apex, z.known = nowhere, true
		if z.placed {
			z.apex = z.origin
		}
	}
	if z.owner == z.apex {
		return nil // NS and what else a zone must have
	}
	trigger, ok := strings.CutSuffix(z.owner, "."+z.apex)
	if z.apex == "" {
		trigger, ok = z.owner, true
	}
	if !ok {
		p.reject(OutOfZone)
		return nil
	}
	o, addrs, ok := rpzAction(kind, data, trigger)
	if !ok {
		p.reject(Unsupported)
		return nil
	}
	special := trigger[strings.LastIndexByte(trigger, '.')+1:]
	switch special {
	case "rpz-client-ip":
		if !p.clients {
			p.reject(ClientTrigger)
			return nil
		}
		return p.rpzNetwork(clientNetwork, strings.TrimSuffix(trigger, ".rpz-client-ip"), o, addrs)
	case "rpz-nsdname", "rpz-nsip":
		p.reject(ServerTrigger)
		return nil
	case "rpz-ip":
		return p.rpzNetwork(answerNetwork, strings.TrimSuffix(trigger, ".rpz-ip"), o, addrs)
	}
	if name, ok := strings.CutPrefix(trigger, "*."); ok {
		return p.addName(name, flagBelow, o, addrs...)
	}
	return p.addName(trigger, p.scope(), o, addrs...)
}

// rpzAction is what a record on a trigger asks for.
func rpzAction(kind, data, trigger string) (own, []netip.Addr, bool) {
	data, extra := nextField(data)
	if strings.TrimSpace(extra) != "" {
		return 0, nil, false
	}
	switch kind {
	case "CNAME":
		switch target := strings.ToLower(data); target {
		case ".":
			return own(NXDOMAIN), nil, true
		case "*.":
			return own(NODATA), nil, true
		case "rpz-passthru.", trigger + ".": // the name itself is how it was written once
			return own(Passthru), nil, true
		case "rpz-drop.":
			return own(Drop), nil, true
		case "rpz-tcp-only.":
			return own(TCPOnly), nil, true
		}
	case "A", "AAAA":
		addr, ok := parseAddr(data)
		if ok && addr.Is4() == (kind == "A") && addr.Zone() == "" {
			return localOrList(addr), []netip.Addr{addr.Unmap()}, true
		}
	}
	return 0, nil, false
}

// rpzNetwork adds an rpz-ip or rpz-client-ip trigger.
func (p *parser) rpzNetwork(kind byte, trigger string, o own, addrs []netip.Addr) error {
	net, ok := rpzPrefix(trigger)
	if !ok {
		p.reject(BadRule)
		return nil
	}
	return p.addNetwork(kind, net, o, addrs...)
}

// rpzPrefix reads such a trigger: the prefix length, and the address with its
// parts in reverse order, "zz" for "::".
func rpzPrefix(trigger string) (netip.Prefix, bool) {
	labels := strings.Split(trigger, ".")
	length, err := strconv.Atoi(labels[0])
	if err != nil || len(labels) < 2 {
		return netip.Prefix{}, false
	}
	parts := labels[1:]
	for i, j := 0, len(parts)-1; i < j; i, j = i+1, j-1 {
		parts[i], parts[j] = parts[j], parts[i]
	}
	text := strings.Join(parts, ".")
	if len(parts) != 4 || strings.Contains(text, "zz") {
		for i, part := range parts {
			if part == "zz" {
				parts[i] = ""
			}
		}
		text = strings.Join(parts, ":")
		if parts[0] == "" {
			text = ":" + text
		}
		if parts[len(parts)-1] == "" {
			text += ":"
		}
	}
	addr, err := netip.ParseAddr(text)
	if err != nil || addr.Zone() != "" || length < 0 || length > addr.BitLen() {
		return netip.Prefix{}, false
	}
	return netip.PrefixFrom(addr, length), true
}

// cutRecord reads [TTL] [class] type data, in either order of the first two.
func cutRecord(s string) (kind, data string, ok bool) {
	for range 3 {
		word, rest := nextField(s)
		word = strings.ToUpper(word)
		switch word {
		case "":
			return "", "", false
		case "IN":
		case "A", "AAAA", "CNAME", "SOA", "NS", "TXT", "MX", "PTR", "SRV", "DNAME", "CAA", "HTTPS", "SVCB", "DNSKEY", "RRSIG", "NSEC", "NSEC3", "NSEC3PARAM":
			data = strings.TrimSpace(rest)
			return word, data, data != ""
		default:
			if word[0] < '0' || word[0] > '9' {
				return "", "", false
			}
		}
		s = rest
	}
	return "", "", false
}

// cutComment cuts off what follows a semicolon outside of quotes.
func cutComment(line string) string {
	quoted := false
	for i := 0; i < len(line); i++ {
		switch line[i] {
		case '\\':
			i++
		case '"':
			quoted = !quoted
		case ';':
			if !quoted {
				return strings.TrimSpace(line[:i])
			}
		}
	}
	return line
}
