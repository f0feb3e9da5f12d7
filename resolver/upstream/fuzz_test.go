package upstream

import (
	"testing"

	"github.com/miekg/dns"

	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/internal/dnswire"
)

// compressesElsewhere are types whose rdata may hold names in places that
// nameForms does not know. The other implementation decompresses them, against
// RFC 3597, and so notices when what such a name points to has been cut off.
var compressesElsewhere = map[uint16]bool{
	dns.TypeNAPTR: true, dns.TypeHIP: true, dns.TypeIPSECKEY: true, dns.TypeAMTRELAY: true,
	dns.TypeTKEY: true, dns.TypeNSAPPTR: true,
}

func fuzzQuery(stream bool) *query {
	cfg := DefaultConfig()
	q := new(query)
	q.build(&Question{Name: dnsname.MustParse("www.example"), Type: dns.TypeA, Class: 1}, &cfg, how{edns: true, stream: stream})
	return q
}

// FuzzValidateAndClean: no octets make it panic, and what passes is a message
// that another implementation reads, if it could read what came.
func FuzzValidateAndClean(f *testing.F) {
	seeds := 0
	add := func(change func(m *dns.Msg)) {
		m := new(dns.Msg).SetQuestion("www.example.", dns.TypeA)
		m.Response, m.Compress = true, true
		m.SetEdns0(1232, false)
		change(m)
		wire, err := m.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(wire[2:], false)
		f.Add(wire[2:], true)
		seeds++
	}
	rr := func(text string) dns.RR {
		rr, err := dns.NewRR(text)
		if err != nil {
			f.Fatal(err)
		}
		return rr
	}
	for _, set := range [][]string{
		{"www.example. 60 A 192.0.2.1"},
		{"www.example. 60 CNAME b.example.", "b.example. 60 A 192.0.2.1"},
		{"example. 60 DNAME test.", "www.test. 60 A 192.0.2.1"},
		{"bank.test. 60 A 192.0.2.1", "www.example. 60 A 192.0.2.1"},
		{"www.example. 60 MX 10 mail.example.", "www.example. 60 SRV 1 2 3 srv.example.", "www.example. 60 HTTPS 1 . alpn=h2"},
		{"www.example. 60 RRSIG A 8 2 3600 20380101000000 20200101000000 1 example. AAAA", "www.example. 60 NSEC a.example. A"},
		{`www.example. 60 TYPE65400 \# 2 c00c`, `www.example. 60 TXT "a"`},
	} {
		add(func(m *dns.Msg) {
			for _, text := range set {
				m.Answer = append(m.Answer, rr(text))
			}
		})
	}
	add(func(m *dns.Msg) {
		m.Rcode = dns.RcodeNameError
		m.Ns = []dns.RR{rr("example. 60 SOA ns.example. h.example. 1 2 3 4 5")}
	})
	add(func(m *dns.Msg) { m.Rcode = dns.RcodeFormatError; m.Extra = nil })
	add(func(m *dns.Msg) { m.Rcode = dns.RcodeFormatError; m.Extra, m.Question = nil, nil })
	add(func(m *dns.Msg) { m.Truncated = true })
	add(func(m *dns.Msg) { m.Extra = append(m.Extra, rr("ns.example. 60 A 192.0.2.53")) })
	if seeds < 12 {
		f.Fatalf("%d seeds, want 12", seeds)
	}

	queries := map[bool]*query{false: fuzzQuery(false), true: fuzzQuery(true)}
	f.Fuzz(func(t *testing.T, rest []byte, stream bool) {
		q := queries[stream]
		wire := append([]byte{byte(q.id >> 8), byte(q.id)}, rest...)
		var r reply
		if bad := validate(wire, q, &r); bad != valid || r.truncated || r.noEDNS {
			return
		}
		out, bad := clean(wire, q, &r)
		if bad != valid {
			return
		}
		h, err := dnswire.ReadHeader(out)
		if err != nil {
			t.Fatalf("clean made a message without a header: %x", out)
		}
		walk := dnswire.Walk(out, h, dnswire.HeaderLen+len(q.q.Name)+4)
		for rec := (dnswire.Record{}); walk.Next(&rec); {
			if rec.Type == dnswire.TypeOPT || rec.Type == dnswire.TypeTSIG {
				t.Errorf("type %d is left in the answer", rec.Type)
			}
			if compressesElsewhere[rec.Type] {
				return
			}
		}
		if walk.Err() != nil || walk.Offset() != len(out) {
			t.Errorf("answer ends at %d of %d: %v", walk.Offset(), len(out), walk.Err())
		}
		// What follows the last record is not part of the message.
		var before, after dns.Msg
		if before.Unpack(wire[:r.end]) != nil {
			return
		}
		if err := after.Unpack(out); err != nil {
			t.Errorf("%v\nin  %x\nout %x", err, wire, out)
		}
		// And it has passed once, so it passes again.
		dnswire.SetID(out, q.id)
		if bad := validate(out, q, &r); bad != valid && (stream || len(out) <= q.limit) {
			t.Errorf("a clean answer is refused as %q\nin  %x\nout %x", bad, wire, out)
		}
	})
}
