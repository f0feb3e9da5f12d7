package detect_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	// A time zone database, wherever the tests run.
	_ "time/tzdata"

	"github.com/weirdns/weir/blocklist"
	"github.com/weirdns/weir/detect"
)

// inspectAs judges a name for a client at a moment.
func inspectAs(d *detect.Detector, client, name string, at time.Time) *detect.Verdict {
	q := query(name)
	q.Client, q.Time = netip.MustParseAddr(client), at
	var v detect.Verdict
	d.Inspect(q, &v)
	return &v
}

func family() []blocklist.Config {
	return []blocklist.Config{
		inline("malware", blocklist.Block, "bad.example.net"), inline("games", blocklist.Block, "games.example.net", "bad.example.net"),
		inline("fine", blocklist.Allow, "ok.games.example.net"),
	}
}

func TestAGroupHasItsOwnListsAndModes(t *testing.T) {
	d := newDetector(t, setup{lists: family(), change: func(c *detect.Config) {
		c.Groups = []detect.GroupConfig{
			{Name: "office", Clients: []string{"10.0.0.0/8", "2001:db8::/32"}, Lists: []string{"malware"}, ModelMode: detect.ModeOff},
			{Name: "boss", Clients: []string{"10.1.0.7"}, ListsMode: detect.ModeOff},
			{Name: "lab", Clients: []string{"10.1.0.0/16"}, ListsMode: detect.ModeMonitor, ModelMode: detect.ModeEnforce, ModelLevel: "low"},
			{Name: "gone", Disabled: true, Clients: []string{"10.1.0.8/32"}, ListsMode: detect.ModeEnforce},
			{Name: "mapped", Clients: []string{"192.0.2.0/24"}, ListsMode: detect.ModeMonitor},
			{Name: "late", Clients: []string{"10.0.0.0/8"}, ListsMode: detect.ModeMonitor}, // office was first
		}
	}})
	now := time.Unix(1, 0)
	for _, c := range []struct{ client, name, want string }{
		{"127.0.0.1", "bad.example.net", "blocklist zero_ip enforce malware/bad.example.net/qname games/bad.example.net/qname"},
		{"127.0.0.1", "x.ok.games.example.net", "allowlist pass monitor games/games.example.net/qname fine/ok.games.example.net/qname"},
		{"127.0.0.1", generated, "model zero_ip monitor"},
		{"10.2.3.4", "bad.example.net", "blocklist zero_ip enforce malware/bad.example.net/qname"},
		{"2001:db8::1%eth0", "games.example.net", "none pass monitor"},
		{"10.2.3.4", generated, "none pass monitor"},
		{"10.1.0.7", "bad.example.net", "model pass monitor"},
		{"10.1.0.6", "games.example.net", "blocklist zero_ip monitor games/games.example.net/qname"},
		{"10.1.0.8", "games.example.net", "blocklist zero_ip monitor games/games.example.net/qname"},
		{"10.1.0.6", generated, "model zero_ip enforce"},
		{"::ffff:192.0.2.7", "games.example.net", "blocklist zero_ip monitor games/games.example.net/qname"},
	} {
		if got := brief(inspectAs(d, c.client, c.name, now)); got != c.want {
			t.Errorf("%s for %s: %s; want %s", c.name, c.client, got, c.want)
		}
	}
	// Answers are judged by the client's lists too.
	q := query("www.example.org")
	q.Client = netip.MustParseAddr("10.2.3.4")
	var v detect.Verdict
	d.Inspect(q, &v)
	d.InspectAnswer(q, answer(t, "www.example.org. 1 CNAME games.example.net."), &v)
	if got := brief(&v); got != "none pass monitor" {
		t.Errorf("a target of a list that is not the client's: %s", got)
	}
}

