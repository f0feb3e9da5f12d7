package behaviour_test

import (
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/detect/behaviour"
	"github.com/weirdns/weir/detect/lookalike"
	"github.com/weirdns/weir/internal/dnsname"
)

// Distance alone is no offence: an imitation is told if it exists, is new here and
// unpopular, and does not lead to the brand.
func TestImitations(t *testing.T) {
	const day = 24 * time.Hour
	for _, c := range []struct {
		say     string
		grade   lookalike.Grade
		name    string
		rcode   int
		records []string
		want    string // the beginning; "": nothing
	}{
		{"hard to explain otherwise", lookalike.GradeHigh, "www.paypa1.com", 0, []string{"www.paypa1.com. 60 IN A 203.0.113.9"}, "lookalike high 192.0.2.1 paypa1.com brand=paypal.com how=homoglyph grade=high"},
		{"of medium grade", lookalike.GradeMedium, "paypai.com", 0, []string{"paypai.com. 60 IN A 203.0.113.9"}, "lookalike medium 192.0.2.1 paypai.com"},
		{"of low grade", lookalike.GradeLow, "paypel.com", 0, []string{"paypel.com. 60 IN A 203.0.113.9"}, ""},
		{"it does not exist", lookalike.GradeHigh, "paypa1.com", dns.RcodeNameError, nil, ""},
		{"it is popular", lookalike.GradeHigh, "popular.com", 0, []string{"popular.com. 60 IN A 203.0.113.9"}, ""},
		{"the site knows it", lookalike.GradeHigh, "known.com", 0, []string{"known.com. 60 IN A 203.0.113.9"}, ""},
		{"it is an alias of the brand", lookalike.GradeHigh, "paypa1.com", 0, []string{"paypa1.com. 60 IN CNAME www.paypal.com.", "www.paypal.com. 60 IN A 203.0.113.9"}, ""},
		{"it points to the brand's network", lookalike.GradeHigh, "paypa1.com", 0, []string{"paypa1.com. 60 IN A 198.51.100.77"}, ""},
		{"it points beside it", lookalike.GradeHigh, "paypa1.com", 0, []string{"paypa1.com. 60 IN A 198.51.101.77"}, "lookalike high"},
		{"it points to another brand's network", lookalike.GradeHigh, "paypa1.com", 0, []string{"paypa1.com. 60 IN A 192.0.2.77"}, "lookalike high"},
	} {
		cfg, sink := behaviour.DefaultConfig(), &told{}
		only(func(on *behaviour.Config) { on.Lookalikes.Mode = detect.ModeMonitor })(&cfg)
		named := func(names string) func(dnsname.Name) bool {
			return func(n dnsname.Name) bool { return strings.Contains(names, "|"+n.String()+"|") }
		}
		w, err := behaviour.New(cfg, behaviour.Deps{
			Registry: prometheus.NewRegistry(), Findings: sink, Popular: named("|popular.com|"), Brand: named("|paypal.com|google.com|"),
		})
		if err != nil {
			t.Fatal(err)
		}
		w.Record(answer(t, query(0, "192.0.2.2", "known.com", dns.TypeA), 0))
		w.Record(answer(t, query(0, "192.0.2.2", "www.paypal.com", dns.TypeA), 0, "www.paypal.com. 60 IN A 198.51.100.1"))
		w.Record(answer(t, query(0, "192.0.2.2", "google.com", dns.TypeA), 0, "google.com. 60 IN A 192.0.2.1"))
		tx := answer(t, query(day, "192.0.2.1", c.name, dns.TypeA), c.rcode, c.records...)
		tx.Verdict.Lookalike = lookalike.Match{Brand: "paypal.com", Kind: lookalike.KindHomoglyph, Grade: c.grade}
		w.Record(tx)
		w.Record(tx)
		tx.Query.Client = tx.Query.Client.Next() // another, on the same day
		w.Record(tx)
		if got := strings.Join(sink.lines, "; "); (c.want == "") != (got == "") || !strings.HasPrefix(got, c.want) || len(sink.lines) > 1 {
			t.Errorf("%s: %q, want %q", c.say, got, c.want)
		}
	}
}
