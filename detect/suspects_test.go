package detect_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/weirdns/weir/blocklist"
	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/internal/dnsname"
)

// found is a finding by the client that query asks as, for an hour.
func found(kind detect.FindingKind, name string, enforce bool) *detect.Finding {
	return &detect.Finding{
		Time: time.Unix(1, 0), Kind: kind, Level: detect.LevelHigh, Client: netip.MustParseAddr("127.0.0.1"), Name: dnsname.MustParse(name),
		Until: time.Unix(3601, 0), Enforce: enforce,
	}
}

func newSuspects(t testing.TB) (*detect.Suspects, *prometheus.Registry) {
	t.Helper()
	reg := prometheus.NewPedanticRegistry()
	return detect.NewSuspects(dnsname.DefaultSuffixes(), reg), reg
}

func TestAFindingSpeaksAgainstItsDomain(t *testing.T) {
	suspects, _ := newSuspects(t)
	d := newDetector(t, setup{
		suspects: suspects,
		lists:    []blocklist.Config{inline("mine", blocklist.Allow, "allowed.com"), inline("bad", blocklist.Block, "listed.com")},
		change:   func(c *detect.Config) { c.OwnZones = []string{"own.com"}; c.Block.Action = "nxdomain" },
	})
	popular, err := popularity(t, 100, [2]string{"tranco 2026-04-01", "1,popular.com\n"}, [2]string{"umbrella 2026-07-24", "popular.com\n"})
	if err != nil {
		t.Fatal(err)
	}
	d.SetPopularity(popular)
	const other = "192.0.2.9"
	for _, c := range []struct {
		say    string
		find   *detect.Finding
		name   string
		client string // "": who was found
		after  time.Duration
		want   string
	}{
		{"watched", found(detect.Tunnel, "watched.com", false), "x.watched.com", "", 0, "behaviour nxdomain monitor behaviour finding/tunnel/qname"},
		{"blocked", found(detect.Tunnel, "tunnel.com", true), "x.y.tunnel.com", "", 0, "behaviour nxdomain enforce behaviour finding/tunnel/qname"},
		{"blocked, as a mapped address", nil, "tunnel.com", "::ffff:127.0.0.1", 0, "behaviour nxdomain enforce behaviour finding/tunnel/qname"},
		{"another client", nil, "x.tunnel.com", other, 0, "model pass monitor"},
		{"another domain", nil, "nottunnel.com", "", 0, "model pass monitor"},
		{"when it is over", nil, "x.tunnel.com", "", time.Hour, "model pass monitor"},
		{"just before", nil, "x.tunnel.com", "", time.Hour - time.Second - 1, "behaviour nxdomain enforce behaviour finding/tunnel/qname"},
		{"a new domain, whoever asks", found(detect.NewDomain, "new.com", true), "www.new.com", other, 0, "behaviour nxdomain enforce behaviour finding/new_domain/qname"},
		{"fast flux, by its host", found(detect.FastFlux, "a.flux.com", true), "b.flux.com", other, 0, "behaviour nxdomain enforce behaviour finding/fast_flux/qname"},
		{"a popular domain", found(detect.Tunnel, "popular.com", true), "x.popular.com", "", 0, "behaviour nxdomain monitor behaviour finding/tunnel/qname"},
		{"an own zone", found(detect.Tunnel, "own.com", true), "x.own.com", "", 0, "none pass monitor"},
		{"allowed", found(detect.Tunnel, "allowed.com", true), "x.allowed.com", "", 0, "allowlist pass monitor mine/allowed.com/qname"},
		{"on a list as well", found(detect.Tunnel, "listed.com", true), "x.listed.com", "", 0, "blocklist nxdomain enforce bad/listed.com/qname behaviour finding/tunnel/qname"},
		{"a kind that speaks against nothing", &detect.Finding{Time: time.Unix(1, 0), Kind: detect.UpstreamBlock, Name: dnsname.MustParse("quiet.com")}, "quiet.com", "", 0, "model pass monitor"},
		{"no domain at all", found(detect.Tunnel, ".", true), "a.b", "", 0, "model pass monitor"},
		{"a public suffix", found(detect.Tunnel, "co.uk", true), "x.co.uk", "", 0, "model pass monitor"},
	} {
		if c.find != nil {
			suspects.Find(c.find)
		}
		q := query(c.name)
		q.Time = q.Time.Add(c.after)
		if c.client != "" {
			q.Client = netip.MustParseAddr(c.client)
		}
		var v detect.Verdict
		if d.Inspect(q, &v); brief(&v) != c.want {
			t.Errorf("%s: %s, want %s", c.say, brief(&v), c.want)
		}
	}
	// Without the model and the brands, which ask for the domain too.
	alone := newDetector(t, setup{suspects: suspects, noModel: true, change: func(c *detect.Config) { c.Lookalike.Mode = detect.ModeOff }})
	if v := inspect(alone, "x.tunnel.com"); !v.Blocks() || v.Matches[0].Info != "found 1970-01-01T00:00:01Z, until 1970-01-01T01:00:01Z" {
		t.Errorf("without a model: %s, %+v", brief(v), v.Matches)
	}
	// What is not to be enforced any longer blocks no more, what was muted is forgotten.
	suspects.Keep(func(f *detect.Finding) (enforce, ok bool) { return false, f.Kind != detect.NewDomain })
	if v := inspect(d, "x.tunnel.com"); v.Blocks() || v.Origin != detect.OriginBehaviour {
		t.Errorf("not enforced any longer: %s", brief(v))
	}
	if v := inspect(d, "new.com"); v.Origin != detect.OriginModel {
		t.Errorf("forgotten: %s", brief(v))
	}
}

