package pdns_test

import (
	"math"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/detect/lookalike"
	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/pdns"
)

func sample(tb testing.TB) *detect.Transaction {
	tx := answered(tb, 0, "www.example.com", "www.example.com. 60 IN A 192.0.2.1")
	tx.Verdict = detect.Verdict{
		Origin: detect.OriginModel, Action: detect.ZeroIP, Enforced: true, Unscored: detect.Scored, Level: detect.LevelLow, Score: 0.5, Probability: 0.25,
		OneIn: 70000, BySite: true, Popular: true, Shadow: detect.Shadow{Model: "next", Score: 0.75, Level: detect.LevelMedium},
		Lookalike:  lookalike.Match{Brand: "example.com", Kind: lookalike.KindOmission, Grade: lookalike.GradeHigh},
		Why:        &detect.Why{Grounds: []detect.Ground{{Text: "no vowels", LogOdds: 1.5}, {Text: "2 hyphens", LogOdds: 0.5}}, Text: "no vowels; 2 hyphens"},
		Registered: tx.Query.Name[4:],
		Matches:    []detect.Match{{List: "a", Rule: "b", Info: "c", Kind: detect.MatchTarget, Effect: detect.EffectPass}, {List: "d"}},
	}
	tx.Rcode = 23
	tx.Context = &detect.Context{
		Client: detect.ClientContext{Name: "lab", Own: true, Place: detect.Place{Country: "NL", City: "Delft", ASN: 64500, Org: "Example"}},
		Answers: []detect.AnswerContext{
			{Addr: netip.MustParseAddr("192.0.2.1"), Name: "web", Place: detect.Place{Country: "DE", ASN: 64501}},
			{Addr: netip.MustParseAddr("2001:db8::1"), Place: detect.Place{City: "Bonn"}},
		},
		Reputations: []detect.Reputation{{Service: "feed", Level: detect.ReputationUnverified}, {Service: "other", Level: detect.ReputationHigh, Detail: "family"}},
	}
	return tx
}

func TestATransactionComesBackFromItsRecord(t *testing.T) {
	var d pdns.Decoder
	for name, edit := range map[string]func(*detect.Transaction){
		"all set":         func(*detect.Transaction) {},
		"IPv6":            func(tx *detect.Transaction) { tx.Query.Client = netip.MustParseAddr("2001:db8::1") },
		"mapped":          func(tx *detect.Transaction) { tx.Query.Client = netip.MustParseAddr("::ffff:192.0.2.1") },
		"nothing":         func(tx *detect.Transaction) { *tx = detect.Transaction{} },
		"before 1970":     func(tx *detect.Transaction) { tx.Query.Time = time.Date(1950, 1, 1, 0, 0, 0, 7, time.UTC) },
		"no matches left": func(tx *detect.Transaction) { tx.Verdict.Matches = nil },
		"other matches":   func(tx *detect.Transaction) { tx.Verdict.Matches[0].List = "other" },
		"no reasons":      func(tx *detect.Transaction) { tx.Verdict.Why = nil },
		"one reason":      func(tx *detect.Transaction) { tx.Verdict.Why.Grounds = tx.Verdict.Why.Grounds[:1] },
		"empty reasons":   func(tx *detect.Transaction) { tx.Verdict.Why = &detect.Why{Grounds: []detect.Ground{}} },
		"no shadow":       func(tx *detect.Transaction) { tx.Verdict.Shadow = detect.Shadow{} },
		"no calibration":  func(tx *detect.Transaction) { tx.Verdict.Probability = math.NaN() },
		"no context":      func(tx *detect.Transaction) { tx.Context = nil },
		"less context": func(tx *detect.Transaction) {
			tx.Context.Answers, tx.Context.Reputations = tx.Context.Answers[1:], tx.Context.Reputations[1:]
		},
		"captured": func(tx *detect.Transaction) { tx.Source, tx.Query.Transport = detect.FromWire, detect.Pcap },
	} {
		want := sample(t)
		edit(want)
		record := pdns.AppendTransaction(nil, want)
		got, err := d.Decode(record)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		checkSame(t, got, want)
		for cut := range record {
			if _, err := new(pdns.Decoder).Decode(record[:cut]); err == nil {
				t.Fatalf("%s: a record cut to %d of %d octets decodes", name, cut, len(record))
			}
		}
	}
}

