// Package outlettest brings rows to a sink through a whole outlet, spool and all,
// for the tests of sinks.
package outlettest

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/pdns/outlet"
	"github.com/weirdns/weir/pdns/privacy"
	"go.uber.org/zap"
)

// Begin is the time of row 0; each row is a nanosecond later. It is of today, since
// services drop what is older than they keep.
var Begin = time.Now().UTC().Truncate(time.Second)

// Row is a query for Name(i) by 192.0.2.77, answered by 203.0.113.9 where answered,
// and every tenth a detection.
func Row(i int) *detect.Transaction {
	t := &detect.Transaction{
		Query:   detect.Query{Time: Begin.Add(time.Duration(i)), Client: netip.MustParseAddr("192.0.2.77"), Name: dnsname.MustParse(Name(i)), Type: 1, Class: 1},
		Verdict: detect.Verdict{Unscored: detect.NotAsked}, Source: detect.FromUpstream, Upstream: "192.0.2.53:53", Latency: 1500 * time.Microsecond,
	}
	t.Response = response(t.Query.Name)
	if i%10 == 0 {
		t.Verdict = detect.Verdict{
			Origin: detect.OriginModel, Action: detect.NXDOMAIN, Score: 0.75, Probability: 0.5, Level: detect.LevelHigh,
			Matches: []detect.Match{{List: "urlhaus", Rule: "example", Kind: detect.MatchName}},
		}
	}
	return t
}

// Name is the name that row i asks for. It has what breaks careless quoting.
func Name(i int) string { return fmt.Sprintf(`n%d.d%d\"\\'.example`, i, i%3) }

// response is a message with one A record for the name.
func response(n dnsname.Name) []byte {
	msg := []byte{0x12, 0x34, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0}
	msg = append(append(msg, n...), 0, 1, 0, 1)
	return append(msg, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 203, 0, 113, 9)
}

// Limit is how long anything may take on a loaded machine.
const Limit = 2 * time.Minute

// Start makes an outlet with n rows in its spool, and runs it. The end of the test
// ends it.
func Start(t testing.TB, cfg outlet.Config, sink outlet.Sink, n int) *outlet.Outlet {
	t.Helper()
	return start(t, cfg, sink, n, Row)
}

// DeliverRows is Deliver of rows of the test's own.
func DeliverRows(t testing.TB, cfg outlet.Config, sink outlet.Sink, rows ...*detect.Transaction) outlet.Stats {
	t.Helper()
	return Wait(t, start(t, cfg, sink, len(rows), func(i int) *detect.Transaction { return rows[i] }), len(rows))
}

func start(t testing.TB, cfg outlet.Config, sink outlet.Sink, n int, row func(int) *detect.Transaction) *outlet.Outlet {
	t.Helper()
	o, err := outlet.New(cfg, sink, outlet.Deps{
		Dir: t.TempDir(), Log: zap.NewNop(), Registry: prometheus.NewRegistry(), Privacy: privacy.Plain(privacy.Truncated),
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		o.Consume(row(i))
		if i%1000 == 999 {
			if err := o.Tend(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := o.Tend(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- o.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return o
}

// Wait waits until all n rows have arrived, or were refused.
func Wait(t testing.TB, o *outlet.Outlet, n int) outlet.Stats {
	t.Helper()
	return wait(t, o, n, Limit)
}

func wait(t testing.TB, o *outlet.Outlet, n int, limit time.Duration) outlet.Stats {
	t.Helper()
	for deadline := time.Now().Add(limit); ; time.Sleep(time.Millisecond) {
		s := o.Stats()
		if s.Sent+s.Dropped["refused"] == uint64(n) {
			return s
		}
		if time.Now().After(deadline) {
			t.Fatalf("after %v %+v of %d rows", limit, s, n)
		}
	}
}

// Try sends one row once, and returns what the sink says.
func Try(t testing.TB, cfg outlet.Config, sink outlet.Sink) error {
	t.Helper()
	said := make(chan error, 1)
	start(t, cfg, observed{sink, said}, 1, Row)
	select {
	case err := <-said:
		return err
	case <-time.After(Limit):
		t.Fatal("nothing was sent")
		return nil
	}
}

// observed tells the first thing that a sink says.
type observed struct {
	outlet.Sink
	said chan error
}

func (o observed) Send(ctx context.Context, b *outlet.Batch) error {
	err := o.Sink.Send(ctx, b)
	select {
	case o.said <- err:
	default:
	}
	return err
}

// Deliver is Start and Wait.
func Deliver(t testing.TB, cfg outlet.Config, sink outlet.Sink, n int) outlet.Stats {
	t.Helper()
	return Wait(t, Start(t, cfg, sink, n), n)
}
