package alert_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weirdns/weir/alert"
)

func TestARestartForgetsNothing(t *testing.T) {
	s := setup{dir: t.TempDir(), rules: []alert.Rule{
		rule("r", nil), rule("counts", func(r *alert.Rule) { r.Count, r.By = 3, alert.ByName }),
	}}
	b := open(t, s)
	b.ask(b.detected("192.0.2.7", "a.example"))
	b.ask(b.detected("192.0.2.7", "a.example"))
	b.wants("before", b.tend(0), "ops new")
	silence, err := b.AddSilence(alert.Silence{Key: "x"}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	c := open(t, s)
	c.wants("not told again", c.tend(time.Minute))
	c.ask(c.detected("192.0.2.7", "a.example"))
	c.wants("the count goes on", c.tend(0), "ops new a.example")
	r := c.Report()
	if len(r.Alerts) != 2 || len(r.Silences) != 1 || r.Silences[0] != silence {
		t.Errorf("taken up: %+v", r)
	}
	// What is damaged begins anew.
	if err := os.WriteFile(filepath.Join(s.dir, "alerts.json"), []byte(`{"firing":[{"id":`), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := open(t, s).Report().Alerts; len(got) != 0 {
		t.Errorf("of a damaged file: %+v", got)
	}
}

func TestADiskThatRefusesCostsNothingUntilItIsBack(t *testing.T) {
	b := open(t, setup{recv: []alert.Receiver{{Name: "bad"}, {Name: "good"}}, rules: []alert.Rule{rule("r", func(r *alert.Rule) { r.By = alert.ByName })}})
	b.fail["bad"] = errors.New("no space left on device")
	b.ask(b.detected("192.0.2.7", "a.example"))
	b.ask(b.detected("192.0.2.7", "b.example"))
	if err := b.Tend(); err == nil || !strings.Contains(err.Error(), "receiver bad: no space") {
		t.Errorf("Tend: %v", err)
	}
	if len(b.got) != 2 || b.got[0].to != "good" || b.got[1].to != "good" {
		t.Errorf("the other receiver got %+v", b.got)
	}
	delete(b.fail, "bad")
	b.wants("afterwards", b.tend(0), "bad new a.example", "bad new b.example")
	// There is an end to what waits.
	b.fail["bad"] = errors.New("no space left on device")
	for i := range 999 {
		b.ask(b.detected("192.0.2.7", fmt.Sprintf("n%d.example", i)))
	}
	_ = b.Tend()
	if got := b.metric("weir_alerts_lost_total", ""); got != 0 {
		t.Errorf("%v lost within the bound", got)
	}
	b.ask(b.detected("192.0.2.7", "x.example")) // MaxAlerts is 1000 with a and b: refused
	_ = b.Tend()
	if got := b.metric("weir_alerts_refused_total", ""); got != 2 {
		t.Errorf("%v alerts refused, want 2", got)
	}
}

func TestMemoryHasAnEnd(t *testing.T) {
	b := open(t, setup{keys: 16, rules: []alert.Rule{rule("r", func(r *alert.Rule) { r.By, r.Count = alert.ByName, 2 })}})
	b.ask(b.detected("192.0.2.7", "old.example"))
	for i := range 100 {
		b.now = b.now.Add(time.Second)
		b.ask(b.detected("192.0.2.7", fmt.Sprintf("n%d.example", i)))
	}
	b.ask(b.detected("192.0.2.7", "old.example"))
	b.wants("what was forgotten counts anew", b.tend(0))
	b.ask(b.detected("192.0.2.7", "n99.example"))
	b.wants("what was not", b.tend(0), "ops new n99.example")
	if got := b.metric("weir_alerts_forgotten_total", ""); got < 80 {
		t.Errorf("%v forgotten, want about 86", got)
	}
}
