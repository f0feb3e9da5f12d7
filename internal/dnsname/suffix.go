package dnsname

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"sync"

	"github.com/weppos/publicsuffix-go/publicsuffix"
)

// Split is a name cut at its public suffix.
type Split struct {
	// Registered is the registered domain: the public suffix and one label
	// more. It is nil where the name is itself a public suffix or the root.
	// It shares memory with the name that was split.
	Registered Name
	// Suffix is the public suffix; where no rule knows the name's top label,
	// that label (the list's default rule "*").
	Suffix Name
	// Private: the rule stands in the list's private section (github.io,
	// duckdns.org), so the label left of it belongs to somebody's customer.
	Private bool
	// Known: a rule of the list matched, not only the default.
	Known bool
}

// Suffixes is a public suffix list, ICANN and private sections, keyed by wire
// names so that a query is split without making text of it. It is immutable
// and safe for use by many goroutines.
type Suffixes struct {
	higher      ruleFilter      // names of above
	above       map[string]bool // that are no suffix and have one below them
	id          string
	plain, wild ruleFilter            // exact rules and exceptions; wildcards
	rules       map[string]suffixRule // by the canonical wire form of the rule's fixed labels
}

type suffixRule struct {
	exact, wildcard, exception bool
	private                    bool
	below                      bool // rules for names below this one exist
}

// DefaultSuffixes is the list that the module was built with, and dynamicZones.
var DefaultSuffixes = sync.OnceValue(func() *Suffixes {
	list := publicsuffix.DefaultRules()
	rules := list[:]
	for _, zone := range dynamicZones {
		rules = append(rules, publicsuffix.Rule{Type: publicsuffix.NormalType, Value: zone, Private: true})
	}
	s, err := compileSuffixes(rules)
	if err != nil {
		panic(fmt.Sprintf("dnsname: built-in public suffix list: %v", err))
	}
	return s
})

// dynamicZones are zones in which strangers get names for nothing, and which the
// list's private section lacks: it holds what owners submitted. Without them all
// customers of such a provider would be one registered domain, judged by the
// provider's label. From the providers' own pages (freedns.afraid.org, DynServ,
// CO.CC).
var dynamicZones = [...]string{
	"mooo.com", "chickenkiller.com", "crabdance.com", "ignorelist.com", "jumpingcrab.com", "strangled.net",
	"twilightparadox.com", "us.to", "uk.to", "yi.org", "dynserv.com", "co.cc", "cz.cc",
}

func compileSuffixes(rules []publicsuffix.Rule) (*Suffixes, error) {
	s := &Suffixes{rules: make(map[string]suffixRule, len(rules))}
	sum := sha256.New()
	for _, r := range rules {
		fmt.Fprintf(sum, "%d %t %s\n", r.Type, r.Private, r.Value)
		if r.Value == "" {
			continue // the rule "*", which is what Split does by default
		}
		name, err := Parse(r.Value)
		if err != nil {
			return nil, fmt.Errorf("rule %q: %w", r.Value, err)
		}
		rule := s.rules[string(name)]
		rule.private = r.Private
		switch r.Type {
		case publicsuffix.WildcardType:
			rule.wildcard = true
		case publicsuffix.ExceptionType:
			rule.exception = true
		default:
			rule.exact = true
		}
		s.rules[string(name)] = rule
		for up := name.Parent(); len(up) > 1; up = up.Parent() {
			above := s.rules[string(up)]
			above.below = true
			s.rules[string(up)] = above
		}
		if rule.wildcard {
			s.wild.add(name)
		}
		if rule.exact || rule.exception {
			s.plain.add(name)
		}
	}
	s.above = make(map[string]bool)
	for rule, r := range s.rules {
		if r.exception {
			continue
		}
		at := Name(rule)
		if !r.wildcard {
			at = at.Parent()
		}
		for ; len(at) > 1; at = at.Parent() {
			if !s.IsSuffix(at) {
				s.above[string(at)] = true
				s.higher.add(at)
			}
		}
	}
	s.id = hex.EncodeToString(sum.Sum(nil)[:16])
	return s, nil
}

// ID tells one list from another: it is a hash of its rules.
func (s *Suffixes) ID() string { return s.id }

// Split cuts n at its public suffix: the longest rule wins, an exception over
// all. It does not allocate.
func (s *Suffixes) Split(n Name) Split {
	if len(n) <= 1 {
		return Split{}
	}
	// From the right: most names end in a rule or two, and what stands left of
	// the last one need not be looked up.
	var starts [MaxWire / 2]uint8
	labels := 0
	for at := n; len(at) > 1; at = at.Parent() {
		starts[labels] = uint8(len(n) - len(at))
		labels++
	}
	from := func(label int) Name { // nil: there are not as many labels
		if label < 0 {
			return nil
		}
		return n[starts[label]:]
	}
	out := Split{Registered: from(labels - 2), Suffix: from(labels - 1)}
	for i := labels - 1; i >= 0; i-- {
		rule, ok := s.rules[string(from(i))]
		switch {
		case !ok:
			return out
		case rule.exception:
			// The exception's own first label is not part of the suffix.
			return Split{Registered: from(i), Suffix: from(i).Parent(), Private: rule.private, Known: true}
		case rule.wildcard && i > 0:
			out = Split{Registered: from(i - 2), Suffix: from(i - 1), Private: rule.private, Known: true}
		case rule.exact:
			out = Split{Registered: from(i - 1), Suffix: from(i), Private: rule.private, Known: true}
		}
		if !rule.below {
			return out
		}
	}
	return out
}

// IsSuffix says whether n is at or above a public suffix: the root, a known
// suffix such as co.uk, or any single label. Nothing may ever block such a
// name as a whole.
func (s *Suffixes) IsSuffix(n Name) bool {
	if len(n) <= 1 {
		return true
	}
	parent := n.Parent()
	if len(parent) <= 1 {
		return true
	}
	// Most names are neither a rule nor below one with a wildcard.
	if s.plain.mayHave(n) {
		if r, ok := s.rules[string(n)]; ok && (r.exception || r.exact) {
			return !r.exception
		}
	}
	return s.wild.mayHave(parent) && s.rules[string(parent)].wildcard
}

// IsAbove says whether n is no public suffix but has one below it, like
// amazonaws.com: what is below it belongs to many.
func (s *Suffixes) IsAbove(n Name) bool {
	return len(n) > 1 && s.higher.mayHave(n) && s.above[string(n)]
}

// ruleFilter says of most names that they are no rule.
type ruleFilter [1 << 11]uint64

func (f *ruleFilter) add(n Name) { h := ruleHash(n); f[h>>6] |= 1 << (h & 63) }

func (f *ruleFilter) mayHave(n Name) bool { h := ruleHash(n); return f[h>>6]&(1<<(h&63)) != 0 }

// ruleHash is 17 bits of n's length and first octets.
func ruleHash(n []byte) uint32 {
	var b [8]byte
	copy(b[:], n)
	return uint32((binary.LittleEndian.Uint64(b[:]) + uint64(len(n))<<3) * 0x9e3779b97f4a7c15 >> 47)
}
