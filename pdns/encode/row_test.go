package encode_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/miekg/dns"
	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/detect/lookalike"
	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/pdns/encode"
	"pgregory.net/rapid"
)

// value is what a column says of a row, nil for no value.
func value(c encode.Column, r *encode.Row) any {
	switch c.Type {
	case encode.Text:
		if s := c.Text(r); s != "" || !c.Null {
			return s
		}
	case encode.Int:
		if n := c.Int(r); n >= 0 || !c.Null {
			return n
		}
	case encode.Float:
		if f := c.Float(r); !math.IsNaN(f) {
			return f
		}
	case encode.Bool:
		return c.Bool(r)
	case encode.Time:
		return c.Time(r)
	case encode.Texts:
		return c.Texts(r)
	case encode.Answers:
		return c.Answers(r)
	}
	return nil
}

func clientText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// rich is a transaction of which every column has a value.
func rich(tb testing.TB) *detect.Transaction {
	t := *samples(tb)[1]
	t.Upstream = "198.51.100.53:53"
	t.Response = answer(tb, "www.example.co.uk. 300 IN CNAME host.example.co.uk.", `host.example.co.uk. 60 IN TXT "a b" "\"\009"`)
	t.Verdict.Score, t.Verdict.Probability, t.Verdict.Unscored, t.Verdict.OneIn = 0.75, 0.5, detect.Scored, 12345
	t.Verdict.Why = &detect.Why{Grounds: []detect.Ground{{Text: "20 letters", LogOdds: 2}, {Text: "no vowel", LogOdds: 1}}}
	t.Verdict.Shadow = detect.Shadow{Model: "2026-01", Score: 0.125, Level: detect.LevelLow}
	t.Context = samples(tb)[0].Context
	t.Verdict.Lookalike = lookalike.Match{Brand: "example", Grade: lookalike.GradeHigh}
	return &t
}

