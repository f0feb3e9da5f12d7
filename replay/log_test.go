package replay_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/internal/dnswire"
	"github.com/weirdns/weir/replay"
)

// said is a transaction in one line.
func said(t *detect.Transaction) string {
	s := fmt.Sprint(t.Query.Time.UTC().Format(time.RFC3339), " ", t.Query.Client, " ", t.Query.Name, " ", dnswire.TypeString(t.Query.Type))
	if t.Response == nil {
		return s + " unanswered"
	}
	s += " " + dnswire.RcodeString(t.Rcode)
	_, walk, _ := dnswire.WalkMessage(t.Response)
	for r := (dnswire.Record{}); walk.Next(&r); {
		s += " " + r.RdataText(t.Response)
	}
	return s
}

const (
	zeekTSV = "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\tdns\n" +
		"#fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\ttrans_id\trtt\tquery\tqclass\tqclass_name\tqtype\tqtype_name\trcode\trcode_name\tanswers\tTTLs\n" +
		"#types\ttime\tstring\taddr\tport\taddr\tport\tenum\tcount\tinterval\tstring\tcount\tstring\tcount\tstring\tcount\tstring\tvector[string]\tvector[interval]\n" +
		"1772366400.250000\tC1\t192.0.2.10\t40000\t198.51.100.53\t53\tudp\t1\t0.01\twww.example.com\t1\tC_INTERNET\t1\tA\t0\tNOERROR\thost.example.net,192.0.2.80\t60.0,60.0\n" +
		"1772366401.000000\tC2\t192.0.2.10\t40001\t198.51.100.53\t53\tudp\t2\t-\tlost.example\t1\tC_INTERNET\t28\tAAAA\t-\t-\t-\t-\n" +
		"1772366402.000000\tC3\t192.0.2.10\t40001\t198.51.100.53\t53\tudp\t2\t-\t-\t-\t-\t-\t-\t-\t-\t-\t-\n" +
		"nonsense\tC3\t192.0.2.10\t40001\t198.51.100.53\t53\tudp\t2\t-\ta.example\t1\tC\t1\tA\t-\t-\t-\t-\n#close\t2026-03-01\n"
	zeekJSON = `{"ts":1772366400.25,"uid":"C1","id.orig_h":"192.0.2.10","id.orig_p":40000,"id.resp_h":"198.51.100.53","query":"www.example.com","qclass":1,"qtype":1,"rcode":0,"rtt":0.01,"answers":["host.example.net","192.0.2.80"],"TTLs":[60,60]}
{"ts":"2026-03-01T12:00:01Z","id.orig_h":"192.0.2.10","id.resp_h":"198.51.100.53","query":"lost.example","qclass":1,"qtype":28}
{"ts":1772366402,"id.orig_h":"192.0.2.10","id.resp_h":"198.51.100.53"}
{"ts":
`
	eve2 = `{"timestamp":"2026-03-01T12:00:00.250000+0000","flow_id":1,"event_type":"dns","src_ip":"192.0.2.10","src_port":40000,"dest_ip":"198.51.100.53","dest_port":53,"dns":{"type":"query","id":7,"rrname":"www.example.com","rrtype":"A","tx_id":0}}
{"timestamp":"2026-03-01T12:00:00.260000+0000","flow_id":1,"event_type":"dns","src_ip":"198.51.100.53","src_port":53,"dest_ip":"192.0.2.10","dest_port":40000,"dns":{"version":2,"type":"answer","id":7,"rrname":"www.example.com","rrtype":"A","rcode":"NOERROR","answers":[{"rrname":"www.example.com","rrtype":"CNAME","ttl":60,"rdata":"host.example.net"},{"rrname":"host.example.net","rrtype":"A","ttl":60,"rdata":"192.0.2.80"}],"grouped":{"A":["192.0.2.80"]}}}
{"timestamp":"2026-03-01T12:00:01.000000+0000","flow_id":2,"event_type":"dns","src_ip":"192.0.2.10","src_port":40001,"dest_ip":"198.51.100.53","dest_port":53,"dns":{"type":"query","id":8,"rrname":"lost.example","rrtype":"AAAA"}}
{"timestamp":"2026-03-01T12:00:02.000000+0000","event_type":"flow"}
{"timestamp":"x","event_type":"dns","dns":{"type":"query","rrname":"a.example","rrtype":"A"}}
`
	eve3 = `{"timestamp":"2026-03-01T12:00:00.250000+0000","flow_id":1,"event_type":"dns","src_ip":"192.0.2.10","src_port":40000,"dest_ip":"198.51.100.53","dest_port":53,"dns":{"version":3,"type":"request","id":7,"queries":[{"rrname":"www.example.com","rrtype":"A"}]}}
{"timestamp":"2026-03-01T12:00:00.260000+0000","flow_id":1,"event_type":"dns","src_ip":"198.51.100.53","src_port":53,"dest_ip":"192.0.2.10","dest_port":40000,"dns":{"version":3,"type":"response","id":7,"rcode":"NOERROR","queries":[{"rrname":"www.example.com","rrtype":"A"}],"grouped":{"CNAME":["host.example.net"],"A":["192.0.2.80"]}}}
{"timestamp":"2026-03-01T12:00:01.000000+0000","flow_id":2,"event_type":"dns","src_ip":"192.0.2.10","src_port":40001,"dest_ip":"198.51.100.53","dest_port":53,"dns":{"version":3,"type":"request","id":8,"queries":[{"rrname":"lost.example","rrtype":"AAAA"}]}}
{"timestamp":"2026-03-01T12:00:02.000000+0000","event_type":"flow"}
{"timestamp":"2026-03-01T12:00:02.000000+0000","event_type":"dns","dns":{"type":"request","queries":[{"rrname":"a..example","rrtype":"A"}]}}
`
)

