package encode_test

import (
	"bytes"
	"encoding/binary"
	"encoding/csv"
	"encoding/json"
	"flag"
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/pdns/encode"
	"pgregory.net/rapid"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var all = []encode.Format{encode.Zeek, encode.ZeekJSON, encode.EVE, encode.ECS, encode.OCSF, encode.Spot, encode.CSV}

func same(a netip.Addr) netip.Addr { return a }

func answer(tb testing.TB, records ...string) []byte {
	tb.Helper()
	m := new(dns.Msg)
	m.SetQuestion("www.example.co.uk.", dns.TypeA)
	m.Id, m.Response, m.RecursionAvailable, m.Compress = 0x1234, true, true, true
	for i, s := range records {
		rr, err := dns.NewRR(s)
		if err != nil {
			tb.Fatal(err)
		}
		if i == 2 {
			m.Ns = append(m.Ns, rr)
		} else {
			m.Answer = append(m.Answer, rr)
		}
	}
	msg, err := m.Pack()
	if err != nil {
		tb.Fatal(err)
	}
	return msg
}

// samples are an answered query, one that policy blocked, and one without an
// answer whose name and client are nobody's.
func samples(tb testing.TB) []*detect.Transaction {
	at := time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC)
	name := dnsname.MustParse("www.example.co.uk")
	query := detect.Query{Time: at, Client: netip.MustParseAddr("192.0.2.77"), Name: name, Type: dns.TypeA, Class: dns.ClassINET}
	blocked := answer(tb)
	blocked[3] |= dns.RcodeNameError
	return []*detect.Transaction{
		{
			Query: query, Source: detect.FromUpstream, Upstream: "198.51.100.53:53", Latency: 12345 * time.Microsecond,
			Response: answer(tb, "www.example.co.uk. 300 IN CNAME host.example.co.uk.", "host.example.co.uk. 60 IN A 192.0.2.1", "example.co.uk. 300 IN NS ns.example.co.uk."),
			Verdict:  detect.Verdict{Origin: detect.OriginModel, Score: 0.25, Level: detect.LevelNone},
			Context: &detect.Context{
				Client: detect.ClientContext{Name: "guests, hall", Place: detect.Place{Country: "NL", City: "Delft", ASN: 64500, Org: "Example Net"}},
				Answers: []detect.AnswerContext{
					{Addr: netip.MustParseAddr("192.0.2.1"), Name: "web", Place: detect.Place{Country: "DE", ASN: 64501, Org: "Example Host"}},
					{Addr: netip.MustParseAddr("2001:db8::1"), Place: detect.Place{Country: "DE"}},
				},
				Reputations: []detect.Reputation{{Service: "urlhaus", Level: detect.ReputationHigh, Detail: "AgentTesla"}, {Service: "own", Level: detect.ReputationUnverified}},
			},
		},
		{
			Query: query, Source: detect.FromPolicy, Response: blocked, Rcode: dns.RcodeNameError,
			Verdict: detect.Verdict{
				Origin: detect.OriginBlockList, Action: detect.NXDOMAIN, Enforced: true, Unscored: detect.NoModel, Level: detect.LevelHigh,
				Matches: []detect.Match{{List: "feed", Rule: "example.co.uk", Info: "phishing"}},
			},
		},
		{
			Query:   detect.Query{Time: at, Name: dnsname.MustParse(`a\010\"\,\009.-.x`), Type: 65280, Class: dns.ClassCHAOS, Transport: detect.TCP},
			Verdict: detect.Verdict{Score: math.NaN()},
		},
	}
}

