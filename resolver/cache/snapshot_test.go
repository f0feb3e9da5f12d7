package cache_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/internal/dnswire"
	"github.com/weirdns/weir/resolver/cache"
)

func save(t *testing.T, c *cache.Cache, now time.Time) []byte {
	t.Helper()
	var buf bytes.Buffer
	if _, err := c.Save(&buf, now); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func TestASnapshotBringsAnswersBackAged(t *testing.T) {
	old, now := open(t, nil), time.Now()
	for i := range 1000 {
		q := question(fmt.Sprintf("n%d.example.com", i), dns.TypeA)
		old.Put(q, answer(t, q, 0, fmt.Sprintf("n%d.example.com. 300 A 192.0.2.1", i)), nil, now)
	}
	signed := question("n1.example.com", dns.TypeA)
	signed.DO = true
	old.Put(signed, answer(t, signed, 0, "n1.example.com. 300 A 192.0.2.2"), &dnswire.EDE{Code: 4, Text: []byte("forged")}, now)
	failed := question("failed.example.com", dns.TypeA)
	old.Fail(failed, &dnswire.EDE{Code: 22}, false, now)
	file := save(t, old, now.Add(100*time.Second))

	c, later := open(t, nil), now.Add(160*time.Second)
	newer := question("n0.example.com", dns.TypeA)
	c.Put(newer, answer(t, newer, 0, "n0.example.com. 60 A 192.0.2.99"), nil, later)
	n, err := c.Load(bytes.NewReader(file), later)
	if err != nil || n != 1001 {
		t.Fatalf("Load = %d, %v, want 1001 answers and no failure", n, err)
	}
	m, state := get(t, c, question("n7.example.com", dns.TypeA), later)
	if state != cache.Fresh || m.Answer[0].Header().Ttl != 140 {
		t.Errorf("after 160s of 300 it is %v with %v, want Fresh with a TTL of 140", state, m)
	}
	if m, _ := get(t, c, newer, later); m == nil || m.Answer[0].(*dns.A).A.String() != "192.0.2.99" {
		t.Errorf("what was there already was replaced by something older: %v", m)
	}
	if _, state := get(t, c, failed, later); state != cache.Miss {
		t.Errorf("a failure came back as %v", state)
	}
	var f cache.Found
	if _, state := c.Get(nil, signed, later, &f); state != cache.Fresh || !f.HasEDE || f.EDE.Code != 4 || string(f.EDE.Text) != "forged" {
		t.Errorf("the answer with DO came back as %v with EDE %v %q", state, f.EDE.Code, f.EDE.Text)
	}
	if _, state := get(t, c, question("n7.example.com", dns.TypeA), now.Add(301*time.Second)); state != cache.Stale {
		t.Errorf("when its TTL is over it is %v, want Stale", state)
	}
}

func TestWhatWentOverWhileWeirWasDownIsNotFresh(t *testing.T) {
	old, now := open(t, nil), time.Now()
	q := question("www.example.com", dns.TypeA)
	old.Put(q, answer(t, q, 0, "www.example.com. 300 A 192.0.2.1"), nil, now)
	file := save(t, old, now)
	for _, tt := range []struct {
		after time.Duration
		want  cache.State
	}{{299 * time.Second, cache.Fresh}, {time.Hour, cache.Stale}, {30 * 24 * time.Hour, cache.Miss}} {
		c := open(t, nil)
		if _, err := c.Load(bytes.NewReader(file), now.Add(tt.after)); err != nil {
			t.Fatal(err)
		}
		if _, state := get(t, c, q, now.Add(tt.after)); state != tt.want {
			t.Errorf("loaded after %s it is %v, want %v", tt.after, state, tt.want)
		}
	}
}

func TestABadSnapshotIsRefusedWhole(t *testing.T) {
	old, now := open(t, nil), time.Now()
	q := question("www.example.com", dns.TypeA)
	old.Put(q, answer(t, q, 0, "www.example.com. 300 A 192.0.2.1"), nil, now)
	good := save(t, old, now)
	refused := func(what string, file []byte, now time.Time, want error) {
		c := open(t, nil)
		if n, err := c.Load(bytes.NewReader(file), now); n != 0 || !errors.Is(err, want) {
			t.Errorf("%s: Load = %d, %v, want %v", what, n, err, want)
		}
		if s := c.Stats(); s.Entries != 0 {
			t.Errorf("%s: %d answers were taken", what, s.Entries)
		}
	}
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 0x20
		refused(fmt.Sprintf("octet %d changed", i), bad, now.Add(time.Second), cache.ErrSnapshotDamaged)
	}
	for i := range good {
		refused(fmt.Sprintf("cut at %d", i), good[:i], now.Add(time.Second), cache.ErrSnapshotDamaged)
	}
	refused("the future", good, now.Add(-time.Minute), cache.ErrSnapshotFuture)
}

func TestFlushByNameAndSubtree(t *testing.T) {
	names := []string{"example.com", "www.example.com", "a.b.example.com", "notexample.com", "example.org"}
	for _, tt := range []struct {
		name    string
		subtree bool
		gone    int
	}{{"example.com", false, 2}, {"example.com", true, 6}, {"b.example.com", false, 0}, {"b.example.com", true, 2}, {"example.net", true, 0}} {
		c, now := open(t, nil), time.Now()
		for _, name := range names {
			for _, qtype := range []uint16{dns.TypeA, dns.TypeTXT} {
				q := question(name, qtype)
				c.Put(q, opaque(q, 40, 1), nil, now)
			}
		}
		before := c.Stats().Entries
		if got := c.FlushName(dnsname.MustParse(tt.name), tt.subtree); got != tt.gone {
			t.Errorf("FlushName(%s, %v) = %d, want %d", tt.name, tt.subtree, got, tt.gone)
		}
		if got := c.Stats().Entries; got != before-tt.gone {
			t.Errorf("%d answers stay of %d, want %d fewer", got, before, tt.gone)
		}
		for _, name := range names {
			in := name == tt.name || tt.subtree && dnsname.MustParse(name).Within(dnsname.MustParse(tt.name))
			if _, state := c.Get(nil, question(name, dns.TypeTXT), now, nil); (state == cache.Miss) != in {
				t.Errorf("after FlushName(%s, %v) %s is %v", tt.name, tt.subtree, name, state)
			}
		}
	}
}

func FuzzLoad(f *testing.F) {
	old, now := open(f, nil), time.Now()
	q := question("www.example.com", dns.TypeA)
	old.Put(q, answer(f, q, 0, "www.example.com. 300 A 192.0.2.1"), nil, now)
	var buf bytes.Buffer
	if _, err := old.Save(&buf, now); err != nil {
		f.Fatal(err)
	}
	f.Add(buf.Bytes()[16 : buf.Len()-32])
	f.Fuzz(func(t *testing.T, entries []byte) {
		c := open(t, nil)
		_, _ = c.Load(bytes.NewReader(cache.Sealed(entries, now)), now)
		_, _ = c.Get(nil, q, now, nil)
		c.FlushName(dnsname.Root(), true)
		if s := c.Stats(); s.Entries != 0 {
			t.Errorf("%d answers stay when all below the root are flushed", s.Entries)
		}
	})
}
