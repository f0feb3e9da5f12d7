package store_test

import (
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/pdns/store"
)

// distinct is the i-th of records that all differ, as a site's would: a million
// registered domains, a few names each, addresses shared by some.
func distinct(i int) (string, netip.Addr) {
	h := uint64(i) * 0x9e3779b97f4a7c15
	return fmt.Sprintf("%s%d.site%x.com", []string{"www", "cdn", "api", "mail"}[h>>62], i%7, uint64(i/10)*0xc2b2ae35&0xffffff),
		netip.AddrFrom4([4]byte{byte(h >> 24), byte(h >> 32), byte(h >> 40), byte(h >> 48)})
}

// BenchmarkIngest is one core's: from transaction to synced write.
func BenchmarkIngest(b *testing.B) {
	for _, kind := range []string{"new", "known"} {
		b.Run(kind, func(b *testing.B) {
			p := newPart(b)
			s := p.open(b)
			n := 0
			for b.Loop() {
				i := n
				if kind == "known" {
					i %= 10000
				}
				name, addr := distinct(i)
				s.Consume(quick(start, name, addr))
				if n++; n%5000 == 0 {
					tend(b, s)
				}
			}
			shut(b, s)
			b.ReportMetric(float64(folderSize(b, p.cfg.Dir))/float64(n), "disk-octets/op")
		})
	}
}

// TestLookupsOfAFullStore fills a store with as many distinct records as
// WEIR_STORE_RECORDS says and shows how long lookups take, and the octets that a
// record takes on disk. It asserts nothing of speed.
func TestLookupsOfAFullStore(t *testing.T) {
	n, err := strconv.Atoi(os.Getenv("WEIR_STORE_RECORDS"))
	if err != nil {
		t.Skip("WEIR_STORE_RECORDS is not set: make bench-store sets it")
	}
	p := newPart(t)
	p.cfg.MaxBytes, p.cfg.FoldNames = 1<<40, 1<<30
	s := p.open(t)
	begun := time.Now()
	for i := range n {
		name, addr := distinct(i)
		s.Consume(quick(start, name, addr))
		if i%20000 == 0 {
			tend(t, s)
		}
	}
	tend(t, s)
	took := time.Since(begun)
	t.Logf("%d records in %v: %.0f a second", n, took.Round(time.Second), float64(n)/took.Seconds())
	shut(t, s)
	t.Logf("%d octets on disk: %.1f a record", folderSize(t, p.cfg.Dir), float64(folderSize(t, p.cfg.Dir))/float64(n))
	s = p.open(t)
	defer shut(t, s)
	for what, query := range map[string]func(i int) store.Query{
		"name":    func(i int) store.Query { n, _ := distinct(i); return store.Query{Name: dnsname.MustParse(n)} },
		"address": func(i int) store.Query { _, a := distinct(i); return store.Query{Prefix: netip.PrefixFrom(a, 32)} },
		"subtree": func(i int) store.Query {
			n, _ := distinct(i)
			return store.Query{Name: dnsname.MustParse(n).Parent(), Subtree: true}
		},
		"missing": func(i int) store.Query { return store.Query{Name: dnsname.MustParse(fmt.Sprintf("none%d.com", i))} },
	} {
		times := make([]time.Duration, 5000)
		for j := range times {
			q := query(int(uint64(j) * 0x9e3779b97f4a7c15 >> 1 % uint64(n)))
			at := time.Now()
			found := len(find(t, s, q))
			times[j] = time.Since(at)
			if found == 0 && what != "missing" {
				t.Fatalf("%s: %+v finds nothing", what, q)
			}
		}
		slices.Sort(times)
		t.Logf("%s: median %v, p99 %v, slowest %v", what, times[len(times)/2], times[len(times)*99/100], times[len(times)-1])
	}
}
