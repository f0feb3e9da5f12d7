package behaviour_test

import (
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/detect/behaviour"
	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/pdns"
)

var _ pdns.Output = (*behaviour.Watcher)(nil)

var start = time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)

// told keeps findings as text.
type told struct {
	lines    []string
	findings []detect.Finding
}

func (s *told) Find(f *detect.Finding) {
	line := fmt.Sprintf("%s %s %s %s", f.Kind, f.Level, f.Client, f.Name)
	for i, fact := range f.Evidence {
		if slices.ContainsFunc(f.Evidence[:i], func(before detect.Fact) bool { return before.Key == fact.Key }) {
			panic("the evidence says " + fact.Key + " twice: readers of JSON keep one") // as if found by each test
		}
		line += " " + fact.Key + "=" + fact.Value
	}
	s.lines = append(s.lines, line)
	kept := *f
	kept.Name, kept.Evidence = f.Name.Clone(), slices.Clone(f.Evidence)
	s.findings = append(s.findings, kept)
}

func watcher(t testing.TB, change func(*behaviour.Config)) (*behaviour.Watcher, *told, *prometheus.Registry) {
	t.Helper()
	cfg, sink, reg := behaviour.DefaultConfig(), &told{}, prometheus.NewRegistry()
	if change != nil {
		change(&cfg)
	}
	w, err := behaviour.New(cfg, behaviour.Deps{Registry: reg, Findings: sink, Capture: true})
	if err != nil {
		t.Fatal(err)
	}
	return w, sink, reg
}

// query is a transaction as the resolver records it, without an answer.
func query(at time.Duration, client, name string, qtype uint16) *detect.Transaction {
	n := dnsname.MustParse(name)
	return &detect.Transaction{
		Query: detect.Query{Time: start.Add(at), Client: netip.MustParseAddr(client), Name: n, Type: qtype, Class: dns.ClassINET},
	}
}

// answer gives a transaction an answer, records in presentation form.
func answer(t testing.TB, tx *detect.Transaction, rcode int, records ...string) *detect.Transaction {
	t.Helper()
	m := new(dns.Msg)
	m.SetQuestion(tx.Query.Name.String()+".", tx.Query.Type)
	m.Response, m.RecursionAvailable, m.Rcode = true, true, rcode
	for _, r := range records {
		rr, err := dns.NewRR(r)
		if err != nil {
			t.Fatal(err)
		}
		m.Answer = append(m.Answer, rr)
	}
	wire, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	tx.Response, tx.Rcode, tx.Source = wire, uint16(rcode), detect.FromUpstream
	return tx
}

// heap is what the program holds.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// A flood of clients and names must cost no more than the tables hold.
func TestFloodsDoNotGrowMemory(t *testing.T) {
	w, sink, reg := watcher(t, func(c *behaviour.Config) { c.MaxPairs, c.MaxClients = 1<<12, 1<<12 })
	tx := answer(t, query(0, "192.0.2.1", "aaaaaaaaaa.example.com", dns.TypeA), dns.RcodeNameError)
	tx.Verdict.Unscored = detect.Scored
	tx.Query.Name = slices.Clone(tx.Query.Name)
	before := heap()
	var client [4]byte
	for i := range flooded {
		binary.BigEndian.PutUint32(client[:], uint32(i)|10<<24)
		tx.Query.Client = netip.AddrFrom4(client)
		for j, n := 0, i; j < 10; j++ {
			tx.Query.Name[1+j] = 'a' + byte(n%26)
			n /= 26
		}
		copy(tx.Query.Name[12:19], tx.Query.Name[1:8]) // the registered domain, too
		tx.Query.Time = start.Add(time.Duration(i) * time.Millisecond)
		w.Record(tx)
	}
	if grown := int64(heap()) - int64(before); grown > 64<<20 {
		t.Errorf("a million clients and names took %d MB", grown>>20)
	}
	if len(sink.lines) > 0 {
		t.Errorf("found %q in a flood of single names", sink.lines[0])
	}
	got, err := testutil.GatherAndCount(reg, "weir_behaviour_evicted_total")
	if err != nil || got == 0 {
		t.Fatalf("no metric of what made room: %d, %v", got, err)
	}
	if n := metric(t, reg, "weir_behaviour_evicted_total", "flows"); n != flooded-1<<12 {
		t.Errorf("%v flows made room, want all but those that the table holds", n)
	}
	for _, table := range []string{"flows", "clients", "activities", "beacons"} {
		if n := metric(t, reg, "weir_behaviour_entries", table); n != 1<<12 {
			t.Errorf("the table of %s holds %v, want %d", table, n, 1<<12)
		}
	}
	runtime.KeepAlive(w)
}

