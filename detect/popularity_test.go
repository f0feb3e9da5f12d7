package detect_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/internal/dnsname"
)

// popularity loads files of "LIST DATE" and their text.
func popularity(t testing.TB, top int, files ...[2]string) (*detect.Popularity, error) {
	t.Helper()
	c := detect.PopularityConfig{Top: top}
	for i, f := range files {
		path := filepath.Join(t.TempDir(), fmt.Sprintf("list %d.csv", i))
		if err := os.WriteFile(path, []byte(f[1]), 0o600); err != nil {
			t.Fatal(err)
		}
		c.Files = append(c.Files, f[0]+" "+path)
	}
	return detect.LoadPopularity(c, dnsname.DefaultSuffixes())
}

func TestANameIsPopularIfTwoListsHaveItOnTwoDates(t *testing.T) {
	p, err := popularity(t, 100,
		[2]string{"tranco 2026-04-01", "1,both.com\r\n2,samedate.com\n3,www.sub.org\n101,deep.com\n4,co.uk\n"},
		[2]string{"umbrella 2026-04-01", "rank,name\n1,samedate.com\n2,other.com\n"},
		[2]string{"umbrella 2026-07-24", "# names only\nboth.com\n\nlogin.sub.org\nother.com\nco.uk\ndeep.com\n"},
	)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{
		"both.com": true, "sub.org": true, // by its registered domain
		"samedate.com": false, // two lists of one date
		"other.com":    false, // one list of two dates
		"deep.com":     false, // beyond the last rank in one
		"co.uk":        false, // nobody's own
		"never.com":    false,
	} {
		if got := p.Has(dnsname.MustParse(name)); got != want {
			t.Errorf("%s: popular %v, want %v", name, got, want)
		}
	}
	if p.Len() != 2 {
		t.Errorf("%d names, want 2", p.Len())
	}
}

func TestBadPopularityListsAreRefused(t *testing.T) {
	good := [2]string{"tranco 2026-04-01", "1,a.com\n"}
	for text, want := range map[string]string{
		"":                                     "0 names",
		"<html>\n<body>\nnot found\n</body>\n": "0 names, 4 lines",
		"1,a.com\n2,b.com\nx y,c\nd e f\n":     "2 names, 2 lines",
		"1,a.com\n2," + strings.Repeat("x", 5000):  "too long",
		"1,a.com\n" + strings.Repeat("# \n", 1<<5): "",
	} {
		_, err := popularity(t, 100, good, [2]string{"umbrella 2026-07-24", text})
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%.20q: %v, want %q", text, err, want)
		}
	}
	for _, c := range []struct {
		files []string
		want  string
	}{
		{[]string{"tranco 2026-04-01 /x"}, "two lists and two dates at least, got 1 and 1"},
		{[]string{"tranco 2026-04-01 /x", "tranco 2026-05-01 /y"}, "got 1 and 2"},
		{[]string{"tranco 2026-04-01 /x", "umbrella 2026-04-01 /y"}, "got 2 and 1"},
		{[]string{"tranco 01.04.2026 /x"}, "files[0]"},
		{[]string{"tranco 2026-04-01"}, "files[0]"},
		{make([]string, 17), "at most 16"},
		{[]string{"tranco 2026-04-01 /nonexistent/x", "umbrella 2026-04-02 /nonexistent/y"}, "no such file"},
	} {
		cfg := detect.DefaultConfig()
		cfg.Popularity.Files = c.files
		err := cfg.Validate()
		if err == nil {
			_, err = detect.LoadPopularity(cfg.Popularity, dnsname.DefaultSuffixes())
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %q", c.files, err, c.want)
		}
	}
}

func TestTheModelOnlyWatchesPopularNames(t *testing.T) {
	other := strings.Replace(generated, ".com", ".net", 1)
	d := newDetector(t, setup{change: func(c *detect.Config) { c.Model.Mode = detect.ModeEnforce }})
	p, err := popularity(t, 100, [2]string{"a 2026-01-01", generated + "\nwikipedia.org\n"}, [2]string{"b 2026-02-01", generated + "\nwikipedia.org\n"})
	if err != nil {
		t.Fatal(err)
	}
	d.SetPopularity(p)
	if err := d.Swap(func() detect.Config { c := detect.DefaultConfig(); c.Model.Mode = detect.ModeEnforce; return c }(), nil, d.Model()); err != nil {
		t.Fatal(err) // a new policy keeps what is popular
	}
	for name, want := range map[string]string{
		"www." + generated: "model zero_ip monitor true",
		other:              "model zero_ip enforce false",
		"wikipedia.org":    "model pass monitor false",
	} {
		v := inspect(d, name)
		if got := fmt.Sprint(brief(v), " ", v.Popular); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	d.SetPopularity(nil)
	if v := inspect(d, generated); !v.Blocks() {
		t.Errorf("%s, without the lists: %s, want it blocked", generated, brief(v))
	}
}
