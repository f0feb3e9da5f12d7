package encode_test

import (
	"encoding/csv"
	"encoding/json"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/pdns/encode"
)

// exchange is what a published example tells of.
type exchange struct {
	at             time.Time
	client, server string
	id             uint16
	name           string
	qtype          uint16
	rtt            time.Duration
	rcode          int
	recursive      bool // RA in the response
	records        []string
	authority      []string
}

func (e exchange) transaction(t *testing.T) *detect.Transaction {
	t.Helper()
	m := new(dns.Msg)
	m.SetQuestion(e.name+".", e.qtype)
	m.Id, m.Response, m.RecursionAvailable, m.Rcode = e.id, true, e.recursive, e.rcode
	for i, list := range [][]string{e.records, e.authority} {
		for _, text := range list {
			rr, err := dns.NewRR(text)
			if err != nil {
				t.Fatal(err)
			}
			if i == 0 {
				m.Answer = append(m.Answer, rr)
			} else {
				m.Ns = append(m.Ns, rr)
			}
		}
	}
	msg, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	tx := &detect.Transaction{
		Query:  detect.Query{Time: e.at, Client: netip.MustParseAddr(e.client), Name: dnsname.MustParse(e.name), Type: e.qtype, Class: dns.ClassINET},
		Source: detect.FromWire, Latency: e.rtt, Response: msg, Rcode: uint16(e.rcode),
		Verdict: detect.Verdict{Unscored: detect.NotAsked},
	}
	if e.server != "" {
		tx.Upstream = e.server + ":53"
	}
	return tx
}

// object is a line of JSON. Numbers stay as they are written.
func object(t *testing.T, line string) map[string]any {
	t.Helper()
	out := map[string]any{}
	if err := json.Unmarshal([]byte(line), &out); err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	return out
}

// missing are the parts of want that got has not, or has otherwise.
func missing(at string, got, want any) (out []string) {
	if w, ok := want.(map[string]any); ok {
		g, _ := got.(map[string]any)
		for k, v := range w {
			out = append(out, missing(at+"."+k, g[k], v)...)
		}
		return out
	}
	if !reflect.DeepEqual(got, want) {
		g, _ := json.Marshal(got)
		w, _ := json.Marshal(want)
		return []string{at + " is " + string(g) + ", published " + string(w)}
	}
	return nil
}

