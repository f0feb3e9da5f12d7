package alert_test

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/weirdns/weir/alert"
	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/pdns"
	"github.com/weirdns/weir/pdns/privacy"
	"go.uber.org/zap"
)

var (
	_ pdns.Output        = (*alert.Engine)(nil)
	_ detect.FindingSink = (*alert.Engine)(nil)
)

func TestAnAlertIsToldOnceAgainAndOver(t *testing.T) {
	b := open(t, setup{rules: []alert.Rule{rule("r", func(r *alert.Rule) { r.Repeat, r.ResolveAfter = 4*time.Hour, 5*time.Hour })}})
	b.ask(b.detected("192.0.2.7", "kq3v9x7zj1.example"))
	b.wants("at first", b.tend(0), "ops new")
	n := b.got[0]
	if n.ID != n.Alert.ID+"-1" || n.Alert.Count != 1 || len(n.Alert.Events) != 1 {
		t.Errorf("notification %+v", n.Notification)
	}
	for range 50 {
		b.now = b.now.Add(time.Minute)
		b.ask(b.detected("192.0.2.8", "kq3v9x7zj1.example"))
	}
	b.wants("while it goes on", b.tend(0))
	b.wants("past repeat", b.tend(200*time.Minute), "ops repeated")
	if got := b.got[0].Alert; got.Count != 51 || len(got.Events) != 10 || got.ID != n.Alert.ID {
		t.Errorf("alert %+v; want 51 events, 10 of them shown, and the same ID", got)
	}
	b.wants("without events", b.tend(100*time.Minute), "ops resolved")
	if got := b.got[0]; got.Alert.State != alert.Resolved || got.ID == n.ID || !got.Until.Equal(b.now) {
		t.Errorf("at the end %+v", got.Notification)
	}
	if all := b.Report().Alerts; len(all) != 1 || all[0].State != alert.Resolved {
		t.Errorf("listed: %+v", all)
	}
	if got := b.metric("weir_alerts_fired_total", "r"); got != 1 {
		t.Errorf("fired %v times, want 1", got)
	}
}

func TestWhatTheRuleIsNotAboutIsNotWanted(t *testing.T) {
	groups := func(a netip.Addr, _ time.Time) string {
		if a == netip.MustParseAddr("192.0.2.7") {
			return "kids"
		}
		return ""
	}
	for name, c := range map[string]struct {
		match   alert.Match
		yes, no func(tx *detect.Transaction)
	}{
		"origin": {alert.Match{Origins: []string{"blocklist"}}, func(tx *detect.Transaction) { tx.Verdict.Origin = detect.OriginBlockList }, nil},
		"a name that the model has nothing against": {alert.Match{Origins: []string{"model"}}, nil, func(tx *detect.Transaction) {
			tx.Verdict.Level, tx.Verdict.Score, tx.Verdict.Action = detect.LevelNone, 0.01, detect.Pass
		}},
		"level":  {alert.Match{Level: "high"}, nil, func(tx *detect.Transaction) { tx.Verdict.Level = detect.LevelMedium }},
		"score":  {alert.Match{Level: "low"}, nil, func(tx *detect.Transaction) { tx.Verdict.Unscored = detect.NoModel }},
		"action": {alert.Match{Actions: []string{"sinkhole"}}, func(tx *detect.Transaction) { tx.Verdict.Action = detect.Sinkhole }, nil},
		"enforced": {alert.Match{Origins: []string{"model"}, Mode: "enforced"}, func(tx *detect.Transaction) { tx.Verdict.Enforced = true },
			nil},
		"monitored": {alert.Match{Mode: "monitored"}, nil, func(tx *detect.Transaction) { tx.Verdict.Enforced = true }},
		"list": {alert.Match{Lists: []string{"feed"}}, func(tx *detect.Transaction) {
			tx.Verdict.Matches = []detect.Match{{List: "feed", Effect: detect.EffectMonitor}}
		}, func(tx *detect.Transaction) {
			tx.Verdict.Matches = []detect.Match{{List: "feed", Effect: detect.EffectOverruled}}
		}},
		"client": {alert.Match{Clients: []string{"192.0.2.0/24", "2001:db8::/32"}}, nil, func(tx *detect.Transaction) { tx.Query.Client = netip.MustParseAddr("198.51.100.1") }},
		"group":  {alert.Match{Groups: []string{"kids"}}, nil, func(tx *detect.Transaction) { tx.Query.Client = netip.MustParseAddr("192.0.2.8") }},
		"name":   {alert.Match{Names: []string{"*.Example"}}, nil, func(tx *detect.Transaction) { tx.Query.Name = dnsname.MustParse("a.example.net") }},
		"exact":  {alert.Match{Names: []string{"a.example.", "b?d.example"}}, func(tx *detect.Transaction) { tx.Query.Name = dnsname.MustParse("bad.example") }, func(tx *detect.Transaction) { tx.Query.Name = dnsname.MustParse("x.a.example") }},
	} {
		b := open(t, setup{groups: groups, rules: []alert.Rule{rule("r", func(r *alert.Rule) { r.Match = c.match })}})
		yes, no := b.detected("192.0.2.7", "kq3v9x7zj1.example"), b.detected("192.0.2.7", "kq3v9x7zj1.example")
		if c.yes != nil {
			c.yes(yes)
		}
		if c.no != nil {
			c.no(no)
		}
		if !b.Wants(yes) || b.Wants(no) {
			t.Errorf("%s: wants what matches %v (want true), what does not %v (want false)", name, b.Wants(yes), b.Wants(no))
		}
	}
}

