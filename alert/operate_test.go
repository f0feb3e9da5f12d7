package alert_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/weirdns/weir/alert"
)

func TestQuietHoursHoldBackUntilMorning(t *testing.T) {
	b := open(t, setup{rules: []alert.Rule{
		rule("sleepy", func(r *alert.Rule) { r.Quiet, r.ResolveAfter = "night", 12*time.Hour }),
		rule("short", func(r *alert.Rule) { r.Quiet, r.ResolveAfter = "night", time.Hour }),
	}})
	b.now = time.Date(2026, 3, 2, 21, 30, 0, 0, time.UTC) // 22:30 in Berlin
	b.ask(b.detected("192.0.2.7", "a.example"))
	b.wants("at night", b.tend(0))
	for _, a := range b.Report().Alerts {
		if a.Held != "quiet" {
			t.Errorf("%s is held for %q", a.Rule, a.Held)
		}
	}
	b.wants("later at night", b.tend(2*time.Hour))
	b.wants("in the morning", b.tend(5*time.Hour+31*time.Minute), "ops new") // 05:01 UTC; short came and went
	if got := b.got[0].Alert.Rule; got != "sleepy" {
		t.Errorf("told of %s", got)
	}
	if got := b.metric("weir_alerts_suppressed_total", "quiet"); got != 2 {
		t.Errorf("%v suppressed, want 2", got)
	}
}

func TestNobodysAcknowledgementEscalates(t *testing.T) {
	s := setup{
		recv: []alert.Receiver{{Name: "ops", Resolved: true}, {Name: "pager", OnlyNamed: true, Resolved: true}, {Name: "boss", OnlyNamed: true}},
		rules: []alert.Rule{rule("r", func(r *alert.Rule) {
			r.By, r.ResolveAfter = alert.ByName, 3*time.Hour
			r.Escalate = []alert.Step{{After: 10 * time.Minute, Receivers: []string{"pager"}}, {After: time.Hour, Events: 3, Receivers: []string{"boss"}}}
		})},
	}
	b := open(t, s)
	b.ask(b.detected("192.0.2.7", "a.example"))
	b.ask(b.detected("192.0.2.7", "b.example"))
	b.wants("at first", b.tend(0), "ops new a.example", "ops new b.example")
	for _, a := range b.Report().Alerts {
		if a.Key == "b.example" {
			if _, err := b.Ack(a.ID[:6], "known"); err != nil {
				t.Fatal(err)
			}
		}
	}
	b.wants("before its time", b.tend(9*time.Minute))
	b.wants("in time", b.tend(time.Minute), "pager escalated a.example")
	b.wants("two events are too few", b.tend(time.Hour))
	b.ask(b.detected("192.0.2.7", "a.example"))
	b.ask(b.detected("192.0.2.7", "a.example"))
	b.wants("three", b.tend(0), "boss escalated a.example")
	b.wants("over", b.tend(4*time.Hour), "pager resolved a.example", "ops resolved a.example", "ops resolved b.example")
}

func TestReceiversAreChosenBySeverityAndName(t *testing.T) {
	b := open(t, setup{
		recv: []alert.Receiver{{Name: "all"}, {Name: "grave", MinSeverity: alert.Critical}, {Name: "named", OnlyNamed: true}},
		rules: []alert.Rule{
			rule("warning", nil), rule("critical", func(r *alert.Rule) { r.Severity = alert.Critical }),
			rule("named", func(r *alert.Rule) { r.Receivers = []string{"named", "grave"} }),
		},
	})
	b.ask(b.detected("192.0.2.7", "a.example"))
	b.tend(0)
	var got []string
	for _, g := range b.got {
		got = append(got, g.Alert.Rule+" "+g.to)
	}
	slices.Sort(got)
	if want := []string{"critical all", "critical grave", "named named", "warning all"}; !slices.Equal(got, want) {
		t.Errorf("told %q, want %q", got, want)
	}
	b.wants("nobody wants to hear that it is over", b.tend(2*time.Hour))
}

func TestFlappingIsHeldBack(t *testing.T) {
	b := open(t, setup{rules: []alert.Rule{rule("r", func(r *alert.Rule) { r.ResolveAfter, r.Repeat = time.Minute, time.Hour })}})
	var got []string
	for range 40 { // on and off, for two hours
		b.ask(b.detected("192.0.2.7", "a.example"))
		got = append(got, b.tend(0)...)
		got = append(got, b.tend(3*time.Minute)...)
	}
	if want := []string{"ops new", "ops resolved", "ops new", "ops resolved"}; !slices.Equal(got, want) {
		t.Errorf("told %q, want %q", got, want)
	}
	if got := b.metric("weir_alerts_suppressed_total", "repeat"); got != 38 {
		t.Errorf("%v suppressed, want 38", got)
	}
}

func TestASilenceEndsByItself(t *testing.T) {
	b := open(t, setup{rules: []alert.Rule{rule("r", func(r *alert.Rule) { r.By, r.ResolveAfter = alert.ByName, 24*time.Hour })}})
	if _, err := b.AddSilence(alert.Silence{Rule: "other"}, time.Hour); !errors.Is(err, alert.ErrNoRule) {
		t.Errorf("a silence of no rule: %v", err)
	}
	if _, err := b.AddSilence(alert.Silence{}, 32*24*time.Hour); !errors.Is(err, alert.ErrDuration) {
		t.Errorf("a silence for ever: %v", err)
	}
	if _, err := b.AddSilence(alert.Silence{Rule: "r", Key: "a.example", Note: "a\nb"}, time.Hour); !errors.Is(err, alert.ErrBadNote) {
		t.Errorf("two lines: %v", err)
	}
	s, err := b.AddSilence(alert.Silence{Rule: "r", Key: "a.example"}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	b.ask(b.detected("192.0.2.7", "a.example"))
	b.ask(b.detected("192.0.2.7", "b.example"))
	b.wants("silent", b.tend(0), "ops new b.example")
	b.wants("and still", b.tend(59*time.Minute))
	b.wants("no longer", b.tend(time.Minute), "ops new a.example")
	if got := b.Report().Silences; len(got) != 0 {
		t.Errorf("silences %+v", got)
	}
	if err := b.EndSilence(s.ID); !errors.Is(err, alert.ErrUnknown) {
		t.Errorf("one that is over: %v", err)
	}
	for range 256 {
		if _, err := b.AddSilence(alert.Silence{Rule: "r"}, time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.AddSilence(alert.Silence{}, time.Hour); !errors.Is(err, alert.ErrTooMany) {
		t.Errorf("one too many: %v", err)
	}
}
