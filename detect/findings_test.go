package detect_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/internal/dnsname"
)

type findingsTold []detect.Finding

func (s *findingsTold) Find(f *detect.Finding) { *s = append(*s, *f) }

// A mute covers its kind, name and client, until its end in the time of the
// data, and what it covers is counted.
func TestMutes(t *testing.T) {
	var sink findingsTold
	reg := prometheus.NewPedanticRegistry()
	f := detect.NewFindings([]detect.MuteConfig{
		{Kind: "tunnel", Name: "av.example", Client: "192.0.2.0/24", Reason: "antivirus", Until: "2026-06-01"},
		{Client: "2001:db8::1", Reason: "scanner", Until: "2026-06-01T12:00:00+02:00"},
	}, reg, &sink)
	at := time.Date(2026, 5, 31, 23, 59, 59, 0, time.UTC)
	for _, c := range []struct {
		say    string
		change func(*detect.Finding)
		muted  bool
	}{
		{"as it is", func(*detect.Finding) {}, true},
		{"below the name", func(f *detect.Finding) { f.Name = dnsname.MustParse("a.av.example") }, true},
		{"another name", func(f *detect.Finding) { f.Name = dnsname.MustParse("xav.example") }, false},
		{"no name", func(f *detect.Finding) { f.Name = nil }, false},
		{"another kind", func(f *detect.Finding) { f.Kind = detect.Rebinding }, false},
		{"another client", func(f *detect.Finding) { f.Client = netip.MustParseAddr("192.0.3.1") }, false},
		{"mapped client", func(f *detect.Finding) { f.Client = netip.MustParseAddr("::ffff:192.0.2.9") }, true},
		{"at its end", func(f *detect.Finding) { f.Time = at.Add(time.Second) }, false},
		{"any of a client", func(f *detect.Finding) { f.Client, f.Name = netip.MustParseAddr("2001:db8::1"), nil }, true},
		{"a client's end", func(f *detect.Finding) {
			f.Client, f.Name, f.Time = netip.MustParseAddr("2001:db8::1"), nil, at.Add(10*time.Hour+time.Second)
		}, false},
	} {
		sink = nil
		found := detect.Finding{Time: at, Kind: detect.Tunnel, Level: detect.LevelHigh, Client: netip.MustParseAddr("192.0.2.7"), Name: dnsname.MustParse("av.example")}
		c.change(&found)
		if f.Find(&found); (len(sink) == 0) != c.muted {
			t.Errorf("%s: told %d, want muted %v", c.say, len(sink), c.muted)
		}
	}
	if got := f.Told(detect.Tunnel); got != 5 {
		t.Errorf("%d tunnels are counted, want 5", got)
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, m := range family.Metric {
			if family.GetName() == "weir_findings_muted_total" && m.Label[0].GetValue() == "tunnel" && m.GetCounter().GetValue() != 4 {
				t.Errorf("%v muted tunnels are counted, want 4", m.GetCounter().GetValue())
			}
		}
	}
	f.SetMutes(nil)
	sink = nil
	if f.Find(&detect.Finding{Time: at, Kind: detect.Tunnel, Client: netip.MustParseAddr("2001:db8::1")}); len(sink) != 1 {
		t.Error("a mute outlived its reload")
	}
}

// A mute without a reason or an end would be forgotten, and one that covers all
// would blind.
func TestAMuteMustSayWhyAndHowLong(t *testing.T) {
	good := detect.MuteConfig{Kind: "tunnel", Reason: "r", Until: "2026-06-01"}
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for field, change := range map[string]func(*detect.MuteConfig){
		"reason": func(m *detect.MuteConfig) { m.Reason = "" },
		"until":  func(m *detect.MuteConfig) { m.Until = "" },
		"kind":   func(m *detect.MuteConfig) { m.Kind = "" },
		"name":   func(m *detect.MuteConfig) { m.Name = "a..b" },
		"client": func(m *detect.MuteConfig) { m.Client = "somebody" },
	} {
		m := good
		change(&m)
		if err := m.Validate(); err == nil || !strings.HasPrefix(err.Error(), field+":") {
			t.Errorf("%s: %v", field, err)
		}
	}
}
