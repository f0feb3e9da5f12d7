package detect_test

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/weirdns/weir/blocklist"
	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/detect/allow"
	"github.com/weirdns/weir/internal/dnsname"
	"go.uber.org/zap"
)

func TestATimedAllowBeatsListsAndModelUntilItEnds(t *testing.T) {
	now := time.Unix(1000, 0)
	book, err := allow.Open("", now)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"bad.example.net", generated, "target.example.org"} {
		if _, err := book.Add(allow.Entry{Name: name, Until: now.Add(time.Minute), Reason: "why"}, now); err != nil {
			t.Fatal(err)
		}
	}
	lists, err := blocklist.New([]blocklist.Config{inline("bad", blocklist.Block, "bad.example.net", "example.org")}, blocklist.Deps{Log: zap.NewNop(), Registry: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	if err := lists.Load(); err != nil {
		t.Fatal(err)
	}
	model, err := detect.EmbeddedModel()
	if err != nil {
		t.Fatal(err)
	}
	cfg := detect.DefaultConfig()
	cfg.Model.Mode = detect.ModeEnforce
	d, err := detect.New(cfg, map[string]detect.ListPolicy{"bad": detect.DefaultListPolicy()}, model, detect.Deps{
		Log: zap.NewNop(), Registry: prometheus.NewRegistry(), Lists: lists, Suffixes: dnsname.DefaultSuffixes(), Allows: book,
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		after time.Duration
		want  string
	}{
		{"x.bad.example.net", 59 * time.Second, "allowlist pass monitor timed allow/bad.example.net/qname bad/bad.example.net/qname"},
		{"x.bad.example.net", time.Minute, "blocklist zero_ip enforce bad/bad.example.net/qname"},
		{"www." + generated, 0, "allowlist pass monitor timed allow/" + generated + "/qname"},
		{"www." + generated, time.Minute, "model zero_ip enforce"},
	} {
		if got := brief(inspectAs(d, "10.0.0.1", c.name, now.Add(c.after))); got != c.want {
			t.Errorf("%s after %s: %s, want %s", c.name, c.after, got, c.want)
		}
	}
	if v := inspectAs(d, "10.0.0.1", "x.bad.example.net", now); v.Matches[0].Info != "why" || effects(v) != "timed allow:pass bad:overruled" {
		t.Errorf("%+v", v.Matches)
	}
	// A target that is let through is fine, wherever the alias is.
	response := answer(t, "www.example.net. 1 CNAME target.example.org.")
	for after, want := range map[time.Duration]bool{0: false, time.Minute: true} {
		v := inspectAs(d, "10.0.0.1", "www.example.net", now.Add(after))
		q := query("www.example.net")
		q.Time = now.Add(after)
		d.InspectAnswer(q, response, v)
		if v.Blocks() != want {
			t.Errorf("a target after %s: %s, want blocked %v", after, brief(v), want)
		}
	}
	q := query("x.bad.example.net")
	q.Time = now
	v := detect.Verdict{Matches: make([]detect.Match, 0, 8)}
	if got := testing.AllocsPerRun(100, func() { d.Inspect(q, &v) }); got != 0 {
		t.Errorf("%v allocations, want 0", got)
	}
}
