package cache_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/internal/dnswire"
	"github.com/weirdns/weir/resolver/cache"
)

func open(t testing.TB, change func(*cache.Config)) *cache.Cache {
	t.Helper()
	cfg := cache.DefaultConfig()
	cfg.MaxBytes = 4 << 20
	if change != nil {
		change(&cfg)
	}
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	return cache.New(cfg, prometheus.NewRegistry())
}

func question(name string, qtype uint16) *cache.Question {
	return &cache.Question{Name: dnsname.MustParse(name), Type: qtype, Class: dnswire.ClassIN}
}

// answer packs a response to q with the records of text, one a line; lines
// that begin with "auth " go to the authority section.
func answer(t testing.TB, q *cache.Question, rcode int, text string) []byte {
	t.Helper()
	m := new(dns.Msg)
	m.Response, m.Compress, m.Rcode = true, true, rcode
	m.Id = 4711
	m.Question = []dns.Question{{Name: q.Name.String() + ".", Qtype: q.Type, Qclass: q.Class}}
	for line := range strings.Lines(text) {
		rest, auth := strings.CutPrefix(strings.TrimSpace(line), "auth ")
		if rest == "" {
			continue
		}
		rr, err := dns.NewRR(rest)
		if err != nil {
			t.Fatal(err)
		}
		if auth {
			m.Ns = append(m.Ns, rr)
		} else {
			m.Answer = append(m.Answer, rr)
		}
	}
	wire, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return wire
}

func get(t testing.TB, c *cache.Cache, q *cache.Question, now time.Time) (*dns.Msg, cache.State) {
	t.Helper()
	wire, state := c.Get(nil, q, now)
	if state == cache.Miss {
		if len(wire) > 0 {
			t.Errorf("a Miss of %s appended %d octets", q.Name, len(wire))
		}
		return nil, state
	}
	m := new(dns.Msg)
	if err := m.Unpack(wire); err != nil {
		t.Fatalf("cached answer for %s: %v", q.Name, err)
	}
	if m.Id != 0 {
		t.Errorf("cached answer for %s has ID %d, want 0", q.Name, m.Id)
	}
	return m, state
}

func TestTTLsAgeAndTheSmallestEndsTheEntry(t *testing.T) {
	c, now := open(t, nil), time.Now()
	q := question("www.example.com", dns.TypeA)
	c.Put(q, answer(t, q, 0, `
		www.example.com. 300 CNAME a.example.com.
		a.example.com. 60 A 192.0.2.1
		auth example.com. 900 NS ns.example.com.`), now)

	m, state := get(t, c, q, now.Add(10*time.Second+time.Millisecond))
	if state != cache.Fresh {
		t.Fatalf("state after 10s = %v, want Fresh", state)
	}
	for i, rr := range append(m.Answer, m.Ns...) {
		if got, want := rr.Header().Ttl, []uint32{290, 50, 890}[i]; got != want {
			t.Errorf("TTL of record %d after 10s = %d, want %d", i, got, want)
		}
	}
	if _, state := get(t, c, q, now.Add(59*time.Second)); state != cache.Fresh {
		t.Errorf("state one second before the smallest TTL ends = %v, want Fresh", state)
	}
	m, state = get(t, c, q, now.Add(60*time.Second))
	if state != cache.Stale {
		t.Fatalf("state when the smallest TTL ends = %v, want Stale", state)
	}
	for i, rr := range append(m.Answer, m.Ns...) {
		if got := rr.Header().Ttl; got != 30 {
			t.Errorf("stale TTL of record %d = %d, want 30", i, got)
		}
	}
	if _, state := get(t, c, q, now.Add(60*time.Second+24*time.Hour)); state != cache.Miss {
		t.Errorf("state after max_stale = %v, want Miss", state)
	}
}