func TestItTakesSoManyWithinTheWindow(t *testing.T) {
	b := open(t, setup{mode: privacy.Full, rules: []alert.Rule{rule("r", func(r *alert.Rule) { r.Count, r.Window, r.By = 5, 10*time.Minute, alert.ByClient })}})
	for range 8 { // four in ten minutes at most
		b.ask(b.detected("192.0.2.7", "a.example"))
		b.now = b.now.Add(150 * time.Second)
	}
	b.wants("too slow", b.tend(0))
	for range 4 {
		b.ask(b.detected("192.0.2.8", "a.example"))
	}
	b.wants("four", b.tend(0))
	b.ask(b.detected("192.0.2.8", "b.example"))
	b.wants("five of one client", b.tend(0), "ops new 192.0.2.8")
	if got := b.got[0].Alert; got.Count != 5 || len(got.Events) != 5 {
		t.Errorf("%d events, %d shown; want those that led to it", got.Count, len(got.Events))
	}
}

func TestDistinctCountsNamesAndNotQueries(t *testing.T) {
	b := open(t, setup{rules: []alert.Rule{rule("r", func(r *alert.Rule) { r.Count, r.Distinct, r.Window = 3, true, time.Hour })}})
	for i := range 30 {
		b.ask(b.detected("192.0.2.7", fmt.Sprintf("n%d.a.example", i)))
	}
	b.ask(b.detected("192.0.2.7", "b.example"))
	b.now = b.now.Add(61 * time.Minute) // a and b are forgotten
	b.ask(b.detected("192.0.2.7", "c.example"))
	b.ask(b.detected("192.0.2.7", "d.example"))
	b.wants("two within the hour", b.tend(0))
	b.ask(b.detected("192.0.2.7", "e.example"))
	b.wants("three", b.tend(0), "ops new")
}

func TestTheFirstOfItsKindFiresOnce(t *testing.T) {
	dir := t.TempDir()
	s := setup{dir: dir, rules: []alert.Rule{rule("r", func(r *alert.Rule) {
		r.First, r.By, r.Forget, r.ResolveAfter = true, alert.ByName, 48*time.Hour, time.Hour
		r.Repeat = 0
	})}}
	b := open(t, s)
	b.ask(b.detected("192.0.2.7", "x.a.example"))
	b.wants("first", b.tend(0), "ops new a.example")
	b.ask(b.detected("192.0.2.7", "b.example"))
	b.wants("another name", b.tend(time.Minute), "ops new b.example")
	b.wants("over", b.tend(2*time.Hour), "ops resolved a.example", "ops resolved b.example")
	b.ask(b.detected("192.0.2.7", "y.a.example"))
	b.wants("again", b.tend(0))
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	c := open(t, s) // a restart forgets nothing
	c.now = b.now
	c.ask(c.detected("192.0.2.7", "z.a.example"))
	c.wants("after a restart", c.tend(0))
	c.now = c.now.Add(49 * time.Hour)
	c.ask(c.detected("192.0.2.7", "z.a.example"))
	c.wants("after it was forgotten", c.tend(0), "ops new a.example")
}

