package pdns_test

import (
	"encoding/json"
	"math"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/detect/lookalike"
	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/pdns"
	"github.com/weirdns/weir/pdns/encode"
	"github.com/weirdns/weir/pdns/privacy"
)

type txLine struct {
	Time             time.Time `json:"time"`
	Client           *string   `json:"client"`
	Transport        string    `json:"transport"`
	QName            *string   `json:"qname"`
	QType            string    `json:"qtype"`
	QClass           string    `json:"qclass"`
	RegisteredDomain *string   `json:"registered_domain"`
	Rcode            *string   `json:"rcode"`
	Source           string    `json:"source"`
	Upstream         *string   `json:"upstream"`
	LatencyUS        int64     `json:"latency_us"`
	Answers          []struct {
		Name  string `json:"name"`
		Type  string `json:"type"`
		TTL   uint32 `json:"ttl"`
		Rdata string `json:"rdata"`
	} `json:"answers"`
	AnswersOmitted int `json:"answers_omitted"`
	Verdict        struct {
		Origin         string   `json:"origin"`
		Action         string   `json:"action"`
		Enforced       bool     `json:"enforced"`
		Score          *float64 `json:"score"`
		Probability    *float64 `json:"probability"`
		UnscoredReason *string  `json:"unscored_reason"`
		Level          string   `json:"level"`
		OneIn          *uint32  `json:"one_in"`
		BySite         bool     `json:"by_site"`
		Popular        bool     `json:"popular"`
		Why            []struct {
			Text    string  `json:"text"`
			LogOdds float64 `json:"log_odds"`
		} `json:"why"`
		Lookalike *struct {
			Brand, Kind, Grade string
		}
		Shadow *struct {
			Model string  `json:"model"`
			Score float64 `json:"score"`
			Level string  `json:"level"`
		} `json:"shadow"`
		Matches []struct {
			List string `json:"list"`
			Rule string `json:"rule"`
			Info string `json:"info"`
			Kind string `json:"kind"`

			Effect string `json:"effect"`
		} `json:"matches"`
	} `json:"verdict"`
	TLD     *string `json:"tld"`
	Hour    int     `json:"hour"`
	Context *struct {
		Client struct {
			Name *string `json:"name"`
			Own  bool    `json:"own"`
			placeFields
		} `json:"client"`
		Answers []struct {
			Address netip.Addr `json:"address"`
			Name    *string    `json:"name"`
			placeFields
		} `json:"answers"`
		Reputations []struct {
			Service string  `json:"service"`
			Level   string  `json:"level"`
			Value   int     `json:"value"`
			Detail  *string `json:"detail"`
		} `json:"reputations"`
	} `json:"context"`
}

type placeFields struct {
	Country *string `json:"country"`
	City    *string `json:"city"`
	ASN     *uint32 `json:"asn"`
	Org     *string `json:"org"`
}

