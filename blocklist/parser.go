package blocklist

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/netip"
	"strings"

	"github.com/weirdns/weir/internal/dnsname"
)

const (
	// maxLine is the longest line that is read, in octets. URLs are the longest
	// that lists hold, and servers end them at 8 KB at most.
	maxLine = 4096
	// readBuffer is how much of a source is held at once.
	readBuffer = 64 << 10
	// toleratedShare: a source of which more than one item in so many is
	// damaged is not the list that it should be.
	toleratedShare = 10
)

// parser reads the lines of one source, in any format, into a builder.
type parser struct {
	format        Format
	auto          bool // the format was detected, and may yet turn out to be a wider one
	match         MatchMode
	allow         bool // the list's kind
	localData     bool // entries may answer with addresses of their own
	clients       bool // entries may be about clients
	minConfidence int
	guard         *guard
	out           *builder // nil: only check
	urls          urlTable
	zone          rpzZone
	info          string // of the current line's entries
	patterns      []*pattern
	unanchored    int // of the patterns, how many are tried on every name

	onEntry  func(subject) // where out is nil: for whoever wants to know each entry
	onReject func(Reason)  // for whoever wants to know each, may be nil
	text     []byte        // then: the line that is being read, or its beginning

	lines    int // read so far: the number of the current line
	accepted int // items that became entries, doubles included
	rejected Rejected
	firstBad int // line of the first damaged item, 0 for none
	begun    bool
	name     [dnsname.MaxWire]byte
}

// newParser makes a parser for c, which has its defaults; a nil guard protects
// no hosts.
func newParser(c *Config, g *guard) *parser {
	if g == nil {
		g = newGuard(nil)
		g.lenient = c.Kind == Allow
	}
	return &parser{
		format: c.Format, auto: c.Format == FormatAuto, match: c.Match, allow: c.Kind == Allow,
		localData: !c.remote() || c.AllowLocalData, clients: !c.remote() || c.AllowLocalData, minConfidence: c.MinConfidence, guard: g,
	}
}

// read parses a whole source. Its error, if any, is a refusal or r's own.
func (p *parser) read(r io.Reader) error {
	br := bufio.NewReaderSize(r, readBuffer)
	if bom, _ := br.Peek(3); string(bom) == "\ufeff" {
		_, _ = br.Discard(3)
	}
	if (p.format == FormatAuto || p.format == FormatURLhaus) && isJSON(br) {
		return p.readJSON(br)
	}
	for {
		b, err := br.ReadSlice('\n')
		p.lines++
		if errors.Is(err, bufio.ErrBufferFull) {
			comment := isComment(bytes.TrimSpace(b[:maxLine]))
			if p.onReject != nil {
				p.text = bytes.Clone(b[:maxLine])
			}
			for errors.Is(err, bufio.ErrBufferFull) {
				_, err = br.ReadSlice('\n')
			}
			if !comment {
				p.reject(LongLine)
			}
		} else if p.text = b; err != nil && len(b) == 0 {
			p.lines-- // what follows the last line feed
		} else if refused := p.line(b); refused != nil {
			return refused
		}
		if err == io.EOF {
			return p.finish()
		}
		if err != nil {
			return err
		}
	}
}

// finish hands over what was gathered and judges the source as a whole.
func (p *parser) finish() error {
	if p.out != nil {
		if err := p.urls.flush(p.out); err != nil {
			return err
		}
	}
	bad, all := p.rejected.damaged(), p.accepted+p.rejected.Total()
	if bad*toleratedShare > all {
		return refuse(resultMalformed, "line %d: not an entry of format %s, and %d of %d items are like it",
			p.firstBad, p.format, bad, all)
	}
	return nil
}

// line takes one line. Its error refuses the whole source.
func (p *parser) line(b []byte) error {
	if p.begun {
		if ok, err := p.plainLine(b); ok {
			return err
		}
	}
	if isBinary(b) {
		return refuse(resultBinary, "line %d: binary data", max(p.lines, 1))
	}
	indented := len(b) > 0 && (b[0] == ' ' || b[0] == '\t')
	b = bytes.TrimSpace(b)
	if len(b) == 0 {
		return nil
	}
	if !p.begun && b[0] == '<' {
		return refuse(resultHTML, "line %d: a web page, not a list", max(p.lines, 1))
	}
	p.begun = true
	if isComment(b) && (p.format != FormatAdblock || !isCosmetic(string(b))) {
		return nil
	}
	if len(b) > maxLine {
		p.reject(LongLine)
		return nil
	}
	line := string(b)
	switch {
	case p.format == FormatAuto:
		p.format = detect(line)
	case p.auto && p.format == FormatDomains && isRule(line):
		p.format = FormatAdblock // which has plain names too
	}
	switch p.format {
	case FormatHosts:
		return p.hostsLine(line)
	case FormatURLhaus:
		return p.urlhausLine(line)
	case FormatThreatFox:
		return p.threatfoxLine(line)
	case FormatAdblock:
		return p.adblockLine(line)
	case FormatRegex:
		return p.addPattern(line, 0)
	case FormatRPZ:
		return p.rpzLine(line, indented)
	case FormatDnsmasq:
		return p.dnsmasqLine(line)
	case FormatUnbound:
		return p.unboundLine(line)
	case FormatBIND:
		return p.bindLine(line)
	default:
		return p.domainsLine(line, 0)
	}
}

func isComment(b []byte) bool {
	return len(b) > 0 && (b[0] == '#' || b[0] == '!' || b[0] == ';')
}

// isBinary looks for control characters that no text has. Bytes over 0x7f may
// be a comment in any language's encoding.
func isBinary(b []byte) bool {
	for _, c := range b {
		if c < ' ' && (c < '\t' || c > '\r') || c == 0x7f {
			return true
		}
	}
	return false
}

// nextField cuts the first word off a line.
func nextField(s string) (field, rest string) {
	s = strings.TrimLeft(s, " \t\r\v\f")
	if i := strings.IndexAny(s, " \t\r\v\f"); i >= 0 {
		return s[:i], s[i:]
	}
	return s, ""
}

func (p *parser) reject(r Reason) {
	p.rejected[r]++
	if p.firstBad == 0 && int(r) < damages {
		p.firstBad = max(p.lines, 1)
	}
	if p.onReject != nil {
		p.onReject(r)
	}
}

// scope is what an entry without "*." matches.
func (p *parser) scope() uint8 {
	switch p.match {
	case MatchSubtree:
		return flagScope
	case MatchExact:
		return flagExact
	}
	switch p.format {
	case FormatHosts, FormatURLhaus, FormatThreatFox, FormatRPZ:
		return flagExact
	}
	return flagScope
}

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