func TestClientsAreKeptAsPrivacySays(t *testing.T) {
	for mode, want := range map[privacy.Mode]string{privacy.Full: "192.0.2.7", privacy.Truncated: "192.0.2.0/24", privacy.None: ""} {
		dir := t.TempDir()
		b := open(t, setup{dir: dir, mode: mode, rules: []alert.Rule{rule("r", func(r *alert.Rule) { r.By = alert.ByClient })}})
		b.ask(b.detected("192.0.2.7", "a.example"))
		b.wants(mode.String(), b.tend(0), strings.TrimSpace("ops new "+want))
		if got := b.got[0].Alert.Events[0].Client; got != want {
			t.Errorf("%v: event of %q, want %q", mode, got, want)
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(filepath.Join(dir, "alerts.json"))
		if err != nil {
			t.Fatal(err)
		}
		if all := string(text) + b.got[0].Subject + b.got[0].Body; mode != privacy.Full && strings.Contains(all, "192.0.2.7") {
			t.Errorf("%v: the client is in %s", mode, all)
		}
	}
	b := open(t, setup{mode: privacy.Full, rules: []alert.Rule{rule("r", func(r *alert.Rule) { r.By = alert.ByNetwork })}})
	b.ask(b.detected("192.0.2.7", "a.example"))
	b.ask(b.detected("192.0.2.8", "a.example"))
	b.ask(b.detected("2001:db8:1:2::3", "a.example"))
	b.wants("networks", b.tend(0), "ops new 192.0.2.0/24", "ops new 2001:db8:1::/48")
}

func TestFindingsAreAlerts(t *testing.T) {
	b := open(t, setup{mode: privacy.Full, rules: []alert.Rule{rule("f", func(r *alert.Rule) {
		r.Match, r.By = alert.Match{Findings: []string{"encrypted_dns"}, Level: "medium"}, alert.ByClient
	})}})
	f := detect.Finding{Time: b.now, Kind: detect.EncryptedDNS, Level: detect.LevelHigh, Client: netip.MustParseAddr("192.0.2.9"), Evidence: []detect.Fact{{Key: "server", Value: "9.9.9.9"}}}
	b.Find(&f)
	f.Kind = detect.AnswersRace
	b.Find(&f)
	f.Kind, f.Level = detect.EncryptedDNS, detect.LevelLow
	b.Find(&f)
	if tx := b.detected("192.0.2.7", "a.example"); b.Wants(tx) {
		t.Error("a rule of findings wants a transaction")
	}
	b.wants("finding", b.tend(0), "ops new 192.0.2.9")
	if e := b.got[0].Alert.Events; len(e) != 1 || e[0].Why != "server=9.9.9.9" || e[0].Kind != "encrypted_dns" || e[0].Level != "high" {
		t.Errorf("events %+v", e)
	}
}

func TestTheDefaultTextSaysWhatHappened(t *testing.T) {
	b := open(t, setup{mode: privacy.Full, builtin: true})
	for i := range 5 {
		b.ask(b.detected("192.0.2.7", fmt.Sprintf("kq3v9x7zj%d.example", i)))
	}
	b.wants("rules built in", b.tend(0), "ops new", "ops new 192.0.2.7")
	got := b.got[1]
	if want := "[weir] warning: generated-names is firing for 192.0.2.7"; got.Subject != want {
		t.Errorf("subject %q, want %q", got.Subject, want)
	}
	for _, want := range []string{
		`Alert "generated-names" changed its state to firing.`, "client: 192.0.2.7\n", "host: host.example\n", "events: 5\n",
		"- 2026-03-02 12:00:00 UTC 192.0.2.7 kq3v9x7zj4[.]example (model, high, zero_ip): letters in no language's order\n",
		"weir alerts ack " + got.Alert.ID,
	} {
		if !strings.Contains(got.Body, want) {
			t.Errorf("the body lacks %q:\n%s", want, got.Body)
		}
	}
	b.tend(25 * time.Hour)
	if len(b.got) != 2 || !strings.Contains(b.got[1].Body, "changed its state to resolved.\n") || strings.Contains(b.got[1].Body, "ack") {
		t.Errorf("at the end %+v", b.got)
	}
}

func TestATemplateThatFailsCostsItsText(t *testing.T) {
	// Good for the sample, which has events, and not for what has no tenth.
	b := open(t, setup{subject: `{{if eq .Rule "r"}}{{index .Events 9}}{{end}}`, rules: []alert.Rule{rule("r", nil)}})
	b.ask(b.detected("192.0.2.7", "a.example"))
	b.wants("all the same", b.tend(0), "ops new")
	if got := b.got[0].Subject; got != "[weir] warning: r is firing" {
		t.Errorf("subject %q", got)
	}
	if got := b.metric("weir_alerts_template_failures_total", ""); got != 1 {
		t.Errorf("%v failures, want 1", got)
	}
}

func TestEveryMistakeIsNamed(t *testing.T) {
	cfg := alert.DefaultConfig()
	bad := alert.DefaultRule()
	bad.Name, bad.By, bad.First, bad.Count, bad.Window, bad.Quiet = "No", "colour", true, 2, 0, "never"
	bad.Match = alert.Match{Findings: []string{"x"}, Origins: []string{"y"}, Level: "z", Mode: "m", Clients: []string{"c"}, Actions: []string{"a"}, Names: []string{""}}
	bad.Subject, bad.Body = "{{.Nothing}}", "{{range 100000}}aaaaaaaaaaaaaaaa{{end}}"
	bad.Escalate = []alert.Step{{After: -1}}
	empty := rule("empty", func(r *alert.Rule) { r.Match = alert.Match{}; r.Body = bad.Body })
	mixed := rule("mixed", func(r *alert.Rule) { r.Match.Findings = []string{"all"}; r.Distinct, r.Count = true, 1001 })
	cfg.MaxKeys, cfg.MaxAlerts, cfg.Rules = 1, 0, []alert.Rule{bad, empty, mixed, empty}
	err := cfg.Validate()
	if err == nil {
		t.Fatal("all is well")
	}
	for _, want := range []string{
		"max_keys: ", "max_alerts: ", "rules[0].name: ", "rules[0].by: ", "rules[0].first: ", "rules[0].window: ", "rules[0].match.findings[0]: ",
		"rules[0].match.origins[0]: ", "rules[0].match.level: ", "rules[0].match.mode: ", "rules[0].match.clients[0]: ", "rules[0].match.actions[0]: ",
		"rules[0].match.names[0]: ", "rules[0].subject: ", "rules[0].escalate[0].after: ", "rules[0].escalate[0].receivers: ",
		"rules[1].match.findings: nothing is set", "rules[1].body: ", "more than 32 KiB", "rules[2].match.findings: a finding has no verdict",
		"rules[2].count: ", "rules[3].name: ",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no word of %q in\n%v", want, err)
		}
	}
	cfg = alert.DefaultConfig()
	cfg.Rules = []alert.Rule{rule("r", func(r *alert.Rule) {
		r.Quiet, r.Receivers, r.Escalate = "never", []string{"nobody"}, []alert.Step{{Receivers: []string{"no one"}}}
	})}
	err = alert.Check(&cfg, []string{"ops"}, nil)
	for _, want := range []string{`rules[0].quiet: no schedule is named "never"`, `rules[0].receivers[0]: no receiver is named "nobody"`, `rules[0].escalate[0].receivers[0]: `} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no word of %q in %v", want, err)
		}
	}
}

