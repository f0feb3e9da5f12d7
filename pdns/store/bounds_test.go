package store_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/pdns/store"
)

var addr1 = netip.MustParseAddr("192.0.2.1")

func everything() store.Query { return store.Query{Name: dnsname.Root(), Subtree: true} }

// A flood of random names costs the bound and one record; other domains, and the
// names that were there before, are counted as ever.
func TestAFloodOfNamesIsFolded(t *testing.T) {
	p := newPart(t)
	p.cfg.FoldNames = 20
	s := p.open(t)
	defer shut(t, s)
	s.Consume(quick(start, "www.flooded.example.com", addr1))
	tend(t, s)
	for i := range 500 {
		s.Consume(quick(start, fmt.Sprintf("x%d.flooded.example.com", i), addr1))
		s.Consume(quick(start, "www.flooded.example.com", addr1))
		s.Consume(quick(start, "a.example.org", addr1))
		if i%100 == 0 {
			tend(t, s)
		}
	}
	tend(t, s)
	all := find(t, s, everything())
	if len(all) != 20+1+1 {
		t.Errorf("%d records are kept, want 20 of the flood, one that stands for the rest, and one of the neighbour:\n%s", len(all), strings.Join(all, "\n"))
	}
	if got := s.Folded(); got != 481 {
		t.Errorf("%d were folded, want 481", got)
	}
	check(t, "the record of the rest", find(t, s, store.Query{Name: dnsname.MustParse("example.com")}), "example.com A  zone=? in=1 +0 +0 n=481 folded")
	check(t, "a name from before", find(t, s, store.Query{Name: dnsname.MustParse("www.flooded.example.com")}), "www.flooded.example.com A 192.0.2.1 zone=? in=1 +0 +0 n=501")
	check(t, "a neighbour", find(t, s, store.Query{Name: dnsname.MustParse("a.example.org")}), "a.example.org A 192.0.2.1 zone=? in=1 +0 +0 n=500")
	// The next hour begins anew.
	s.Consume(quick(start.Add(2*time.Hour), "later.flooded.example.com", addr1))
	tend(t, s)
	if got := len(find(t, s, store.Query{Name: dnsname.MustParse("later.flooded.example.com")})); got != 1 {
		t.Errorf("an hour later a new name has %d records, want 1", got)
	}
}

func TestWhatIsTooOldGoesWithAllThatFindsIt(t *testing.T) {
	p := newPart(t)
	p.cfg.MaxAge = 24 * time.Hour
	s := p.open(t)
	defer shut(t, s)
	s.Consume(said(t, 0, "old.example", "a old.example. 60 IN A 192.0.2.1", "a old.example. 60 IN NS ns.example."))
	s.Consume(quick(start.Add(20*time.Hour), "young.example", netip.MustParseAddr("192.0.2.2")))
	tend(t, s)
	p.clocks.pass(23 * time.Hour)
	s.Sweep()
	if got := len(find(t, s, everything())); got != 3 {
		t.Fatalf("%d records before their time, want 3", got)
	}
	p.clocks.pass(2 * time.Hour)
	s.Sweep()
	young := "young.example A 192.0.2.2 zone=? in=1 +72000 +72000 n=1"
	check(t, "left", find(t, s, everything()), young)
	check(t, "left by address", find(t, s, store.Query{Prefix: netip.MustParsePrefix("0.0.0.0/0")}), young)
	check(t, "left by rdata", find(t, s, store.Query{Rdata: "ns.example."}))
	// One that comes back is found again in every way.
	s.Consume(said(t, 100000, "old.example", "a old.example. 60 IN NS ns.example."))
	tend(t, s)
	check(t, "back by rdata", find(t, s, store.Query{Rdata: "ns.example."}), "old.example NS ns.example. zone=? in=1 +100000 +100000 n=1")
}

