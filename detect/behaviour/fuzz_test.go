package behaviour_test

import (
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/detect/lookalike"
	"github.com/weirdns/weir/internal/dnsname"
)

// Whatever a client asks and a server answers, nothing breaks, and the same
// transaction twice in a row tells nothing twice.
func FuzzRecord(f *testing.F) {
	f.Add([]byte(dnsname.MustParse("www.paypa1.com")), answer(f, query(0, "192.0.2.1", "www.paypa1.com", dns.TypeA), 0, "www.paypa1.com. 60 IN CNAME a.example.org.", "a.example.org. 60 IN A 10.0.0.1").Response, uint16(dns.TypeA), uint8(0))
	f.Add([]byte(dnsname.MustParse("x.evil.com")), answer(f, query(0, "192.0.2.1", "x.evil.com", dns.TypeTXT), dns.RcodeNameError).Response, uint16(dns.TypeTXT), uint8(1))
	f.Fuzz(func(t *testing.T, name, response []byte, qtype uint16, origin uint8) {
		n := dnsname.Name(name)
		if n.Check() != nil {
			return
		}
		w, sink, _ := watcher(t, nil)
		tx := query(0, "192.0.2.1", "example.com", qtype)
		tx.Query.Name, tx.Response, tx.Source = n, response, detect.FromUpstream
		tx.Verdict.Origin = detect.Origin(origin % uint8(detect.OriginBehaviour+1))
		tx.Verdict.Lookalike = lookalike.Match{Brand: "paypal.com", Kind: lookalike.KindEdit, Grade: lookalike.GradeHigh}
		w.Record(tx)
		before := len(sink.lines)
		tx.Query.Time = tx.Query.Time.Add(time.Second)
		if w.Record(tx); len(sink.lines) > before {
			t.Errorf("told again: %q", sink.lines[before:])
		}
	})
}
