package alert_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/weirdns/weir/alert"
	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/pdns/privacy"
	"go.uber.org/zap"
)

var start = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC) // a Monday

// bench is an engine with a clock and receivers that remember.
type bench struct {
	*alert.Engine
	t    *testing.T
	reg  *prometheus.Registry
	now  time.Time
	got  []told
	fail map[string]error // by receiver
}

// told is what one receiver was told.
type told struct {
	to string
	alert.Notification
}

type setup struct {
	rules   []alert.Rule
	dir     string
	mode    privacy.Mode
	recv    []alert.Receiver
	keys    int
	alerts  int
	groups  func(netip.Addr, time.Time) string
	builtin bool
	subject string
}

func open(t *testing.T, s setup) *bench {
	t.Helper()
	b := &bench{t: t, now: start, fail: map[string]error{}, reg: prometheus.NewRegistry()}
	cfg := alert.DefaultConfig()
	cfg.Builtin, cfg.Rules, cfg.Host, cfg.Subject = s.builtin, s.rules, "host.example", s.subject
	if s.keys > 0 {
		cfg.MaxKeys = s.keys
	}
	if s.alerts > 0 {
		cfg.MaxAlerts = s.alerts
	}
	if s.recv == nil {
		s.recv = []alert.Receiver{{Name: "ops", Resolved: true}}
	}
	for i := range s.recv {
		name := s.recv[i].Name
		s.recv[i].Put = func(n *alert.Notification) error {
			if err := b.fail[name]; err != nil {
				return err
			}
			b.got = append(b.got, told{name, *n})
			return nil
		}
	}
	schedules, err := detect.ParseSchedules([]detect.ScheduleConfig{{Name: "night", Hours: []string{"22:00-06:00"}, TimeZone: "Europe/Berlin"}})
	if err != nil {
		t.Fatal(err)
	}
	b.Engine, err = alert.New(cfg, alert.Deps{
		Dir: s.dir, Log: zap.NewNop(), Registry: b.reg, Privacy: privacy.Plain(s.mode), Receivers: s.recv, Schedules: schedules, Group: s.groups,
		Now: func() time.Time { return b.now },
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// tend lets time pass and returns what was told meanwhile, as "receiver reason key".
func (b *bench) tend(d time.Duration) []string {
	b.t.Helper()
	b.now = b.now.Add(d)
	b.got = nil
	if err := b.Tend(); err != nil {
		b.t.Fatal(err)
	}
	var out []string
	for _, g := range b.got {
		out = append(out, strings.TrimSpace(g.to+" "+g.Reason+" "+g.Alert.Key))
	}
	return out
}

func (b *bench) wants(what string, got []string, want ...string) {
	b.t.Helper()
	if !slices.Equal(got, want) {
		b.t.Errorf("%s: told %q, want %q", what, got, want)
	}
}

// metric is the sum of a metric's values whose labels contain label=value.
func (b *bench) metric(name, value string) (sum float64) {
	b.t.Helper()
	all, err := b.reg.Gather()
	if err != nil {
		b.t.Fatal(err)
	}
	for _, f := range all {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetValue() == value {
					sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
				}
			}
			if value == "" {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return sum
}

func rule(name string, change func(*alert.Rule)) alert.Rule {
	r := alert.DefaultRule()
	r.Name, r.Match.Origins = name, []string{"model"}
	if change != nil {
		change(&r)
	}
	return r
}

// detected is a name that the model has something against.
func (b *bench) detected(client, name string) *detect.Transaction {
	return &detect.Transaction{
		Query:   detect.Query{Time: b.now, Client: netip.MustParseAddr(client), Name: dnsname.MustParse(name), Type: 1, Class: 1},
		Verdict: detect.Verdict{Origin: detect.OriginModel, Action: detect.ZeroIP, Level: detect.LevelHigh, Score: 0.99, Why: &detect.Why{Text: "letters in no language's order"}},
	}
}

// ask is what a recorder does with a transaction.
func (b *bench) ask(t *detect.Transaction) {
	if b.Wants(t) {
		b.Consume(t)
	}
}
