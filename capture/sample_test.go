package capture_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/weirdns/weir/capture"
	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/pdns"
	"github.com/weirdns/weir/pdns/encode"
	"github.com/weirdns/weir/pdns/privacy"
	"go.uber.org/zap"
)

var update = flag.Bool("update", false, "write testdata/pcap anew")

// sample is the capture in testdata/pcap: something of everything.
func sample(tb testing.TB) []byte {
	var frames []frame
	add := func(data []byte) { frames = append(frames, frame{time.Duration(len(frames)) * 10 * ms, data}) }
	ask := func(id uint16, name string, qtype uint16, tags ...uint16) {
		add(udp(tb, client4, server4, 40000+id, 53, query(tb, id, name, qtype), tags...))
	}
	reply := func(id uint16, name string, qtype uint16, rcode int, records ...string) {
		add(udp(tb, server4, client4, 53, 40000+id, answer(tb, id, name, qtype, rcode, records...)))
	}
	// A chain, in the client's own case; then the same again.
	ask(1, "WWW.example.com.", dns.TypeA)
	reply(1, "WWW.example.com.", dns.TypeA, 0, "WWW.example.com. 300 IN CNAME Host.example.net.", "host.example.net. 60 IN A 192.0.2.80", "host.example.net. 60 IN A 192.0.2.81")
	ask(2, "www.example.com.", dns.TypeA)
	reply(2, "www.example.com.", dns.TypeA, 0, "www.example.com. 299 IN CNAME host.example.net.", "host.example.net. 59 IN A 192.0.2.80", "host.example.net. 59 IN A 192.0.2.81")
	// IPv6.
	add(udp(tb, client6, server6, 40003, 53, query(tb, 3, "example.org.", dns.TypeAAAA)))
	add(udp(tb, server6, client6, 53, 40003, answer(tb, 3, "example.org.", dns.TypeAAAA, 0, "example.org. 60 IN AAAA 2001:db8::80")))
	// One tag, and two.
	ask(4, "example.com.", dns.TypeMX, 11)
	add(udp(tb, server4, client4, 53, 40004, answer(tb, 4, "eXample.com.", dns.TypeMX, 0, "eXample.com. 60 IN MX 10 mail.eXample.com."), 11))
	ask(5, "example.net.", dns.TypeHTTPS, 11, 12)
	add(udp(tb, server4, client4, 53, 40005, answer(tb, 5, "example.net.", dns.TypeHTTPS, 0, "example.net. 60 IN HTTPS 1 . alpn=h2 ipv4hint=192.0.2.80"), 11, 12))
	// A name as malware makes them, that does not exist.
	ask(6, "qzxwvkjhtrplmnb.example.", dns.TypeA)
	reply(6, "qzxwvkjhtrplmnb.example.", dns.TypeA, dns.RcodeNameError)
	// Octets that break logs, in a name and in rdata.
	ask(7, `a\010\"\000\.<b>.example.`, dns.TypeTXT)
	reply(7, `a\010\"\000\.<b>.example.`, dns.TypeTXT, 0, `a\010\"\000\.<b>.example. 60 IN TXT "x\010\"<script>"`)
	// No answer; an answer to nobody; two answers to one query.
	ask(8, "lost.example.", dns.TypeA)
	reply(9, "unasked.example.", dns.TypeA, 0, "unasked.example. 60 IN A 192.0.2.9")
	ask(10, "twice.example.", dns.TypeA)
	reply(10, "twice.example.", dns.TypeA, 0, "twice.example. 60 IN A 192.0.2.10")
	reply(10, "twice.example.", dns.TypeA, 0, "twice.example. 60 IN A 203.0.113.10")
	// A question that is cut, an answer whose second record is, a response
	// without a question.
	add(udp(tb, client4, server4, 40011, 53, query(tb, 11, "cut.example.", dns.TypeA)[:18]))
	ask(12, "broken.example.", dns.TypeA)
	whole := answer(tb, 12, "broken.example.", dns.TypeA, 0, "broken.example. 60 IN A 192.0.2.12", "broken.example. 60 IN A 192.0.2.13")
	add(udp(tb, server4, client4, 53, 40012, whole[:len(whole)-3]))
	ask(13, "formerr.example.", dns.TypeA)
	formerr := new(dns.Msg)
	formerr.Id, formerr.Response, formerr.Rcode = 13, true, dns.RcodeFormatError
	add(udp(tb, server4, client4, 53, 40013, pack(tb, formerr)))
	// What is no query.
	change := new(dns.Msg)
	change.SetUpdate("example.")
	change.Id = 14
	add(udp(tb, client4, server4, 40014, 53, pack(tb, change)))
	// What is not read.
	add(udp(tb, client4, server4, 40015, 443, []byte("not DNS")))
	add(udp(tb, client4, server4, 40015, 53, []byte("bad")))
	for _, part := range fragmented(udp(tb, server4, client4, 53, 40016, large(tb, 16, 400)), 16, 256) {
		add(part)
	}
	add(fragmented(udp(tb, server4, client4, 53, 40019, large(tb, 19, 400)), 19, 256)[1])
	// TCP: two questions in a segment and a bit, one of them answered.
	out, in := tcpFlow{client4, server4, 40017, 53, 1000}, tcpFlow{server4, client4, 53, 40017, 2000}
	asked := framed(query(tb, 17, "stream.example.", dns.TypeA), query(tb, 18, "lost.example.", dns.TypeA))
	add(out.packet(tb, 0, "S", nil))
	add(in.packet(tb, 0, "S", nil, 1001))
	add(out.packet(tb, 0, "", asked[:50], 2001))
	add(out.packet(tb, 50, "", asked[50:], 2001))
	add(out.packet(tb, 50, "", asked[50:], 2001))
	add(in.packet(tb, 0, "F", framed(answer(tb, 17, "stream.example.", dns.TypeA, 0, "stream.example. 60 IN A 192.0.2.17")), 1001))
	add(serialize(tb, &layers.Ethernet{SrcMAC: make([]byte, 6), DstMAC: make([]byte, 6), EthernetType: layers.EthernetTypeARP}, gopacket.Payload(make([]byte, 28))))
	// And time passes.
	frames = append(frames, frame{time.Minute + time.Second, udp(tb, client4, server4, 40018, 53, query(tb, 18, "www.example.com.", dns.TypeA))},
		frame{time.Minute + time.Second + ms, udp(tb, server4, client4, 53, 40018, answer(tb, 18, "www.example.com.", dns.TypeA, 0, "www.example.com. 239 IN CNAME host.example.net.", "host.example.net. 1 IN A 192.0.2.80"))})
	return pcapFile(tb, layers.LinkTypeEthernet, frames...)
}

