package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/miekg/dns"
	"github.com/weirdns/weir/internal/dnstest"
)

type cofLine struct {
	RRName    string   `json:"rrname"`
	RRType    string   `json:"rrtype"`
	Rdata     []string `json:"rdata"`
	TimeFirst int64    `json:"time_first"`
	TimeLast  int64    `json:"time_last"`
	Count     int      `json:"count"`
}

// generated is a name as generators make them; the model must be sure of it.
const generated = "xkqzvwjhtrpdbnfg.com"

// The whole of weir at work: a real binary between a real authoritative server
// and real clients. In the end the records and the metrics hold exactly what
// happened.
func TestServeEndToEnd(t *testing.T) {
	up := dnstest.NewServer(t,
		"example.com", `
$TTL 300
@     SOA ns admin 1 3600 600 86400 60
@     NS ns
ns    A 192.0.2.53
www   A 192.0.2.1
www   AAAA 2001:db8::1
alias CNAME www
big   TXT `+strings.Repeat(`"`+strings.Repeat("x", 250)+`" `, 20)+"\n",
		"asdklgb.cf", "@ 300 SOA ns1 admin 1 3600 600 86400 60\nns1 300 A 198.51.100.9\n",
		"googlee.com", "@ 300 SOA ns admin 1 3600 600 86400 60\nwww 300 A 198.51.100.10\n",
	)
	state := t.TempDir()
	urlhaus, err := filepath.Abs("../../testdata/scenario/urlhaus_agenttesla.csv")
	if err != nil {
		t.Fatal(err)
	}
	conf := writeFile(t, filepath.Join(state, "weir.yaml"), fmt.Sprintf(`
resolver:
  listen: ["127.0.0.1:0", "[::1]:0"]
  upstream:
    servers: [%q]
  cache:
    max_stale: 0s
detect:
  block: {action: sinkhole, sinkhole_ipv4: [192.0.2.66], sinkhole_ipv6: ["2001:db8::66"]}
  model: {mode: enforce, level: high, action: nxdomain}
lists:
  - {name: urlhaus, format: urlhaus, file: %q}
records:
  transactions: {enabled: true}
privacy: {client_address: none}
`, up.Addr(), urlhaus))
	p := startWeir(t, "-c", conf, "--state", state, "--admin", "127.0.0.1:0")
	v4, v6 := p.listen[0], p.listen[1]

	check := func(what string, r *dns.Msg, rcode int, want string) {
		t.Helper()
		if r.Rcode != rcode || answers(r) != want {
			t.Errorf("%s: %s %q, want %s %q", what, dns.RcodeToString[r.Rcode], answers(r), dns.RcodeToString[rcode], want)
		}
	}
	// Allowed, three times: upstream, cache, cache over the other family.
	check("allowed", p.ask("udp", v4, "www.example.com.", dns.TypeA), dns.RcodeSuccess, "192.0.2.1")
	check("cached", p.ask("tcp", v4, "WWW.example.com.", dns.TypeA), dns.RcodeSuccess, "192.0.2.1")
	check("IPv6 client", p.ask("udp", v6, "www.example.com.", dns.TypeA), dns.RcodeSuccess, "192.0.2.1")
	check("IPv6 address", p.ask("udp", v4, "www.example.com.", dns.TypeAAAA), dns.RcodeSuccess, "2001:db8::1")
	check("CNAME", p.ask("udp", v4, "alias.example.com.", dns.TypeA), dns.RcodeSuccess, "192.0.2.1 www.example.com.")
	check("www.googlee.com", p.ask("udp", v4, "www.googlee.com.", dns.TypeA), dns.RcodeSuccess, "198.51.100.10")
	check("negative", p.ask("udp", v4, "none.example.com.", dns.TypeA), dns.RcodeNameError, "")
	check("negative again", p.ask("udp", v4, "none.example.com.", dns.TypeA), dns.RcodeNameError, "")
	check("no data", p.ask("udp", v4, "www.example.com.", dns.TypeMX), dns.RcodeSuccess, "")
	// Large: cut over UDP, whole over TCP.
	if r := p.ask("udp", v4, "big.example.com.", dns.TypeTXT); !r.Truncated || len(r.Answer) != 0 {
		t.Errorf("large over UDP: TC %v with %d records, want TC alone", r.Truncated, len(r.Answer))
	}
	if r := p.ask("tcp", v4, "big.example.com.", dns.TypeTXT); len(r.Answer) != 1 || r.Truncated {
		t.Errorf("large over TCP: %d records, want the one", len(r.Answer))
	}
	// By the list: Agent Tesla's name, for every type.
	r := p.ask("udp", v4, "ns1.asdklgb.cf.", dns.TypeA)
	check("by the list", r, dns.RcodeSuccess, "192.0.2.66")
	if want := "15 list=urlhaus rule=ns1.asdklgb.cf"; edeText(r) != want {
		t.Errorf("EDE %q, want %q", edeText(r), want)
	}
	check("by the list, AAAA", p.ask("udp", v4, "ns1.asdklgb.cf.", dns.TypeAAAA), dns.RcodeSuccess, "2001:db8::66")
	check("by the list, HTTPS", p.ask("udp", v4, "ns1.asdklgb.cf.", dns.TypeHTTPS), dns.RcodeSuccess, "")
	// By the model.
	r = p.ask("udp", v4, "www."+generated+".", dns.TypeA)
	check("by the model", r, dns.RcodeNameError, "")
	if !strings.HasPrefix(edeText(r), "15 model=dga score=0.9") || !strings.Contains(edeText(r), " level=high: ") {
		t.Errorf("EDE %q, want the model, its score and its reasons", edeText(r))
	}
	// The upstream dies: what is cached still answers, what is not fails with a
	// reason, and all is well when it is back.
	up.Stop()
	check("cached while the upstream is dead", p.ask("udp", v4, "www.example.com.", dns.TypeA), dns.RcodeSuccess, "192.0.2.1")
	r = p.ask("udp", v4, "ns.example.com.", dns.TypeA)
	check("upstream dead", r, dns.RcodeServerFailure, "")
	if e := edeText(r); !strings.HasPrefix(e, "22 ") && !strings.HasPrefix(e, "23 ") {
		t.Errorf("EDE %q, want 22 or 23", e)
	}
	up.Start()
	untilTrue(t, "an answer after the upstream came back", func() bool {
		return p.ask("udp", v4, "ns.example.com.", dns.TypeAAAA).Rcode == dns.RcodeSuccess
	})

	text := p.scrape()
	for series, want := range map[string]string{
		`weir_dns_responses_total{rcode="NOERROR",source="policy"}`:                "3",
		`weir_dns_responses_total{rcode="NXDOMAIN",source="policy"}`:               "1",
		`weir_dns_responses_total{rcode="NXDOMAIN",source="upstream"}`:             "1",
		`weir_dns_responses_total{rcode="NXDOMAIN",source="cache"}`:                "1",
		`weir_verdicts_total{action="sinkhole",mode="enforce",origin="blocklist"}`: "3",
		`weir_verdicts_total{action="nxdomain",mode="enforce",origin="model"}`:     "1",
		`weir_dns_requests_total{family="6",proto="udp",qtype="A"}`:                "1",
		`weir_dns_requests_total{family="4",proto="tcp",qtype="TXT"}`:              "1",
		`weir_sink_dropped_total{reason="queue",sink="cof"}`:                       "0",
		`weir_sink_dropped_total{reason="queue",sink="transactions"}`:              "0",
		`weir_panics_recovered_total`:                                              "0",
		`weir_detect_failures_total`:                                               "0",
	} {
		if !strings.Contains(text, "\n"+series+" ") {
			t.Errorf("there is no %s", series)
		} else if got := metric(text, series); got != want {
			t.Errorf("%s = %s, want %s", series, got, want)
		}
	}
	for _, secret := range []string{"asdklgb", generated, "example.com", "127.0.0.2"} {
		if strings.Contains(text, secret) || strings.Contains(p.log(), secret) {
			t.Errorf("%q stands in the metrics or the log", secret)
		}
	}
	checkDocumented(t, text)
	p.stop()

	// Exactly what the DNS said to our clients: no forged answer, no client.
	got := map[string]int{}
	for _, l := range jsonLines[cofLine](t, filepath.Join(p.state, "records", "cof*")) {
		got[strings.TrimSuffix(l.RRName, ".")+" "+l.RRType+" "+strings.Join(l.Rdata, ",")] += l.Count
		if l.TimeFirst > l.TimeLast || l.TimeFirst == 0 {
			t.Errorf("%+v: times out of order", l)
		}
	}
	for key, want := range map[string]int{
		"www.example.com A 192.0.2.1":              5, // asked four times, once more through the alias
		"www.example.com AAAA 2001:db8::1":         1,
		"alias.example.com CNAME www.example.com.": 1,
		"www.googlee.com A 198.51.100.10":          1,
	} {
		if got[key] != want {
			t.Errorf("COF: %s seen %d times, want %d", key, got[key], want)
		}
		delete(got, key)
	}
	for key, n := range got {
		if !strings.HasPrefix(key, "big.example.com TXT ") || n != 1 {
			t.Errorf("COF: unexpected %.60s, %d times", key, n)
		}
	}
	if len(got) != 1 {
		t.Errorf("COF: %d records of the large TXT, want 1", len(got))
	}
	checkTransactions(t, p, text)
}

