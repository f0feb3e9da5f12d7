package pdns_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/internal/dnswire"
	"github.com/weirdns/weir/pdns"
	"github.com/weirdns/weir/pdns/privacy"
)

// cof records transactions synchronously and returns the lines.
func cof(tb testing.TB, edit func(*pdns.COFConfig), ts ...*detect.Transaction) string {
	tb.Helper()
	cfg := pdns.DefaultConfig().COF
	if edit != nil {
		edit(&cfg)
	}
	var out strings.Builder
	w := pdns.NewCOFWriter(&out, cfg, privacy.Plain(privacy.Truncated), "")
	for _, t := range ts {
		w.Record(t)
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return out.String()
}

func TestCOFLineIsWhatOthersPublish(t *testing.T) {
	var out strings.Builder
	w := pdns.NewCOFWriter(&out, pdns.DefaultConfig().COF, privacy.Plain(privacy.Truncated), "edge-1")
	w.Record(answered(t, 0, "WWW.example.com",
		"www.example.com. 60 IN CNAME Host.Example.COM.", "host.example.com. 60 IN A 192.0.2.1", "host.example.com. 60 IN A 192.0.2.2"))
	w.Record(answered(t, 7, "www.example.com", "www.example.com. 60 IN CNAME host.example.com."))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	first, last := start.Unix(), start.Unix()+7
	want := fmt.Sprintf(`{"rrname":"www.example.com.","rrtype":"CNAME","rdata":["host.example.com."],"time_first":%d,"time_last":%d,"count":2,"sensor_id":"edge-1"}
{"rrname":"host.example.com.","rrtype":"A","rdata":["192.0.2.1"],"time_first":%d,"time_last":%d,"count":1,"sensor_id":"edge-1"}
{"rrname":"host.example.com.","rrtype":"A","rdata":["192.0.2.2"],"time_first":%d,"time_last":%d,"count":1,"sensor_id":"edge-1"}
`, first, last, first, first, first, first)
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
}

// Answers made here are no evidence of what the DNS says.
func TestCOFHoldsOnlyWhatTheDNSSaid(t *testing.T) {
	for source, want := range map[detect.Source]int{
		detect.FromUpstream: 1, detect.FromCache: 1, detect.FromStale: 1, detect.FromWire: 1,
		detect.FromPolicy: 0, detect.FromLocal: 0, detect.FromNowhere: 0,
	} {
		tx := answered(t, 0, "a.example", "a.example. 60 IN A 192.0.2.1")
		tx.Source = source
		if got := len(parse[cofLine](t, cof(t, nil, tx))); got != want {
			t.Errorf("source %v: %d lines, want %d", source, got, want)
		}
	}
}

func TestCOFLeavesOutWhatIsNoData(t *testing.T) {
	tx := answered(t, 0, "version.bind", `version.bind. 0 CH TXT "9"`, "version.bind. 0 IN A 192.0.2.1")
	got := parse[cofLine](t, cof(t, nil, tx))
	if len(got) != 1 || got[0].RRType != "A" {
		t.Errorf("lines %+v, want the A record alone: COF has no class", got)
	}
	// The authority section is not the answer, and OPT is not a record.
	msg := dnswire.AppendHeader(nil, dnswire.Header{Flags: dnswire.FlagQR, QD: 1, AN: 1, NS: 1})
	msg = dnswire.AppendQuestion(msg, dnsname.MustParse("a.example"), 1, 1)
	msg = dnswire.AppendOPT(msg, dnswire.OPT{})
	msg = dnswire.AppendSOA(msg, 60)
	tx.Response = msg
	if got := cof(t, nil, tx); got != "" {
		t.Errorf("lines %s, want none", got)
	}
}

// A record that is cut must not cost those before it.
func TestCOFKeepsTheGoodRecordsOfABrokenAnswer(t *testing.T) {
	tx := answered(t, 0, "a.example", "a.example. 60 IN A 192.0.2.1", "a.example. 60 IN A 192.0.2.2")
	for cut := range 16 {
		broken := *tx
		broken.Response = tx.Response[:len(tx.Response)-cut]
		want := 2
		if cut > 0 {
			want = 1
		}
		if got := len(parse[cofLine](t, cof(t, nil, &broken))); got != want {
			t.Errorf("cut by %d: %d lines, want %d", cut, got, want)
		}
	}
}

// However often the sums are flushed, because data time passes or memory is
// short, lines that are added up give the exact counts.
func TestCOFLinesAddUpToExactCounts(t *testing.T) {
	var ts []*detect.Transaction
	want := map[string]uint64{}
	for i := range 5000 {
		name := fmt.Sprintf("n%d.example", i*i%701)
		ts = append(ts, quick(i, name))
		want[name+"."]++
	}
	for name, edit := range map[string]func(*pdns.COFConfig){
		"one flush at the end": func(c *pdns.COFConfig) { c.FlushInterval = time.Hour * 24 },
		"a flush a minute":     nil,
		"memory short":         func(c *pdns.COFConfig) { c.MemoryBytes = 1000 },
	} {
		got := map[string]uint64{}
		lines := parse[cofLine](t, cof(t, edit, ts...))
		for _, l := range lines {
			got[l.RRName] += l.Count
			if l.TimeFirst > l.TimeLast || l.Count == 0 {
				t.Fatalf("%s: line %+v", name, l)
			}
		}
		if len(got) != len(want) {
			t.Errorf("%s: %d names, want %d", name, len(got), len(want))
		}
		for n, count := range want {
			if got[n] != count {
				t.Errorf("%s: %s counted %d times, want %d", name, n, got[n], count)
			}
		}
		if name != "one flush at the end" && len(lines) <= len(want) {
			t.Errorf("%s: %d lines for %d names: nothing was flushed in between", name, len(lines), len(want))
		}
	}
}

// Packets may be out of order: first is the earliest, last the latest.
func TestCOFTimesDoNotDependOnTheOrder(t *testing.T) {
	rec := "a.example. 60 IN A 192.0.2.1"
	got := parse[cofLine](t, cof(t, nil, answered(t, 5, "a.example", rec), answered(t, 2, "a.example", rec), answered(t, 3, "a.example", rec)))
	if len(got) != 1 || got[0].TimeFirst != start.Unix()+2 || got[0].TimeLast != start.Unix()+5 || got[0].Count != 3 {
		t.Errorf("got %+v, want first +2, last +5, count 3", got)
	}
}

func TestCOFEscapesHostileNamesAndRdata(t *testing.T) {
	tx := answered(t, 0, "a.example", `a\010\"\000\.b.example. 60 IN TXT "x\010\"<script>"`)
	text := cof(t, nil, tx)
	got := parse[cofLine](t, text)
	if strings.Count(text, "\n") != 1 || len(got) != 1 {
		t.Fatalf("%q is not one line", text)
	}
	if want := `a\010\"\000\.b.example.`; got[0].RRName != want {
		t.Errorf("rrname %s, want %s", got[0].RRName, want)
	}
	if want := `"x\010\"<script>"`; got[0].Rdata[0] != want {
		t.Errorf("rdata %s, want %s", got[0].Rdata[0], want)
	}
	if strings.ContainsAny(text, "<>") {
		t.Errorf("%s: markup stands in the line as it is", text)
	}
}