// lifetime finds how many seconds an answer to q is Fresh.
func lifetime(t *testing.T, q *cache.Question, wire []byte, change func(*cache.Config)) int {
	t.Helper()
	c, now := open(t, change), time.Now()
	c.Put(q, wire, now)
	lo, hi := 0, 8*24*3600
	for lo < hi {
		mid := (lo + hi) / 2
		if _, state := get(t, c, q, now.Add(time.Duration(mid)*time.Second)); state == cache.Fresh {
			lo = mid + 1
		} else {
			hi = mid
		}
		c.Flush()
		c.Put(q, wire, now)
	}
	return lo
}

func TestHowLongAnAnswerIsKept(t *testing.T) {
	const soa = "auth example.com. %d SOA ns. host. 1 2 3 4 %d\n"
	for _, tt := range []struct {
		name, records string
		qtype         uint16
		rcode, want   int
		change        func(*cache.Config)
	}{
		{"positive", "w.example.com. 77 A 192.0.2.1", dns.TypeA, 0, 77, nil},
		{"positive over max_ttl", "w.example.com. 700000 A 192.0.2.1", dns.TypeA, 0, 86400, nil},
		{"TTL zero is not cached", "w.example.com. 0 A 192.0.2.1", dns.TypeA, 0, 0, nil},
		{"top bit set means zero (RFC 2181, section 8)", "w.example.com. 2147483649 A 192.0.2.1", dns.TypeA, 0, 0, nil},
		{"min_ttl raises", "w.example.com. 1 A 192.0.2.1", dns.TypeA, 0, 20, func(c *cache.Config) { c.MinTTL = 20 * time.Second }},
		{"NXDOMAIN by the SOA's TTL", fmt.Sprintf(soa, 100, 200), dns.TypeA, 3, 100, nil},
		{"NXDOMAIN by MINIMUM", fmt.Sprintf(soa, 200, 100), dns.TypeA, 3, 100, nil},
		{"NODATA by MINIMUM", fmt.Sprintf(soa, 200, 100), dns.TypeA, 0, 100, nil},
		{"NODATA after a CNAME", "w.example.com. 900 CNAME x.example.com.\n" + fmt.Sprintf(soa, 200, 100), dns.TypeA, 0, 100, nil},
		{"NODATA after a shorter CNAME", "w.example.com. 9 CNAME x.example.com.\n" + fmt.Sprintf(soa, 200, 100), dns.TypeA, 0, 9, nil},
		{"NXDOMAIN over negative_max_ttl", fmt.Sprintf(soa, 90000, 90000), dns.TypeA, 3, 3600, nil},
		{"min_ttl does not raise negatives", fmt.Sprintf(soa, 5, 5), dns.TypeA, 3, 5, func(c *cache.Config) { c.MinTTL = 20 * time.Second }},
		{"NXDOMAIN without SOA", "", dns.TypeA, 3, 0, nil},
		{"NODATA without SOA", "", dns.TypeA, 0, 0, nil},
		{"referral", "auth example.com. 900 NS ns.example.com.", dns.TypeA, 0, 0, nil},
		{"CNAME that was asked for", "w.example.com. 44 CNAME x.example.com.", dns.TypeCNAME, 0, 44, nil},
		{"ANY", "w.example.com. 44 TXT x", dns.TypeANY, 0, 44, nil},
		{"SOA that was asked for is no negative", "w.example.com. 44 SOA ns. host. 1 2 3 4 5", dns.TypeSOA, 0, 44, nil},
		{"SERVFAIL", "", dns.TypeA, 2, 5, nil},
		{"REFUSED", "", dns.TypeA, 5, 5, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			q := question("w.example.com", tt.qtype)
			if got := lifetime(t, q, answer(t, q, tt.rcode, tt.records), tt.change); got != tt.want {
				t.Errorf("fresh for %d s, want %d", got, tt.want)
			}
		})
	}
}

