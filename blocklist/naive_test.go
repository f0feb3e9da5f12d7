package blocklist_test

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"pgregory.net/rapid"

	"github.com/weirdns/weir/blocklist"
	"github.com/weirdns/weir/internal/dnsname"
)

// naive is a list as somebody would write it who has all the time in the world:
// every rule is looked at for every name.
type naive struct{ rules []naiveRule }

type naiveRule struct {
	name         string // or an expression, or a network
	exact, below bool
	pass         bool
	rank         int // important 2, exception 1
	re           *regexp.Regexp
	net          netip.Prefix
}

// says is what n says of a name: the rules that decide at each level, longest
// first and expressions last, those that do not count in parentheses.
func (n *naive) says(name string) (out []string) {
	var hits []naiveRule
	for at := name; at != ""; {
		var best *naiveRule
		for i := range n.rules {
			r := &n.rules[i]
			if r.re != nil || r.net.IsValid() || r.name != at || at == name && !r.exact || at != name && !r.below {
				continue
			}
			if best == nil || r.rank > best.rank || r.rank == best.rank && best.pass && !r.pass {
				best = r
			}
		}
		if best != nil {
			hits = append(hits, *best)
		}
		_, at, _ = strings.Cut(at, ".")
	}
	var matching []naiveRule
	for _, r := range n.rules {
		if r.re != nil && r.re.MatchString(name) {
			matching = append(matching, r)
		}
	}
	// Expressions come in no order that anybody is promised.
	slices.SortStableFunc(matching, func(a, b naiveRule) int { return strings.Compare(a.name, b.name) })
	hits = append(hits, matching...)
	best := 0
	for i, h := range hits {
		if h.rank > hits[best].rank {
			best = i
		}
	}
	for i, h := range hits {
		s := h.name
		if h.pass {
			s = "@@" + s
		}
		if i != best && (hits[best].pass || h.pass) {
			s = "(" + s + ")"
		}
		out = append(out, s)
	}
	return out
}

func (n *naive) saysOf(addr netip.Addr) string {
	best := ""
	bits := -1
	for _, r := range n.rules {
		if r.net.IsValid() && r.net.Contains(addr) && r.net.Bits() > bits {
			best, bits = r.name, r.net.Bits()
		}
	}
	return best
}

// Whatever a list says, in whatever order, the compiled set says what the naive
// one does, for names in it, above it, below it and beside it.
func TestTheSetEqualsTheNaiveList(t *testing.T) {
	labels := []string{"a", "b", "ads", "x-1", "long-label-to-be-shared"}
	tops := []string{"com", "co.uk", "example", "xyz", "com.br", "unknown-top"}
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.Custom(func(t *rapid.T) string {
			parts := rapid.SliceOfN(rapid.SampledFrom(labels), 1, 3).Draw(t, "labels")
			return strings.Join(append(parts, rapid.SampledFrom(tops).Draw(t, "top")), ".")
		})
		network := rapid.Custom(func(t *rapid.T) netip.Prefix {
			if rapid.Bool().Draw(t, "v6") {
				a := netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 0, rapid.Byte().Draw(t, "6"), 0, 0, 0, 0, 0, 0, 0, 0, 0, rapid.Byte().Draw(t, "16")})
				return netip.PrefixFrom(a, rapid.SampledFrom([]int{32, 47, 48, 64, 127, 128}).Draw(t, "bits")).Masked()
			}
			a := netip.AddrFrom4([4]byte{198, rapid.SampledFrom([]byte{51, 52}).Draw(t, "2"), rapid.Byte().Draw(t, "3"), rapid.Byte().Draw(t, "4")})
			return netip.PrefixFrom(a, rapid.SampledFrom([]int{8, 15, 16, 24, 31, 32}).Draw(t, "bits")).Masked()
		})
		var n naive
		lines := []string{"[Adblock]"}
		seen := map[string]bool{}
		for range rapid.IntRange(1, 40).Draw(t, "rules") {
			r := naiveRule{name: name.Draw(t, "name")}
			line, suffix := "", ""
			switch rapid.IntRange(0, 7).Draw(t, "kind") {
			case 0, 1:
				line, r.exact, r.below = "||"+r.name+"^", true, true
			case 2:
				line, r.exact = "|"+r.name+"^", true
			case 3:
				line, r.below = "||*."+r.name+"^", true
			case 4:
				text := rapid.SampledFrom([]string{`^ads\.`, `a\.b\.`, `shared\.com$`, `^(a|b)\.x-1`, `x-1.*ads`}).Draw(t, "expression")
				r.name, r.re = "/"+text+"/", regexp.MustCompile(text)
				line = r.name
			default:
				if rapid.Bool().Draw(t, "network") {
					r.net = network.Draw(t, "net")
					r.name = r.net.String()
					if r.net.IsSingleIP() {
						r.name = r.net.Addr().String()
					}
					line = r.name
					break
				}
				line, r.exact, r.below = r.name, true, true
			}
			if !r.net.IsValid() && strings.HasPrefix(line, "|") || r.re != nil {
				if rapid.Bool().Draw(t, "important") {
					suffix, r.rank = "$important", 2
				}
				if rapid.Bool().Draw(t, "exception") {
					line, r.pass, r.rank = "@@"+line, true, r.rank+1
				}
			}
			if r.re != nil && seen[line] || r.re != nil && seen[r.name] {
				continue // an expression twice is met twice
			}
			seen[line], seen[r.name] = true, true
			n.rules = append(n.rules, r)
			lines = append(lines, line+suffix)
		}
		c := blocklist.Config{Name: "l", Inline: lines}
		l, err := blocklist.New([]blocklist.Config{c}, blocklist.Deps{Log: zap.NewNop(), Registry: prometheus.NewRegistry()})
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Load(); err != nil {
			t.Fatal(err)
		}
		if got := l.Snapshot().Lists()[0].Rejected; got.Total() != 0 {
			t.Fatalf("%q: %d refused", lines, got.Total())
		}
		for range 20 {
			q := name.Draw(t, "qname")
			var got []string
			for _, h := range l.Snapshot().Match(nil, dnsname.MustParse(q)) {
				rule, pass := strings.CutPrefix(h.Rule, "@@")
				rule = strings.TrimPrefix(rule, "*.")
				if pass {
					rule = "@@" + rule
				}
				if h.Overruled {
					rule = "(" + rule + ")"
				}
				got = append(got, rule)
			}
			want := n.says(q)
			sortExpressions(got)
			sortExpressions(want)
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Fatalf("%q\n%s: %q, want %q", lines, q, got, want)
			}
			addr := network.Draw(t, "address").Addr()
			var rule string
			for _, h := range l.Snapshot().MatchAddr(nil, addr) {
				rule = h.Rule
			}
			if want := n.saysOf(addr); rule != want {
				t.Fatalf("%q\n%s: %q, want %q", lines, addr, rule, want)
			}
		}
	})
}

// sortExpressions puts the expressions, which come last, in order.
func sortExpressions(hits []string) {
	for i, h := range hits {
		if strings.Contains(h, "/") {
			slices.Sort(hits[i:])
			return
		}
	}
}
