package upstream

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/weirdns/weir/internal/dnsname"
)

// Every check of validate has a message here that only it refuses, on both
// transports. The attacks themselves are in spoof_test.go.
func TestValidateRefusesForOneReasonEach(t *testing.T) {
	record := func(text string) dns.RR {
		rr, err := dns.NewRR(text)
		if err != nil {
			t.Fatal(err)
		}
		return rr
	}
	opt := func() *dns.OPT { return &dns.OPT{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeOPT, Class: 1232}} }
	tests := []struct {
		name     string
		edit     func(m *dns.Msg)
		raw      func(wire []byte) []byte
		noOPT    bool // the query had none
		udp, tcp reason
	}{
		{name: "good"},
		{name: "nothing", raw: func(w []byte) []byte { return nil }, udp: badShort, tcp: badShort},
		{name: "eleven octets", raw: func(w []byte) []byte { return w[:11] }, udp: badShort, tcp: badShort},
		{name: "another ID", edit: func(m *dns.Msg) { m.Id ^= 0x100 }, udp: badID, tcp: badID},
		{name: "a query", edit: func(m *dns.Msg) { m.Response = false }, udp: badResponse, tcp: badResponse},
		{name: "another opcode", edit: func(m *dns.Msg) { m.Opcode = dns.OpcodeNotify }, udp: badOpcode, tcp: badOpcode},
		{name: "longer than offered", edit: func(m *dns.Msg) {
			for range 10 {
				m.Answer = append(m.Answer, record(`www.example. 60 TXT `+fmt.Sprintf("%0200d", 1)))
			}
		}, udp: badSize},
		{name: "no question", edit: func(m *dns.Msg) { m.Question = nil }, udp: badQuestion, tcp: badQuestion},
		{name: "no question, SERVFAIL", edit: func(m *dns.Msg) { m.Question, m.Answer, m.Rcode = nil, nil, 2 }, udp: badQuestion, tcp: badQuestion},
		{name: "no question, REFUSED", edit: func(m *dns.Msg) { m.Question, m.Answer, m.Rcode = nil, nil, 5 }, udp: badQuestion, tcp: badQuestion},
		{name: "no question, FORMERR", edit: func(m *dns.Msg) { m.Question, m.Answer, m.Rcode = nil, nil, 1 }},
		{name: "no question, FORMERR, to a query without OPT", edit: func(m *dns.Msg) { m.Question, m.Answer, m.Rcode = nil, nil, 1 },
			noOPT: true, udp: badUnsolicited, tcp: badUnsolicited},
		{name: "no question, FORMERR, but records", edit: func(m *dns.Msg) { m.Question, m.Rcode = nil, 1 }, udp: badQuestion, tcp: badQuestion},
		{name: "two questions", edit: func(m *dns.Msg) { m.Question = append(m.Question, m.Question[0]) }, udp: badQuestion, tcp: badQuestion},
		{name: "question cut in its name", raw: func(w []byte) []byte { return w[:18] }, udp: badQuestion, tcp: badQuestion},
		{name: "question cut in its class", raw: func(w []byte) []byte { return w[:28] }, udp: badQuestion, tcp: badQuestion},
		{name: "another name as long", raw: func(w []byte) []byte { w[13] = 'v'; return w }, udp: badQuestion, tcp: badQuestion},
		{name: "another label length", raw: func(w []byte) []byte { w[12], w[16] = 4, '.'; return w }, udp: badQuestion, tcp: badQuestion},
		{name: "another case", raw: func(w []byte) []byte { w[13] ^= 0x20; return w }, udp: badCase},
		{name: "another type", edit: func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeAAAA }, udp: badQuestion, tcp: badQuestion},
		{name: "another class", edit: func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassANY }, udp: badQuestion, tcp: badQuestion},
		{name: "truncated", edit: func(m *dns.Msg) { m.Truncated = true }, tcp: badTruncated},
		{name: "truncated in a record", edit: func(m *dns.Msg) { m.Truncated = true }, raw: func(w []byte) []byte { return w[:40] }, tcp: badTruncated},
		{name: "cut in a record", raw: func(w []byte) []byte { return w[:40] }, udp: badFormat, tcp: badFormat},
		{name: "more records claimed", raw: func(w []byte) []byte { w[11]++; return w }, udp: badFormat, tcp: badFormat},
		{name: "octets behind the last record", raw: func(w []byte) []byte { return append(w, "garbage"...) }},
		{name: "owner that points forwards", raw: func(w []byte) []byte { w[30] = 0xff; return w }, udp: badFormat, tcp: badFormat},
		{name: "address of five octets", raw: func(w []byte) []byte { w[40] = 5; return append(w, 1) }, udp: badFormat, tcp: badFormat},
		{name: "address of another class, as long as it has them", raw: func(w []byte) []byte {
			w[11]++ // additional records
			return append(w, 0, 0, 1, 0, 3, 0, 0, 0, 60, 0, 2, 1, 2)
		}},
		{name: "NS with octets behind its name", raw: func(w []byte) []byte {
			w[32] = 2 // type NS
			w[40] = 7
			return append(w[:41], 1, 'a', 0xc0, 12, 1, 'b', 0)
		}, udp: badFormat, tcp: badFormat},
		{name: "OPT in the answer section", edit: func(m *dns.Msg) { m.Answer = append(m.Answer, opt()) }, udp: badFormat, tcp: badFormat},
		{name: "TSIG in the authority section", raw: func(w []byte) []byte {
			w[9]++
			return append(w, 0, 0, 250, 0, 255, 0, 0, 0, 0, 0, 0)
		}, udp: badFormat, tcp: badFormat},
		{name: "two OPTs", edit: func(m *dns.Msg) { m.Extra = []dns.RR{opt(), opt()} }, udp: badFormat, tcp: badFormat},
		{name: "OPT of a name", edit: func(m *dns.Msg) {
			o := opt()
			o.Hdr.Name = "www.example."
			m.Extra = []dns.RR{o}
		}, udp: badFormat, tcp: badFormat},
		{name: "answer of another name", edit: func(m *dns.Msg) { m.Answer[0].Header().Name = "v.example." }, udp: badOwner, tcp: badOwner},
		{name: "answer of the parent", edit: func(m *dns.Msg) { m.Answer[0].Header().Name = "example." }, udp: badOwner, tcp: badOwner},
		{name: "answer of another class", edit: func(m *dns.Msg) { m.Answer[0].Header().Class = dns.ClassCHAOS }, udp: badOwner, tcp: badOwner},
		{name: "NXDOMAIN with answers of another name", edit: func(m *dns.Msg) { m.Rcode = 3; m.Answer[0].Header().Name = "v.example." }, udp: badOwner, tcp: badOwner},
		{name: "alias to itself", edit: func(m *dns.Msg) { m.Answer = []dns.RR{record("www.example. 60 CNAME www.example.")} }, udp: badLoop, tcp: badLoop},
		{name: "more aliases than anybody needs", edit: func(m *dns.Msg) {
			m.Compress = true
			for i := range maxLinks + 1 {
				m.Answer = append(m.Answer, record(fmt.Sprintf("n%d.example. 60 CNAME www.example.", i)))
			}
		}, udp: badLoop, tcp: badLoop},
	}
	for _, stream := range []bool{false, true} {
		for _, tt := range tests {
			cfg := DefaultConfig()
			q := new(query)
			q.build(&Question{Name: dnsname.MustParse("www.example"), Type: dns.TypeA, Class: 1}, &cfg, how{randomCase: !stream, edns: !tt.noOPT, stream: stream})
			m := new(dns.Msg)
			if err := m.Unpack(q.wire); err != nil {
				t.Fatal(err)
			}
			m.Response, m.Compress, m.Extra = true, true, nil
			m.Answer = []dns.RR{record("www.example. 60 A 192.0.2.1")}
			m.Answer[0].Header().Name = m.Question[0].Name
			if tt.edit != nil {
				tt.edit(m)
			}
			wire, err := m.Pack()
			if err != nil {
				t.Fatal(err)
			}
			if tt.raw != nil {
				wire = tt.raw(bytes.Clone(wire))
			}
			want := tt.udp
			if stream {
				want = tt.tcp
			}
			var r reply
			if got := validate(wire, q, &r); got != want {
				t.Errorf("%s, TCP %v: refused as %q, want %q", tt.name, stream, got, want)
			}
		}
	}
}

