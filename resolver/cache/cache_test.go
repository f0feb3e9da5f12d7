package cache_test

import (
	"bytes"
	"fmt"
	"strings"
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
	wire, state := c.Get(nil, q, now, nil)
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
		auth example.com. 900 NS ns.example.com.`), nil, now)

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
	c.Put(q, wire, nil, now)
	lo, hi := 0, 8*24*3600
	for lo < hi {
		mid := (lo + hi) / 2
		if _, state := get(t, c, q, now.Add(time.Duration(mid)*time.Second)); state == cache.Fresh {
			lo = mid + 1
		} else {
			hi = mid
		}
		c.Flush()
		c.Put(q, wire, nil, now)
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
		c.Put(q, wire, nil, now)
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
		c.Put(q, answer(t, q, 0, fmt.Sprintf("example.com. 60 A 192.0.2.%d", i)), nil, now)
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
		c.Put(q, opaque(q, 0, byte(b)), nil, now)
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
		wire, state := c.Get(nil, &cache.Question{Name: name(b), Type: dns.TypeTXT, Class: 1}, now, nil)
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
	c.Put(q, wire, nil, now)
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

	c.Put(q, good, nil, now)
	c.Put(q, failed, nil, now.Add(time.Second))
	if m, state := get(t, c, q, now.Add(2*time.Second)); state != cache.Fresh || m.Rcode != 0 {
		t.Errorf("fresh answer, then a failure: %v, want Fresh and NOERROR", state)
	}
	at := now.Add(2 * time.Minute)
	if _, state := get(t, c, q, at); state != cache.Stale {
		t.Errorf("expired answer: %v, want Stale", state)
	}
	c.Put(q, failed, nil, at)
	if m, state := get(t, c, q, at.Add(time.Second)); state != cache.StaleHeld || m.Rcode != 0 {
		t.Errorf("expired answer, failure a second ago: %v, want StaleHeld and NOERROR", state)
	}
	if _, state := get(t, c, q, at.Add(6*time.Second)); state != cache.Stale {
		t.Errorf("expired answer, failure longer ago than failure_ttl: %v, want Stale", state)
	}
	c.Put(q, answer(t, q, 0, "example.com. 60 A 192.0.2.2"), nil, at)
	if m, state := get(t, c, q, at.Add(time.Second)); state != cache.Fresh || m.Answer[0].(*dns.A).A.String() != "192.0.2.2" {
		t.Errorf("a fresh answer after the failure: %v, want Fresh and the new address", state)
	}
}

func TestFailureIsRememberedAndNeverServedStale(t *testing.T) {
	c, now := open(t, nil), time.Now()
	q := question("example.com", dns.TypeA)
	c.Put(q, answer(t, q, dns.RcodeServerFailure, ""), nil, now)
	if m, state := get(t, c, q, now.Add(4*time.Second)); state != cache.Fresh || m.Rcode != dns.RcodeServerFailure {
		t.Errorf("failure after 4 s: %v, want Fresh SERVFAIL", state)
	}
	if _, state := get(t, c, q, now.Add(5*time.Second)); state != cache.Miss {
		t.Errorf("failure after failure_ttl: %v, want Miss", state)
	}
	c.Put(q, answer(t, q, dns.RcodeServerFailure, ""), nil, now)
	c.Put(q, answer(t, q, 0, "example.com. 60 A 192.0.2.1"), nil, now)
	if m, _ := get(t, c, q, now); m == nil || m.Rcode != 0 {
		t.Errorf("an answer does not replace a failure: %v", m)
	}
}

func TestMaxStaleZeroServesNothingStale(t *testing.T) {
	c, now := open(t, func(c *cache.Config) { c.MaxStale = 0 }), time.Now()
	q := question("example.com", dns.TypeA)
	c.Put(q, answer(t, q, 0, "example.com. 60 A 192.0.2.1"), nil, now)
	if _, state := get(t, c, q, now.Add(60*time.Second)); state != cache.Miss {
		t.Errorf("expired answer: %v, want Miss", state)
	}
}

func TestClockThatGoesBackNeitherRevivesNorUnderflows(t *testing.T) {
	c, now := open(t, nil), time.Now()
	q := question("example.com", dns.TypeA)
	c.Put(q, answer(t, q, 0, "example.com. 60 A 192.0.2.1"), nil, now)
	m, state := get(t, c, q, now.Add(-time.Hour))
	if state != cache.Fresh || m.Answer[0].Header().Ttl != 60 {
		t.Errorf("an hour before it was stored: %v %v, want Fresh with TTL 60", state, m)
	}
}

func TestMetricsCountWhatHappened(t *testing.T) {
	reg := prometheus.NewRegistry()
	c, now := cache.New(cache.DefaultConfig(), reg), time.Now()
	q := question("www.example.com", dns.TypeA)
	c.Get(nil, q, now, nil)
	c.Put(q, answer(t, q, 0, "www.example.com. 60 A 192.0.2.1"), nil, now)
	c.Get(nil, q, now, nil)
	c.Get(nil, q, now, nil)
	c.Get(nil, q, now.Add(time.Hour), nil)
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
