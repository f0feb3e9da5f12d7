package tally_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/pdns"
	"github.com/weirdns/weir/pdns/tally"
)

var _ pdns.Output = (*tally.Tally)(nil)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func tx(at time.Time, name string) *detect.Transaction {
	return &detect.Transaction{
		Query:    detect.Query{Time: at, Name: dnsname.MustParse(name), Client: netip.MustParseAddr("192.0.2.7")},
		Response: []byte{0},
	}
}

func TestMinutesOfTheLastHour(t *testing.T) {
	c := tally.New(nil, nil)
	for m := range 130 {
		for range m + 1 {
			c.Consume(tx(start.Add(time.Duration(m)*time.Minute), "a.example"))
		}
	}
	c.Consume(tx(start, "late.example")) // of a minute that is gone
	blocked, flagged := tx(start.Add(129*time.Minute), "b.example"), tx(start.Add(129*time.Minute), "c.example")
	blocked.Verdict = detect.Verdict{Action: detect.ZeroIP, Enforced: true}
	flagged.Verdict = detect.Verdict{Action: detect.ZeroIP}
	c.Consume(blocked)
	c.Consume(flagged)
	got := c.Report().Minutes
	if len(got) != 60 {
		t.Fatalf("%d minutes, want 60", len(got))
	}
	if first, want := got[0], (tally.Minute{Time: start.Unix() + 70*60, Queries: 71}); first != want {
		t.Errorf("first minute %+v, want %+v", first, want)
	}
	if last, want := got[59], (tally.Minute{Time: start.Unix() + 129*60, Queries: 132, Blocked: 1, Flagged: 1}); last != want {
		t.Errorf("last minute %+v, want %+v", last, want)
	}
	if c.Report().Clients != nil {
		t.Error("clients are shown that nobody asked for")
	}
}

// A flood of names costs the counters there are, and does not push the busiest
// out.
func TestTheBusiestOutliveAFlood(t *testing.T) {
	c := tally.New(nil, func(dst []byte, a netip.Addr) []byte { return a.AppendTo(dst) })
	for i := range 20000 {
		c.Consume(tx(start, fmt.Sprintf("x%d.example", i)))
		if i%10 == 0 {
			c.Consume(tx(start, "www.busy.example"))
		}
	}
	r := c.Report()
	if got := r.Domains[0]; got.Name != "busy.example" || got.Count < 2000 || got.Count-got.Over > 2000 {
		t.Errorf("busiest %+v, want busy.example with 2000", got)
	}
	if len(r.Domains) != 20 {
		t.Errorf("%d domains are shown, want 20", len(r.Domains))
	}
	if got := r.Clients; len(got) != 1 || got[0] != (tally.Count{Name: "192.0.2.7", Count: 22000}) {
		t.Errorf("clients %+v", got)
	}
	if got := r.Rcodes; len(got) != 1 || got[0] != (tally.Count{Name: "NOERROR", Count: 22000}) {
		t.Errorf("rcodes %+v", got)
	}
	// Half an hour later it is still known, an hour after that it is not.
	c.Consume(tx(start.Add(31*time.Minute), "new.example"))
	if got := c.Report().Domains[0].Name; got != "busy.example" {
		t.Errorf("after half an hour the busiest is %s", got)
	}
	c.Consume(tx(start.Add(62*time.Minute), "new.example"))
	if got := c.Report().Domains; len(got) != 1 || got[0] != (tally.Count{Name: "new.example", Count: 2}) {
		t.Errorf("after an hour: %+v", got)
	}
}
