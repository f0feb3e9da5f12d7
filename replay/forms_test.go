package replay_test

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/internal/dnswire"
	"github.com/weirdns/weir/pdns"
	"github.com/weirdns/weir/pdns/encode"
	"github.com/weirdns/weir/pdns/privacy"
	"github.com/weirdns/weir/replay"
)

// written is what weir logs of some transactions in a format.
func written(t *testing.T, format encode.Format, mode privacy.Mode, all ...*detect.Transaction) string {
	t.Helper()
	var b bytes.Buffer
	w := pdns.NewTransactionWriter(&b, format, privacy.Plain(mode), nil)
	for _, one := range all {
		w.Record(one)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// traffic is a name with an alias, one that is lost, one that weir blocked, and a
// text.
func traffic() []*detect.Transaction {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	ask := func(name string, qtype uint16) *detect.Transaction {
		return &detect.Transaction{Query: detect.Query{
			Time: at, Client: netip.MustParseAddr("192.0.2.10"), Name: dnsname.MustParse(name), Type: qtype, Class: dnswire.ClassIN, Transport: detect.UDP,
		}}
	}
	response := func(tx *detect.Transaction, records ...func([]byte) []byte) {
		b := dnswire.AppendHeader(nil, dnswire.Header{Flags: dnswire.FlagQR, QD: 1})
		b = dnswire.AppendQuestion(b, tx.Query.Name, tx.Query.Type, dnswire.ClassIN)
		for _, r := range records {
			b = r(b)
		}
		dnswire.SetCounts(b, uint16(len(records)), 0, 0)
		tx.Response, tx.Source, tx.Upstream, tx.Latency = b, detect.FromUpstream, "198.51.100.53:53", 12*time.Millisecond
	}
	alias, lost, blocked, text := ask("www.example.com", 1), ask("lost.example", 28), ask("bad.example", 1), ask("text.example", dnswire.TypeTXT)
	rr := func(rtype uint16, rdata string) func([]byte) []byte {
		return func(b []byte) []byte {
			data, err := dnswire.AppendRdata(nil, rtype, rdata)
			if err != nil {
				panic(err)
			}
			b = append(b, 0xc0, dnswire.HeaderLen, 0, byte(rtype), 0, 1, 0, 0, 0, 60, 0, byte(len(data)))
			return append(b, data...)
		}
	}
	response(alias, rr(dnswire.TypeCNAME, "host.example.net."), rr(dnswire.TypeA, "192.0.2.80"))
	response(text, rr(dnswire.TypeTXT, `"a, b" "c \"d\" \255"`))
	response(blocked, rr(dnswire.TypeA, "0.0.0.0"))
	blocked.Source, blocked.Upstream = detect.FromPolicy, ""
	return []*detect.Transaction{alias, lost, blocked, text}
}

func TestEachOfOurOwnFormatsIsReadBack(t *testing.T) {
	const at = "2026-03-01T12:00:00Z 192.0.2.10 "
	full := []string{
		at + "www.example.com A NOERROR host.example.net. 192.0.2.80", at + "lost.example AAAA unanswered",
		at + "bad.example A unanswered", // what weir answered is not what the DNS says
		at + `text.example TXT NOERROR "a, b" "c \"d\" \255"`,
	}
	// These do not say who answered, and some do not say what.
	made := slices.Clone(full)
	made[2] = at + "bad.example A NOERROR 0.0.0.0"
	zeek := slices.Clone(made)
	zeek[3] = at + "text.example TXT NOERROR"
	spot := []string{at + "www.example.com A NOERROR", at + "lost.example AAAA unanswered", at + "bad.example A NOERROR", at + "text.example TXT NOERROR"}
	for format, want := range map[encode.Format][]string{
		encode.Native: full, encode.CSV: full, encode.ECS: full, encode.OCSF: full, encode.EVE: made, encode.Zeek: zeek, encode.ZeekJSON: zeek, encode.Spot: spot,
	} {
		log := written(t, format, privacy.Full, traffic()...)
		if format == encode.CSV || format == encode.Spot {
			log += log[:strings.Index(log, "\n")+1] // a second file behind it
		}
		got, s := transactions(t, log)
		slices.Sort(got) // EVE has queries that wait
		slices.Sort(want)
		if !slices.Equal(got, want) || s.Bad != 0 || s.Networks != 0 {
			t.Errorf("%s: %+v\n%s\nwant\n%s\n%s", format, s, strings.Join(got, "\n"), strings.Join(want, "\n"), log)
		}

		// Without addresses it is not known who asked, and with networks it is
		// known that it is a network.
		hidden, s := transactions(t, written(t, format, privacy.None, traffic()...))
		for _, line := range hidden {
			if !strings.Contains(line, " invalid IP ") {
				t.Errorf("%s, no client: %s", format, line)
			}
		}
		if len(hidden) != 4 || s.Bad != 0 {
			t.Errorf("%s, no client: %+v\n%s", format, s, strings.Join(hidden, "\n"))
		}
	}
	if _, s := transactions(t, written(t, encode.Native, privacy.Truncated, traffic()...)); s.Networks != 4 {
		t.Errorf("networks: %+v", s)
	}
}

func TestOtherWritersOfTheSameForms(t *testing.T) {
	for name, c := range map[string]struct {
		log  string
		want []string
		s    replay.Stats
	}{
		"Packetbeat": {
			`{"@timestamp":"2026-03-01T12:00:00.250Z","type":"flow"}` + "\n" +
				`{"@timestamp":"2026-03-01T12:00:00.250Z","source":{"ip":"192.0.2.10"},"dns":{"question":{"name":"www.example.com","type":"A"},"response_code":"NOERROR","answers":[{"type":"A","data":"192.0.2.80"}]},"event":{"duration":1000}}` + "\n",
			[]string{"2026-03-01T12:00:00Z 192.0.2.10 www.example.com A NOERROR 192.0.2.80"}, replay.Stats{Lines: 2, Records: 1, Other: 1},
		},
		"OCSF of others": {
			`{"class_uid":4001,"time":1}` + "\n" + `{"class_uid":4003,"time":1772366400250,"query":{"hostname":"www.example.com.","type":"A","class":"IN"},"src_endpoint":{"ip":"192.0.2.10"},"rcode":"NXDOMAIN"}` + "\n" +
				`{"class_uid":4003,"time":1772366400250,"query":{"hostname":"","type":"A"}}` + "\n",
			[]string{"2026-03-01T12:00:00Z 192.0.2.10 www.example.com A NXDOMAIN"}, replay.Stats{Lines: 3, Records: 1, Other: 1, Bad: 1},
		},
		"Zeek: the root, an answer alone, an update, a neighbour, octets": {
			`{"ts":1772366400,"id.orig_h":"192.0.2.10","id.orig_p":1,"id.resp_p":53,"query":"","qtype":2}` + "\n" +
				`{"ts":1772366400,"id.orig_h":"192.0.2.10","id.resp_p":53,"query":"a.example","rcode":0,"answers":["192.0.2.1"]}` + "\n" +
				`{"ts":1772366400,"id.orig_h":"192.0.2.10","id.resp_p":53,"query":"b.example","rcode":0}` + "\n" +
				`{"ts":1772366400,"id.orig_h":"192.0.2.10","id.resp_p":53,"query":"c.example","qtype":6,"opcode":5}` + "\n" +
				`{"ts":1772366400,"id.orig_h":"192.0.2.10","id.resp_p":5353,"query":"d.local","qtype":1}` + "\n" +
				`{"ts":1772366400,"id.orig_h":"192.0.2.10","id.resp_p":53,"query":"j\\xe4ger.example","qtype":16,"rcode":0,"answers":["TXT 3 abc","TXT 1 \\xff"]}` + "\n" +
				`{"ts":1772366400,"id.orig_h":"192.0.2.10","id.resp_p":53,"query":"e.example","rcode":0,"answers":["TXT 1 x"]}` + "\n",
			[]string{
				"2026-03-01T12:00:00Z 192.0.2.10 . NS unanswered", "2026-03-01T12:00:00Z 192.0.2.10 a.example A NOERROR 192.0.2.1",
				`2026-03-01T12:00:00Z 192.0.2.10 j\228ger.example TXT NOERROR "abc" "\255"`,
				`2026-03-01T12:00:00Z 192.0.2.10 e.example TXT NOERROR "x"`,
			}, replay.Stats{Lines: 7, Records: 4, Other: 3},
		},
	} {
		got, s := transactions(t, c.log)
		if !slices.Equal(got, c.want) || s != c.s {
			t.Errorf("%s: %+v\n%s\nwant %+v\n%s", name, s, strings.Join(got, "\n"), c.s, strings.Join(c.want, "\n"))
		}
	}
}

// Who asked is unknown of some queries: they are counted, and are nobody's.
func TestQueriesWithoutAClientAreNobodys(t *testing.T) {
	r := replay.NewReport(func(a netip.Addr) string { return a.String() })
	q := detect.Query{Time: time.Date(2026, 3, 1, 23, 0, 0, 0, time.UTC), Name: dnsname.MustParse("a.example.com")}
	listed := detect.Verdict{Origin: detect.OriginBlockList, Action: detect.NXDOMAIN, Enforced: true, Matches: []detect.Match{{List: "other"}, {List: "bad"}, {List: "bad"}}, Decider: 1}
	allowed := detect.Verdict{Origin: detect.OriginAllowList, Matches: []detect.Match{{List: "ours", Effect: detect.EffectPass}, {List: "bad", Effect: detect.EffectOverruled}}}
	r.Add(&q, &listed)
	q.Client = netip.MustParseAddr("192.0.2.10")
	r.Add(&q, &listed)
	r.Add(&q, &allowed)
	r.Finish(nil, 10)
	if len(r.Clients) != 1 || r.Clients["192.0.2.10"].Blocked != 1 || r.ClientsSeen != 1 || r.NoClient.Queries != 1 || r.NoClient.Blocked != 1 || r.Blocked != 2 ||
		r.Allowed != 1 || r.Lists["bad"].Blocked != 2 || r.Lists["bad"].Hits != 3 || r.Lists["other"].Hits != 2 || r.Lists["other"].Blocked != 0 || r.Lists["ours"].Hits != 1 || r.Days["2026-03-01"].Queries != 3 {
		b, _ := json.Marshal(r)
		t.Errorf("%s", b)
	}
	var text strings.Builder
	if err := r.Text(&text); err != nil || !strings.Contains(text.String(), "the log does not say who asked: 1 blocked, 0 alerted") || !strings.Contains(text.String(), "from 1 clients") {
		t.Errorf("%v\n%s", err, text.String())
	}
}

func TestTwoModelsDifferByLevelAndReason(t *testing.T) {
	d := replay.NewDifference()
	q := detect.Query{Name: dnsname.MustParse("a.example.com")}
	high := detect.Verdict{Origin: detect.OriginModel, Level: detect.LevelHigh, Action: detect.ZeroIP}
	low := detect.Verdict{Origin: detect.OriginModel, Level: detect.LevelLow}
	d.Add(&q, &high, &low)
	d.Add(&q, &low, &low)
	d.Finish(10)
	if d.Levels["high"]["low"] != 1 || d.Levels["low"]["low"] != 1 || len(d.Names) != 1 || d.Names[0].FirstWhy != "model, high" || d.Names[0].SecondWhy != "" {
		t.Errorf("%+v", d)
	}
	var text strings.Builder
	if err := d.Text(&text); err != nil || !strings.Contains(text.String(), "alert (model, high)") || !strings.Contains(text.String(), "model's level") {
		t.Errorf("%v\n%s", err, text.String())
	}
}