func TestWhatMayNotBeStoredIsPassedOver(t *testing.T) {
	now := time.Now()
	q := question("w.example.com", dns.TypeA)
	good := answer(t, q, 0, "w.example.com. 60 A 192.0.2.1")
	change := func(f func([]byte) []byte) []byte { return f(bytes.Clone(good)) }
	for name, wire := range map[string][]byte{
		"nothing":          nil,
		"a header":         good[:12],
		"truncated":        change(func(b []byte) []byte { b[2] |= 0x02; return b }),
		"cut":              good[:len(good)-1],
		"another question": answer(t, question("v.example.com", dns.TypeA), 0, "v.example.com. 60 A 192.0.2.1"),
		"another type":     answer(t, question("w.example.com", dns.TypeTXT), 0, "w.example.com. 60 TXT x"),
		"two questions":    change(func(b []byte) []byte { b[5] = 2; return b }),
		"with OPT":         change(func(b []byte) []byte { b[11] = 1; return dnswire.AppendOPT(b, dnswire.OPT{}) }),
	} {
		c := open(t, nil)
		c.Put(q, wire, now)
		if _, state := get(t, c, q, now); state != cache.Miss {
			t.Errorf("%s was stored", name)
		}
	}
}

func TestDOAndCDAreEntriesOfTheirOwn(t *testing.T) {
	c, now := open(t, nil), time.Now()
	for i := range 4 {
		q := question("example.com", dns.TypeA)
		q.DO, q.CD = i&1 != 0, i&2 != 0
		c.Put(q, answer(t, q, 0, fmt.Sprintf("example.com. 60 A 192.0.2.%d", i)), now)
	}
	for i := range 4 {
		q := question("example.com", dns.TypeA)
		q.DO, q.CD = i&1 != 0, i&2 != 0
		m, state := get(t, c, q, now)
		if state != cache.Fresh {
			t.Fatalf("DO=%v CD=%v: %v, want Fresh", q.DO, q.CD, state)
		}
		if got, want := m.Answer[0].(*dns.A).A.String(), fmt.Sprintf("192.0.2.%d", i); got != want {
			t.Errorf("DO=%v CD=%v: got %s, want %s", q.DO, q.CD, got, want)
		}
	}
	q := question("example.com", dns.TypeA)
	q.Class = dnswire.ClassCH
	if _, state := get(t, c, q, now); state != cache.Miss {
		t.Errorf("class CH found the answer of class IN")
	}
}

func TestEveryLabelOctetIsAnEntryOfItsOwn(t *testing.T) {
	c, now := open(t, nil), time.Now()
	name := func(b int) dnsname.Name {
		return append(dnsname.Name{3, 'x', byte(b), 'y'}, dnsname.MustParse("example.com")...)
	}
	put := 0
	for b := range 256 {
		if 'A' <= b && b <= 'Z' {
			continue // not canonical
		}
		q := &cache.Question{Name: name(b), Type: dns.TypeTXT, Class: 1}
		c.Put(q, opaque(q, 0, byte(b)), now)
		put++
	}
	// The dotted form of x.y, which a text key would take for the octet '.'.
	dotted := &cache.Question{Name: dnsname.MustParse("x.y.example.com"), Type: dns.TypeTXT, Class: 1}
	if _, state := get(t, c, dotted, now); state != cache.Miss {
		t.Errorf("x.y.example.com found the answer to the one label x\\.y")
	}
	for b := range 256 {
		if 'A' <= b && b <= 'Z' {
			continue
		}
		wire, state := c.Get(nil, &cache.Question{Name: name(b), Type: dns.TypeTXT, Class: 1}, now)
		if state != cache.Fresh || wire[len(wire)-1] != byte(b) || wire[14] != byte(b) {
			t.Errorf("octet %d: state %v, answer %x", b, state, wire)
		}
	}
	if got := c.Stats().Entries; got != put {
		t.Errorf("%d entries, want %d", got, put)
	}
}

