package allow_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirdns/weir/detect/allow"
	"github.com/weirdns/weir/internal/dnsname"
)

var (
	now  = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	home = netip.MustParseAddr("192.168.1.7")
)

func open(t testing.TB, path string) *allow.Book {
	t.Helper()
	b, err := allow.Open(path, now)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func add(t testing.TB, b *allow.Book, name, client string, d time.Duration) {
	t.Helper()
	e := allow.Entry{Name: name, Until: now.Add(d), Reason: "because <b>"}
	if client != "" {
		e.Client = netip.MustParsePrefix(client)
	}
	if _, err := b.Add(e, now); err != nil {
		t.Fatal(err)
	}
}

func passes(b *allow.Book, name string, client netip.Addr, at time.Time) bool {
	_, _, ok := b.Match(dnsname.MustParse(name), client, at)
	return ok
}

func TestAnEntryHoldsForItsNameClientsAndTime(t *testing.T) {
	b := open(t, "")
	add(t, b, "Example.COM.", "", 10*time.Minute)
	add(t, b, "mine.example.net", "192.168.0.0/16", time.Hour)
	for _, c := range []struct {
		name, client string
		after        time.Duration
		want         bool
	}{
		{"example.com", "10.0.0.1", 0, true},
		{"www.example.com", "10.0.0.1", 10*time.Minute - 1, true},
		{"www.example.com", "10.0.0.1", 10 * time.Minute, false},
		{"notexample.com", "10.0.0.1", 0, false},
		{"com", "10.0.0.1", 0, false},
		{"mine.example.net", "192.168.1.7", 0, true},
		{"mine.example.net", "::ffff:192.168.1.7", 0, true},
		{"mine.example.net", "10.0.0.1", 0, false},
		{"mine.example.net", "192.168.1.7", time.Hour, false},
		{"example.com", "10.0.0.1", -time.Minute, true},     // a clock that was set right
		{"example.com", "10.0.0.1", -24 * time.Hour, false}, // made by a clock that was far ahead
	} {
		if got := passes(b, c.name, netip.MustParseAddr(c.client), now.Add(c.after)); got != c.want {
			t.Errorf("%s for %s after %s: %v, want %v", c.name, c.client, c.after, got, c.want)
		}
	}
	if name, reason, _ := b.Match(dnsname.MustParse("a.b.example.com"), home, now); name != "example.com" || reason != "because <b>" {
		t.Errorf("Match = %q, %q; want the entry's name and reason", name, reason)
	}
	var none *allow.Book
	if passes(none, "example.com", home, now) {
		t.Error("no book lets a name pass")
	}
}

func TestAddReplacesAndRemoveEnds(t *testing.T) {
	b := open(t, "")
	add(t, b, "a.example", "", time.Minute)
	add(t, b, "a.example", "", time.Hour)
	add(t, b, "a.example", "192.168.1.7/32", 2*time.Hour)
	add(t, b, "b.example", "", time.Second)
	if got := b.Entries(now); len(got) != 3 || got[0].Name != "b.example" || got[1].Until != now.Add(time.Hour) {
		t.Errorf("Entries = %+v, want three, by their ends", got)
	}
	if got := b.Entries(now.Add(time.Minute)); len(got) != 2 {
		t.Errorf("Entries after a minute = %+v, want two", got)
	}
	if n, err := b.Remove("A.example", netip.MustParsePrefix("192.168.1.7/32"), now); n != 1 || err != nil {
		t.Errorf("Remove for a client = %d, %v; want 1", n, err)
	}
	if !passes(b, "a.example", home, now) {
		t.Error("the entry for everybody is gone too")
	}
	if n, err := b.Remove("a.example", netip.Prefix{}, now); n != 1 || err != nil || passes(b, "a.example", home, now) {
		t.Errorf("Remove = %d, %v; want 1, and the name no longer let through", n, err)
	}
	if n, err := b.Remove("a.example", netip.Prefix{}, now); n != 0 || err != nil {
		t.Errorf("Remove again = %d, %v; want 0", n, err)
	}
}

func TestAddRefusesWhatMakesNoSense(t *testing.T) {
	b := open(t, "")
	for want, e := range map[string]allow.Entry{
		"name: \"a..b\" is not a domain name": {Name: "a..b", Until: now.Add(time.Minute)},
		"name: co.uk is a public suffix":      {Name: "co.uk", Until: now.Add(time.Minute)},
		"name: com is a public suffix":        {Name: "com", Until: now.Add(time.Minute)},
		"for: must be 1s to 744h0m0s, got 0s": {Name: "a.example", Until: now},
		"got 745h0m0s":                        {Name: "a.example", Until: now.Add(745 * time.Hour)},
		"reason: must be one line":            {Name: "a.example", Until: now.Add(time.Minute), Reason: "a\nb"},
		"at most 200 octets":                  {Name: "a.example", Until: now.Add(time.Minute), Reason: strings.Repeat("x", 201)},
	} {
		if _, err := b.Add(e, now); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Add(%+v) = %v, want %q", e, err, want)
		}
	}
	if len(b.Entries(now)) != 0 {
		t.Error("a refused entry is there")
	}
}

