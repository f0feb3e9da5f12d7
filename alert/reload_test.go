package alert_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/weirdns/weir/alert"
)

// receiver is one that remembers in b.
func (b *bench) receiver(name string) alert.Receiver {
	return alert.Receiver{Name: name, Resolved: true, Put: func(n *alert.Notification) error {
		if err := b.fail[name]; err != nil {
			return err
		}
		b.got = append(b.got, told{name, *n})
		return nil
	}}
}

// reload puts rules in place that the named receivers are told by.
func (b *bench) reload(rules []alert.Rule, receivers ...string) {
	b.t.Helper()
	cfg := alert.DefaultConfig()
	cfg.Builtin, cfg.Rules = false, rules
	var told []alert.Receiver
	for _, name := range receivers {
		told = append(told, b.receiver(name))
	}
	if err := b.Reload(cfg, told, nil); err != nil {
		b.t.Fatal(err)
	}
}

// What fires, what was counted and what is silenced outlives a reload; other rules
// hold at once, and who is new is told of what comes.
func TestAReloadKeepsWhatFiresAndWhatWasCounted(t *testing.T) {
	counting := rule("counting", func(r *alert.Rule) {
		r.Count, r.Window, r.By, r.Match.Names = 3, time.Hour, alert.ByClient, []string{"*.count.example"}
	})
	gone := rule("gone", func(r *alert.Rule) { r.Match.Names = []string{"*.gone.example"} })
	plain := rule("plain", func(r *alert.Rule) { r.Match.Names, r.Repeat = []string{"*.plain.example"}, 0 })
	b := open(t, setup{rules: []alert.Rule{counting, gone, plain}})
	b.ask(b.detected("192.0.2.7", "a.gone.example"))
	b.ask(b.detected("192.0.2.7", "a.plain.example"))
	b.ask(b.detected("192.0.2.7", "a.count.example"))
	b.ask(b.detected("192.0.2.7", "b.count.example"))
	b.wants("before", b.tend(0), "ops new", "ops new")
	id := b.got[1].Alert.ID
	if _, err := b.AddSilence(alert.Silence{Rule: "other"}, time.Hour); !errors.Is(err, alert.ErrNoRule) {
		t.Errorf("a silence of a rule that is not there yet: %v", err)
	}

	b.reload([]alert.Rule{counting, plain, rule("other", func(r *alert.Rule) { r.Match.Names = []string{"*.other.example"} })}, "ops", "new")
	if _, err := b.AddSilence(alert.Silence{Rule: "other"}, time.Hour); err != nil {
		t.Errorf("a silence of the new rule: %v", err)
	}
	b.wants("the rule that is gone", b.tend(0), "ops resolved")
	if got := b.metric("weir_alerts_fired_total", "gone"); got != 0 {
		t.Errorf("a rule that is gone still counts: %v", got)
	}
	if got := b.metric("weir_alerts_fired_total", "plain"); got != 1 {
		t.Errorf("a rule that stayed fired %v times, want 1", got)
	}
	b.ask(b.detected("192.0.2.7", "b.plain.example"))
	b.wants("what fires, of what it was told of", b.tend(0))
	if got := b.Report().Alerts; got[0].ID != id || got[0].Count != 2 || got[0].State != alert.Firing {
		t.Errorf("it goes on as %+v, want %s with two events", got[0], id)
	}
	b.ask(b.detected("192.0.2.7", "c.count.example")) // the third; two were counted before
	b.wants("counted on", b.tend(0), "ops new 192.0.2.0/24", "new new 192.0.2.0/24")
	b.ask(b.detected("192.0.2.7", "x.other.example"))
	b.wants("the silenced rule", b.tend(0))
	if len(b.Report().Silences) != 1 {
		t.Errorf("silences %+v", b.Report().Silences)
	}
}

// A rule that counts something else now begins anew.
func TestAReloadForgetsCountsThatMeanSomethingElse(t *testing.T) {
	by := func(by string) []alert.Rule {
		return []alert.Rule{rule("r", func(r *alert.Rule) { r.Count, r.Window, r.By = 2, time.Hour, by })}
	}
	b := open(t, setup{rules: by(alert.ByClient)})
	b.ask(b.detected("192.0.2.7", "a.example"))
	b.reload(by(alert.ByName), "ops")
	b.ask(b.detected("192.0.2.7", "a.example"))
	b.wants("one by name", b.tend(0))
	b.ask(b.detected("192.0.2.8", "a.example"))
	b.wants("two by name", b.tend(0), "ops new a.example")
}

// What the disk refused goes to who has the name after a reload; for who is gone
// it is counted as lost.
func TestAReloadKeepsWhatTheDiskRefused(t *testing.T) {
	rules := []alert.Rule{rule("r", nil)}
	b := open(t, setup{rules: rules, recv: []alert.Receiver{{Name: "ops"}, {Name: "leaves"}}})
	b.fail["ops"], b.fail["leaves"] = errors.New("disk full"), errors.New("disk full")
	b.ask(b.detected("192.0.2.7", "a.example"))
	if err := b.Tend(); err == nil {
		t.Fatal("no error of the disk")
	}
	b.reload(rules, "ops")
	delete(b.fail, "ops")
	b.wants("after the reload", b.tend(time.Second), "ops new")
	if got := b.metric("weir_alerts_lost_total", ""); got != 1 {
		t.Errorf("%v lost, want the one of who is gone", got)
	}
}

// A configuration with a mistake changes nothing.
func TestABadReloadChangesNothing(t *testing.T) {
	b := open(t, setup{rules: []alert.Rule{rule("r", nil)}})
	cfg := alert.DefaultConfig()
	cfg.Builtin, cfg.Rules = false, []alert.Rule{rule("other", func(r *alert.Rule) { r.Receivers = []string{"nobody"} })}
	if err := b.Reload(cfg, nil, nil); err == nil {
		t.Error("a rule with a receiver that is not there is taken")
	}
	b.ask(b.detected("192.0.2.7", "a.example"))
	b.wants("by the old rule", b.tend(0), "ops new")
}

// Rules may be replaced while transactions pass.
func TestReloadsWhileTransactionsPass(t *testing.T) {
	b := open(t, setup{rules: []alert.Rule{rule("r0", nil)}})
	tx := b.detected("192.0.2.7", "a.example")
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 2000 {
				b.ask(tx)
			}
		})
	}
	for i := range 50 {
		b.reload([]alert.Rule{rule("r", nil), rule(fmt.Sprintf("r%d", i), nil)}, "ops")
	}
	all.Wait()
	if got := b.metric("weir_alerts_events_total", "r"); got == 0 || got > 8000 {
		t.Errorf("%v events, want some of 8000", got)
	}
}
