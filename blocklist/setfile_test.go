package blocklist

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/weirdns/weir/internal/dnsname"
)

// fill adds entries of all kinds, some names twice.
func fill(t testing.TB, b *builder, n int) {
	t.Helper()
	id, ok := b.locals.intern([]netip.Addr{netip.MustParseAddr("192.0.2.80"), netip.MustParseAddr("2001:db8::80")})
	if !ok {
		t.Fatal("no room for an answer")
	}
	for i := range n {
		name := dnsname.MustParse(fmt.Sprintf("host-%d.zone%d.example.com", i%(n*3/4), i%7))
		e := entry{flags: uint8(1 + i%3)}
		switch i % 11 {
		case 3:
			e.own = own(Passthru)
		case 5:
			e.own, e.local = own(LocalData), id
		case 7:
			e.info = fmt.Sprintf("threat number %d", i)
		case 9:
			p := netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(192 + i%8), byte(i >> 8), byte(i), 0}), 24)
			if err := b.addNetwork(answerNetwork, p, entry{}); err != nil {
				t.Fatal(err)
			}
		}
		if err := b.addOwn(name, e); err != nil {
			t.Fatal(err)
		}
	}
}

// rules is everything that a set says, by rule.
func rules(s *set) map[string]string {
	m := make(map[string]string)
	for f := range s.all {
		m[f.rule()] = fmt.Sprint(f.flags, f.own, f.local, string(f.info))
	}
	return m
}

// A build that goes through files, even with folders that fill up in the
// middle, ends in what a build in memory does.
func TestEveryWayToBuildGivesTheSameSet(t *testing.T) {
	const n = 15_000
	build := func(dir string, change func(*builder)) *set {
		b := newBuilder(workshop{seed: 5, dir: dir})
		if change != nil {
			change(b)
		}
		fill(t, b, n)
		s, err := b.freeze()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.release)
		return s
	}
	plain := build("", nil)
	want := rules(plain)
	dir := t.TempDir()
	for what, s := range map[string]*set{
		"mapped":               build(dir, nil),
		"spilled":              build(dir, func(b *builder) { b.spillFrom = n * 5 / 3 }),
		"spilled all the time": build(dir, func(b *builder) { b.spillFrom = n / 12 }),
		"disk full at once": build(dir, func(b *builder) {
			b.spillFrom = n * 5 / 3
			b.spill.failed = true
		}),
		"nowhere to go": build(filepath.Join(dir, "no", "\x00"), nil),
	} {
		if s.file == nil && what != "nowhere to go" {
			t.Errorf("%s: not mapped", what)
		}
		got := rules(s)
		if len(got) != len(want) || s.names != plain.names || s.addrs != plain.addrs || s.passes != plain.passes || s.depths != plain.depths || s.answers != plain.answers {
			t.Errorf("%s: %d rules, %d names, %d networks; want %d, %d, %d", what, len(got), s.names, s.addrs, len(want), plain.names, plain.addrs)
		}
		for rule, says := range want {
			if got[rule] != says {
				t.Fatalf("%s: %s says %q, want %q", what, rule, got[rule], says)
			}
		}
	}
}

func TestTheDiskFillsUpInTheMiddleOfASpill(t *testing.T) {
	b := newBuilder(workshop{seed: 5, dir: t.TempDir()})
	b.spillFrom = 50_000
	fill(t, b, 20_000)
	if b.spill.size == 0 {
		t.Fatal("nothing was spilled")
	}
	// A file that can be read and no longer written.
	ro, err := os.Open(fmt.Sprintf("/proc/self/fd/%d", b.spill.file.Fd()))
	if err != nil {
		t.Skip("needs /proc: ", err)
	}
	b.spill.file.Close()
	b.spill.file = ro
	for i := range 20_000 {
		if err := b.addName(dnsname.MustParse(fmt.Sprintf("late-%d.example.org", i)), flagScope, ""); err != nil {
			t.Fatal(err)
		}
	}
	s, err := b.freeze()
	if err != nil {
		t.Fatal(err)
	}
	defer s.release()
	for _, name := range []string{"late-3.example.org", "late-19999.example.org", "host-0.zone0.example.com", "host-14999.zone5.example.com"} {
		if _, ok := s.lookup(dnsname.MustParse(name), flagExact|flagBelow); !ok {
			t.Errorf("%s was lost", name)
		}
	}
}

func TestNamesMadeToCollideAreRefused(t *testing.T) {
	b := newBuilder(workshop{seed: 1})
	for i := range 1000 {
		name := dnsname.MustParse(fmt.Sprintf("n%d.example.com", i))
		e := entry{flags: flagScope}
		b.buf = appendKey(noteHead(b.buf[:0], 42, e.flags, &e), name)
		if err := b.note(""); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.freeze(); !errors.Is(err, errCrowded) {
		t.Errorf("error %v, want %v", err, errCrowded)
	}
}

// A file that says the right checksum of the wrong octets is refused, or read
// without a fault.
func FuzzCompiledFile(f *testing.F) {
	dir := f.TempDir()
	b := newBuilder(workshop{seed: 5, dir: dir})
	fill(f, b, 12_000)
	b.shop.dir = dir
	s, err := b.freezeToFile()
	if err != nil {
		f.Fatal(err)
	}
	path := filepath.Join(dir, "x.set")
	if err := s.file.keep(path, setHeader{}); err != nil {
		f.Fatal(err)
	}
	good, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(uint32(0), byte(255), uint32(8000), byte(1), uint64(64))
	f.Add(uint32(len(good)-setHeaderSize-3), byte(7), uint32(1), byte(0x80), uint64(2048))
	f.Fuzz(func(t *testing.T, at uint32, v byte, at2 uint32, v2 byte, buckets uint64) {
		bad := bytes.Clone(good)
		body := bad[setHeaderSize:]
		body[int(at)%len(body)] = v
		body[int(at2)%len(body)] = v2
		h := s.file.header
		h.Version, h.CRC = setVersion, crc32.Checksum(body, castagnoli)
		if buckets%3 == 0 {
			h.Buckets = buckets
		}
		line, err := json.Marshal(h)
		if err != nil {
			t.Fatal(err)
		}
		copy(bad, bytes.Repeat([]byte{' '}, setHeaderSize))
		copy(bad, line)
		sealHeader(bad[:setHeaderSize])
		path := filepath.Join(t.TempDir(), "y.set")
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		set, err := openSet(path, 5, func(*setHeader) bool { return true })
		if err != nil {
			return
		}
		snap := newSnapshot(5, []*List{{set: set}}, nil)
		for i := range 3000 {
			_ = snap.Match(nil, dnsname.MustParse(fmt.Sprintf("www.host-%d.zone%d.example.com", i, i%7)))
			_ = snap.MatchAddr(nil, netip.AddrFrom4([4]byte{byte(192 + i%8), byte(i >> 8), byte(i), 1}))
		}
		for f := range set.all {
			_ = f.rule()
		}
	})
}
