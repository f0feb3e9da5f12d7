package unusual_test

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/pdns/privacy"
	"github.com/weirdns/weir/unusual"
)

var monday = time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)

func query(tb testing.TB, at time.Time, client, name string, qtype uint16, rcode int, size int) *detect.Transaction {
	tb.Helper()
	m := new(dns.Msg)
	m.SetQuestion(dns.Fqdn(name), qtype)
	m.Response, m.Rcode = true, rcode
	msg, err := m.Pack()
	if err != nil {
		tb.Fatal(err)
	}
	return &detect.Transaction{
		Query: detect.Query{Time: at, Client: netip.MustParseAddr(client), Name: dnsname.MustParse(name), Type: qtype, Class: dns.ClassINET},
		Rcode: uint16(rcode), Response: append(msg, make([]byte, size)...),
	}
}

// office is a working day of forty people: ordinary names, some misspelt, at the
// hours of people, and machines that go on at night.
func office(tb testing.TB, day time.Time, seed uint64) (out []*detect.Transaction) {
	r := rand.New(rand.NewPCG(seed, 1))
	hosts := []string{"www", "", "mail", "api", "static", "cdn", "img", "login", "m", "events.data", "assets-cdn", "eu-west-1.console"}
	for n := range 8000 {
		hour := 8 + r.IntN(10)
		if r.IntN(20) == 0 {
			hour = r.IntN(24)
		}
		domain := fmt.Sprintf("site%d.example%d.com", r.IntN(30), int(r.ExpFloat64()*200))
		domain = domain[strings.IndexByte(domain, '.')+1:]
		name := strings.TrimPrefix(hosts[r.IntN(len(hosts))]+"."+domain, ".")
		qtype := []uint16{dns.TypeA, dns.TypeA, dns.TypeA, dns.TypeAAAA, dns.TypeAAAA, dns.TypeHTTPS}[r.IntN(6)]
		rcode := dns.RcodeSuccess
		if r.IntN(50) == 0 {
			rcode = dns.RcodeNameError
		}
		at := day.Add(time.Duration(hour)*time.Hour + time.Duration(n)*time.Second/3)
		out = append(out, query(tb, at, fmt.Sprintf("192.0.2.%d", 1+r.IntN(40)), name, qtype, rcode, 16+r.IntN(100)))
	}
	return out
}

func feed(tr *unusual.Tracker, all ...[]*detect.Transaction) {
	mixed := slices.Concat(all...)
	slices.SortStableFunc(mixed, func(a, b *detect.Transaction) int { return a.Query.Time.Compare(b.Query.Time) })
	for _, tx := range mixed {
		tr.Record(tx)
	}
}

func ranking(tb testing.TB, tr *unusual.Tracker, q unusual.Query) unusual.Ranking {
	tb.Helper()
	r, err := tr.Ranking(q)
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

func rankOf(r unusual.Ranking, domain string) int {
	for _, e := range r.Entries {
		if e.Domain == domain {
			return e.Rank
		}
	}
	return 0
}

// planted is what is odd in a day: a beacon by TXT, a tunnel, one query of a type
// that nobody asks, and a name of many labels at night.
func planted(tb testing.TB, day time.Time, times int) (out []*detect.Transaction, domains []string) {
	r := rand.New(rand.NewPCG(7, 7))
	random := func(n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = "abcdefghijklmnopqrstuvwxyz234567"[r.IntN(32)]
		}
		return string(b)
	}
	for i := range times {
		at := day.Add(11*time.Hour + time.Duration(i)*time.Second)
		out = append(out,
			query(tb, at, "192.0.2.7", random(24)+".beacon.example", dns.TypeTXT, dns.RcodeSuccess, 300),
			query(tb, at, "192.0.2.8", random(60)+"."+random(50)+".tunnel.example", dns.TypeCNAME, dns.RcodeSuccess, 180),
		)
	}
	out = append(out,
		query(tb, day.Add(12*time.Hour), "192.0.2.9", "x.odd.example", dns.TypeNULL, dns.RcodeSuccess, 30),
		query(tb, day.Add(3*time.Hour), "192.0.2.10", "a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q.night.example", dns.TypeA, dns.RcodeServerFailure, 0),
	)
	return out, []string{"beacon.example", "tunnel.example", "odd.example", "night.example"}
}