func TestSuspectsAreBounded(t *testing.T) {
	suspects, reg := newSuspects(t)
	const most, each = 1024, 64
	for i := range most + 10 {
		f := found(detect.Tunnel, fmt.Sprintf("t%d.com", i), false)
		f.Time, f.Until = f.Time.Add(time.Duration(i)*time.Millisecond), f.Until.Add(time.Duration(i)*time.Millisecond)
		suspects.Find(f)
	}
	at := time.Unix(100, 0)
	if got := suspects.At(at); len(got) != most || got[0].Name != "t10.com" {
		t.Errorf("%d suspects, the first %+v, want %d without the ten that came first", len(got), got[0], most)
	}
	for i := range each + 5 {
		f := found(detect.Tunnel, "many.com", false)
		f.Client = netip.AddrFrom4([4]byte{10, 0, 0, byte(i)})
		suspects.Find(f)
	}
	of := 0
	for _, s := range suspects.At(at) {
		if s.Name == "many.com" {
			of++
		}
	}
	if of != each {
		t.Errorf("%d clients of one domain, want %d", of, each)
	}
	want := `# HELP weir_suspect_domains_evicted_total Findings that were forgotten before their time, since there are as many as may be.
# TYPE weir_suspect_domains_evicted_total counter
weir_suspect_domains_evicted_total 16
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "weir_suspect_domains_evicted_total"); err != nil {
		t.Error(err)
	}
	// Once all are over the next finding finds room.
	f := found(detect.Beacon, "late.com", true)
	f.Time, f.Until = f.Time.Add(2*time.Hour), f.Until.Add(2*time.Hour)
	suspects.Find(f)
	if got := suspects.At(f.Time); len(got) != 1 || got[0].Name != "late.com" || !got[0].Enforce {
		t.Errorf("later: %+v", got)
	}
}

func TestSuspectsDoNotAllocate(t *testing.T) {
	suspects, _ := newSuspects(t)
	d := newDetector(t, setup{suspects: suspects})
	suspects.Find(found(detect.Tunnel, "tunnel.com", true))
	for _, name := range []string{"x.tunnel.com", "www.wikipedia.org"} {
		q := query(name)
		var v detect.Verdict
		d.Inspect(q, &v)
		if got := testing.AllocsPerRun(200, func() { d.Inspect(q, &v) }); got != 0 {
			t.Errorf("%s: %v allocations, want 0", name, got)
		}
	}
}

func BenchmarkInspectBesideSuspects(b *testing.B) {
	suspects, _ := newSuspects(b)
	d := newDetector(b, setup{suspects: suspects})
	for i := range 1000 {
		suspects.Find(found(detect.Tunnel, fmt.Sprintf("t%d.com", i), true))
	}
	q := query("www.wikipedia.org")
	var v detect.Verdict
	b.ReportAllocs()
	for b.Loop() {
		d.Inspect(q, &v)
	}
}
