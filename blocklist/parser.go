package blocklist

import (
	"bufio"
	"bytes"
	"errors"
	"io"
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

	onEntry  func(subject)           // where out is nil: for whoever wants to know each entry
	onReject func(Reason)            // for whoever wants to know each, may be nil
	locals   map[localAt]RefusedLine // nil: nobody wants to know
	text     []byte                  // then: the line that is being read, or its beginning

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