// A handful of odd queries among thousands come first, and so do they where there
// are very many of them: a flood does not make itself usual.
func TestPlantedTrafficRanksFirst(t *testing.T) {
	for _, times := range []int{1, 20, 3000} {
		odd, domains := planted(t, monday, times)
		tr := tracker(t, unusual.DefaultConfig(), unusual.Deps{Seed: 1})
		feed(tr, office(t, monday, 1), odd)
		r := ranking(t, tr, unusual.Query{})
		for _, d := range domains {
			if rank := rankOf(r, d); rank == 0 || rank > 6 {
				t.Errorf("%d times: %s has rank %d, want 1 to 6", times, d, rank)
			}
		}
		if want := uint64(8000 + len(odd)); r.Queries != want {
			t.Errorf("%d queries, want %d", r.Queries, want)
		}
		for _, e := range r.Entries[:4] {
			if len(e.Reasons) == 0 || e.Reasons[0].OneIn < 20 {
				t.Errorf("%s has the reasons %+v", e.Name, e.Reasons)
			}
			if e.Domain == "beacon.example" && !slices.ContainsFunc(e.Reasons, func(p unusual.Part) bool { return p.Part == "qtype" && p.Value == "TXT" }) {
				t.Errorf("the beacon's type is no reason: %+v", e.Reasons)
			}
		}
	}
}

// What one client always does is usual for it, and unusual for another.
func TestUsualIsUsualForAClient(t *testing.T) {
	cfg := unusual.DefaultConfig()
	cfg.Top = 10_000
	tr := tracker(t, cfg, unusual.Deps{Seed: 1})
	var mail []*detect.Transaction
	for i := range 300 {
		mail = append(mail, query(t, monday.Add(9*time.Hour+time.Duration(i)*time.Second), "192.0.2.50", fmt.Sprintf("selector._domainkey.sender%d.example", i), dns.TypeTXT, dns.RcodeSuccess, 200))
	}
	once := query(t, monday.Add(9*time.Hour+30*time.Minute), "192.0.2.5", "selector._domainkey.other.example", dns.TypeTXT, dns.RcodeSuccess, 200)
	feed(tr, office(t, monday, 2), mail, []*detect.Transaction{once})
	r := ranking(t, tr, unusual.Query{})
	server, other, found := 0.0, 0.0, 0
	for _, e := range r.Entries {
		switch {
		case strings.HasPrefix(e.Domain, "sender"):
			server, found = max(server, e.Score), found+1
		case e.Domain == "other.example":
			other = e.Score
		}
	}
	if found != 300 || other < server+4 {
		t.Errorf("of the mail server %.1f bits, of another client %.1f; want the other one above", server, other)
	}
}

func TestAnEntryIsAClientAndADomain(t *testing.T) {
	tr := tracker(t, unusual.DefaultConfig(), unusual.Deps{Seed: 1})
	for i := range 5 {
		tr.Record(query(t, monday.Add(time.Duration(i)*time.Minute), "192.0.2.1", fmt.Sprintf("h%d.example.co.uk", i), dns.TypeA, 0, 50))
	}
	tr.Record(query(t, monday, "192.0.2.2", "www.example.co.uk", dns.TypeA, 0, 50))
	tr.Record(query(t, monday, "192.0.2.2", "printer", dns.TypeA, 0, 50))
	tr.Record(query(t, monday, "192.0.2.2", "9.2.0.192.in-addr.arpa", dns.TypePTR, 0, 50))
	tr.Record(&detect.Transaction{Query: detect.Query{Time: monday, Name: dnsname.Root()}})
	r := ranking(t, tr, unusual.Query{})
	if len(r.Entries) != 4 {
		t.Fatalf("%d entries, want 4: %+v", len(r.Entries), r.Entries)
	}
	for _, e := range r.Entries {
		if e.Client == "192.0.2.1" && (e.Domain != "example.co.uk" || e.Queries != 5 || !e.First.Equal(monday) || !e.Last.Equal(monday.Add(4*time.Minute))) {
			t.Errorf("got %+v", e)
		}
	}
}