func transactions(tb testing.TB, mode privacy.Mode, ts ...*detect.Transaction) string {
	tb.Helper()
	var out strings.Builder
	w := pdns.NewTransactionWriter(&out, encode.Native, privacy.Plain(mode), nil)
	for _, t := range ts {
		w.Record(t)
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return out.String()
}

func TestTransactionLineHoldsEverything(t *testing.T) {
	tx := answered(t, 0, "www.example.co.uk", "www.example.co.uk. 60 IN CNAME a.example.", "a.example. 30 IN A 192.0.2.1")
	tx.Verdict = detect.Verdict{
		Origin: detect.OriginBlockList, Action: detect.NXDOMAIN, Enforced: true, Level: detect.LevelHigh, Score: 0.9375, Probability: 0.75,
		OneIn: 50000, BySite: true, Popular: true, Shadow: detect.Shadow{Model: "next", Score: 0.5, Level: detect.LevelLow},
		Lookalike: lookalike.Match{Brand: "example.com", Kind: lookalike.KindTLDSwap, Grade: lookalike.GradeLow},
		Why:       &detect.Why{Grounds: []detect.Ground{{Text: "no vowels", LogOdds: 1.5}, {Text: "2 hyphens", LogOdds: 0.5}}},
		Matches: []detect.Match{{List: "urlhaus", Rule: "example.co.uk", Info: "malware_download", Kind: detect.MatchName, Effect: detect.EffectEnforce},
			{List: "own", Rule: "192.0.2.0/24", Kind: detect.MatchAddress}},
	}
	tx.Context = &detect.Context{
		Client:      detect.ClientContext{Name: "lab", Place: detect.Place{Country: "NL", ASN: 64500}},
		Answers:     []detect.AnswerContext{{Addr: netip.MustParseAddr("192.0.2.1"), Place: detect.Place{Country: "DE", City: "Bonn", Org: "Example"}}},
		Reputations: []detect.Reputation{{Service: "feed", Level: detect.ReputationHigh, Detail: "family"}, {Service: "own", Level: detect.ReputationUnverified}},
	}
	got := transactions(t, privacy.Truncated, tx)
	want := `{"time":"2026-03-01T12:00:00.123456789Z","client":"192.0.2.0/24","transport":"udp","qname":"www.example.co.uk","qtype":"A","qclass":"IN",` +
		`"registered_domain":"example.co.uk","rcode":"NOERROR","source":"upstream","upstream":"192.0.2.53:53","latency_us":1500,` +
		`"answers":[{"name":"www.example.co.uk","type":"CNAME","ttl":60,"rdata":"a.example."},{"name":"a.example","type":"A","ttl":30,"rdata":"192.0.2.1"}],"answers_omitted":0,` +
		`"verdict":{"origin":"blocklist","action":"nxdomain","enforced":true,"score":0.9375,"probability":0.75,"unscored_reason":null,"level":"high",` +
		`"one_in":50000,"by_site":true,"popular":true,"why":[{"text":"no vowels","log_odds":1.5},{"text":"2 hyphens","log_odds":0.5}],` +
		`"shadow":{"model":"next","score":0.5,"level":"low"},"lookalike":{"brand":"example.com","kind":"tld swap","grade":"low"},"matches":[{"list":"urlhaus","rule":"example.co.uk","info":"malware_download","kind":"qname","effect":"enforce"},{"list":"own","rule":"192.0.2.0/24","info":"","kind":"address","effect":"monitor"}]},"tld":"co.uk","hour":12,` +
		`"context":{"client":{"name":"lab","own":false,"country":"NL","city":null,"asn":64500,"org":null},` +
		`"answers":[{"address":"192.0.2.1","name":null,"country":"DE","city":"Bonn","asn":null,"org":"Example"}],` +
		`"reputations":[{"service":"feed","level":"HIGH","value":3,"detail":"family"},{"service":"own","level":"UNVERIFIED","value":-1,"detail":null}]}}` + "\n"
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	parse[txLine](t, got)
}

// No score is null with its reason, never a low number.
func TestUnscoredIsNeverANumber(t *testing.T) {
	for _, tx := range []*detect.Transaction{
		{Query: detect.Query{Name: dnsname.MustParse("localhost")}, Verdict: detect.Verdict{Unscored: detect.SingleLabel}},
		{Query: detect.Query{Name: dnsname.Root()}, Verdict: detect.Verdict{Score: math.NaN()}},
		{Query: detect.Query{Name: dnsname.Root()}, Verdict: detect.Verdict{Score: math.Inf(1)}},
	} {
		got := parse[txLine](t, transactions(t, privacy.Full, tx))[0]
		if got.Verdict.Score != nil {
			t.Errorf("score %v of %+v, want null", *got.Verdict.Score, tx.Verdict)
		}
		if got.Rcode != nil || got.Client != nil || got.Upstream != nil || got.RegisteredDomain != nil {
			t.Errorf("%+v: rcode, client, upstream and registered domain should all be null", got)
		}
	}
}

// Eight labels made to break logs: each is one line, once, and reads back as
// the same octets.
func TestHostileNamesAreLoggedOnceAndReadBack(t *testing.T) {
	hostile := []string{"a\nb", `"},{"x":"`, "\x1b[0mred", "a\x00b", "\xff\xfe", "<script>alert(1)</script>", "=cmd|'/c calc'!a1", "dot.in.label"}
	var ts []*detect.Transaction
	var want []dnsname.Name
	for _, label := range hostile {
		wire := append(append([]byte{byte(len(label))}, label...), "\x07example\x03com\x00"...)
		tx := answered(t, 0, "x.example")
		tx.Query.Name = dnsname.Name(wire)
		tx.Verdict.Matches = []detect.Match{{List: label, Rule: label, Info: label + "\u2028"}}
		tx.Upstream = label
		ts, want = append(ts, tx), append(want, tx.Query.Name)
	}
	text := transactions(t, privacy.Full, ts...)
	if got := strings.Count(text, "\n"); got != len(hostile) {
		t.Errorf("%d newlines for %d transactions", got, len(hostile))
	}
	for _, c := range []byte(text) {
		if c != '\n' && (c < ' ' || c >= 0x7f && c < 0x80) {
			t.Fatalf("octet %#x stands in the log as it is", c)
		}
	}
	got := parse[txLine](t, text)
	if len(got) != len(hostile) {
		t.Fatalf("%d lines, want %d", len(got), len(hostile))
	}
	for i, line := range got {
		name, err := dnsname.Parse(*line.QName)
		if err != nil || !name.Equal(want[i]) {
			t.Errorf("qname %q reads back as %q, %v; want %q", *line.QName, []byte(name), err, []byte(want[i]))
		}
		if want := strings.ToValidUTF8(hostile[i], "\ufffd\ufffd"); i != 4 && line.Verdict.Matches[0].List != want {
			t.Errorf("list %q, want %q", line.Verdict.Matches[0].List, want)
		}
	}
}

func TestClientIsNullWhereNoneIsKept(t *testing.T) {
	for mode, want := range map[privacy.Mode]string{privacy.None: "null", privacy.Truncated: `"192.0.2.0/24"`, privacy.Full: `"192.0.2.77"`} {
		tx := answered(t, 0, "a.example")
		tx.Query.Client = netip.MustParseAddr("192.0.2.77")
		if got := transactions(t, mode, tx); !strings.Contains(got, `"client":`+want+`,`) {
			t.Errorf("%v: %s, want %s", mode, got, want)
		}
	}
}

// 64 KiB of compressed owner names would be megabytes of text.
func TestAnswersInOneLineAreBounded(t *testing.T) {
	tx := answered(t, 0, "a.example")
	long := strings.Repeat(strings.Repeat(`\255`, 60)+".", 4)
	var records []string
	for range 1500 {
		records = append(records, long+" 60 IN A 192.0.2.1")
	}
	tx.Response = response(t, "a.example", records...)
	text := transactions(t, privacy.Full, tx)
	got := parse[txLine](t, text)[0]
	if len(got.Answers)+got.AnswersOmitted != 1500 || got.AnswersOmitted == 0 || len(text) > 1<<20 {
		t.Errorf("%d answers, %d omitted, %d octets; want 1500 in all, some omitted, under 1 MiB", len(got.Answers), got.AnswersOmitted, len(text))
	}
}

func TestTimesOutsideOfRFC3339StayReadable(t *testing.T) {
	for _, at := range []time.Time{{}, time.Unix(1<<40, 0), time.Unix(-1<<40, 0)} {
		tx := answered(t, 0, "a.example")
		tx.Query.Time = at
		parse[txLine](t, transactions(t, privacy.Full, tx))
	}
}

// FuzzTransactionLine: whatever a feed's words or the wire hold, the line is
// valid JSON, one line, and has the qname.
func FuzzTransactionLine(f *testing.F) {
	f.Add("a\nb", []byte("\x03www\x00"), response(f, "a.example", "a.example. 60 IN A 192.0.2.1"))
	f.Add("\xff\u2028", []byte("\x01\x00\x00"), []byte{})
	f.Fuzz(func(t *testing.T, words string, name, msg []byte) {
		n := dnsname.AppendCanonical(nil, name)
		if n.Check() != nil {
			return
		}
		tx := &detect.Transaction{Query: detect.Query{Name: n}, Response: msg, Upstream: words,
			Verdict: detect.Verdict{Matches: []detect.Match{{List: words, Rule: words, Info: words}}}}
		text := transactions(t, privacy.Full, tx)
		if !json.Valid([]byte(text)) || strings.IndexByte(text, '\n') != len(text)-1 {
			t.Fatalf("not one line of JSON: %q", text)
		}
		line := parse[txLine](t, text)[0]
		back, err := dnsname.Parse(*line.QName)
		if err != nil || !back.Equal(n) {
			t.Fatalf("qname %q reads back as %q, %v", []byte(n), []byte(back), err)
		}
		encoded, _ := json.Marshal(words)
		var want string
		_ = json.Unmarshal(encoded, &want)
		if got := line.Verdict.Matches[0].Info; got != want {
			t.Fatalf("info %q, encoding/json says %q", got, want)
		}
	})
}