func TestQuestionIsKeptInLowerCase(t *testing.T) {
	c, now := open(t, nil), time.Now()
	q := question("www.example.com", dns.TypeA)
	wire := answer(t, q, 0, "www.example.com. 60 A 192.0.2.1")
	copy(wire[13:], "wWw")
	c.Put(q, wire, now)
	m, _ := get(t, c, q, now)
	if m == nil || m.Question[0].Name != "www.example.com." || m.Answer[0].Header().Name != "www.example.com." {
		t.Errorf("got %v, want the name in lower case", m)
	}
}

func TestFailureNeverReplacesWhatCanBeUsed(t *testing.T) {
	c, now := open(t, nil), time.Now()
	q := question("example.com", dns.TypeA)
	good := answer(t, q, 0, "example.com. 60 A 192.0.2.1")
	failed := answer(t, q, dns.RcodeServerFailure, "")

	c.Put(q, good, now)
	c.Put(q, failed, now.Add(time.Second))
	if m, state := get(t, c, q, now.Add(2*time.Second)); state != cache.Fresh || m.Rcode != 0 {
		t.Errorf("fresh answer, then a failure: %v, want Fresh and NOERROR", state)
	}
	at := now.Add(2 * time.Minute)
	if _, state := get(t, c, q, at); state != cache.Stale {
		t.Errorf("expired answer: %v, want Stale", state)
	}
	c.Put(q, failed, at)
	if m, state := get(t, c, q, at.Add(time.Second)); state != cache.StaleHeld || m.Rcode != 0 {
		t.Errorf("expired answer, failure a second ago: %v, want StaleHeld and NOERROR", state)
	}
	if _, state := get(t, c, q, at.Add(6*time.Second)); state != cache.Stale {
		t.Errorf("expired answer, failure longer ago than failure_ttl: %v, want Stale", state)
	}
	c.Put(q, answer(t, q, 0, "example.com. 60 A 192.0.2.2"), at)
	if m, state := get(t, c, q, at.Add(time.Second)); state != cache.Fresh || m.Answer[0].(*dns.A).A.String() != "192.0.2.2" {
		t.Errorf("a fresh answer after the failure: %v, want Fresh and the new address", state)
	}
}

func TestFailureIsRememberedAndNeverServedStale(t *testing.T) {
	c, now := open(t, nil), time.Now()
	q := question("example.com", dns.TypeA)
	c.Put(q, answer(t, q, dns.RcodeServerFailure, ""), now)
	if m, state := get(t, c, q, now.Add(4*time.Second)); state != cache.Fresh || m.Rcode != dns.RcodeServerFailure {
		t.Errorf("failure after 4 s: %v, want Fresh SERVFAIL", state)
	}
	if _, state := get(t, c, q, now.Add(5*time.Second)); state != cache.Miss {
		t.Errorf("failure after failure_ttl: %v, want Miss", state)
	}
	c.Put(q, answer(t, q, dns.RcodeServerFailure, ""), now)
	c.Put(q, answer(t, q, 0, "example.com. 60 A 192.0.2.1"), now)
	if m, _ := get(t, c, q, now); m == nil || m.Rcode != 0 {
		t.Errorf("an answer does not replace a failure: %v", m)
	}
}

func TestMaxStaleZeroServesNothingStale(t *testing.T) {
	c, now := open(t, func(c *cache.Config) { c.MaxStale = 0 }), time.Now()
	q := question("example.com", dns.TypeA)
	c.Put(q, answer(t, q, 0, "example.com. 60 A 192.0.2.1"), now)
	if _, state := get(t, c, q, now.Add(60*time.Second)); state != cache.Miss {
		t.Errorf("expired answer: %v, want Miss", state)
	}
}