func metric(t *testing.T, reg *prometheus.Registry, name, table string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.Metric {
			if f.GetName() == name && m.Label[0].GetValue() == table {
				return m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	t.Fatalf("no %s of %s", name, table)
	return 0
}

// The same traffic gives the same findings, in the same order.
func TestTheSameTrafficGivesTheSameFindings(t *testing.T) {
	run := func() []string {
		w, sink, _ := watcher(t, nil)
		r := rand.New(rand.NewPCG(1, 2))
		for i := range 4000 {
			data := make([]byte, 5+r.IntN(25))
			for j := range data {
				data[j] = byte(r.Uint32())
			}
			w.Record(query(time.Duration(i)*time.Second, fmt.Sprintf("192.0.2.%d", r.IntN(4)),
				fmt.Sprintf("%s.t%d.com", strings.ToLower(base32.HexEncoding.WithPadding(base32.NoPadding).EncodeToString(data)), r.IntN(4)), dns.TypeA))
		}
		return sink.lines
	}
	first, second := run(), run()
	if len(first) < 10 || !slices.Equal(first, second) {
		t.Errorf("%d findings, then %d", len(first), len(second))
	}
}

func TestRebindingIsTold(t *testing.T) {
	w, sink, _ := watcher(t, nil)
	tx := answer(t, query(0, "192.0.2.1", "a.rebind.com", dns.TypeA), dns.RcodeSuccess, "a.rebind.com. 1 IN A 192.168.1.1", "a.rebind.com. 1 IN A 198.51.100.7")
	w.Record(tx) // nobody has judged it
	tx.Verdict.Origin = detect.OriginRebinding
	w.Record(tx)
	w.Record(tx)
	want := []string{"rebinding low 192.0.2.1 a.rebind.com registered_domain=rebind.com address=192.168.1.1 198.51.100.7"}
	if !slices.Equal(sink.lines, want) {
		t.Errorf("got %q, want %q", sink.lines, want)
	}
}

// A private address after a public one that was not to be kept is what an attack
// looks like; after a long time, after one that may be kept, or first, it is not.
func TestRebindingOverTime(t *testing.T) {
	const client = "192.0.2.1"
	for _, c := range []struct {
		say     string
		first   string // the public answer; "": none
		past    time.Duration
		private string
		want    string
	}{
		{"a public address, then a private one", "198.51.100.1", 5 * time.Second, "192.168.1.1", "rebinding high 192.0.2.1 a.rebind.com registered_domain=rebind.com public_before=5s"},
		{"then this machine's", "198.51.100.1", time.Minute, "127.0.0.1", "rebinding medium 192.0.2.1 a.rebind.com registered_domain=rebind.com public_before=1m0s"},
		{"hours later", "198.51.100.1", 2 * time.Hour, "192.168.1.1", "rebinding low 192.0.2.1 a.rebind.com registered_domain=rebind.com address="},
		{"one that may be kept for a day", "86400", time.Minute, "192.168.1.1", "rebinding low 192.0.2.1 a.rebind.com registered_domain=rebind.com address="},
		{"none before", "", 0, "192.168.1.1", "rebinding low 192.0.2.1 a.rebind.com registered_domain=rebind.com address="},
	} {
		w, sink, _ := watcher(t, only(func(on *behaviour.Config) { on.Rebinding.Mode = detect.ModeMonitor }))
		switch c.first {
		case "":
		case "86400":
			w.Record(answer(t, query(0, client, "a.rebind.com", dns.TypeA), dns.RcodeSuccess, "a.rebind.com. 86400 IN A 198.51.100.1"))
		default:
			w.Record(answer(t, query(0, client, "a.rebind.com", dns.TypeA), dns.RcodeSuccess, "a.rebind.com. 1 IN A "+c.first))
		}
		w.Record(answer(t, query(c.past, client, "b.rebind.com", dns.TypeA), dns.RcodeSuccess, "b.rebind.com. 1 IN A 198.51.100.2"))
		tx := answer(t, query(c.past, client, "a.rebind.com", dns.TypeA), dns.RcodeSuccess, "a.rebind.com. 1 IN A "+c.private)
		tx.Verdict.Origin = detect.OriginRebinding
		if w.Record(tx); len(sink.lines) != 1 || !strings.HasPrefix(sink.lines[0], c.want) {
			t.Errorf("%s: %q, want %q", c.say, sink.lines, c.want)
		}
	}
}

// What enforce says is blocked: from its level on, for as long as the finding is not
// told again, and never what is known to be harmless. A reload that blocks what was
// only told tells it again.
func TestEnforcedFindings(t *testing.T) {
	enforce := func(level string) func(*behaviour.Config) {
		return func(c *behaviour.Config) {
			only(func(*behaviour.Config) {})(c)
			c.Repeat, c.Tunnels.Mode, c.Tunnels.Level = time.Hour, detect.ModeEnforce, level
			c.Tunnels.Harmless = []string{"av.com"}
		}
	}
	send := func(w *behaviour.Watcher, at time.Duration, domain string, names int) {
		r := rand.New(rand.NewPCG(3, uint64(at)))
		for i := range names {
			w.Record(query(at+time.Duration(i)*time.Millisecond, "192.0.2.1", hexes(r, 30)+"."+domain, dns.TypeA))
		}
	}
	w, sink, _ := watcher(t, enforce("medium"))
	send(w, 0, "evil.com", 500)
	send(w, 0, "av.com", 5000)
	var got []string
	for _, f := range sink.findings {
		got = append(got, fmt.Sprintf("%s %s %v %v", f.Name, f.Level, f.Enforce, f.Until.Sub(f.Time)))
	}
	want := []string{"evil.com low false 1h0m0s", "evil.com medium true 1h0m0s", "evil.com high true 1h0m0s",
		"av.com low false 1h0m0s", "av.com medium false 1h0m0s"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	// When the block is over it is told again, and so blocked again.
	if send(w, time.Hour+time.Second, "evil.com", 1); len(sink.findings) != 6 || !sink.findings[5].Enforce {
		t.Errorf("after an hour: %q", sink.lines[5:])
	}

	cfg := behaviour.DefaultConfig()
	w, sink, _ = watcher(t, nil)
	send(w, 0, "evil.com", 500)
	before := len(sink.findings)
	enforce("high")(&cfg)
	w.Reload(cfg)
	if send(w, time.Second, "evil.com", 1); len(sink.findings) != before+1 || !sink.findings[before].Enforce {
		t.Errorf("after a reload: %q", sink.lines[before:])
	}
	w.Reload(cfg) // which changes nothing
	if send(w, 2*time.Second, "evil.com", 1); len(sink.findings) != before+1 {
		t.Errorf("after another: %q", sink.lines[before+1:])
	}
}

func TestConfigSaysAllThatIsWrong(t *testing.T) {
	cfg := behaviour.DefaultConfig()
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	cfg.Repeat, cfg.MaxPairs, cfg.Rebinding.Mode, cfg.Tunnels.Mode = 0, 1, "enforce", ""
	cfg.Tunnels.Level, cfg.Beacons.Level, cfg.NewDomains.Level, cfg.FastFlux.Mode = "none", "high", "high", "block"
	cfg.MaxClients, cfg.Infected = 1, behaviour.InfectedConfig{}
	cfg.Tunnels.Hour, cfg.Tunnels.Day, cfg.Tunnels.HarmlessFactor, cfg.Tunnels.Harmless = 0, 0, 0, []string{"a..b"}
	cfg.Mute = []detect.MuteConfig{{Kind: "tunnel"}, {Reason: "r", Until: "2027-01-01"}}
	err := cfg.Validate()
	for _, path := range []string{"repeat:", "max_pairs:", "max_clients:", "infected.mode:", "infected.one_in:", "infected.threshold:", "infected.window:", "rebinding.mode:", "tunnels.mode:", "tunnels.level:", "beacons.level:", "new_domains.level:", "fast_flux.mode:", "tunnels.hour:", "tunnels.day:",
		"tunnels.harmless_factor:", "tunnels.harmless[0]:", "mute[0].reason:", "mute[0].until:", "mute[1].kind:"} {
		if err == nil || !strings.Contains("\n"+err.Error(), "\n"+path) {
			t.Errorf("nothing is said of %s in %v", path, err)
		}
	}
}
