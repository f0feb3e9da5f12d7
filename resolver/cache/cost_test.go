package cache_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/weirdns/weir/resolver/cache"
)

func TestHitAllocatesNothing(t *testing.T) {
	c, now := open(t, nil), time.Now()
	q := question("www.example.com", dns.TypeA)
	c.Put(q, answer(t, q, 0, "www.example.com. 60 A 192.0.2.1"), nil, now)
	buf := make([]byte, 0, 4096)
	// On the path of every query: an allocation here is garbage per answer.
	if n := testing.AllocsPerRun(1000, func() {
		if _, state := c.Get(buf, q, now, nil); state != cache.Fresh {
			t.Fatal("not found")
		}
	}); n != 0 {
		t.Errorf("Get allocates %v times, want 0", n)
	}
	wire := answer(t, q, 0, "www.example.com. 60 A 192.0.2.1")
	if n := testing.AllocsPerRun(1000, func() { c.Put(q, wire, nil, now) }); n != 0 {
		t.Errorf("Put allocates %v times, want 0", n)
	}
}

func fill(b *testing.B, n int) (*cache.Cache, []*cache.Question, time.Time) {
	c, now := open(b, func(cfg *cache.Config) { cfg.MaxBytes = 64 << 20 }), time.Now()
	qs := make([]*cache.Question, n)
	for i := range qs {
		qs[i] = question(fmt.Sprintf("www.host%d.example.com", i), dns.TypeA)
		c.Put(qs[i], answer(b, qs[i], 0, qs[i].Name.String()+". 3600 CNAME x.example.net.\nx.example.net. 300 A 192.0.2.1"), nil, now)
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
			if _, state := c.Get(buf, qs[i%len(qs)], now, nil); state != cache.Fresh {
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
		c.Get(nil, q, now, nil)
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
		c.Put(&q, wire, nil, now)
	}
}