func TestClientsAreShownAsFarAsTheyAreKept(t *testing.T) {
	for mode, want := range map[privacy.Mode]string{privacy.Full: "192.0.2.7", privacy.Truncated: "192.0.2.0/24", privacy.None: ""} {
		dir := t.TempDir()
		tr := tracker(t, unusual.DefaultConfig(), unusual.Deps{Dir: dir, Privacy: privacy.Plain(mode)})
		tr.Record(query(t, monday, "192.0.2.7", "www.example.com", dns.TypeA, 0, 50))
		if got := ranking(t, tr, unusual.Query{}).Entries[0].Client; got != want {
			t.Errorf("%v: client %q, want %q", mode, got, want)
		}
	}
	cfg := privacy.DefaultConfig()
	cfg.SkipNames, cfg.SkipClients = []string{"example.org"}, []string{"192.0.2.8"}
	guard, err := privacy.New(cfg, privacy.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	tr := tracker(t, unusual.DefaultConfig(), unusual.Deps{Privacy: guard})
	tr.Record(query(t, monday, "192.0.2.7", "www.example.org", dns.TypeA, 0, 50))
	tr.Record(query(t, monday, "192.0.2.8", "www.example.com", dns.TypeA, 0, 50))
	if r := ranking(t, tr, unusual.Query{}); len(r.Entries) != 0 {
		t.Errorf("what is not to be recorded is in the list: %+v", r.Entries)
	}
}

// What is usual is known after a restart: the same days without one give the same
// list.
func TestStateSurvivesARestart(t *testing.T) {
	for _, mode := range []privacy.Mode{privacy.Full, privacy.Truncated} {
		dir := t.TempDir()
		tuesday := monday.AddDate(0, 0, 1)
		odd, domains := planted(t, tuesday, 3)
		deps := func() unusual.Deps { return unusual.Deps{Dir: dir, Privacy: privacy.Plain(mode), Seed: 1} }
		tr := tracker(t, unusual.DefaultConfig(), deps())
		if err := tr.Restored(); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the first time: %v", err)
		}
		feed(tr, office(t, monday, 1))
		if err := tr.Close(); err != nil {
			t.Fatal(err)
		}
		before := ranking(t, tr, unusual.Query{})
		again := tracker(t, unusual.DefaultConfig(), deps())
		if err := again.Restored(); err != nil {
			t.Fatal(err)
		}
		if after := ranking(t, again, unusual.Query{}); mode == privacy.Full && !reflect.DeepEqual(after, before) {
			t.Errorf("%v: the list after the restart differs", mode)
		} else if len(after.Entries) != len(before.Entries) {
			t.Errorf("%v: %d entries after the restart, want %d", mode, len(after.Entries), len(before.Entries))
		}
		feed(again, odd) // without another day to learn from
		for _, d := range domains {
			if rank := rankOf(ranking(t, again, unusual.Query{Day: "2026-03-03"}), d); rank == 0 || rank > 5 {
				t.Errorf("%v: %s has rank %d after the restart, want 1 to 5", mode, d, rank)
			}
		}
		if r := ranking(t, again, unusual.Query{}); !slices.Equal(r.Days, []string{"2026-03-03", "2026-03-02"}) {
			t.Errorf("days %q", r.Days)
		}
	}
}