func TestTheNumberOfEntriesIsBounded(t *testing.T) {
	b := open(t, "")
	for i := range allow.MaxEntries {
		add(t, b, fmt.Sprintf("n%d.example", i), "", time.Duration(i+1)*time.Second)
	}
	e := allow.Entry{Name: "more.example", Until: now.Add(time.Hour)}
	if _, err := b.Add(e, now); !errors.Is(err, allow.ErrFull) {
		t.Errorf("one more: %v, want ErrFull", err)
	}
	// The first is over by now, so there is room.
	if _, err := b.Add(e, now.Add(time.Second)); err != nil {
		t.Errorf("after the end of one: %v", err)
	}
}

func TestEntriesOutliveARestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "allow.json")
	b := open(t, path)
	add(t, b, "a.example", "", time.Hour)
	add(t, b, "b.example", "2001:db8::/32", time.Minute)
	want := fmt.Sprint(b.Entries(now))
	if got := fmt.Sprint(open(t, path).Entries(now)); got != want {
		t.Errorf("after a restart %s, want %s", got, want)
	}
	late, err := allow.Open(path, now.Add(time.Minute))
	if err != nil || len(late.Entries(time.Time{})) != 1 {
		t.Errorf("after a late restart: %v, %v; want what is not over", late.Entries(time.Time{}), err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v; want 0600", info.Mode(), err)
	}
	// Where it cannot be kept, it does not hold either.
	if err := os.RemoveAll(filepath.Dir(path)); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Add(allow.Entry{Name: "c.example", Until: now.Add(time.Hour)}, now); err == nil || passes(b, "c.example", home, now) {
		t.Errorf("without a folder: %v; want an error, and nothing let through", err)
	}
}

func TestADamagedFileLetsNothingThrough(t *testing.T) {
	path := filepath.Join(t.TempDir(), "allow.json")
	add(t, open(t, path), "a.example", "", time.Hour)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for what, data := range map[string][]byte{
		"another name":   bytes.Replace(good, []byte("a.example"), []byte("b.example"), 1),
		"cut":            good[:len(good)/2],
		"empty":          {},
		"another format": bytes.Replace(good, []byte("weir-allow-1"), []byte("weir-allow-2"), 1),
		"too long":       append(bytes.Repeat([]byte(" "), 5<<20), good...),
	} {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		b, err := allow.Open(path, now)
		if !errors.Is(err, allow.ErrDamaged) || passes(b, "a.example", home, now) || passes(b, "b.example", home, now) {
			t.Errorf("%s: %v; want ErrDamaged and nothing let through", what, err)
		}
		add(t, b, "c.example", "", time.Hour) // and it works all the same
	}
}

func TestMatchDoesNotAllocate(t *testing.T) {
	b := open(t, "")
	for i := range 100 {
		add(t, b, fmt.Sprintf("n%d.example", i), "192.168.0.0/16", time.Hour)
	}
	hit, miss := dnsname.MustParse("a.b.n7.example"), dnsname.MustParse("a.b.example.com")
	if got := testing.AllocsPerRun(100, func() {
		b.Match(hit, home, now)
		b.Match(miss, home, now)
	}); got != 0 {
		t.Errorf("%v allocations, want 0", got)
	}
}

// Changes and look-ups at the same time, for the race detector.
func TestMatchBesideChanges(t *testing.T) {
	b := open(t, "")
	add(t, b, "always.example", "", time.Hour)
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for j := range 50 {
				if i == 0 {
					add(t, b, fmt.Sprintf("n%d.example", j), "", time.Hour)
				} else if !passes(b, "x.always.example", home, now) {
					t.Error("an entry was missing for a moment")
					return
				}
			}
		})
	}
	wg.Wait()
}

func BenchmarkMatchMiss(b *testing.B) {
	book := open(b, "")
	add(b, book, "a.example", "", time.Hour)
	name := dnsname.MustParse("www.wikipedia.org")
	for b.Loop() {
		book.Match(name, home, now)
	}
}

func FuzzOpen(f *testing.F) {
	path := filepath.Join(f.TempDir(), "allow.json")
	add(f, open(f, path), "a.example", "10.0.0.0/8", time.Hour)
	good, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"format":"weir-allow-1","sha256":"74234e98afe7498fb5daf1f36ac2d78acc339464f950703b8c019892f982b90b","entries":null}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(t.TempDir(), "allow.json")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		b, err := allow.Open(path, now)
		if err != nil {
			return
		}
		add(t, b, "z.example", "", time.Hour)
		if again := open(t, path); fmt.Sprint(again.Entries(now)) != fmt.Sprint(b.Entries(now)) {
			t.Error("what was written is not what is read")
		}
	})
}