func TestClockThatGoesBackNeitherRevivesNorUnderflows(t *testing.T) {
	c, now := open(t, nil), time.Now()
	q := question("example.com", dns.TypeA)
	c.Put(q, answer(t, q, 0, "example.com. 60 A 192.0.2.1"), now)
	m, state := get(t, c, q, now.Add(-time.Hour))
	if state != cache.Fresh || m.Answer[0].Header().Ttl != 60 {
		t.Errorf("an hour before it was stored: %v %v, want Fresh with TTL 60", state, m)
	}
}

func TestFlushForgetsAll(t *testing.T) {
	c, now := open(t, nil), time.Now()
	for i := range 1000 {
		q := question(fmt.Sprintf("n%d.example", i), dns.TypeA)
		c.Put(q, answer(t, q, 0, fmt.Sprintf("n%d.example. 60 A 192.0.2.1", i)), now)
	}
	c.Flush()
	if s := c.Stats(); s.Entries != 0 || s.Bytes != 0 {
		t.Errorf("after Flush: %+v, want nothing", s)
	}
	if _, state := get(t, c, question("n7.example", dns.TypeA), now); state != cache.Miss {
		t.Errorf("after Flush: %v, want Miss", state)
	}
}

func TestAnswersOverMaxEntryBytesAreNotKept(t *testing.T) {
	c, now := open(t, func(c *cache.Config) { c.MaxEntryBytes = 512 }), time.Now()
	q := question("example.com", dns.TypeTXT)
	c.Put(q, answer(t, q, 0, "example.com. 60 TXT "+strings.Repeat("x", 200)), now)
	if _, state := get(t, c, q, now); state != cache.Fresh {
		t.Errorf("an answer of 250 octets: %v, want Fresh", state)
	}
	big := strings.Repeat(strings.Repeat("x", 200)+" ", 3)
	c.Put(q, answer(t, q, 0, "example.com. 60 TXT "+big), now)
	if m, state := get(t, c, q, now); state != cache.Miss {
		t.Errorf("an answer of 650 octets left %v %v, want Miss: neither it nor what it replaces", state, m)
	}
}

// opaque is an answer of one record, TTL 3600, whose rdata is fill zeros and
// then mark.
func opaque(q *cache.Question, fill int, mark byte) []byte {
	wire := dnswire.AppendHeader(nil, dnswire.Header{Flags: dnswire.FlagQR, QD: 1, AN: 1})
	wire = dnswire.AppendQuestion(wire, q.Name, q.Type, q.Class)
	wire = append(wire, 0xc0, 12, byte(q.Type>>8), byte(q.Type), 0, 1, 0, 0, 14, 16, byte((fill+1)>>8), byte(fill+1))
	return append(append(wire, make([]byte, fill)...), mark)
}

// heap is what is reachable now.
func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestMemoryNeverPassesMaxBytes(t *testing.T) {
	for _, maxBytes := range []int64{1 << 20, 3 << 20, 8 << 20} {
		before := heap()
		c := open(t, func(cfg *cache.Config) { cfg.MaxBytes = maxBytes })
		now := time.Now()
		rng := rand.New(rand.NewPCG(1, 2))
		for i := range 20_000 {
			q := question(fmt.Sprintf("n%d.example", rng.IntN(30_000)), dns.TypeTXT)
			fill := 100 + rng.IntN(800)
			if i%500 == 0 {
				fill = 50_000
			}
			c.Put(q, opaque(q, fill, 'x'), now)
			c.Get(nil, question(fmt.Sprintf("n%d.example", rng.IntN(30_000)), dns.TypeTXT), now)
			if s := c.Stats(); s.Bytes > maxBytes {
				t.Fatalf("max_bytes %d: Stats.Bytes = %d after %d answers", maxBytes, s.Bytes, i)
			}
		}
		s := c.Stats()
		if s.Bytes < maxBytes*3/4 {
			t.Errorf("max_bytes %d: only %d are used when it is full", maxBytes, s.Bytes)
		}
		const slack = 64 << 10 // size classes, the registry, the runtime's own
		if grown := heap() - before; grown > maxBytes+slack {
			t.Errorf("max_bytes %d: the heap grew by %d", maxBytes, grown)
		}
		runtime.KeepAlive(c)
	}
}