// What the makers of each format publish as an example of it, in their documents: the
// same exchange has to have the same fields with the same values. Left out of the
// examples is what weir does not know (the client's port, who Zeek calls the
// connection, sizes, the agent and its host) and, of Zeek's, the digits of its rtt
// behind the microsecond.
var published = []struct {
	origin string
	format encode.Format
	what   exchange
	want   string
}{
	{
		"docs.zeek.org, logs/dns.html, the A record of testmyids.com", encode.ZeekJSON,
		exchange{
			at: time.UnixMicro(1591367999305988), client: "192.168.4.76", server: "192.168.4.1", id: 19671, name: "testmyids.com", qtype: dns.TypeA,
			rtt: 66852 * time.Microsecond, recursive: true, records: []string{"testmyids.com. 3600 IN A 31.3.245.133"},
		},
		`{"ts":1591367999.305988,"id.orig_h":"192.168.4.76","id.resp_h":"192.168.4.1","id.resp_p":53,"proto":"udp","trans_id":19671,"rtt":0.066852,
		"query":"testmyids.com","qclass":1,"qclass_name":"C_INTERNET","qtype":1,"qtype_name":"A","rcode":0,"rcode_name":"NOERROR",
		"AA":false,"TC":false,"RD":true,"RA":true,"Z":0,"answers":["31.3.245.133"],"TTLs":[3600],"rejected":false}`,
	},
	{
		"docs.zeek.org, reference/logs/dns.html, of 2026, the A records of zeek.org", encode.ZeekJSON,
		exchange{
			at: time.UnixMicro(1774911641803041), client: "172.17.0.2", server: "1.1.1.1", id: 20661, name: "zeek.org", qtype: dns.TypeA,
			rtt: 38371 * time.Microsecond, recursive: true, records: []string{"zeek.org. 60 IN A 192.0.78.150", "zeek.org. 60 IN A 192.0.78.212"},
		},
		`{"ts":1774911641.803041,"id.orig_h":"172.17.0.2","id.resp_h":"1.1.1.1","id.resp_p":53,"proto":"udp","trans_id":20661,"query":"zeek.org",
		"answers":["192.0.78.150","192.0.78.212"],"TTLs":[60,60],"rejected":false,"opcode":0,"opcode_name":"query"}`,
	},
	{
		"docs.suricata.io, upgrade/8.0-dns-logging-changes, a response in version 3", encode.EVE,
		exchange{
			at: time.Unix(1e9, 0), client: "192.0.2.7", server: "192.0.2.53", name: "www.suricata.io", qtype: dns.TypeA, recursive: true,
			records: []string{"www.suricata.io. 3597 IN CNAME suricata.io.", "suricata.io. 597 IN A 35.212.0.44"},
		},
		`{"event_type":"dns","src_ip":"192.0.2.53","src_port":53,"dest_ip":"192.0.2.7","dns":{"version":3,"type":"response","id":0,"flags":"8180","qr":true,"rd":true,"ra":true,"opcode":0,
		"rcode":"NOERROR","queries":[{"rrname":"www.suricata.io","rrtype":"A"}],"answers":[{"rrname":"www.suricata.io","rrtype":"CNAME","ttl":3597,"rdata":"suricata.io"},
		{"rrname":"suricata.io","rrtype":"A","ttl":597,"rdata":"35.212.0.44"}]}}`,
	},
	{
		"docs.suricata.io, output/eve/eve-json-format, the grouped form", encode.EVE,
		exchange{
			at: time.Unix(1e9, 0), client: "192.0.2.7", id: 18523, name: "www.suricata-ids.org", qtype: dns.TypeA, recursive: true,
			records: []string{"www.suricata-ids.org. 3324 IN CNAME suricata-ids.org.", "suricata-ids.org. 10 IN A 192.0.78.24", "suricata-ids.org. 10 IN A 192.0.78.25"},
		},
		`{"dns":{"id":18523,"flags":"8180","qr":true,"rd":true,"ra":true,"rcode":"NOERROR","grouped":{"A":["192.0.78.24","192.0.78.25"],"CNAME":["suricata-ids.org"]}}}`,
	},
	{
		"github.com/elastic/integrations, packages/network_traffic/data_stream/dns/sample_event.json", encode.ECS,
		exchange{
			at: time.Date(2022, 2, 3, 10, 28, 49, 401e6, time.UTC), client: "192.168.238.68", server: "8.8.8.8", id: 681, name: "nothing.elastic.co", qtype: dns.TypeA,
			rtt: 58475961, rcode: dns.RcodeNameError, recursive: true, authority: []string{"elastic.co. 900 IN SOA ns. host. 1 2 3 4 5"},
		},
		`{"client":{"ip":"192.168.238.68"},"destination":{"ip":"8.8.8.8","port":53},"server":{"ip":"8.8.8.8","port":53},"source":{"ip":"192.168.238.68"},
		"dns":{"header_flags":["RD","RA"],"id":"681","op_code":"QUERY","response_code":"NXDOMAIN","type":"answer",
		"question":{"class":"IN","name":"nothing.elastic.co","registered_domain":"elastic.co","subdomain":"nothing","top_level_domain":"co","type":"A"}},
		"event":{"category":["network"],"duration":58475961,"kind":"event"},"network":{"protocol":"dns","transport":"udp","type":"ipv4"}}`,
	},
	{
		"github.com/ocsf/examples, Network Activity/DNS Activity/AWS/Route53 and Zeek/dns_log, with the numbers of OCSF 1.5 for what happened", encode.OCSF,
		exchange{
			at: time.UnixMilli(1665694956000), client: "10.200.21.100", name: "ip-127-0-0-62.alert.firewall.canary", qtype: dns.TypeA, id: 19671,
			records: []string{"ip-127-0-0-62.alert.firewall.canary. 0 IN A 127.0.0.62"},
		},
		`{"activity_id":6,"category_name":"Network Activity","category_uid":4,"class_name":"DNS Activity","class_uid":4003,"type_uid":400306,
		"connection_info":{"direction_id":0,"protocol_name":"udp"},"query":{"class":"IN","hostname":"ip-127-0-0-62.alert.firewall.canary","type":"A"},
		"answers":[{"class":"IN","rdata":"127.0.0.62","type":"A","ttl":0,"packet_uid":19671}],"rcode":"NOERROR","rcode_id":0,"severity_id":1,
		"src_endpoint":{"ip":"10.200.21.100"},"time":1665694956000}`,
	},
}

func TestPublishedExamplesAreWhatIsWritten(t *testing.T) {
	for _, p := range published {
		line := string(encode.New(p.format, same, nil).Append(nil, p.what.transaction(t)))
		for _, m := range missing("", object(t, line), object(t, p.want)) {
			t.Errorf("%s: %s", p.origin, m)
		}
	}
	// The numbers of ECS' dns.id are text in its schema; @timestamp has digits of ours.
	e := published[4]
	if line := string(encode.New(encode.ECS, same, nil).Append(nil, e.what.transaction(t))); !strings.Contains(line, `"@timestamp":"2022-02-03T10:28:49.401`) {
		t.Errorf("%s: %s", e.origin, line)
	}
}

