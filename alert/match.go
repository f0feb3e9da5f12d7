package alert

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/internal/dnsname"
)

// matcher is a Match made ready to use. It neither locks nor allocates, unless
// groups are asked for.
type matcher struct {
	findings uint64 // bit for each kind; 0: it is about transactions
	origins  uint64 // 0: any
	actions  uint64 // 0: any
	level    detect.Level
	mode     string
	lists    []string
	clients  []netip.Prefix
	groups   []string
	names    []string
}

func newMatcher(c *Match) (*matcher, error) {
	m := &matcher{mode: c.Mode, lists: c.Lists, groups: c.Groups}
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	for i, s := range c.Findings {
		if s == allFindings {
			m.findings = ^uint64(0)
		} else if k, ok := detect.ParseFindingKind(s); ok {
			m.findings |= 1 << k
		} else {
			fail("findings[%d]: no finding is called %q", i, s)
		}
	}
	for i, s := range c.Origins {
		if o, ok := detect.ParseOrigin(s); ok {
			m.origins |= 1 << o
		} else {
			fail("origins[%d]: no verdict comes from %q", i, s)
		}
	}
	for i, s := range c.Actions {
		if a, ok := detect.ParseAction(s); ok {
			m.actions |= 1 << a
		} else {
			fail("actions[%d]: no action is called %q", i, s)
		}
	}
	if c.Level != "" {
		var ok bool
		if m.level, ok = detect.ParseLevel(c.Level); !ok || m.level == detect.LevelNone {
			fail("level: must be low, medium or high, got %q", c.Level)
		}
	}
	if c.Mode != "" && c.Mode != modeEnforced && c.Mode != modeMonitored {
		fail("mode: must be enforced, monitored or empty, got %q", c.Mode)
	}
	for i, s := range c.Clients {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			var a netip.Addr
			if a, err = netip.ParseAddr(s); err == nil {
				p = netip.PrefixFrom(a, a.BitLen())
			}
		}
		if err != nil {
			fail("clients[%d]: must be an address or a network like 192.0.2.0/24, got %q", i, s)
		}
		m.clients = append(m.clients, p.Masked())
	}
	for i, s := range c.Names {
		s = strings.ToLower(strings.TrimSuffix(s, "."))
		if s == "" || len(s) > 1024 {
			fail("names[%d]: must be a name, or a pattern like *.example.com", i)
		}
		m.names = append(m.names, s)
	}
	if len(c.Clients)+len(c.Groups)+len(c.Names)+len(c.Lists) > maxPatterns {
		fail("names: clients, groups, names and lists together at most %d", maxPatterns)
	}
	about := m.origins != 0 || len(m.lists) > 0 || m.actions != 0 || m.mode != ""
	switch {
	case m.findings != 0 && about:
		fail("findings: a finding has no verdict: origins, lists, actions and mode are for transactions")
	case m.findings == 0 && !about && m.level == 0 && len(m.clients)+len(m.groups)+len(m.names) == 0:
		fail("findings: nothing is set, and every query would match; origins: [model] is a beginning")
	}
	return m, errors.Join(errs...)
}

// groupOf says which group of clients an address belongs to.
type groupOf func(client netip.Addr, t time.Time) string

// transaction says whether t is an event.
func (m *matcher) transaction(t *detect.Transaction, group groupOf) bool {
	v := &t.Verdict
	if m.findings != 0 ||
		m.origins != 0 && m.origins&(1<<v.Origin) == 0 ||
		// The model's verdict on a name that it has nothing against is of its
		// origin, too.
		m.origins != 0 && v.Origin == detect.OriginModel && v.Action == detect.Pass ||
		m.actions != 0 && m.actions&(1<<v.Action) == 0 ||
		m.level != 0 && (v.Unscored != detect.Scored || v.Level < m.level) {
		return false
	}
	switch m.mode {
	case modeEnforced:
		if !v.Blocks() {
			return false
		}
	case modeMonitored:
		if v.Enforced || v.Action == detect.Pass {
			return false
		}
	}
	return (len(m.lists) == 0 || m.listed(v)) && m.who(t.Query.Client, t.Query.Time, group) && m.named(t.Query.Name)
}

// listed says whether one of the lists was hit, and not overruled.
func (m *matcher) listed(v *detect.Verdict) bool {
	for i := range v.Matches {
		if v.Matches[i].Effect != detect.EffectOverruled && slices.Contains(m.lists, v.Matches[i].List) {
			return true
		}
	}
	return false
}

func (m *matcher) finding(f *detect.Finding, group groupOf) bool {
	return m.findings&(1<<f.Kind) != 0 && f.Level >= m.level && m.who(f.Client, f.Time, group) && m.named(f.Name)
}

func (m *matcher) who(client netip.Addr, t time.Time, group groupOf) bool {
	if len(m.clients) > 0 {
		client := client.Unmap().WithZone("")
		if !slices.ContainsFunc(m.clients, func(p netip.Prefix) bool { return p.Contains(client) }) {
			return false
		}
	}
	return len(m.groups) == 0 || group != nil && slices.Contains(m.groups, group(client, t))
}

func (m *matcher) named(n dnsname.Name) bool {
	if len(m.names) == 0 {
		return true
	}
	if n == nil {
		return false
	}
	var scratch [1024]byte // four octets for each of 255: no name needs more
	text := n.AppendText(scratch[:0])
	for _, p := range m.names {
		if glob(p, text) {
			return true
		}
	}
	return false
}

// glob says whether text matches pattern, in which * is any text and ? one octet.
// It takes as long as the product of the lengths at most.
func glob(pattern string, text []byte) bool {
	p, t, star, mark := 0, 0, -1, 0
	for t < len(text) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, t
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == text[t]):
			p++
			t++
		case star >= 0:
			mark++
			p, t = star+1, mark
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}