// working asks a cache the way a resolver does: what is not there is put.
func ask(t testing.TB, c *cache.Cache, buf []byte, q *cache.Question, wire []byte, now time.Time) bool {
	if _, state := c.Get(buf[:0], q, now); state == cache.Fresh {
		return true
	}
	c.Put(q, wire, now)
	return false
}

func TestFloodOfUniqueNamesLeavesTheWorkingSet(t *testing.T) {
	// Between two questions for one name of the set come some 10,000 others,
	// more than fit: by age alone the set would go.
	const maxBytes = 1 << 20
	c := open(t, func(cfg *cache.Config) { cfg.MaxBytes = maxBytes })
	now := time.Now()
	set := make([]*cache.Question, 1000)
	wires := make([][]byte, len(set))
	for i := range set {
		set[i] = question(fmt.Sprintf("host%d.working.example", i), dns.TypeA)
		wires[i] = answer(t, set[i], 0, fmt.Sprintf("host%d.working.example. 3600 A 192.0.2.1", i))
	}
	rng := rand.New(rand.NewPCG(1, 2))
	buf := make([]byte, 0, 4096)
	pick := func() bool {
		i := rng.IntN(len(set))
		return ask(t, c, buf, set[i], wires[i], now)
	}
	for range 20_000 {
		pick()
	}
	before := 0
	for range 10_000 {
		if pick() {
			before++
		}
	}
	hits, asked := 0, 0
	prefix := []byte{16}
	for i := range 120_000 {
		// 16 letters by the counter: unique, and no formatting to wait for.
		label := fmt.Appendf(prefix[:1], "%016x", i)
		q := &cache.Question{Name: append(label, dnsname.MustParse("flood.example")...), Type: dns.TypeA, Class: 1}
		ask(t, c, buf, q, opaque(q, 3, 1), now)
		if i%10 == 0 {
			asked++
			if pick() {
				hits++
			}
		}
	}
	s := c.Stats()
	if s.Bytes > maxBytes {
		t.Errorf("the flood took %d bytes, max_bytes is %d", s.Bytes, maxBytes)
	}
	rate, was := float64(hits)/float64(asked), float64(before)/10_000
	if rate < 0.95*was {
		t.Errorf("hit rate of the working set %.3f during the flood, %.3f before", rate, was)
	}
	if s.Evictions < 50_000 {
		t.Errorf("%d evictions: the flood did not reach the bound", s.Evictions)
	}
}

func TestRemovedEntriesHideNoOthers(t *testing.T) {
	c, now := open(t, func(cfg *cache.Config) { cfg.MaxStale = 0 }), time.Now()
	const n = 20_000
	q := func(i int) *cache.Question { return question(fmt.Sprintf("n%d.example", i), dns.TypeTXT) }
	for i := range n {
		wire := opaque(q(i), 0, 1)
		if i%2 == 0 {
			wire[len(wire)-5] = 1 // TTL 272 instead of 3600
		}
		c.Put(q(i), wire, now)
	}
	if got := c.Stats().Entries; got != n {
		t.Fatalf("%d entries, want %d: the rest of this test needs them all", got, n)
	}
	later := now.Add(300 * time.Second)
	for i := 0; i < n; i += 2 {
		c.Get(nil, q(i), later)
	}
	if got := c.Stats().Entries; got != n/2 {
		t.Errorf("%d entries when half have expired, want %d", got, n/2)
	}
	for i := 1; i < n; i += 2 {
		if _, state := c.Get(nil, q(i), later); state != cache.Fresh {
			t.Fatalf("n%d is gone after others were removed", i)
		}
	}
}

