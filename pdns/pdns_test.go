package pdns_test

import (
	"bufio"
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/internal/dnswire"
	"github.com/weirdns/weir/pdns"
	"go.uber.org/zap"
)

// start is the time of the data in these tests.
var start = time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC)

const client = "192.0.2.77"

// answered is a transaction for qname A with these records as its answer, at
// start plus so many seconds.
func answered(tb testing.TB, seconds int, qname string, records ...string) *detect.Transaction {
	tb.Helper()
	return &detect.Transaction{
		Query: detect.Query{
			Time: start.Add(time.Duration(seconds) * time.Second), Client: netip.MustParseAddr(client),
			Name: dnsname.MustParse(qname), Type: dns.TypeA, Class: dns.ClassINET, Transport: detect.UDP,
		},
		Verdict:  detect.Verdict{Unscored: detect.NoModel},
		Source:   detect.FromUpstream,
		Response: response(tb, qname, records...),
		Upstream: "192.0.2.53:53",
		Latency:  1500 * time.Microsecond,
	}
}

// quick is answered with one A record, for tests that need thousands.
func quick(seconds int, qname string) *detect.Transaction {
	name := dnsname.MustParse(qname)
	msg := dnswire.AppendHeader(nil, dnswire.Header{Flags: dnswire.FlagQR, QD: 1, AN: 1})
	msg = dnswire.AppendQuestion(msg, name, dnswire.TypeA, dnswire.ClassIN)
	return &detect.Transaction{
		Query: detect.Query{
			Time: start.Add(time.Duration(seconds) * time.Second), Client: netip.MustParseAddr(client),
			Name: name, Type: dnswire.TypeA, Class: dnswire.ClassIN,
		},
		Verdict:  detect.Verdict{Unscored: detect.NoModel},
		Source:   detect.FromUpstream,
		Response: dnswire.AppendAddress(msg, netip.MustParseAddr("192.0.2.1"), dnswire.ClassIN, 60),
	}
}

func response(tb testing.TB, qname string, records ...string) []byte {
	tb.Helper()
	m := new(dns.Msg)
	m.SetQuestion(dns.Fqdn(qname), dns.TypeA)
	m.Response, m.Compress = true, true
	for _, s := range records {
		rr, err := dns.NewRR(s)
		if err != nil {
			tb.Fatalf("%q: %v", s, err)
		}
		m.Answer = append(m.Answer, rr)
	}
	msg, err := m.Pack()
	if err != nil {
		tb.Fatal(err)
	}
	return msg
}

// cofLine is a COF line as its readers see it.
type cofLine struct {
	RRName    string   `json:"rrname"`
	RRType    string   `json:"rrtype"`
	Rdata     []string `json:"rdata"`
	TimeFirst int64    `json:"time_first"`
	TimeLast  int64    `json:"time_last"`
	Count     uint64   `json:"count"`
	SensorID  string   `json:"sensor_id"`
}

// parse reads JSON lines strictly: an unknown field or half a line fails.
func parse[T any](tb testing.TB, text string) []T {
	tb.Helper()
	var all []T
	if text != "" && !strings.HasSuffix(text, "\n") {
		tb.Fatalf("last line is torn: %q", text[max(0, len(text)-80):])
	}
	lines := bufio.NewScanner(strings.NewReader(text))
	lines.Buffer(nil, 2<<20)
	for lines.Scan() {
		var one T
		d := json.NewDecoder(strings.NewReader(lines.Text()))
		d.DisallowUnknownFields()
		if err := d.Decode(&one); err != nil {
			tb.Fatalf("line %q: %v", lines.Text(), err)
		}
		all = append(all, one)
	}
	if err := lines.Err(); err != nil {
		tb.Fatal(err)
	}
	return all
}

// newRecorder is a Recorder with both sinks on.
func newRecorder(tb testing.TB, edit func(*pdns.Config)) (*pdns.Recorder, string) {
	tb.Helper()
	cfg := pdns.DefaultConfig()
	cfg.Dir = filepath.Join(tb.TempDir(), "records")
	cfg.Transactions.Enabled = true
	if edit != nil {
		edit(&cfg)
	}
	r, err := pdns.New(cfg, pdns.Deps{Log: zap.NewNop(), Registry: prometheus.NewRegistry()})
	if err != nil {
		tb.Fatal(err)
	}
	return r, cfg.Dir
}

func read(tb testing.TB, path string) string {
	tb.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	return string(text)
}