func TestWantsAllocatesNothing_Alloc(t *testing.T) {
	b := open(t, setup{builtin: true, rules: []alert.Rule{rule("names", func(r *alert.Rule) {
		r.Match = alert.Match{Names: []string{"*.corp.example", "*login*"}, Clients: []string{"10.0.0.0/8"}}
	})}})
	tx := b.detected("10.0.0.1", "some.longer.name.of.a.host.example")
	tx.Verdict = detect.Verdict{}
	if n := testing.AllocsPerRun(100, func() {
		if b.Wants(tx) {
			t.Error("wanted")
		}
	}); n != 0 {
		t.Errorf("%v allocations a query, want 0", n)
	}
}

func FuzzPatterns(f *testing.F) {
	for _, s := range []string{"*.example", "a*b?c", "***", "?", `a\.b`} {
		f.Add(s, "a.example")
	}
	f.Fuzz(func(t *testing.T, pattern, name string) {
		n, err := dnsname.Parse(name)
		if err != nil || n.IsRoot() {
			return
		}
		text := n.String()
		// Any pattern made of a name's own text matches it.
		own := "*" + strings.NewReplacer("*", "?").Replace(text[:len(text)/2]) + "*"
		r := rule("r", func(r *alert.Rule) { r.Match = alert.Match{Names: []string{own}} })
		cfg := alert.DefaultConfig()
		cfg.Builtin, cfg.Rules = false, []alert.Rule{r, rule("p", func(r *alert.Rule) { r.Match = alert.Match{Names: []string{pattern}} })}
		if cfg.Validate() != nil {
			return // the pattern is empty or too long
		}
		e, err := alert.New(cfg, alert.Deps{Log: zap.NewNop(), Registry: prometheus.NewRegistry(), Privacy: privacy.Plain(privacy.None)})
		if err != nil {
			t.Fatal(err)
		}
		if !e.Wants(&detect.Transaction{Query: detect.Query{Name: n}}) {
			t.Errorf("%q does not match %q", own, text)
		}
	})
}
