package blocklist

import (
	"fmt"
	"hash/maphash"
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
		b := newBuilder(maphash.MakeSeed())
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
				if ok != has[key] || e.own != want[key] || ok && e.key() != name {
					t.Fatalf("round %d: %q: scope %d of %s is %v %#x %q, want %v %#x", round, said, scope, name, ok, uint8(e.own), e.text, has[key], uint8(want[key]))
				}
			}
		}
		// What is purged of nothing is the same set made anew.
		again := newBuilder(s.seed)
		for e := range s.all {
			key := e.key()
			e.flags &^= flagSplit
			if err := again.add(e, []byte(key)); err != nil {
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
	}}, newGuard(nil), maphash.MakeSeed(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	s, err := newGuard([]dnsname.Name{dnsname.MustParse("feeds.example"), dnsname.MustParse("a.up.example")}).purge(d.set)
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
		if e.text != c.want {
			t.Errorf("%s, scope %d: %q, want %q", c.name, c.scope, e.text, c.want)
		}
		if e.own.policy() == LocalData && len(s.locals[e.local].V4) != 1 {
			t.Errorf("%s: answer lost", c.name)
		}
	}
}
