package feature_test

import (
	"bufio"
	"flag"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/weirdns/weir/detect/feature"
	"github.com/weirdns/weir/internal/dnsname"
)

var update = flag.Bool("update", false, "rewrite the golden vectors")

// lines reads a file of testdata, less comments.
func lines(t testing.TB, file string) []string {
	t.Helper()
	f, err := os.Open("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out []string
	for s := bufio.NewScanner(f); s.Scan(); {
		if line := s.Text(); line != "" && line[0] != '#' {
			out = append(out, line)
		}
	}
	return out
}

// extractor has small tables, fitted on testdata/words.txt: one on all of it
// with a cut, one without.
func extractor(t testing.TB) *feature.Extractor {
	t.Helper()
	f := feature.NewFitter()
	for _, w := range lines(t, "words.txt") {
		f.Add(w)
	}
	return feature.New(feature.Tables{
		Alexa: fitted(t, f, 0.015), Words: fitted(t, f, 0),
		Popular: language(t, [6]int{0, 1, 1, 2, 2, 2}), Algorithmic: letters(t), Suffixes: suffixes(t),
	})
}

func fitted(t testing.TB, f *feature.Fitter, minDF float64) *feature.Grams {
	t.Helper()
	g, err := f.Table(minDF)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func split(t testing.TB, name string) dnsname.Split {
	t.Helper()
	n, err := dnsname.Parse(name)
	if err != nil {
		t.Fatalf("%q: %v", name, err)
	}
	return dnsname.DefaultSuffixes().Split(n)
}

// TestGoldenVectors pins every bit of some 200 vectors: a model in the field
// was trained on exactly these numbers.
func TestGoldenVectors(t *testing.T) {
	file := "testdata/" + feature.Version + ".tsv"
	x := extractor(t)
	var got strings.Builder
	fmt.Fprintf(&got, "name\t%s\n", strings.Join(feature.Names(), "\t"))
	for _, name := range lines(t, "names.txt") {
		got.WriteString(name)
		for _, v := range x.Append(nil, split(t, name)) {
			if float64(float32(v)) != v || math.IsInf(v, 0) || math.IsNaN(v) {
				t.Errorf("%s: %v is not a finite float32", name, v)
			}
			fmt.Fprintf(&got, "\t%08x", math.Float32bits(float32(v)))
		}
		got.WriteByte('\n')
	}
	if *update {
		if err := os.WriteFile(file, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v: a new feature.Version starts with -update", err)
	}
	g, w := strings.Split(got.String(), "\n"), strings.Split(string(want), "\n")
	if len(g) != len(w) {
		t.Fatalf("got %d lines, want %d", len(g), len(w))
	}
	for i := range g {
		if g[i] != w[i] {
			t.Fatalf("line %d: got  %s\nwant %s\nwhatever changes a vector changes feature.Version too", i+1, g[i], w[i])
		}
	}
}

// vector gives the features of a registered label by name.
func vector(t *testing.T, x *feature.Extractor, name string) map[string]float64 {
	t.Helper()
	v := x.Append(nil, split(t, name))
	if len(v) != feature.Count {
		t.Fatalf("%s: %d features, want %d", name, len(v), feature.Count)
	}
	m := make(map[string]float64)
	for i, name := range feature.Names() {
		m[name] = v[i]
	}
	if len(m) != feature.Count {
		t.Fatalf("%d distinct feature names for %d features", len(m), feature.Count)
	}
	return m
}

func TestValuesAreThoseOfTheirDefinition(t *testing.T) {
	x := extractor(t)
	for _, c := range []struct {
		name, feature string
		want          float64
	}{
		{"google.com", "length", 6},
		{"www.google.co.uk", "length", 6}, // the suffix and the subdomain are not in it
		{"user.github.io", "length", 4},   // the private section counts
		{"google.com", "entropy", 1.9182958340544896},
		{"aaaa.com", "entropy", 0},
		{"abcd.com", "entropy", 2},
		{"google.com", "vowel_proportion", 0.5},
		{"a1b22.com", "digit_ratio", 0.6},
		{"a-b-c.com", "hyphens", 2},
		{"queueing.com", "vowel_run", 5},
		{"rhythms.com", "consonant_run", 7},
		{"a1234b567.com", "digit_run", 4},
		{"abbbcc.com", "same_run", 3},
		{"aabbcd.com", "unique_ratio", 4.0 / 6},
		{"aabbcd.com", "repeated_ratio", 0.5},
		{"deadbeefxy.com", "hex_ratio", 0.8},
		{"a1b.com", "letter_digit_changes", 1},
		{"a-1.com", "letter_digit_changes", 0},
		{"abc2019.com", "trailing_digits", 4},
		{"2019abc.com", "trailing_digits", 0},
		{"2019abc.com", "first_is_digit", 1},
		{"abc.com", "first_is_digit", 0},
		{"abcab.com", "consecutive_consonant_ratio", 0.4},
		{"a1b22c333.com", "consecutive_digit_ratio", 5.0 / 9},
		{"ababa.com", "bigram_entropy", 1},
		{"a.com", "bigram_entropy", 0},
		{"banana.com", "alternation", 1},
		{"bbaa.com", "alternation", 1.0 / 3},
		{"jqxzabcd.com", "rare_letter_ratio", 0.5},
		{"abc12d-e.com", "vowelless_run", 5},
		{"a1b22-3.com", "digit_groups", 3},
		{"deadbeef12.com", "hex_mixed_length", 10},
		{"deadbeef.com", "hex_mixed_length", 0},
		{"1234.com", "hex_mixed_length", 0},
		{"a-bcd-ef.com", "longest_token", 3},
		{"c1e-f.com", "letter_span", 3},
		{"123.com", "letter_span", 0},
		{"abcxabc.com", "longest_repeat", 3},
		{"aaaa.com", "longest_repeat", 3},
		{"abcd.com", "longest_repeat", 0},
		{"xkqwv.com", "word_trigram_cover", 0},
		{"xkqwv.com", "word_trigram_gap", 3},
		{"stream.com", "word_trigram_cover", 1},
		{"stream.com", "word_trigram_gap", 0},
		{"ab.com", "word_trigram_gap", 0},
	} {
		if got := vector(t, x, c.name)[c.feature]; math.Abs(got-c.want) > 1e-6 {
			t.Errorf("%s of %s: got %v, want %v", c.feature, c.name, got, c.want)
		}
	}
}

// TestGramSumsFollowCountVectorizer works an example by hand: strings once
// each, min_df on the share of strings, weight log10 of all occurrences,
// repeated n-grams of a name counted every time.
func TestGramSumsFollowCountVectorizer(t *testing.T) {
	f := feature.NewFitter()
	for _, s := range []string{"abcabc", "abcd", "xabc", "abcd", "zzzz"} {
		f.Add(s) // abcd twice: counts once
	}
	for _, c := range []struct {
		minDF float64
		name  string
		want  float64
	}{
		// abc occurs 4 times in 3 of 4 strings; bca, cab once; zzz twice in one.
		{0, "abc.com", math.Log10(4)},
		{0, "abcxabc.com", 2 * math.Log10(4)},
		{0, "zzz.com", math.Log10(2)},
		{0, "zzzz.com", 2 * math.Log10(2)}, // the 4-gram zzzz: once, weight 0
		{0.5, "zzz.com", 0},
		{0.75, "abc.com", math.Log10(4)},
		{0.76, "abc.com", 0},
	} {
		x := feature.New(feature.Tables{Words: fitted(t, f, c.minDF)})
		if got := vector(t, x, c.name)["word_grams"]; math.Abs(got-c.want) > 1e-6 {
			t.Errorf("min_df %v: word_grams of %s: got %v, want %v", c.minDF, c.name, got, c.want)
		}
	}
}

func TestNamesWithoutAVectorGetNone(t *testing.T) {
	x := extractor(t)
	for _, name := range []string{".", "com", "co.uk", "github.io", "xn--bcher-kva.example", "www.xn--bcher-kva.example"} {
		if got := x.Append(nil, split(t, name)); got != nil {
			t.Errorf("%s: got %v, want nothing", name, got)
		}
	}
	if got := x.Append(nil, dnsname.Split{}); got != nil {
		t.Errorf("zero split: got %v, want nothing", got)
	}
}

func TestAppendDoesNotAllocate(t *testing.T) {
	x := extractor(t)
	dst := make([]float64, 0, feature.Count)
	for _, name := range []string{"google.com", strings.Repeat("ab1-", 15) + ".example"} {
		s := split(t, name)
		if got := testing.AllocsPerRun(100, func() { x.Append(dst, s) }); got != 0 {
			t.Errorf("%s: %v allocations, want 0", name, got)
		}
	}
}

// FuzzAppend: any label gives finite values that stay within what their
// definitions allow, and the same ones each time.
func FuzzAppend(f *testing.F) {
	for _, s := range []string{"google", "a", "-", "\x00\xff", "xn--", "xn-", strings.Repeat("z", 63), "a.b"} {
		f.Add([]byte(s))
	}
	x := extractor(f)
	f.Fuzz(func(t *testing.T, label []byte) {
		if len(label) == 0 || len(label) > dnsname.MaxLabel {
			return
		}
		wire := append([]byte{byte(len(label))}, label...)
		name := dnsname.AppendCanonical(nil, append(wire, 3, 'c', 'o', 'm', 0))
		s := dnsname.Split{Registered: name}
		got := x.Append(nil, s)
		if !feature.Scorable(s) {
			if got != nil {
				t.Fatalf("%q is not scorable and has a vector", label)
			}
			return
		}
		again := x.Append(nil, s)
		for i, v := range got {
			if math.IsNaN(v) || v < -63*16 || v > 63*3*20 || v != again[i] {
				t.Fatalf("%q: %s is %v, then %v", label, feature.Names()[i], v, again[i])
			}
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	x := extractor(b)
	dst := make([]float64, 0, feature.Count)
	for _, name := range []string{"google.com", "kq3v9xw1lmzt.com", "internationalassociationofnetworks.org"} {
		s := split(b, name)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				x.Append(dst, s)
			}
		})
	}
}