// A clock that jumps, while weir runs or while it does not, deletes nothing
// until it has stood for a day.
func TestAJumpOfTheClockDeletesNothing(t *testing.T) {
	for _, jump := range []time.Duration{24 * 365 * 10 * time.Hour, -48 * time.Hour} {
		for _, restart := range []bool{false, true} {
			p := newPart(t)
			p.cfg.MaxAge = 24 * time.Hour
			s := p.open(t)
			s.Consume(quick(start, "a.example", addr1))
			tend(t, s)
			p.clocks.wall = p.clocks.wall.Add(jump)
			if restart {
				shut(t, s)
				s = p.open(t)
			}
			for range 22 {
				p.clocks.pass(time.Hour)
				s.Sweep()
			}
			if got := len(find(t, s, everything())); got != 1 {
				t.Errorf("jump by %v, restart %v: %d records, want 1", jump, restart, got)
			}
			shut(t, s)
		}
	}
}

func TestAClockThatStaysWhereItJumpedIsBelieved(t *testing.T) {
	p := newPart(t)
	p.cfg.MaxAge = 24 * time.Hour
	s := p.open(t)
	defer shut(t, s)
	s.Consume(quick(start.Add(20*time.Hour), "a.example", addr1))
	tend(t, s)
	p.clocks.wall = p.clocks.wall.Add(24 * 365 * time.Hour)
	s.Sweep()
	p.clocks.pass(25 * time.Hour)
	s.Sweep()
	if got := len(find(t, s, everything())); got != 0 {
		t.Errorf("%d records, want none: a year has passed by a clock that stood for a day", got)
	}
}