// Zeek's logs as text have the same fields in the order of its script (base/protocols/
// dns/main.zeek), with their types, and values as its ASCII writer has them.
func TestPublishedExampleAsTextOfZeek(t *testing.T) {
	const fields = "ts uid id.orig_h id.orig_p id.resp_h id.resp_p proto trans_id rtt query qclass qclass_name qtype qtype_name rcode rcode_name AA TC RD RA Z answers TTLs rejected opcode opcode_name"
	const types = "time string addr port addr port enum count interval string count string count string count string bool bool bool bool count vector[string] vector[interval] bool count string"
	const want = "1591367999.305988 UID 192.168.4.76 0 192.168.4.1 53 udp 19671 0.066852 testmyids.com 1 C_INTERNET 1 A 0 NOERROR F F T T 0 31.3.245.133 3600.000000 F 0 query"
	head := strings.Split(strings.TrimSuffix(encode.Zeek.Header(), "\n"), "\n")
	if head[5] != "#fields\t"+strings.ReplaceAll(fields, " ", "\t") || head[6] != "#types\t"+strings.ReplaceAll(types, " ", "\t") {
		t.Errorf("header %q", head)
	}
	line := strings.Split(strings.TrimSuffix(string(encode.New(encode.Zeek, same, nil).Append(nil, published[0].what.transaction(t))), "\n"), "\t")
	line[1] = "UID"
	if got := strings.Join(line, " "); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// Names that Zeek has of its own (base/protocols/dns/consts.zeek).
func TestZeekNamesWhatIsRare(t *testing.T) {
	tx := exchange{at: time.Unix(1e9, 0), client: "192.0.2.7", name: "x.example", qtype: 255, rcode: 12}.transaction(t)
	tx.Query.Class = 32769
	got := object(t, string(encode.New(encode.ZeekJSON, same, nil).Append(nil, tx)))
	tx.Query.Type, tx.Query.Class, tx.Rcode = 65280, dns.ClassCHAOS, dns.RcodeRefused
	rare := object(t, string(encode.New(encode.ZeekJSON, same, nil).Append(nil, tx)))
	for name, values := range map[string][2]any{
		"qtype_name": {"*", "query-65280"}, "qclass_name": {"qclass-32769", "C_CHAOS"}, "rcode_name": {"rcode-12", "REFUSED"}, "rejected": {false, true},
	} {
		if got[name] != values[0] || rare[name] != values[1] {
			t.Errorf("%s is %v and %v, want %v", name, got[name], rare[name], values)
		}
	}
}

// The columns of Apache Spot's table dns_scores (spot-oa's documents; its score is
// ml_score in spot-setup/hive/create_dns_parquet.hql), each with a value of its type.
func TestSpotHasTheColumnsOfItsTable(t *testing.T) {
	const columns = "frame_time unix_tstamp frame_len ip_dst dns_qry_name dns_qry_class dns_qry_type dns_qry_rcode ml_score tld query_rep hh dns_qry_class_name dns_qry_type_name dns_qry_rcode_name network_context"
	e := exchange{at: time.Date(2016, 7, 8, 4, 38, 7, 0, time.UTC), client: "172.16.32.193", name: "kol.icxrhjgz.example", qtype: dns.TypeA, rcode: dns.RcodeNameError}
	rows, err := csv.NewReader(strings.NewReader(encode.Spot.Header() + string(encode.New(encode.Spot, same, nil).Append(nil, e.transaction(t))))).ReadAll()
	if err != nil || len(rows) != 2 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	if got := strings.Join(rows[0], " "); got != columns {
		t.Errorf("columns %s, want %s", got, columns)
	}
	got := map[string]string{}
	for i, name := range rows[0] {
		got[name] = rows[1][i]
	}
	for name, want := range map[string]string{
		"frame_time": "Jul 08 2016 04:38:07.000000000 UTC", "unix_tstamp": "1467952687", "ip_dst": "172.16.32.193", "dns_qry_name": "kol.icxrhjgz.example", "dns_qry_class": "0x00000001",
		"dns_qry_type": "1", "dns_qry_rcode": "3", "tld": "icxrhjgz.example", "hh": "4", "dns_qry_class_name": "IN", "dns_qry_type_name": "A", "dns_qry_rcode_name": "NXDOMAIN",
	} {
		if got[name] != want {
			t.Errorf("%s is %q, want %q", name, got[name], want)
		}
	}
}