// FORMERR means "I do not know OPT" only without an OPT beside it.
func TestWhatSaysNoEDNS(t *testing.T) {
	for _, tt := range []struct {
		rcode     int
		opt, want bool
	}{
		{dns.RcodeFormatError, false, true},
		{dns.RcodeNotImplemented, false, true},
		{dns.RcodeBadVers, true, true},
		{dns.RcodeFormatError, true, false},
		{dns.RcodeServerFailure, false, false},
		{dns.RcodeRefused, false, false},
		{dns.RcodeSuccess, false, false},
	} {
		q := fuzzQuery(false)
		m := new(dns.Msg)
		if err := m.Unpack(q.wire); err != nil {
			t.Fatal(err)
		}
		m.SetRcode(m, tt.rcode)
		m.Extra = nil
		if tt.opt {
			m.SetEdns0(1232, false)
		}
		wire, err := m.Pack()
		if err != nil {
			t.Fatal(err)
		}
		var r reply
		if bad := validate(wire, q, &r); bad != valid || r.noEDNS != tt.want {
			t.Errorf("rcode %d, OPT %v: %q, noEDNS %v, want valid, %v", tt.rcode, tt.opt, bad, r.noEDNS, tt.want)
		}
	}
}

// A bug in the reader must cost one packet, not the program.
func TestAPanicWhileReadingIsABadPacket(t *testing.T) {
	reg := prometheus.NewRegistry()
	cfg := DefaultConfig()
	cfg.Servers = []string{"192.0.2.1"}
	g, err := New(cfg, Deps{Log: zap.NewNop(), Registry: reg})
	if err != nil {
		t.Fatal(err)
	}
	// No query to compare with: the check has to panic.
	if o := g.servers[0].judge(make([]byte, 12), nil, time.Now()); o.kind != kindBad || o.reason != badPanic {
		t.Errorf("outcome %+v, want a bad packet", o)
	}
}