func TestEachFormatIsItsGoldenFile(t *testing.T) {
	for _, f := range all {
		out := []byte(f.Header())
		e := encode.New(f, same, nil)
		for _, tx := range samples(t) {
			out = e.Append(out, tx)
		}
		file := filepath.Join("testdata", f.String()+".golden")
		if *update {
			if err := os.WriteFile(file, out, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if string(out) != string(want) {
			t.Errorf("%s: got\n%s\nwant\n%s", f, out, want)
		}
	}
}

func TestFormatsReadTheirNames(t *testing.T) {
	for _, f := range append(all, encode.Native) {
		var got encode.Format
		if err := got.UnmarshalText([]byte(f.String())); err != nil || got != f {
			t.Errorf("%s reads as %v, %v", f, got, err)
		}
	}
	var f encode.Format
	if err := f.UnmarshalText([]byte("xml")); err == nil || f.Valid() != true || encode.Format(99).Valid() {
		t.Errorf("an unknown format: %v", err)
	}
}

// fields are qname and the rdata of the first answer, as a reader of the format
// gets them.
func fields(tb interface{ Fatalf(string, ...any) }, f encode.Format, line string) (qname, rdata string) {
	switch f {
	case encode.Zeek:
		cols := strings.Split(line, "\t")
		names := strings.Split(strings.TrimPrefix(strings.Split(f.Header(), "\n")[5], "#fields\t"), "\t")
		if len(cols) != len(names) {
			tb.Fatalf("%d columns, want %d: %q", len(cols), len(names), line)
		}
		value := func(name string) string { return cols[slices.Index(names, name)] }
		return unzeek(value("query")), unzeek(strings.Split(value("answers"), ",")[0])
	case encode.CSV, encode.Spot:
		row, err := csv.NewReader(strings.NewReader(line)).Read()
		head, headErr := csv.NewReader(strings.NewReader(f.Header())).Read()
		if err != nil || headErr != nil || len(row) != len(head) {
			tb.Fatalf("%q: %v", line, err)
		}
		if f == encode.Spot {
			return row[slices.Index(head, "dns_qry_name")], ""
		}
		return row[slices.Index(head, "qname")], row[slices.Index(head, "answers")]
	}
	var o struct {
		Query   json.RawMessage
		Answers json.RawMessage
		DNS     struct {
			Queries  []struct{ RRName string }
			Question struct{ Name string }
			Answers  []struct{ Rdata, Data string }
		}
	}
	if err := json.Unmarshal([]byte(line), &o); err != nil {
		tb.Fatalf("%q: %v", line, err)
	}
	switch f {
	case encode.ZeekJSON:
		var answers []string
		_ = json.Unmarshal(o.Query, &qname)
		_ = json.Unmarshal(o.Answers, &answers)
		return qname, answers[0]
	case encode.EVE:
		return o.DNS.Queries[0].RRName, o.DNS.Answers[0].Rdata
	case encode.ECS:
		return o.DNS.Question.Name, o.DNS.Answers[0].Data
	}
	var q struct{ Hostname string }
	var answers []struct{ Rdata string }
	_ = json.Unmarshal(o.Query, &q)
	_ = json.Unmarshal(o.Answers, &answers)
	return q.Hostname, answers[0].Rdata
}

var hexEscape = regexp.MustCompile(`\\x[0-9a-f]{2}`)

func unzeek(s string) string {
	return hexEscape.ReplaceAllStringFunc(s, func(e string) string {
		n, _ := strconv.ParseUint(e[2:], 16, 8)
		return string(rune(n))
	})
}

// Whatever octets a name and an answer have, the record is one line in every
// format, and reading it gives them back.
func TestHostileRecordsStayOneLineAndReadBack(t *testing.T) {
	label := rapid.SliceOfN(rapid.OneOf(rapid.Byte(), rapid.SampledFrom([]byte("\t\n\r,\"\\-.() <"))), 1, 20)
	rapid.Check(t, func(t *rapid.T) {
		labels := rapid.SliceOfN(label, 1, 5)
		readBack(t, wire(labels.Draw(t, "labels")), wire(labels.Draw(t, "target")), rapid.SliceOfN(rapid.Byte(), 1, 60).Draw(t, "txt"))
	})
}

// FuzzRecordsReadBack is the same with octets of any kind.
func FuzzRecordsReadBack(f *testing.F) {
	f.Add([]byte("www\x00example"), []byte("a.b\x00\\"), []byte("v=spf1 -all"))
	f.Add([]byte("-"), []byte("."), []byte{0})
	f.Add([]byte("(empty)"), []byte("\r\n"), []byte("\t,\\\""))
	f.Fuzz(func(t *testing.T, name, target, txt []byte) {
		if len(txt) == 0 || len(txt) > 255 {
			return
		}
		n, c := wire(bytes.Split(name, []byte{0})), wire(bytes.Split(target, []byte{0}))
		if n.Check() == nil && c.Check() == nil {
			readBack(t, n, c, txt)
		}
	})
}

// wire is a name of these labels.
func wire(labels [][]byte) dnsname.Name {
	var out []byte
	for _, l := range labels {
		if len(l) > 0 && len(l) < 64 {
			out = append(append(out, byte(len(l))), l...)
		}
	}
	return dnsname.AppendCanonical(nil, append(out, 0))
}

type failer interface {
	Helper()
	Fatalf(string, ...any)
}

// readBack writes a transaction whose answer is a TXT record, and one whose answer is
// an alias, in every format, and reads them as readers of it do.
func readBack(t failer, name, target dnsname.Name, txt []byte) {
	t.Helper()
	tx := &detect.Transaction{
		Query: detect.Query{Time: time.Unix(1e9, 0), Name: name, Class: dns.ClassINET}, Source: detect.FromUpstream, Upstream: "up,\n\"stream",
		Verdict: detect.Verdict{Matches: []detect.Match{{List: "l\n,", Rule: "r\n\t", Info: "i"}}},
	}
	for rtype, rdata := range map[uint16][]byte{dns.TypeTXT: append([]byte{byte(len(txt))}, txt...), dns.TypeCNAME: target} {
		tx.Query.Type = rtype
		msg := append([]byte{0x12, 0x34, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0}, name...)
		msg = append(msg, 0, byte(rtype), 0, 1, 0xc0, 12, 0, byte(rtype), 0, 1, 0, 0, 0, 60)
		tx.Response = append(binary.BigEndian.AppendUint16(msg, uint16(len(rdata))), rdata...)
		for _, f := range all {
			line := string(encode.New(f, same, nil).Append(nil, tx))
			if strings.Count(line, "\n") != 1 || !strings.HasSuffix(line, "\n") {
				t.Fatalf("%s: %q is not one line", f, line)
			}
			qname, text := fields(t, f, strings.TrimSuffix(line, "\n"))
			if got, err := dnsname.Parse(qname); err != nil || !got.Equal(name) {
				t.Fatalf("%s: %q reads as %q, %v; want %q", f, qname, got, err, name)
			}
			switch {
			case f == encode.Spot:
			case rtype == dns.TypeCNAME:
				if got, err := dnsname.Parse(strings.TrimPrefix(text, "CNAME ")); err != nil || !got.Equal(target) {
					t.Fatalf("%s: target %q reads as %q, %v; want %q", f, text, got, err, target)
				}
			default:
				rr, err := dns.NewRR("x. 60 IN TXT " + strings.TrimPrefix(text, "TXT "))
				if err != nil {
					t.Fatalf("%s: rdata %q: %v", f, text, err)
				}
				again := make([]byte, 512)
				n, err := dns.PackRR(rr, again, 0, nil, false)
				if err != nil || string(again[3+10+1:n]) != string(txt) {
					t.Fatalf("%s: rdata %q reads as %q, want %q", f, text, again[14:n], txt)
				}
			}
		}
	}
}