// In January Berlin is an hour ahead of UTC; in July, two.
func TestSchedulesFollowTheClocksOfTheirZone(t *testing.T) {
	school := detect.ScheduleConfig{Name: "school", Days: []string{"mon", "tue"}, Hours: []string{"08:00-12:00", "13:00-15:30"}, TimeZone: "Europe/Berlin"}
	night := detect.ScheduleConfig{Name: "night", Days: []string{"fri"}, Hours: []string{"22:00-06:00"}, TimeZone: "America/New_York"}
	weekend := detect.ScheduleConfig{Name: "weekend", Days: []string{"sat", "sun"}}
	scheduled := func(name string) detect.ListPolicy {
		p := detect.DefaultListPolicy()
		p.Schedule = name
		return p
	}
	d := newDetector(t, setup{noModel: true,
		lists: []blocklist.Config{inline("s", blocklist.Block, "s.example.net"), inline("n", blocklist.Block, "n.example.net"), inline("w", blocklist.Block, "w.example.net"),
			inline("allow", blocklist.Allow, "a.w.example.net")},
		policies: map[string]detect.ListPolicy{"s": scheduled("school"), "n": scheduled("night"), "w": detect.DefaultListPolicy(), "allow": scheduled("weekend")},
		change:   func(c *detect.Config) { c.Schedules = []detect.ScheduleConfig{school, night, weekend} },
	})
	for _, c := range []struct {
		name, at string
		blocked  bool
	}{
		{"s.example.net", "2024-01-01T06:59:59Z", false}, // a Monday
		{"s.example.net", "2024-01-01T07:00:00Z", true},
		{"s.example.net", "2024-01-01T10:59:59Z", true},
		{"s.example.net", "2024-01-01T11:00:00Z", false},
		{"s.example.net", "2024-01-01T12:00:00Z", true},
		{"s.example.net", "2024-01-03T08:00:00Z", false}, // a Wednesday
		{"s.example.net", "2024-07-01T06:00:00Z", true},  // summer time
		{"s.example.net", "2024-07-01T05:59:00Z", false},
		{"n.example.net", "2024-01-06T03:00:00Z", true}, // Friday 22:00 in New York
		{"n.example.net", "2024-01-06T10:59:00Z", true}, // Saturday 05:59
		{"n.example.net", "2024-01-06T11:00:00Z", false},
		{"n.example.net", "2024-01-05T05:00:00Z", false}, // Friday 00:00: the night before was not Friday's
		{"n.example.net", "2024-01-07T03:00:00Z", false},
		{"a.w.example.net", "2024-01-06T00:00:00Z", false}, // Saturday: the allow list is there
		{"a.w.example.net", "2024-01-08T00:00:00Z", true},
	} {
		at, err := time.Parse(time.RFC3339, c.at)
		if err != nil {
			t.Fatal(err)
		}
		if v := inspectAs(d, "127.0.0.1", c.name, at); v.Blocks() != c.blocked {
			t.Errorf("%s at %s: %s, want blocked %v", c.name, c.at, brief(v), c.blocked)
		}
	}
}

// Outside of a group's time its clients are in the next that has them.
func TestAGroupMayExistAtTimesOnly(t *testing.T) {
	d := newDetector(t, setup{noModel: true, lists: family(), change: func(c *detect.Config) {
		c.Schedules = []detect.ScheduleConfig{{Name: "day", Hours: []string{"06:00-20:00"}}, {Name: "noon", Hours: []string{"12:00-13:00"}}}
		c.Groups = []detect.GroupConfig{
			{Name: "free", Clients: []string{"10.0.0.0/24"}, Schedule: "noon", ListsMode: detect.ModeOff},
			{Name: "kids", Clients: []string{"10.0.0.0/24"}, Schedule: "day", Lists: []string{"games"}},
			{Name: "home", Clients: []string{"10.0.0.0/8"}, Lists: []string{"malware"}},
		}
	}})
	for at, want := range map[string]string{
		"05:00": "blocklist zero_ip enforce malware/bad.example.net/qname",
		"07:00": "blocklist zero_ip enforce games/bad.example.net/qname",
		"12:30": "none pass monitor",
		"24:00": "blocklist zero_ip enforce malware/bad.example.net/qname",
	} {
		var hour, minute int
		if _, err := fmt.Sscanf(at, "%d:%d", &hour, &minute); err != nil {
			t.Fatal(err)
		}
		v := inspectAs(d, "10.0.0.9", "bad.example.net", time.Date(2024, 1, 1, hour, minute, 0, 0, time.UTC))
		if got := brief(v); got != want {
			t.Errorf("at %s: %s, want %s", at, got, want)
		}
	}
}