// A model of what was put checks the rings, the index and in-place refreshes
// against each other: whatever is found is what was put last.
func TestWhatIsFoundIsWhatWasPutLast(t *testing.T) {
	c, now := open(t, func(cfg *cache.Config) { cfg.MaxBytes = 1 << 20 }), time.Now()
	rng := rand.New(rand.NewPCG(3, 4))
	last := map[int]byte{}
	found := 0
	for range 60_000 {
		i := int(rng.ExpFloat64() * 2000)
		q := question(fmt.Sprintf("n%d.example", i), dns.TypeTXT)
		if rng.IntN(3) > 0 {
			wire, state := c.Get(nil, q, now)
			if state == cache.Miss {
				continue
			}
			found++
			if got := wire[len(wire)-1]; got != last[i] {
				t.Fatalf("n%d: found %d, put %d", i, got, last[i])
			}
			continue
		}
		mark, fill := byte(rng.Uint32()), rng.IntN(240)
		if rng.IntN(100) == 0 {
			fill = rng.IntN(20_000)
		}
		c.Put(q, opaque(q, fill, mark), now)
		last[i] = mark
	}
	if found < 5_000 {
		t.Errorf("only %d found", found)
	}
}

func TestConcurrentUse(t *testing.T) {
	c := open(t, func(cfg *cache.Config) { cfg.MaxBytes = 1 << 20 })
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(w), 1))
			buf := make([]byte, 0, 4096)
			for i := range 4000 {
				q := question(fmt.Sprintf("n%d.example", rng.IntN(2000)), dns.TypeA)
				now := time.Now().Add(time.Duration(rng.IntN(100)) * time.Second)
				if !ask(t, c, buf, q, answer(t, q, 0, q.Name.String()+". 60 A 192.0.2.1"), now) && i%1000 == 0 {
					c.Flush()
				}
				c.Stats()
			}
		})
	}
	wg.Wait()
}

func TestHitAllocatesNothing(t *testing.T) {
	c, now := open(t, nil), time.Now()
	q := question("www.example.com", dns.TypeA)
	c.Put(q, answer(t, q, 0, "www.example.com. 60 A 192.0.2.1"), now)
	buf := make([]byte, 0, 4096)
	// On the path of every query: an allocation here is garbage per answer.
	if n := testing.AllocsPerRun(1000, func() {
		if _, state := c.Get(buf, q, now); state != cache.Fresh {
			t.Fatal("not found")
		}
	}); n != 0 {
		t.Errorf("Get allocates %v times, want 0", n)
	}
	wire := answer(t, q, 0, "www.example.com. 60 A 192.0.2.1")
	if n := testing.AllocsPerRun(1000, func() { c.Put(q, wire, now) }); n != 0 {
		t.Errorf("Put allocates %v times, want 0", n)
	}
}

func TestMetricsCountWhatHappened(t *testing.T) {
	reg := prometheus.NewRegistry()
	c, now := cache.New(cache.DefaultConfig(), reg), time.Now()
	q := question("www.example.com", dns.TypeA)
	c.Get(nil, q, now)
	c.Put(q, answer(t, q, 0, "www.example.com. 60 A 192.0.2.1"), now)
	c.Get(nil, q, now)
	c.Get(nil, q, now)
	c.Get(nil, q, now.Add(time.Hour))
	want := fmt.Sprintf(`
# HELP weir_cache_bytes Bytes taken by the answers in the cache.
# TYPE weir_cache_bytes gauge
weir_cache_bytes %d
# HELP weir_cache_entries Answers in the cache.
# TYPE weir_cache_entries gauge
weir_cache_entries 1
# HELP weir_cache_evictions_total Usable answers put out for room.
# TYPE weir_cache_evictions_total counter
weir_cache_evictions_total 0
# HELP weir_cache_hits_total Questions answered from the cache.
# TYPE weir_cache_hits_total counter
weir_cache_hits_total{state="fresh"} 2
weir_cache_hits_total{state="stale"} 1
# HELP weir_cache_misses_total Questions not in the cache.
# TYPE weir_cache_misses_total counter
weir_cache_misses_total 1
`, c.Stats().Bytes)
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
}