func TestTheFolderStaysInItsBound(t *testing.T) {
	p := newPart(t)
	p.cfg.MaxBytes = 64 << 20
	s := p.open(t)
	defer shut(t, s)
	const rounds, each = 8, 1200
	rnd := rand.New(rand.NewPCG(1, 2))
	random := make([]byte, 1<<20) // made once: with the race detector this is what takes the time
	for i := range random {
		random[i] = "abcdefghijklmnopqrstuvwxyz012345"[rnd.IntN(32)]
	}
	words := func() string { // that do not compress well
		var b strings.Builder
		for range 20 {
			at := rnd.IntN(len(random) - 200)
			b.WriteByte(' ')
			b.Write(random[at : at+195])
		}
		return b.String()
	}
	for i := range rounds {
		for j := range each {
			name := fmt.Sprintf("n%d-%d.example", i, j)
			s.Consume(said(t, i*3600, name, "a "+name+". 60 IN TXT "+words()))
		}
		p.clocks.pass(time.Hour)
		tend(t, s)
		s.Sweep()
		// Files that were replaced go a little later.
		size := folderSize(t, p.cfg.Dir)
		t.Logf("after %d records the folder has %d octets", (i+1)*each, size)
		for until := time.Now().Add(time.Minute); size > p.cfg.MaxBytes; size = folderSize(t, p.cfg.Dir) {
			if time.Now().After(until) {
				t.Fatalf("after %d records the folder has %d octets, and stays there, bound %d", (i+1)*each, size, p.cfg.MaxBytes)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	old := find(t, s, store.Query{Name: dnsname.Root(), Subtree: true, Until: start.Unix()})
	young := find(t, s, store.Query{Name: dnsname.Root(), Subtree: true, Since: start.Add((rounds - 1) * time.Hour).Unix()})
	if len(old) != 0 || len(young) == 0 {
		t.Errorf("%d of the oldest records and %d of the youngest are left, want none and some", len(old), len(young))
	}
}

func folderSize(tb testing.TB, dir string) (n int64) {
	tb.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		tb.Fatal(err)
	}
	for _, f := range files {
		if info, err := f.Info(); err == nil {
			n += info.Size()
		}
	}
	return n
}

// brokenFS refuses writes while it is full.
type brokenFS struct {
	vfs.FS
	full atomic.Bool
}

func (b *brokenFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if b.full.Load() {
		return nil, syscall.ENOSPC
	}
	f, err := b.FS.Create(name, c)
	return &brokenFile{f, b}, err
}

func (b *brokenFS) ReuseForWrite(from, to string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if b.full.Load() {
		return nil, syscall.ENOSPC
	}
	f, err := b.FS.ReuseForWrite(from, to, c)
	return &brokenFile{f, b}, err
}

type brokenFile struct {
	vfs.File
	fs *brokenFS
}

func (f *brokenFile) Write(b []byte) (int, error) {
	if f.fs.full.Load() {
		n, err := f.File.Write(b[:min(7, len(b))]) // part of it still fits
		if err != nil {
			return n, err
		}
		return n, syscall.ENOSPC
	}
	return f.File.Write(b)
}

// A full disk makes the store wait, not fail: when there is room again all is
// there, and nothing is twice.
func TestAFullDiskIsWaitedFor(t *testing.T) {
	p := newPart(t)
	broken := &brokenFS{FS: vfs.Default}
	p.fs = broken
	s := p.open(t)
	defer shut(t, s)
	for i := range 20 {
		broken.full.Store(true)
		s.Consume(quick(start, fmt.Sprintf("n%d.example", i), addr1))
		done := make(chan error, 1)
		go func() { done <- s.Tend() }()
		select {
		case err := <-done:
			t.Fatalf("Tend came back (%v) from a full disk", err)
		case <-time.After(30 * time.Millisecond):
		}
		broken.full.Store(false)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	if got := find(t, s, everything()); len(got) != 20 || s.Recorded() != 20 {
		t.Errorf("%d records of %d transactions, want 20 of 20", len(got), s.Recorded())
	}
}

// The end does not wait for ever: what cannot be written is counted, and what
// was written before is there at the next start. The database cannot be closed
// then, and its goroutines stay until the process ends: so this has one of its
// own.
func TestADiskThatStaysFullDoesNotHoldTheEndUp(t *testing.T) {
	if os.Getenv(childEnv) == "" {
		child := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
		child.Env = append(os.Environ(), childEnv+"=1")
		if out, err := child.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	p := newPart(t)
	broken := &brokenFS{FS: vfs.Default}
	p.fs = broken
	s := p.open(t)
	s.Consume(quick(start, "kept.example", addr1))
	tend(t, s)
	broken.full.Store(true)
	s.Consume(quick(start, "lost.example", addr1))
	s.Stopping()
	if err := s.Close(); err == nil {
		t.Error("Close says nothing of what was lost")
	}
	if s.Recorded() != 1 || s.Dropped() != 1 {
		t.Errorf("%d recorded, %d dropped; want 1 and 1", s.Recorded(), s.Dropped())
	}
}

func TestADamagedStoreIsPutAsideAndANewOneBegins(t *testing.T) {
	p := newPart(t)
	s := p.open(t)
	s.Consume(quick(start, "a.example", addr1))
	shut(t, s)
	manifests, err := filepath.Glob(filepath.Join(p.cfg.Dir, "MANIFEST-*"))
	if err != nil || len(manifests) == 0 {
		t.Fatalf("no manifest: %v", err)
	}
	for _, m := range manifests {
		if err := os.WriteFile(m, []byte("this is no manifest, and longer than a header of one"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p2 := *p
	s, err = store.NewOn(p2.cfg, deps(), p.fs, func() time.Time { return start }, func() time.Duration { return 0 })
	if err != nil {
		t.Fatal(err)
	}
	defer shut(t, s)
	if err := s.Tend(); err == nil {
		t.Error("a damaged store opens without a word")
	}
	s.Consume(quick(start, "b.example", addr1))
	tend(t, s)
	check(t, "the new store", find(t, s, everything()), "b.example A 192.0.2.1 zone=? in=1 +0 +0 n=1")
	if _, err := os.Stat(p.cfg.Dir + ".damaged"); err != nil || s.Damaged() != 1 {
		t.Errorf("the damaged store is not beside it: %v, counted %d times", err, s.Damaged())
	}
}