func TestGroupAndScheduleErrorsComeAllAtOnce(t *testing.T) {
	cfg := detect.DefaultConfig()
	cfg.Schedules = []detect.ScheduleConfig{
		{Name: "", Days: []string{"monday"}, Hours: []string{"8-12", "09:00-09:00", "24:00-01:00"}, TimeZone: "Mars/Olympus"}, {Name: "x"}, {Name: "x"},
	}
	cfg.Groups = []detect.GroupConfig{
		{Clients: []string{"10.0.0.0/99", "host", "::ffff:10.0.0.0/104"}, Schedule: "y", Lists: []string{"none"}, ListsMode: "a", ModelMode: "b", ModelLevel: "c"},
		{Name: "g"}, {Name: "g", Clients: []string{"::1"}},
	}
	policy := detect.DefaultListPolicy()
	policy.Schedule = "z"
	err := detect.CheckPolicy(cfg, map[string]detect.ListPolicy{"l": policy})
	for _, want := range []string{
		"schedules[0].name: ", "schedules[0].days[0]: ", "schedules[0].hours[0]: ", "schedules[0].hours[1]: ", "schedules[0].hours[2]: ", "schedules[0].time_zone: ",
		"schedules[2].name: ", "groups[0].name: ", "groups[0].clients[0]: ", "groups[0].clients[1]: ", "groups[0].clients[2]: ", "groups[0].schedule: ", "groups[0].lists[0]: ",
		"groups[0].lists_mode: ", "groups[0].model_mode: ", "groups[0].model_level: ", "groups[1].clients: ", "groups[2].name: ", "lists.l.schedule: ",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("CheckPolicy = %v\nwant it to name %s", err, want)
		}
	}
	cfg.Groups, cfg.Schedules = nil, nil
	for i := range 1025 {
		cfg.Groups = append(cfg.Groups, detect.GroupConfig{Name: fmt.Sprint(i), Clients: []string{"::1"}})
	}
	if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), "groups: at most 1024, got 1025") {
		t.Errorf("1025 groups: %v", err)
	}
	cfg.Groups = []detect.GroupConfig{{Name: "g", Clients: make([]string, 1<<16+1)}}
	for i := range cfg.Groups[0].Clients {
		cfg.Groups[0].Clients[i] = "::1"
	}
	if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), "groups[0].clients: all groups together may name 65536 networks") {
		t.Errorf("65537 networks: %v", err)
	}
}

// manyGroups is 1000 groups of a /24 each within one of a /8, with schedules.
func manyGroups(c *detect.Config) {
	c.Schedules = []detect.ScheduleConfig{{Name: "never", Days: []string{"sun"}, Hours: []string{"00:00-00:01"}, TimeZone: "Europe/Berlin"}}
	c.Groups = []detect.GroupConfig{{Name: "all", Clients: []string{"10.0.0.0/8"}}}
	for i := range 1000 {
		c.Groups = append(c.Groups, detect.GroupConfig{Name: fmt.Sprint(i), Clients: []string{fmt.Sprintf("10.%d.%d.0/24", i/256, i%256)}, Schedule: "never"})
	}
}

func TestGroupsDoNotAllocate(t *testing.T) {
	d := newDetector(t, setup{lists: family(), change: manyGroups})
	q := query("bad.example.net")
	q.Client = netip.MustParseAddr("10.1.2.3")
	var v detect.Verdict
	d.Inspect(q, &v)
	if got := testing.AllocsPerRun(200, func() { d.Inspect(q, &v) }); got != 0 {
		t.Errorf("%v allocations, want 0", got)
	}
}

func BenchmarkInspectWithThousandGroups(b *testing.B) {
	d := newDetector(b, setup{lists: []blocklist.Config{inline("bad", blocklist.Block, "evil.example.net")}, change: manyGroups})
	for what, client := range map[string]string{"none": "192.0.2.1", "scheduled": "10.1.2.3"} {
		b.Run(what, func(b *testing.B) {
			q := query("www.wikipedia.org")
			q.Client = netip.MustParseAddr(client)
			var v detect.Verdict
			b.ReportAllocs()
			for b.Loop() {
				d.Inspect(q, &v)
			}
		})
	}
}