func checkSame(tb testing.TB, got, want *detect.Transaction) {
	tb.Helper()
	if !got.Query.Time.Equal(want.Query.Time) {
		tb.Errorf("time %v, want %v", got.Query.Time, want.Query.Time)
	}
	g, w := *got, *want
	g.Query.Time, w.Query.Time = time.Time{}, time.Time{}
	w.Verdict.Why, g.Verdict.Why = finite(w.Verdict.Why), finite(g.Verdict.Why)
	for _, v := range []*detect.Verdict{&g.Verdict, &w.Verdict} {
		for _, f := range []*float64{&v.Score, &v.Probability, &v.Shadow.Score} {
			if math.IsNaN(*f) {
				*f = -1
			}
		}
	}
	if len(w.Verdict.Matches) == 0 {
		w.Verdict.Matches, g.Verdict.Matches = nil, g.Verdict.Matches[:0:0]
		g.Verdict.Matches = nil
	}
	if !reflect.DeepEqual(g, w) {
		tb.Errorf("got  %+v\nwant %+v", g, w)
	}
}

// finite is a copy of w in which no number is NaN, which equals nothing.
func finite(w *detect.Why) *detect.Why {
	if w == nil {
		return nil
	}
	out := &detect.Why{Text: w.Text}
	for _, g := range w.Grounds {
		if math.IsNaN(g.LogOdds) {
			g.LogOdds = -1
		}
		out.Grounds = append(out.Grounds, g)
	}
	return out
}

// The answer path encodes: into memory that is there it must not allocate.
func TestEncodingDoesNotAllocate(t *testing.T) {
	tx, buf := sample(t), make([]byte, 0, 4096)
	if got := testing.AllocsPerRun(100, func() { buf = pdns.AppendTransaction(buf[:0], tx) }); got != 0 {
		t.Errorf("AppendTransaction allocates %v times, want 0", got)
	}
	var d pdns.Decoder
	if got := testing.AllocsPerRun(100, func() { _, _ = d.Decode(buf) }); got != 0 {
		t.Errorf("Decode of records that repeat allocates %v times, want 0", got)
	}
}

func BenchmarkAppendTransaction(b *testing.B) {
	tx, buf := sample(b), make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		buf = pdns.AppendTransaction(buf[:0], tx)
	}
}

// FuzzDecode: any octets are refused or are a transaction that encodes to a
// record which decodes to the same.
func FuzzDecode(f *testing.F) {
	f.Add(pdns.AppendTransaction(nil, sample(f)))
	f.Add(pdns.AppendTransaction(nil, &detect.Transaction{}))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, record []byte) {
		var d, d2 pdns.Decoder
		first, err := d.Decode(record)
		if err != nil {
			return
		}
		again, err := d2.Decode(pdns.AppendTransaction(nil, first))
		if err != nil {
			t.Fatal(err)
		}
		checkSame(t, again, first)
	})
}

// FuzzRoundTrip builds transactions field by field.
func FuzzRoundTrip(f *testing.F) {
	f.Add(int64(1), int64(2), 0.5, uint16(1), []byte("\x01a\x00"), []byte{1, 2, 3}, []byte{192, 0, 2, 1}, "up", "list", byte(3))
	f.Fuzz(func(t *testing.T, sec, latency int64, score float64, n uint16, name, msg, addr []byte, upstream, list string, kinds byte) {
		if sec > 1<<50 || sec < -1<<50 {
			return
		}
		ip, _ := netip.AddrFromSlice(addr)
		clip := func(b []byte) []byte {
			if len(b) == 0 {
				return nil
			}
			return b
		}
		want := &detect.Transaction{
			Query: detect.Query{Time: time.Unix(sec, int64(n)), Client: ip, Name: dnsname.Name(clip(name)), Type: n, Class: n + 1, Transport: detect.Transport(kinds & 1)},
			Verdict: detect.Verdict{Origin: detect.Origin(kinds), Action: detect.Action(kinds >> 1), Enforced: kinds&4 != 0, Score: score,
				Registered: dnsname.Name(clip(name)), Matches: []detect.Match{{List: list, Rule: upstream, Info: list, Kind: detect.MatchKind(kinds & 3), Effect: detect.Effect(kinds & 3)}}},
			Source: detect.Source(kinds & 7), Rcode: n, Response: clip(msg), Upstream: upstream, Latency: time.Duration(latency),
		}
		var d pdns.Decoder
		got, err := d.Decode(pdns.AppendTransaction(nil, want))
		if err != nil {
			t.Fatal(err)
		}
		checkSame(t, got, want)
	})
}
