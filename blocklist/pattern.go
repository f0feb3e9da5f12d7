package blocklist

import (
	"errors"
	"regexp"
	"regexp/syntax"
	"strings"

	"github.com/weirdns/weir/internal/dnsname"
)

// Bounds of regular expressions. Matching is linear in the name (RE2), so these
// bound what one lookup costs.
const (
	maxPatternText = 512
	// maxProgram is how many instructions one expression may compile to.
	maxProgram = 1000
	// maxPatterns is how many one list may have, and maxUnanchored how many of
	// them may lack a piece of text that a name must have to match: those are
	// tried on every name.
	maxPatterns   = 1024
	maxUnanchored = 16
)

// pattern is a regular expression as an entry. It is matched against the whole
// qname in presentation form, lower case, without the final dot.
type pattern struct {
	Text string `json:"text"`
	Own  own    `json:"own,omitempty"`

	re *regexp.Regexp
	// literal is the longest text that every match holds; "" for none.
	literal string
	rule    string // as shown
}

// patterns is the regular expressions of a list, and what to try when: a name
// is tried against those whose literal's first three octets it holds.
type patterns struct {
	all   []*pattern
	seen  [1 << 10]uint64 // bit gram of each literal's beginning
	grams map[uint16][]*pattern
	bare  []*pattern // without a literal
}

const gramLen = 3

// gram is 16 bits of three octets.
func gram(s []byte) uint16 {
	return uint16((uint32(s[0]) | uint32(s[1])<<8 | uint32(s[2])<<16) * 0x9e3779b1 >> 16)
}

var (
	errPattern     = errors.New("not a regular expression (RE2)")
	errPatternSize = errors.New("a regular expression that is too long or too large")
)

// newPattern compiles text. Its error is one of the two above.
func newPattern(text string, o own) (*pattern, error) {
	if len(text) > maxPatternText {
		return nil, errPatternSize
	}
	tree, err := syntax.Parse(text, syntax.Perl|syntax.FoldCase)
	if err != nil {
		if e, ok := errors.AsType[*syntax.Error](err); ok && (e.Code == syntax.ErrLarge || e.Code == syntax.ErrNestingDepth || e.Code == syntax.ErrInvalidRepeatSize) {
			return nil, errPatternSize
		}
		return nil, errPattern
	}
	prog, err := syntax.Compile(tree.Simplify())
	if err != nil || len(prog.Inst) > maxProgram {
		return nil, errPatternSize
	}
	re, err := regexp.Compile("(?i)" + text)
	if err != nil {
		return nil, errPattern
	}
	p := &pattern{Text: text, Own: o, re: re, literal: literalOf(tree), rule: "/" + text + "/"}
	if o.passes() {
		p.rule = passMark + p.rule
	}
	return p, nil
}

// literalOf is the longest text that whatever matches re must hold, in lower
// case; "" if it is shorter than a gram.
func literalOf(re *syntax.Regexp) string {
	var best string
	switch re.Op {
	case syntax.OpLiteral:
		if s := strings.ToLower(string(re.Rune)); isASCII(s) {
			best = s
		}
	case syntax.OpCapture, syntax.OpPlus:
		best = literalOf(re.Sub[0])
	case syntax.OpRepeat:
		if re.Min > 0 {
			best = literalOf(re.Sub[0])
		}
	case syntax.OpConcat:
		for _, sub := range re.Sub {
			if s := literalOf(sub); len(s) > len(best) {
				best = s
			}
		}
	}
	if len(best) < gramLen {
		return ""
	}
	return best
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r >= 0x80 })
}

// probes are names that nothing has in common. A pattern that matches all of
// one suffix's would take that suffix away, as an entry for it would.
var probes = func() (all [][]string) {
	for _, suffix := range []string{"com", "net", "org", "de", "ru", "cn", "co.uk", "com.br", "xyz", "github.io"} {
		all = append(all, []string{
			"a." + suffix, "qzxjwv." + suffix, "the-quick-brown-fox-0123456789." + suffix, "w3." + suffix, "mail.example7." + suffix,
		})
	}
	return all
}()

// tooWide says whether a pattern matches whatever is registered somewhere.
func (p *pattern) tooWide() bool {
next:
	for _, names := range probes {
		for _, n := range names {
			if !p.re.MatchString(n) {
				continue next
			}
		}
		return true
	}
	return false
}

// newPatterns makes patterns ready to be matched.
func newPatterns(all []*pattern) *patterns {
	if len(all) == 0 {
		return nil
	}
	ps := &patterns{all: all, grams: make(map[uint16][]*pattern)}
	for _, p := range all {
		if p.literal == "" {
			ps.bare = append(ps.bare, p)
			continue
		}
		g := gram([]byte(p.literal))
		ps.grams[g] = append(ps.grams[g], p)
		ps.seen[g>>6] |= 1 << (g & 63)
	}
	return ps
}

// match appends the patterns that text matches to dst, each once.
func (ps *patterns) match(dst []Hit, l *List, text []byte) []Hit {
	for _, p := range ps.bare {
		if p.re.Match(text) {
			dst = append(dst, p.hitOf(l))
		}
	}
	for i := 0; i+gramLen <= len(text); i++ {
		g := gram(text[i:])
		if ps.seen[g>>6]&(1<<(g&63)) == 0 {
			continue
		}
		for _, p := range ps.grams[g] {
			// Only where the literal stands first, so that each is tried once.
			if index(text, p.literal) == i && p.re.Match(text) {
				dst = append(dst, p.hitOf(l))
			}
		}
	}
	return dst
}

func (p *pattern) hitOf(l *List) Hit {
	return Hit{List: l, Rule: p.rule, Policy: p.Own.policy(), own: p.Own}
}

// index is bytes.Index for a string.
func index(text []byte, s string) int {
	for i := 0; i+len(s) <= len(text); i++ {
		if string(text[i:i+len(s)]) == s {
			return i
		}
	}
	return -1
}

// addPattern adds a regular expression as an entry.
func (p *parser) addPattern(text string, o own) error {
	if p.allow {
		o = 0
	}
	re, err := newPattern(text, o)
	switch {
	case errors.Is(err, errPatternSize):
		p.reject(CostlyPattern)
		return nil
	case err != nil:
		p.reject(BadRule)
		return nil
	case !o.passes() && !p.allow && re.tooWide():
		p.reject(PublicSuffix)
		return nil
	case !o.passes() && p.guard.matchesOwn(re):
		p.reject(OwnHost)
		return nil
	}
	if len(p.patterns) >= maxPatterns || re.literal == "" && p.unanchored >= maxUnanchored {
		p.reject(CostlyPattern)
		return nil
	}
	if re.literal == "" {
		p.unanchored++
	}
	p.patterns = append(p.patterns, re)
	p.accepted++
	p.saw(subject{pattern: re.Text})
	return nil
}

// matchesOwn says whether a pattern matches a host that weir cannot do without.
func (g *guard) matchesOwn(p *pattern) bool {
	for name, o := range g.own {
		if o.host && p.re.MatchString(dnsname.Name(name).String()) {
			return true
		}
	}
	return false
}