func TestEveryLogSaysTheSame(t *testing.T) {
	want := "2026-03-01T12:00:00Z 192.0.2.10 www.example.com A NOERROR host.example.net. 192.0.2.80\n" +
		"2026-03-01T12:00:01Z 192.0.2.10 lost.example AAAA unanswered\n"
	for name, c := range map[string]struct {
		log   string
		stats replay.Stats
	}{
		"Zeek, TSV":    {zeekTSV, replay.Stats{Lines: 12, Records: 2, Other: 9, Bad: 1}},
		"Zeek, JSON":   {zeekJSON, replay.Stats{Lines: 4, Records: 2, Other: 1, Bad: 1}},
		"Suricata, v2": {eve2, replay.Stats{Lines: 5, Records: 3, Other: 1, Bad: 1}},
		"Suricata, v3": {eve3, replay.Stats{Lines: 5, Records: 3, Other: 1, Bad: 1}},
	} {
		var got string
		s, err := replay.Read(strings.NewReader(c.log), func(t *detect.Transaction) { got += said(t) + "\n" })
		if err != nil || got != want || s != c.stats {
			t.Errorf("%s: %v, %+v, want %+v, got\n%swant\n%s", name, err, s, c.stats, got, want)
		}
	}
}

func TestOurOwnLogIsReadBack(t *testing.T) {
	f, err := os.Open("../testdata/pcap/sample.transactions.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	n, answered := 0, 0
	s, err := replay.Read(f, func(t *detect.Transaction) {
		n++
		if t.Response != nil {
			answered++
		}
	})
	if err != nil || s.Bad != 0 || n != 17 || uint64(n) != s.Records || answered != 15 {
		t.Errorf("%d transactions, %d answered, %+v, %v", n, answered, s, err)
	}
}

func TestWhatIsNoLogIsRefusedAndLongLinesAreCounted(t *testing.T) {
	for text, want := range map[string]error{
		"": replay.ErrEmpty, "\n": replay.ErrFormat, "text\n": replay.ErrFormat, "{}\n": replay.ErrFormat, "[]\n": replay.ErrFormat,
		`{"rrname":"example.com","rrtype":"A","rdata":"192.0.2.1","count":1,"time_first":1,"time_last":2}`: replay.ErrSums,
	} {
		if _, err := replay.Read(strings.NewReader(text), nil); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", text, err, want)
		}
	}
	s, err := replay.Read(strings.NewReader(zeekJSON+strings.Repeat("x", 3<<20)+"\n"), func(*detect.Transaction) {})
	if err != nil || s.Bad != 2 || s.Records != 2 {
		t.Errorf("%+v %v", s, err)
	}
}

func FuzzRead(f *testing.F) {
	for _, log := range []string{
		zeekTSV, zeekJSON, eve2, eve3,
		query("01", 7, "a.example") + backwards(event("02", "dns", `"type":"answer","id":7,"rcode":"NOERROR","rrname":"a.example","rrtype":"A","rdata":"192.0.2.1"`)),
		event("01", "alert", `"query":[{"type":"query","id":7,"rrname":"a.example","rrtype":"A"}]`),
		`{"@timestamp":"2026-03-01T12:00:00Z","dns":{"question":{"name":"a.example","type":"TXT"},"response_code":"NOERROR","answers":[{"type":"TXT","data":"\\# 2 0161"}]}}`,
		`{"class_uid":4003,"time":1772366400250,"query":{"hostname":"a.example","type":"A"},"rcode":"NOERROR","answers":[{"type":"A","rdata":"192.0.2.1"}]}`,
		"time,client,transport,qname,qtype,qclass,rcode,answers\n2026-03-01T12:00:00Z,192.0.2.0/24,udp,a.example,A,IN,NOERROR,CNAME b. | A 192.0.2.1\n",
		"frame_time,unix_tstamp,ip_dst,dns_qry_name,dns_qry_class,dns_qry_type,dns_qry_rcode\nx,1772366400,192.0.2.1,a.example,0x1,1,0\n",
	} {
		f.Add(log)
	}
	f.Fuzz(func(t *testing.T, log string) {
		s, _ := replay.Read(strings.NewReader(log), func(*detect.Transaction) {})
		if s.Lines < s.Records+s.Other+s.Bad {
			t.Errorf("%+v", s)
		}
	})
}

