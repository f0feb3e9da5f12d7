package lookalike_test

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/weirdns/weir/detect/lookalike"
	"github.com/weirdns/weir/internal/dnsname"
)

func index(t testing.TB, brands ...lookalike.Brand) *lookalike.Index {
	t.Helper()
	if len(brands) == 0 {
		brands = lookalike.Builtin()
	}
	x, err := lookalike.New(brands)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func match(x *lookalike.Index, name string) (lookalike.Match, bool) {
	n := dnsname.MustParse(name)
	return x.Match(n, dnsname.DefaultSuffixes().Split(n))
}

func TestEveryKindIsFoundAndNamed(t *testing.T) {
	x := index(t)
	for _, tt := range []struct {
		name, brand string
		kind        lookalike.Kind
		grade       lookalike.Grade
	}{
		{"paypa1.com", "paypal.com", lookalike.KindHomoglyph, lookalike.GradeHigh},
		{"xn--pypal-4ve.com", "paypal.com", lookalike.KindHomoglyph, lookalike.GradeHigh}, // Cyrillic а
		{"rnicrosoft.com", "microsoft.com", lookalike.KindHomoglyph, lookalike.GradeMedium},
		{"nnicr0soft.com", "microsoft.com", lookalike.KindHomoglyph, lookalike.GradeHigh},
		{"vvellsfargo.com", "wellsfargo.com", lookalike.KindHomoglyph, lookalike.GradeMedium},
		{"facebcook.net", "facebook.com", lookalike.KindEdit, lookalike.GradeLow},
		{"micorsoft.com", "microsoft.com", lookalike.KindTransposition, lookalike.GradeMedium},
		{"microsft.com", "microsoft.com", lookalike.KindOmission, lookalike.GradeMedium},
		{"faceboook.com", "facebook.com", lookalike.KindRepetition, lookalike.GradeMedium},
		{"facebnook.com", "facebook.com", lookalike.KindInsertion, lookalike.GradeMedium},
		{"facevook.com", "facebook.com", lookalike.KindReplacement, lookalike.GradeMedium},
		{"fecebook.com", "facebook.com", lookalike.KindVowelSwap, lookalike.GradeMedium},
		{"facebgok.com", "facebook.com", lookalike.KindBitsquat, lookalike.GradeMedium},
		{"face-book.com", "facebook.com", lookalike.KindHyphenation, lookalike.GradeMedium},
		{"facebookx.com", "facebook.com", lookalike.KindAddition, lookalike.GradeLow},
		{"wellsfargos.com", "wellsfargo.com", lookalike.KindPlural, lookalike.GradeMedium},
		{"bitfinexes.com", "bitfinex.com", lookalike.KindPlural, lookalike.GradeLow},
		{"face.book.com", "facebook.com", lookalike.KindSubdomain, lookalike.GradeMedium},
		{"www.paypal.com.session-4711.net", "paypal.com", lookalike.KindSubdomain, lookalike.GradeHigh},
		{"paypal-login.com", "paypal.com", lookalike.KindCombo, lookalike.GradeHigh},
		{"securepaypal.com", "paypal.com", lookalike.KindCombo, lookalike.GradeHigh},
		{"paypalfriends.com", "paypal.com", lookalike.KindCombo, lookalike.GradeLow},
		{"paypal.ru", "paypal.com", lookalike.KindTLDSwap, lookalike.GradeLow},
	} {
		m, ok := match(x, tt.name)
		if !ok || x.Unpack(x.Pack(m)) != m || m.Brand != tt.brand || m.Kind != tt.kind || m.Grade != tt.grade {
			t.Errorf("%s: got %+v (%v), want %s, %s, %s", tt.name, m, ok, tt.brand, tt.kind, tt.grade)
		}
	}
}

func TestWhatTheBrandOwnsIsNoLookAlike(t *testing.T) {
	x := index(t, lookalike.Brand{Domain: "example.com", Owned: []string{"examp1e.com", "example-login.net", "example.io"}},
		lookalike.Brand{Domain: "github.com", Owned: []string{"github.io"}})
	for _, name := range []string{"example.com", "www.example.com", "examp1e.com", "a.example-login.net", "example.io", "githab.github.io"} {
		if m, ok := match(x, name); ok {
			t.Errorf("%s: got %s, want no match", name, m)
		}
	}
	if _, ok := match(x, "exarnple.com"); !ok {
		t.Error("exarnple.com: no match: the index finds nothing at all")
	}
}

func TestHonestNamesAreLeftAlone(t *testing.T) {
	x := index(t)
	for _, name := range []string{
		"wikipedia.org", "example.com", "chasehotels.com", "orangejuice.org", "com", "co.uk", "localhost",
		"discoverireland.ie", "applebees.com", "xn--mnchen-3ya.de", "xn--fiqs8s.cn", "xn--.com", "xn--0.com", "a.b.c.d.org",
	} {
		if m, ok := match(x, name); ok && m.Grade > lookalike.GradeLow {
			t.Errorf("%s: got %s, want at most low", name, m)
		}
	}
}

func TestNewNamesEveryBrandItCannotUse(t *testing.T) {
	_, err := lookalike.New([]lookalike.Brand{{Domain: "co.uk"}, {Domain: "www.example.com"}, {Domain: "ok.com", Owned: []string{"a b"}}, {Domain: ""}})
	if err == nil {
		t.Fatal("four brands that cannot be used were taken")
	}
	for _, want := range []string{`"co.uk"`, `"www.example.com"`, `"a b"`, `""`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error does not name %s: %v", want, err)
		}
	}
}

