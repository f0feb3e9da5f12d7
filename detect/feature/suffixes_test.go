package feature_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/weirdns/weir/detect/feature"
	"github.com/weirdns/weir/internal/dnsname"
)

func suffixes(t testing.TB) *feature.Suffixes {
	t.Helper()
	return feature.NewSuffixes(map[string]uint64{
		string(dnsname.MustParse("com")):       500,
		string(dnsname.MustParse("de")):        100,
		string(dnsname.MustParse("co.uk")):     374,
		string(dnsname.MustParse("github.io")): 20,
		string(dnsname.MustParse("org")):       6, // too few to stand in a table
	})
}

func TestSuffixPart(t *testing.T) {
	x := feature.New(feature.Tables{Suffixes: suffixes(t)})
	for _, c := range []struct {
		name                     string
		rarity, private, country float64
	}{
		{"example.com", 0, 0, 0},
		{"example.co.uk", 0, 0, 1},
		{"example.de", 1, 0, 1}, // a tenth: 3.3 bits
		{"example.github.io", 2, 1, 1},
		{"example.org", 8, 0, 0},
		{"example.duckdns.org", 8, 1, 0},
	} {
		v := vector(t, x, c.name)
		if v["suffix_rarity"] != c.rarity || v["suffix_private"] != c.private || v["suffix_country"] != c.country {
			t.Errorf("%s: got rarity %v, private %v, country %v, want %v, %v, %v", c.name,
				v["suffix_rarity"], v["suffix_private"], v["suffix_country"], c.rarity, c.private, c.country)
		}
	}
}

// TestSuffixesDoNotTouchTheLabelsPart: what the label gives is the same below
// every suffix.
func TestSuffixesDoNotTouchTheLabelsPart(t *testing.T) {
	x := extractor(t)
	a, b := vector(t, x, "kq3v9xw.com"), vector(t, x, "kq3v9xw.duckdns.org")
	for name := range a {
		if a[name] != b[name] && !strings.HasPrefix(name, "suffix_") {
			t.Errorf("%s is %v below one suffix and %v below another", name, a[name], b[name])
		}
	}
}

func TestSuffixTableSurvivesItsFile(t *testing.T) {
	data := suffixes(t).Append(nil)
	got, err := feature.ReadSuffixes(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	if got.Len() != 4 || !bytes.Equal(got.Append(nil), data) {
		t.Errorf("got %d suffixes, written as\n%s\nwant\n%s", got.Len(), got.Append(nil), data)
	}
}

func TestDamagedSuffixTablesAreRefused(t *testing.T) {
	for _, c := range []struct{ why, text, want string }{
		{"empty", "", "cut short"},
		{"other header", "suffix\n.\t1\n", "starts with"},
		{"no names", "suffix\tnames\n", "no names"},
		{"no root", "suffix\tnames\ncom\t5\n", "root"},
		{"root twice", "suffix\tnames\n.\t5\n.\t5\n", "root"},
		{"number", "suffix\tnames\n.\t5\ncom\tmany\n", "number"},
		{"none", "suffix\tnames\n.\t5\ncom\t0\n", "number"},
		{"more than all", "suffix\tnames\n.\t5\ncom\t6\n", "6 of 5"},
		{"twice", "suffix\tnames\n.\t5\ncom\t1\ncom\t1\n", "second time"},
		{"not a name", "suffix\tnames\n.\t5\nc..m\t1\n", "c..m"},
		{"cut", "suffix\tnames\n.\t5\ncom\t1", "cut short"},
		{"too large", strings.Repeat("suffix", 1<<18), "larger"},
		{"too many", "suffix\tnames\n.\t5\n" + strings.Repeat("a\t1\n", 20_001), "at most"},
	} {
		_, err := feature.ReadSuffixes(strings.NewReader(c.text))
		if !errors.Is(err, feature.ErrTable) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got error %v, want one with %q", c.why, err, c.want)
		}
	}
}

func FuzzReadSuffixes(f *testing.F) {
	f.Add(suffixes(f).Append(nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := feature.ReadSuffixes(bytes.NewReader(data))
		if err != nil {
			return
		}
		again, err := feature.ReadSuffixes(bytes.NewReader(s.Append(nil)))
		if err != nil || again.Len() != s.Len() {
			t.Fatalf("read once, written, read again: %v", err)
		}
	})
}