// checkDocumented wants every metric in docs/operations.md.
func checkDocumented(t *testing.T, metrics string) {
	t.Helper()
	docs, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(metrics) {
		if name, ok := strings.CutPrefix(line, "# TYPE weir_"); ok {
			name, _, _ = strings.Cut(name, " ")
			if !strings.Contains(string(docs), "`weir_"+name+"`") {
				t.Errorf("weir_%s is not in docs/operations.md", name)
			}
		}
	}
}

// checkTransactions holds the transaction log against the answers counted.
func checkTransactions(t *testing.T, p *process, metrics string) {
	t.Helper()
	type line struct {
		Client  *string `json:"client"`
		QName   string  `json:"qname"`
		Source  string  `json:"source"`
		Verdict struct {
			Origin   string   `json:"origin"`
			Action   string   `json:"action"`
			Enforced bool     `json:"enforced"`
			Score    *float64 `json:"score"`
			Matches  []struct {
				List string `json:"list"`
				Info string `json:"info"`
			} `json:"matches"`
		} `json:"verdict"`
	}
	lines := jsonLines[line](t, filepath.Join(p.state, "records", "transactions*"))
	var answered float64
	for l := range strings.Lines(metrics) {
		if strings.HasPrefix(l, "weir_dns_responses_total{") {
			var v float64
			if _, err := fmt.Sscan(l[strings.LastIndex(l, " ")+1:], &v); err != nil {
				t.Fatal(err)
			}
			answered += v
		}
	}
	if float64(len(lines)) != answered {
		t.Errorf("%d transactions for %v answers, want one for each", len(lines), answered)
	}
	tesla := 0
	for _, l := range lines {
		if l.Client != nil {
			t.Errorf("client %q in a record, want none", *l.Client)
		}
		if l.QName == "ns1.asdklgb.cf" {
			tesla++
			if l.Verdict.Origin != "blocklist" || !l.Verdict.Enforced || l.Verdict.Score == nil ||
				len(l.Verdict.Matches) == 0 || !strings.Contains(l.Verdict.Matches[0].Info, "AgentTesla") {
				t.Errorf("%+v: want it blocked by the list, named AgentTesla, and scored all the same", l)
			}
		}
	}
	if tesla != 3 {
		t.Errorf("%d transactions for Agent Tesla's name, want 3", tesla)
	}
}
