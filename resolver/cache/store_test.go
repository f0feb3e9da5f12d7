package cache_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/internal/dnswire"
	"github.com/weirdns/weir/resolver/cache"
)

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
			c.Put(q, opaque(q, fill, 'x'), nil, now)
			c.Get(nil, question(fmt.Sprintf("n%d.example", rng.IntN(30_000)), dns.TypeTXT), now, nil)
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

// ask uses a cache the way a resolver does: what is not there is put.
func ask(t testing.TB, c *cache.Cache, buf []byte, q *cache.Question, wire []byte, now time.Time) bool {
	if _, state := c.Get(buf[:0], q, now, nil); state == cache.Fresh {
		return true
	}
	c.Put(q, wire, nil, now)
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
		c.Put(q(i), wire, nil, now)
	}
	if got := c.Stats().Entries; got != n {
		t.Fatalf("%d entries, want %d: the rest of this test needs them all", got, n)
	}
	later := now.Add(300 * time.Second)
	for i := 0; i < n; i += 2 {
		c.Get(nil, q(i), later, nil)
	}
	if got := c.Stats().Entries; got != n/2 {
		t.Errorf("%d entries when half have expired, want %d", got, n/2)
	}
	for i := 1; i < n; i += 2 {
		if _, state := c.Get(nil, q(i), later, nil); state != cache.Fresh {
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
			wire, state := c.Get(nil, q, now, nil)
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
		c.Put(q, opaque(q, fill, mark), nil, now)
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

func TestFlushForgetsAll(t *testing.T) {
	c, now := open(t, nil), time.Now()
	for i := range 1000 {
		q := question(fmt.Sprintf("n%d.example", i), dns.TypeA)
		c.Put(q, answer(t, q, 0, fmt.Sprintf("n%d.example. 60 A 192.0.2.1", i)), nil, now)
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
	c.Put(q, answer(t, q, 0, "example.com. 60 TXT "+strings.Repeat("x", 200)), nil, now)
	if _, state := get(t, c, q, now); state != cache.Fresh {
		t.Errorf("an answer of 250 octets: %v, want Fresh", state)
	}
	big := strings.Repeat(strings.Repeat("x", 200)+" ", 3)
	c.Put(q, answer(t, q, 0, "example.com. 60 TXT "+big), nil, now)
	if m, state := get(t, c, q, now); state != cache.Miss {
		t.Errorf("an answer of 650 octets left %v %v, want Miss: neither it nor what it replaces", state, m)
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
		c.Put(q, wire, nil, now)
		for _, after := range []time.Duration{0, time.Second, time.Hour, 25 * time.Hour} {
			got, state := c.Get(nil, q, now.Add(after), nil)
			if state != cache.Miss && len(got) != len(wire) {
				t.Errorf("stored %d octets, got %d", len(wire), len(got))
			}
		}
	})
}