func TestValidateNamesEveryBadField(t *testing.T) {
	cfg := cache.Config{MaxBytes: 5, MinTTL: 2 * time.Hour, MaxStale: -1}
	err := cfg.Validate()
	if err == nil {
		t.Fatal("Validate accepted a bad config")
	}
	for _, field := range []string{"max_bytes", "max_entry_bytes", "min_ttl", "max_ttl", "negative_max_ttl", "failure_ttl", "max_stale"} {
		if !strings.Contains("\n"+err.Error(), "\n"+field+": ") {
			t.Errorf("Validate does not name %s: %v", field, err)
		}
	}
	good := cache.DefaultConfig()
	if err := good.Validate(); err != nil {
		t.Errorf("DefaultConfig: %v", err)
	}
}

func FuzzPutGet(f *testing.F) {
	q := question("www.example.com", dns.TypeA)
	f.Add(answer(f, q, 0, "www.example.com. 60 A 192.0.2.1"))
	f.Add(answer(f, q, 0, "www.example.com. 60 CNAME x.example.com.\nx.example.com. 60 A 192.0.2.1"))
	f.Add(answer(f, q, 3, "auth example.com. 60 SOA ns. host. 1 2 3 4 5"))
	f.Add(answer(f, q, 2, ""))
	f.Fuzz(func(t *testing.T, wire []byte) {
		c := open(t, func(cfg *cache.Config) { cfg.MaxBytes = 1 << 20 })
		now := time.Now()
		c.Put(q, wire, now)
		for _, after := range []time.Duration{0, time.Second, time.Hour, 25 * time.Hour} {
			got, state := c.Get(nil, q, now.Add(after))
			if state != cache.Miss && len(got) != len(wire) {
				t.Errorf("stored %d octets, got %d", len(wire), len(got))
			}
		}
	})
}

func fill(b *testing.B, n int) (*cache.Cache, []*cache.Question, time.Time) {
	c, now := open(b, func(cfg *cache.Config) { cfg.MaxBytes = 64 << 20 }), time.Now()
	qs := make([]*cache.Question, n)
	for i := range qs {
		qs[i] = question(fmt.Sprintf("www.host%d.example.com", i), dns.TypeA)
		c.Put(qs[i], answer(b, qs[i], 0, qs[i].Name.String()+". 3600 CNAME x.example.net.\nx.example.net. 300 A 192.0.2.1"), now)
	}
	return c, qs, now
}

func BenchmarkGetHit(b *testing.B) {
	c, qs, now := fill(b, 10_000)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		buf := make([]byte, 0, 4096)
		i := rand.IntN(len(qs))
		for pb.Next() {
			if _, state := c.Get(buf, qs[i%len(qs)], now); state != cache.Fresh {
				b.Error("miss")
				return
			}
			i += 7
		}
	})
}

func BenchmarkGetMiss(b *testing.B) {
	c, _, now := fill(b, 10_000)
	q := question("nowhere.example", dns.TypeA)
	b.ReportAllocs()
	for b.Loop() {
		c.Get(nil, q, now)
	}
}

func BenchmarkPutUnique(b *testing.B) {
	c, qs, now := fill(b, 1)
	q := *qs[0]
	wire := answer(b, &q, 0, q.Name.String()+". 60 A 192.0.2.1")
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		for k := range 3 { // three letters of the first label
			q.Name[1+k] = byte('a' + i>>(4*k)&15)
		}
		q.Type = uint16(i >> 12)
		copy(wire[12:], q.Name)
		wire[12+len(q.Name)], wire[13+len(q.Name)] = byte(q.Type>>8), byte(q.Type)
		c.Put(&q, wire, now)
	}
}
