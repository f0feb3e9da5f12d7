package pdns_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/internal/dnswire"
	"github.com/weirdns/weir/pdns"
	"go.uber.org/zap"
)

// counting is an output that keeps the types of what it wants.
type counting struct {
	name   string
	want   uint16 // a type; 0: all
	got    []uint16
	fails  error
	closed int
}

func (c *counting) Name() string                     { return c.name }
func (c *counting) Wants(t *detect.Transaction) bool { return c.want == 0 || t.Query.Type == c.want }
func (c *counting) Consume(t *detect.Transaction)    { c.got = append(c.got, t.Query.Type) }
func (c *counting) Tend() error                      { return c.fails }
func (c *counting) Stopping()                        {}
func (c *counting) Close() error                     { c.closed++; return c.fails }
func (c *counting) Recorded() uint64                 { return uint64(len(c.got)) }
func (c *counting) Dropped() uint64                  { return 0 }

// Outputs that share a queue each get what they want of it, in order, and the
// queue has no record that none of them wants.
func TestOutputsTogetherGetWhatEachWants(t *testing.T) {
	a := &counting{name: "a", want: dnswire.TypeA}
	mail := &counting{name: "mail", want: dnswire.TypeMX, fails: errors.New("no room")}
	cfg := pdns.DefaultConfig()
	cfg.COF.Enabled = false
	r, err := pdns.New(cfg, pdns.Deps{
		Log: zap.NewNop(), Registry: prometheus.NewRegistry(),
		Outputs: []pdns.QueuedOutput{{Output: pdns.Together("both", a, mail), QueueBytes: 1 << 20, Bare: true}},
	})
	if err != nil {
		t.Fatal(err)
	}
	stop := run(t, r)
	for _, qtype := range []uint16{dnswire.TypeA, dnswire.TypeMX, dnswire.TypeTXT, dnswire.TypeA} {
		tx := detect.Transaction{Query: detect.Query{Name: dnsname.MustParse("example.com"), Type: qtype, Class: dnswire.ClassIN}}
		r.Record(&tx)
	}
	if err := stop(); err == nil || !strings.Contains(err.Error(), "no room") {
		t.Errorf("closing says %v, want what one of them said", err)
	}
	if len(a.got) != 2 || len(mail.got) != 1 {
		t.Errorf("a got %v, mail got %v", a.got, mail.got)
	}
	if a.closed != 1 || mail.closed != 1 {
		t.Errorf("closed %d and %d times, want once each", a.closed, mail.closed)
	}
	s := r.Stats()["both"]
	if s.Recorded != 3 || s.Dropped["queue"]+s.Dropped["disk"]+s.Dropped["record"] != 0 {
		t.Errorf("recorded %d, dropped %v; want 3 and none", s.Recorded, s.Dropped)
	}
}