func TestReportAndDifference(t *testing.T) {
	r := replay.NewReport(func(a netip.Addr) string { return a.String() })
	d := replay.NewDifference()
	q := detect.Query{Time: time.Date(2026, 3, 1, 23, 0, 0, 0, time.UTC), Client: netip.MustParseAddr("192.0.2.10"), Name: dnsname.MustParse("a.example.com")}
	reg := dnsname.MustParse("example.com")
	pass := detect.Verdict{Origin: detect.OriginModel, Registered: reg, Level: detect.LevelNone}
	high := detect.Verdict{Origin: detect.OriginModel, Registered: reg, Level: detect.LevelHigh, Action: detect.ZeroIP}
	listed := detect.Verdict{Origin: detect.OriginBlockList, Unscored: detect.NoModel, Action: detect.NXDOMAIN, Enforced: true, Matches: []detect.Match{{List: "bad"}}}
	for _, v := range []*detect.Verdict{&pass, &high, &high, &listed} {
		r.Add(&q, v)
		d.Add(&q, v, &pass)
		q.Time = q.Time.Add(time.Hour)
	}
	if text, err := json.Marshal(r); err != nil || !strings.Contains(string(text), `"findings":[]`) {
		t.Errorf("a report without findings is %s, %v", text, err)
	}
	r.Finish([]detect.Threshold{{Level: detect.LevelLow, FPR: 0.5}, {Level: detect.LevelHigh, FPR: 0.25}}, 10)
	d.Finish(10)
	if r.Queries != 4 || r.Names != 1 || r.Domains != 1 || r.Blocked != 1 || r.Alerted != 2 || r.BlockedNames != 1 || r.Lists["bad"].Blocked != 1 ||
		r.Levels["high"].Queries != 2 || r.Levels["high"].Domains != 1 || *r.Levels["high"].ExpectedFalse != 0.25 || *r.Levels["low"].ExpectedFalse != 0.5 ||
		r.Days["2026-03-02"].Alerted != 2 || r.Days["2026-03-02"].Blocked != 1 || r.Clients["192.0.2.10"].Blocked != 1 || len(r.Top) != 1 || r.Top[0].Why != "bad" || r.Top[0].Queries != 3 {
		t.Errorf("%+v", r)
	}
	if d.Changed != 3 || d.Queries["alert"]["pass"] != 2 || d.Queries["block"]["pass"] != 1 || d.Queries["pass"]["pass"] != 1 || len(d.Names) != 2 || d.Names[0].First != "alert" {
		t.Errorf("%+v", d)
	}
	var text strings.Builder
	if err := errors.Join(r.Text(&text), d.Text(&text)); err != nil || !strings.Contains(text.String(), "0.25 domains") {
		t.Errorf("%v\n%s", err, text.String())
	}
}

// What findings decided counts as theirs, not as that of a list which was hit too.
func TestReportCountsFindingsAsAList(t *testing.T) {
	r := replay.NewReport(func(netip.Addr) string { return "" })
	q := detect.Query{Time: time.Date(2026, 3, 1, 23, 0, 0, 0, time.UTC), Name: dnsname.MustParse("a.example.com")}
	v := detect.Verdict{Origin: detect.OriginBehaviour, Action: detect.NXDOMAIN, Matches: []detect.Match{{List: "watched"}, {List: detect.FindingList}}, Decider: 1}
	r.Add(&q, &v)
	v.Enforced = true
	r.Add(&q, &v)
	r.Finish([]detect.Threshold{{Level: detect.LevelLow, FPR: 0.5}}, 10)
	if got := *r.Lists[detect.FindingList]; got.Alerted != 1 || got.Blocked != 1 || got.Hits != 2 {
		t.Errorf("findings count as %+v", got)
	}
	if got := *r.Lists["watched"]; got.Alerted != 0 || got.Blocked != 0 || got.Hits != 2 {
		t.Errorf("a list that decided nothing counts as %+v", got)
	}
	r.Domains = 536
	r.Levels["low"].ExpectedFalse = new(float64(268))
	var text strings.Builder
	if err := r.Text(&text); err != nil || !strings.Contains(text.String(), "268 domains: 0.5 of 536") {
		t.Errorf("%v\n%s", err, text.String())
	}
}
