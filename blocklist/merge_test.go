package blocklist

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/weirdns/weir/internal/dnsname"
)

// What lists say of one name, in any order and scope, ends in what a map of
// (name, scope) gives that is asked rule by rule.
func TestSettlingEqualsTheNaiveWay(t *testing.T) {
	wishes := []own{0, own(NXDOMAIN), own(NODATA), own(Passthru), own(Passthru) | ownImportant,
		own(Passthru) | ownException, own(Passthru) | ownException | ownImportant, ownImportant}
	rng := rand.New(rand.NewPCG(3, 4))
	for round := range 3000 {
		b := newBuilder(workshop{seed: 7})
		want := map[string]own{}
		has := map[string]bool{}
		var said []string
		for range 1 + rng.IntN(12) {
			name := fmt.Sprintf("n%d.example", rng.IntN(3))
			flags, o := uint8(1+rng.IntN(3)), wishes[rng.IntN(len(wishes))]
			said = append(said, fmt.Sprintf("%s/%d/%#x", name, flags, uint8(o)))
			if err := b.addOwn(dnsname.MustParse(name), entry{flags: flags, own: o}); err != nil {
				t.Fatal(err)
			}
			for _, scope := range scopes {
				key := fmt.Sprint(name, scope)
				was := want[key]
				better := o.rank() > was.rank() || o.rank() == was.rank() && was.passes() && !o.passes()
				if flags&scope != 0 && (!has[key] || better) {
					want[key], has[key] = o, true
				}
			}
		}
		s, err := b.freeze()
		if err != nil {
			t.Fatal(err)
		}
		for i := range 3 {
			name := fmt.Sprintf("n%d.example", i)
			for _, scope := range scopes {
				key := fmt.Sprint(name, scope)
				e, ok := s.lookup(dnsname.MustParse(name), scope)
				if ok != has[key] || e.own != want[key] || ok && appendName(nil, e.key).String() != name {
					t.Fatalf("round %d: %q: scope %d of %s is %v %#x %q, want %v %#x", round, said, scope, name, ok, uint8(e.own), e.key, has[key], uint8(want[key]))
				}
			}
		}
		// What is purged of nothing is the same set made anew.
		again := newBuilder(workshop{seed: 8})
		for e := range s.all {
			if err := again.addOwn(appendName(nil, e.key), e.entry()); err != nil {
				t.Fatal(err)
			}
		}
		if s2, err := again.freeze(); err != nil || s2.passes > s.passes || s2.names > s.names {
			t.Fatalf("round %d: made anew: %v, %d names, want at most %d", round, err, s2.names, s.names)
		}
	}
}

// Lists with own hosts found out later keep what lets pass, and both halves of
// a name that is split.
func TestPurgeKeepsExceptionsAndAnswers(t *testing.T) {
	d, err := loadInline(&Config{Format: FormatRPZ, MaxBytes: 1 << 20, Inline: []string{
		"feeds.example CNAME .", "*.feeds.example CNAME rpz-passthru.", "garden.example A 192.0.2.80", "up.example CNAME rpz-passthru.", "*.up.example CNAME .",
	}}, newGuard(nil), workshop{}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	s, err := newGuard([]dnsname.Name{dnsname.MustParse("feeds.example"), dnsname.MustParse("a.up.example")}).purge(d.set, workshop{seed: 9})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		scope uint8
		want  string
	}{
		{"feeds.example", flagExact, ""}, {"feeds.example", flagBelow, "@@*.feeds.example"},
		{"garden.example", flagExact, "garden.example"},
		{"up.example", flagExact, "@@up.example"}, {"up.example", flagBelow, ""},
	} {
		e, _ := s.lookup(dnsname.MustParse(c.name), c.scope)
		if got := ruleOf(e); got != c.want {
			t.Errorf("%s, scope %d: %q, want %q", c.name, c.scope, got, c.want)
		}
		if e.own.policy() == LocalData && len(s.locals[e.local].V4) != 1 {
			t.Errorf("%s: answer lost", c.name)
		}
	}
}

func ruleOf(f found) string {
	if f.key == nil {
		return ""
	}
	return f.rule()
}