// The sample capture gives the files beside it, twice in a row. They are the
// examples of docs/formats.md; a change of theirs is a change of the formats.
func TestTheSampleCaptureGivesTheGoldenRecords(t *testing.T) {
	const dir = "../testdata/pcap"
	golden(t, filepath.Join(dir, "sample.pcap"), sample(t))
	for range 2 {
		var transactions, cof bytes.Buffer
		tx := pdns.NewTransactionWriter(&transactions, encode.Native, privacy.Plain(privacy.Truncated), nil)
		sums := pdns.NewCOFWriter(&cof, pdns.DefaultConfig().COF, privacy.Plain(privacy.Truncated), "")
		c, err := capture.New(capture.DefaultConfig(), capture.Deps{
			Inspector: inspector{inspect: judge}, Sinks: []detect.Sink{tx, sums}, Log: zap.NewNop(), Registry: prometheus.NewRegistry(),
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.ReadFile(t.Context(), filepath.Join(dir, "sample.pcap")); err != nil {
			t.Fatal(err)
		}
		if err := tx.Close(); err != nil {
			t.Fatal(err)
		}
		if err := sums.Close(); err != nil {
			t.Fatal(err)
		}
		checkSums(t, c.Summary())
		summary, err := json.MarshalIndent(c.Summary(), "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		golden(t, filepath.Join(dir, "sample.transactions.jsonl"), transactions.Bytes())
		golden(t, filepath.Join(dir, "sample.cof.jsonl"), cof.Bytes())
		golden(t, filepath.Join(dir, "sample.summary.json"), append(summary, '\n'))
	}
}

// judge knows one name by a list, and scores long labels without vowels.
func judge(q *detect.Query, v *detect.Verdict) {
	name := q.Name.String()
	switch {
	case strings.HasPrefix(name, "twice."):
		v.Origin, v.Action, v.Enforced, v.Unscored = detect.OriginBlockList, detect.NXDOMAIN, true, detect.NoModel
		v.Matches = append(v.Matches, detect.Match{List: "sample", Rule: "twice.example", Info: "malware_download", Kind: detect.MatchName})
	case len(q.Name.Label()) > 10 && !strings.ContainsAny(string(q.Name.Label()), "aeiou"):
		v.Origin, v.Score, v.Level, v.Unscored = detect.OriginModel, 0.96875, detect.LevelHigh, detect.Scored
		v.Registered = q.Name
	}
}

func golden(tb testing.TB, path string, got []byte) {
	tb.Helper()
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			tb.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		tb.Errorf("%s is not what comes out now; look at the difference after -update\n%s", path, got)
	}
}