// Where addresses are not to be kept, the file has nothing by which one could be
// tried, so it is the same whoever asked in a network.
func TestTheStateHoldsNoClientThatIsNotKept(t *testing.T) {
	file := func(mode privacy.Mode, client string) []byte {
		dir := t.TempDir()
		tr := tracker(t, unusual.DefaultConfig(), unusual.Deps{Dir: dir, Privacy: privacy.Plain(mode), Seed: 1})
		tr.Record(query(t, monday, client, "www.example.com", dns.TypeA, 0, 50))
		if err := tr.Close(); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(filepath.Join(dir, unusual.StateFile))
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	for mode, same := range map[privacy.Mode]bool{privacy.Truncated: true, privacy.None: true, privacy.Full: false} {
		if got := reflect.DeepEqual(file(mode, "192.0.2.7"), file(mode, "192.0.2.99")); got != same {
			t.Errorf("%v: two clients of a network leave the same file: %v, want %v", mode, got, same)
		}
	}
}

func TestADamagedStateIsLearnedAnew(t *testing.T) {
	dir := t.TempDir()
	deps := func() unusual.Deps { return unusual.Deps{Dir: dir, Privacy: privacy.Plain(privacy.Full), Seed: 1} }
	tr := tracker(t, unusual.DefaultConfig(), deps())
	feed(tr, office(t, monday, 1)[:200])
	if err := tr.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, unusual.StateFile)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{0, 1, 20, len(good) / 2, len(good) - 1} {
		if err := os.WriteFile(path, good[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		tr := tracker(t, unusual.DefaultConfig(), deps())
		if tr.Restored() == nil || len(ranking(t, tr, unusual.Query{}).Days) != 0 {
			t.Errorf("a state cut to %d of %d octets is taken up: %v", n, len(good), tr.Restored())
		}
	}
	flipped := slices.Clone(good)
	// In the checksum: elsewhere a bit may be one that means nothing.
	flipped[len(flipped)-6] ^= 0x10
	if err := os.WriteFile(path, flipped, 0o600); err != nil {
		t.Fatal(err)
	}
	if tr := tracker(t, unusual.DefaultConfig(), deps()); tr.Restored() == nil {
		t.Error("a state with a flipped bit is taken up")
	}
	if err := os.WriteFile(path, good, 0o600); err != nil {
		t.Fatal(err)
	}
	other := deps()
	other.Privacy = privacy.Plain(privacy.Truncated)
	if tr := tracker(t, unusual.DefaultConfig(), other); tr.Restored() == nil {
		t.Error("addresses that were kept in full are taken up by who may not keep them")
	}
	cfg := unusual.DefaultConfig()
	cfg.MemoryBytes /= 2
	if tr := tracker(t, cfg, deps()); tr.Restored() != nil || len(ranking(t, tr, unusual.Query{}).Entries) == 0 {
		t.Errorf("with other settings the lists are gone: %v", tr.Restored())
	}
}

// A finished day stays as it was, whatever comes later; what is too old or too much
// goes.
func TestDaysAreFinishedAndForgotten(t *testing.T) {
	cfg := unusual.DefaultConfig()
	cfg.Days, cfg.Top = 3, 50
	tr := tracker(t, cfg, unusual.Deps{Seed: 1})
	feed(tr, office(t, monday, 1)[:2000])
	feed(tr, office(t, monday.AddDate(0, 0, 1), 2)[:100], office(t, monday.AddDate(0, 0, 2), 3)[:100])
	was := ranking(t, tr, unusual.Query{Day: "2026-03-02"})
	if len(was.Entries) != 50 {
		t.Fatalf("%d entries, want 50", len(was.Entries))
	}
	tr.Record(query(t, monday, "192.0.2.1", "late.example", dns.TypeNULL, 0, 50))
	feed(tr, office(t, monday.AddDate(0, 0, 2), 4)[:2000])
	if now := ranking(t, tr, unusual.Query{Day: "2026-03-02"}); !reflect.DeepEqual(now, was) {
		t.Error("the list of a finished day has changed")
	}
	tr.Record(query(t, monday.AddDate(0, 0, 3), "192.0.2.1", "x.example", dns.TypeA, 0, 50))
	if r := ranking(t, tr, unusual.Query{}); !slices.Equal(r.Days, []string{"2026-03-05", "2026-03-04", "2026-03-03"}) {
		t.Errorf("days %q, want three", r.Days)
	}
	if _, err := tr.Ranking(unusual.Query{Day: "yesterday"}); err == nil {
		t.Error("yesterday is a day")
	}
	cfg.Days = 1
	tr = tracker(t, cfg, unusual.Deps{Seed: 1})
	tr.Record(query(t, monday.AddDate(0, 0, 1), "192.0.2.1", "x.example", dns.TypeA, 0, 50))
	tr.Record(query(t, monday, "192.0.2.1", "late.example", dns.TypeA, 0, 50))
	if r := ranking(t, tr, unusual.Query{}); !slices.Equal(r.Days, []string{"2026-03-03"}) {
		t.Errorf("of one day: %q", r.Days)
	}
}

// A million clients that ask for a million names take no more memory than some.
func TestAMillionClientsAndNamesStayInBounds(t *testing.T) {
	n := 1_000_000
	if testing.Short() || raceEnabled {
		n = 100_000
	}
	cfg := unusual.DefaultConfig()
	tx := query(t, monday, "192.0.2.1", "www.example.com", dns.TypeA, 0, 50)
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	tr := tracker(t, cfg, unusual.Deps{Seed: 1})
	r := rand.New(rand.NewPCG(1, 2))
	name := []byte("\x03www\x0aaaaaaaaaaa\x03com\x00")
	for i := range n {
		for j := range 10 {
			name[5+j] = byte('a' + r.IntN(26))
		}
		tx.Query.Name = name
		tx.Query.Client = netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		tx.Query.Type = uint16(r.IntN(1 << 16))
		tx.Rcode = uint16(r.IntN(1 << 12))
		tx.Query.Time = monday.Add(time.Duration(i) * time.Millisecond)
		tr.Consume(tx)
	}
	grown := int64(heap()) - int64(before)
	t.Logf("%d clients and names: %d KiB", n, grown>>10)
	if grown > 8<<20 {
		t.Errorf("%d KiB for %d clients and names, want at most 8 MiB", grown>>10, n)
	}
	if r := ranking(t, tr, unusual.Query{}); len(r.Entries) != cfg.Top || r.Queries != uint64(n) {
		t.Errorf("%d entries of %d queries", len(r.Entries), r.Queries)
	}
	runtime.KeepAlive(tr)
}

func TestConfigNamesAllThatIsWrong(t *testing.T) {
	cfg := unusual.Config{}
	err := cfg.Validate()
	for _, want := range []string{"top: must be 1 to ", "days: must be 1 to ", "half_life: must be ", "memory_bytes: must be "} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q in it", err, want)
		}
	}
	if _, err := unusual.New(cfg, unusual.Deps{Registry: prometheus.NewRegistry()}); err == nil {
		t.Error("New takes it")
	}
	cfg = unusual.DefaultConfig()
	if err := cfg.Validate(); err != nil {
		t.Errorf("the defaults: %v", err)
	}
}

func BenchmarkConsume(b *testing.B) {
	tr := tracker(b, unusual.DefaultConfig(), unusual.Deps{Seed: 1})
	all := office(b, monday, 1)
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		tr.Consume(all[n%len(all)])
		n++
	}
}