func TestRowsAreTheirGoldenFile(t *testing.T) {
	rows := encode.NewRows("edge-1", clientText, nil)
	var out []byte
	for i, tx := range append(samples(t), rich(t)) {
		r := rows.Row(fmt.Sprintf("%032x", i), tx)
		for _, c := range encode.Columns() {
			line, err := json.Marshal(value(c, r))
			if err != nil {
				t.Fatal(err)
			}
			out = append(append(append(out, c.Name...), ' '), append(line, '\n')...)
		}
		out = append(out, '\n')
	}
	file := filepath.Join("testdata", "rows.golden")
	if *update {
		if err := os.WriteFile(file, out, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(out, want) {
		t.Errorf("got\n%s\nwant\n%s", out, want)
	}
}

// Tables that exist get new columns at their end; documentation and code are one.
func TestColumnsAreThoseOfTheDocumentation(t *testing.T) {
	doc, err := os.ReadFile("../../docs/formats.md")
	if err != nil {
		t.Fatal(err)
	}
	var table strings.Builder
	for _, c := range encode.Columns() {
		null := ""
		if c.Null {
			null = " or null"
		}
		fmt.Fprintf(&table, "| `%s` | %s%s | %s |\n", c.Name, c.Type, null, c.Meaning)
	}
	if !strings.Contains(string(doc), table.String()) {
		t.Errorf("docs/formats.md lacks this table:\n%s", &table)
	}
	if want := fmt.Sprintf("version %d ", encode.ColumnsVersion); !strings.Contains(string(doc), want) {
		t.Errorf("docs/formats.md does not have %q", want)
	}
}

func TestEachColumnHasTheAccessorOfItsType(t *testing.T) {
	seen := map[string]bool{}
	r := encode.NewRows("s", clientText, nil).Row("id", rich(t))
	for _, c := range encode.Columns() {
		if value(c, r) == nil && c.Name != "unscored_reason" {
			t.Errorf("%s is null in a row that has everything", c.Name)
		}
		if seen[c.Name] {
			t.Errorf("%s is there twice", c.Name)
		}
		seen[c.Name] = true
	}
}

func TestTimesStayWithinWhatEnginesHave(t *testing.T) {
	rows := encode.NewRows("", clientText, nil)
	column := encode.Columns()[1]
	for _, c := range []struct{ at, want time.Time }{
		{time.Time{}, time.Unix(0, 0).UTC()},
		{time.Unix(1, 123456789), time.Unix(1, 123456000).UTC()},
		{time.Date(30000, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2261, 12, 31, 23, 59, 59, 999999000, time.UTC)},
	} {
		got := column.Time(rows.Row("", &detect.Transaction{Query: detect.Query{Time: c.at}}))
		if got != c.want {
			t.Errorf("%v is written as %v, want %v", c.at, got, c.want)
		}
	}
}

// A message may hold more answers than a row.
func TestAnswersAreBounded(t *testing.T) {
	m := new(dns.Msg)
	m.SetQuestion("x.example.", dns.TypeA)
	m.Response, m.Compress = true, true
	for i := range 300 {
		m.Answer = append(m.Answer, &dns.A{Hdr: dns.RR_Header{Name: "x.example.", Rrtype: dns.TypeA, Class: 1, Ttl: 1}, A: []byte{192, 0, 2, byte(i)}})
	}
	msg, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	r := encode.NewRows("", clientText, nil).Row("", &detect.Transaction{Response: msg})
	for _, c := range encode.Columns() {
		if c.Name == "answers" && len(c.Answers(r)) != 256 {
			t.Errorf("%d answers, want 256", len(c.Answers(r)))
		}
		if c.Name == "answers_omitted" && c.Int(r) != 44 {
			t.Errorf("%d omitted, want 44", c.Int(r))
		}
	}
}

// Whatever octets a name, an answer or a feed has, engines take the text, and names
// and rdata read back as they were.
func TestHostileRowsReadBack(t *testing.T) {
	octets := rapid.SliceOfN(rapid.OneOf(rapid.Byte(), rapid.SampledFrom([]byte("\x00\t\n\r,\"\\-.() <\xff"))), 1, 20)
	rapid.Check(t, func(t *rapid.T) {
		var wire []byte
		for _, l := range rapid.SliceOfN(octets, 1, 5).Draw(t, "labels") {
			wire = append(append(wire, byte(len(l))), l...)
		}
		name := dnsname.AppendCanonical(nil, append(wire, 0))
		txt := octets.Draw(t, "txt")
		msg := append(append([]byte{0, 1, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0}, name...), 0, 16, 0, 1)
		msg = append(msg, 0xc0, 12, 0, 16, 0, 1, 0, 0, 0, 60, 0, byte(len(txt)+1), byte(len(txt)))
		msg = append(msg, txt...)
		words := string(octets.Draw(t, "words"))
		tx := &detect.Transaction{
			Query: detect.Query{Time: time.Unix(1e9, 0), Name: name, Type: dns.TypeTXT, Class: dns.ClassINET}, Response: msg, Upstream: words,
			Verdict: detect.Verdict{
				Matches:   []detect.Match{{List: words, Rule: words, Info: words}},
				Why:       &detect.Why{Grounds: []detect.Ground{{Text: words}}},
				Shadow:    detect.Shadow{Model: "m" + words},
				Lookalike: lookalike.Match{Brand: words, Grade: lookalike.GradeHigh},
			},
		}
		r := encode.NewRows(words, clientText, nil).Row("", tx)
		for _, c := range encode.Columns() {
			var all []string
			switch c.Type {
			case encode.Text:
				all = []string{c.Text(r)}
			case encode.Texts:
				all = c.Texts(r)
			case encode.Answers:
				a := c.Answers(r)[0]
				all = []string{a.Name, a.Type, a.Rdata}
				rr, err := dns.NewRR("x. 60 IN TXT " + a.Rdata)
				if err != nil {
					t.Fatalf("rdata %q: %v", a.Rdata, err)
				}
				again := make([]byte, 512)
				n, err := dns.PackRR(rr, again, 0, nil, false)
				if err != nil || string(again[3+10+1:n]) != string(txt) {
					t.Fatalf("rdata %q reads as %q, want %q", a.Rdata, again[14:n], txt)
				}
				if got, err := dnsname.Parse(a.Name); err != nil || !got.Equal(name) {
					t.Fatalf("owner %q reads as %q, %v; want %q", a.Name, got, err, name)
				}
			}
			for _, s := range all {
				if !utf8.ValidString(s) || strings.ContainsRune(s, 0) {
					t.Fatalf("%s: %q is no text that engines take", c.Name, s)
				}
			}
			if c.Name == "qname" {
				if got, err := dnsname.Parse(c.Text(r)); err != nil || !got.Equal(name) {
					t.Fatalf("qname %q reads as %q, %v; want %q", c.Text(r), got, err, name)
				}
			}
		}
	})
}