// TestFindsWhatDnstwistMakes asks the real dnstwist for its permutations. With
// WEIR_DNSTWIST=all it asks for those of fifty brands.
func TestFindsWhatDnstwistMakes(t *testing.T) {
	twist, err := exec.LookPath("dnstwist")
	if err != nil {
		t.Skip("dnstwist is not installed (Debian: apt-get install dnstwist)")
	}
	brands := lookalike.Builtin()
	x := index(t, brands...)
	count := 1
	if os.Getenv("WEIR_DNSTWIST") == "all" {
		count = 50
	}
	own := map[string]bool{}
	for _, b := range brands {
		own[b.Domain] = true
		for _, o := range b.Owned {
			own[o] = true
		}
	}
	made, found, named, asked := 0, 0, 0, 0
	for _, b := range brands {
		label, _, _ := strings.Cut(b.Domain, ".")
		if len(label) < 5 || asked == count { // shorter ones are everybody's neighbours
			continue
		}
		asked++
		args := []string{"--format", "list", b.Domain}
		if dict := "/usr/share/dnstwist/dictionaries/"; exists(dict) {
			args = append([]string{"--dictionary", dict + "english.dict", "--tld", dict + "common_tlds.dict"}, args...)
		}
		out, err := exec.CommandContext(t.Context(), twist, args...).Output()
		if err != nil {
			t.Fatalf("%s: %v", b.Domain, err)
		}
		for sc := bufio.NewScanner(bytes.NewReader(out)); sc.Scan(); {
			name := sc.Text()
			if own[name] || name == b.Domain {
				continue
			}
			if n, err := dnsname.Parse(name); err != nil || platform(n) {
				continue
			}
			made++
			m, ok := match(x, name)
			if !ok {
				t.Errorf("%s: a permutation of %s that is not found", name, b.Domain)
				continue
			}
			found++
			if m.Brand == b.Domain {
				named++
			}
		}
	}
	if made == 0 {
		t.Fatal("dnstwist made nothing")
	}
	t.Logf("%d brands, %d permutations: %d found, %d as that brand's, others as another's", asked, made, found, named)
}

// platform: the permutation made a public suffix of it (github.app, redd.it.com),
// which somebody else hands names out under.
func platform(n dnsname.Name) bool {
	split := dnsname.DefaultSuffixes().Split(n)
	return split.Registered == nil || split.Private
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func tenThousand(tb testing.TB) *lookalike.Index {
	brands := lookalike.Builtin()
	syllables := []string{"ba", "ko", "mi", "ren", "tal", "vu", "so", "pix", "den", "lor", "qua", "zet", "fin", "gra", "hol", "jun"}
	for i := len(brands); i < 10_000; i++ {
		s := syllables[i%16] + syllables[i/16%16] + syllables[i/256%16] + syllables[i/4096%16]
		brands = append(brands, lookalike.Brand{Domain: s + ".com"})
	}
	return index(tb, brands...)
}

func TestMatchAllocNothing(t *testing.T) {
	x := tenThousand(t)
	names := queries()
	if n := testing.AllocsPerRun(100, func() {
		for _, q := range names {
			x.Match(q.name, q.split)
		}
	}); n != 0 {
		t.Errorf("got %v allocations, want 0", n)
	}
}

type question struct {
	name  dnsname.Name
	split dnsname.Split
}

func queries() (list []question) {
	for _, s := range []string{
		"www.wikipedia.org", "cdn.some-news-site.co.uk", "a1b2c3.cloudfront.net", "paypa1.com", "xn--pypal-4ve.com",
		"static.xx.fbcdn.net", "mail.example.org", "koba-login-renew.com", "fonts.gstatic.com", "thequickbrownfoxjumpsover.com",
	} {
		n := dnsname.MustParse(s)
		list = append(list, question{n, dnsname.DefaultSuffixes().Split(n)})
	}
	return list
}

func BenchmarkMatchTenThousandBrands(b *testing.B) {
	x := tenThousand(b)
	names := queries()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		q := names[i%len(names)]
		x.Match(q.name, q.split)
	}
}

func FuzzMatch(f *testing.F) {
	for _, q := range queries() {
		f.Add([]byte(q.name))
	}
	f.Add([]byte(dnsname.MustParse("xn--99999999999999999999999999999999999999999999999999999999999.com")))
	x := index(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		n := dnsname.Name(b)
		if n.Check() != nil {
			return
		}
		split := dnsname.DefaultSuffixes().Split(n)
		m, ok := x.Match(n, split)
		if ok != (m != lookalike.Match{}) {
			t.Errorf("%s: %v and %+v", n, ok, m)
		}
		if back := x.Unpack(x.Pack(m)); back != m {
			t.Errorf("%s: %+v, packed and unpacked %+v", n, m, back)
		}
		if again, _ := x.Match(n, split); again != m {
			t.Errorf("%s: %+v, then %+v", n, m, again)
		}
	})
}
