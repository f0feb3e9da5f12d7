package detect_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/internal/dnswire"
)

// lookup is a name that a client looks up and that resolves, unless changed.
func lookup(d *detect.Detector, name string, change ...func(*detect.Transaction)) *detect.Verdict {
	t := detect.Transaction{Query: *query(name), Source: detect.FromUpstream, Response: make([]byte, 12)}
	for _, c := range change {
		c(&t)
	}
	d.Inspect(&t.Query, &t.Verdict)
	d.Record(&t)
	return &t.Verdict
}

// from spreads n over as many clients as it takes for none to use up its share.
func from(n int) func(*detect.Transaction) {
	return func(t *detect.Transaction) {
		t.Query.Client = netip.AddrFrom4([4]byte{10, byte(n / 500 >> 8), byte(n / 500), 1})
	}
}

// random are n names of no less a score than generated has.
func random(t *testing.T, n int) (out []string) {
	t.Helper()
	d, rng := newDetector(t, setup{}), rand.New(rand.NewPCG(3, 4))
	least, letters := inspect(d, generated).Score, []byte("xkqzvwjhtrpdbnfgmcxqzvwk")
	for range 100 * n {
		rng.Shuffle(len(letters), func(i, j int) { letters[i], letters[j] = letters[j], letters[i] })
		if name := string(letters) + ".com"; name != generated && inspect(d, name).Score >= least {
			if out = append(out, name); len(out) == n {
				return out
			}
		}
	}
	t.Fatalf("found %d names of %d", len(out), n)
	return nil
}

func ordinary(n int) string { return fmt.Sprintf("garden%dhouse.com", n) }

func TestASiteCountsWhatResolvesOnce(t *testing.T) {
	d := newDetector(t, setup{})
	for i, c := range []struct {
		what   string
		name   string
		change func(*detect.Transaction)
		want   int
	}{
		{"a name that resolves", "one.example.org", func(*detect.Transaction) {}, 1},
		{"again", "one.example.org", func(*detect.Transaction) {}, 1},
		{"below the same domain", "two.example.org", func(*detect.Transaction) {}, 1},
		{"does not exist", "nx.org", func(t *detect.Transaction) { t.Rcode = dnswire.RcodeNXDomain }, 1},
		{"failed", "fail.org", func(t *detect.Transaction) { t.Rcode = dnswire.RcodeServFail }, 1},
		{"answered by policy", "blocked.org", func(t *detect.Transaction) { t.Source = detect.FromPolicy }, 1},
		{"not answered", "silent.org", func(t *detect.Transaction) { t.Source, t.Response = detect.FromNowhere, nil }, 1},
		{"not scored", "nas.local", func(*detect.Transaction) {}, 1},
		{"from a capture", "wire.org", func(t *detect.Transaction) { t.Source = detect.FromWire }, 2},
	} {
		lookup(d, c.name, c.change)
		if got := d.Site().Names(); got != c.want {
			t.Errorf("%d, %s: %d names, want %d", i, c.what, got, c.want)
		}
	}
}

// The score cache forgets long before the site does: a domain must not count
// anew each time that its score is computed.
func TestASiteRemembersBeyondTheScoreCache(t *testing.T) {
	d := newDetector(t, setup{change: func(c *detect.Config) { c.Model.CacheEntries = 1024 }})
	const n = 3000
	for range 2 {
		for i := range n {
			lookup(d, ordinary(i), from(i))
		}
	}
	if got := d.Site().Names(); got > n || got < n*98/100 {
		t.Errorf("%d names of %d that came twice", got, n)
	}
}

// The memory of domains is wrong about few of those that are new to it, even
// when it is full, and about none that it was told of lately.
func TestTheMemoryOfDomainsKeepsItsPromise(t *testing.T) {
	taken, lost := detect.SeenErrors()
	if taken == 0 || taken > 0.01 {
		t.Errorf("%.2f %% of new domains are taken for known, want few, below 1 %%", 100*taken)
	}
	if lost != 0 {
		t.Errorf("%d of the latest 262,144 domains are forgotten", lost)
	}
}

func TestOneInIsTheShareOfTheSitesNames(t *testing.T) {
	d := newDetector(t, setup{})
	for i := range 999 {
		lookup(d, ordinary(i), from(i))
	}
	if v := inspect(d, generated); v.OneIn != 0 {
		t.Errorf("after 999 names: 1 in %d, want nothing said", v.OneIn)
	}
	for i := range 3001 {
		lookup(d, ordinary(999+i), from(999+i))
	}
	n := d.Site().Names()
	v := inspect(d, generated)
	if int(v.OneIn) < n*9/10 || int(v.OneIn) > n+1 {
		t.Errorf("the only one of its kind among %d: 1 in %d", n, v.OneIn)
	}
	if v := inspect(d, ordinary(1234)); v.OneIn > 20 {
		t.Errorf("as ordinary as all: 1 in %d", v.OneIn)
	}
	// A kind of which the site has 40 is that frequent there.
	for i, name := range random(t, 40) {
		lookup(d, name, from(9000+i))
	}
	n = d.Site().Names()
	for range n/100 + 2 {
		n++ // until the figures are made anew
		lookup(d, ordinary(n), from(n))
	}
	if v := inspect(d, generated); int(v.OneIn) < n/41*8/10 || int(v.OneIn) > n/40 {
		t.Errorf("one of 41 or so among %d: 1 in %d", n, v.OneIn)
	}
}

// The card's level decides until the site has seen three times as many names as
// the rate is about.
func TestARateDecidesOnceEnoughWasSeen(t *testing.T) {
	d := newDetector(t, setup{change: func(c *detect.Config) {
		c.Model.Mode, c.Model.Level, c.Model.MaxRate = detect.ModeEnforce, "high", "1/500"
	}})
	alike := random(t, 80)
	if v := inspect(d, alike[0]); !v.Blocks() || v.BySite {
		t.Errorf("before: %s by site %v, want it blocked by level", brief(v), v.BySite)
	}
	for i := range 1600 {
		lookup(d, ordinary(i), from(i))
	}
	v := inspect(d, generated)
	if !v.Blocks() || !v.BySite || v.OneIn < 500 || v.Why == nil {
		t.Errorf("after %d names: %s, by site %v, 1 in %d; want it blocked by its rarity", d.Site().Names(), brief(v), v.BySite, v.OneIn)
	}
	if v := inspect(d, "wikipedia.org"); v.Action != detect.Pass || !v.BySite {
		t.Errorf("wikipedia.org: %s, by site %v", brief(v), v.BySite)
	}
	// The site turns out to have such names, before they were blocked: not rare,
	// not a detection, however high.
	watched := newDetector(t, setup{change: func(c *detect.Config) { c.Model.MaxRate = "1/500" }})
	for i := range 1600 {
		lookup(watched, ordinary(i), from(i))
		if i%20 == 0 {
			lookup(watched, alike[i/20], from(i))
		}
	}
	if v := inspect(watched, generated); v.Action != detect.Pass || !v.BySite || v.Level != detect.LevelHigh {
		t.Errorf("one of many: %s at level %s, by site %v, 1 in %d; want it passed", brief(v), v.Level, v.BySite, v.OneIn)
	}
}

// One client must not move the figures, whatever it asks for: names that do not
// exist count nothing, and names that do only up to its share.
func TestAFloodFromOneClientDoesNotMoveTheFigures(t *testing.T) {
	d := newDetector(t, setup{change: func(c *detect.Config) { c.Model.MaxRate = "1/1000" }})
	for i := range 3000 {
		lookup(d, ordinary(i), from(i))
	}
	rare := inspect(d, generated).OneIn
	flood := names(2500)
	for _, name := range flood {
		lookup(d, name, func(t *detect.Transaction) { t.Rcode = dnswire.RcodeNXDomain })
	}
	if got := inspect(d, generated).OneIn; got != rare {
		t.Errorf("2,500 names that do not exist: 1 in %d, was %d", got, rare)
	}
	before := d.Site().Names()
	for i := range flood {
		lookup(d, "x"+flood[i], func(t *detect.Transaction) {
			// One IPv6 client with all of its /64.
			t.Query.Client = netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: byte(i), 14: byte(i >> 8)})
		})
	}
	if got := d.Site().Names() - before; got > 1000 {
		t.Errorf("one client added %d names in an hour, want 1,000 at most", got)
	}
	// An hour later, in the time of the data, it has another share.
	for i := range flood {
		lookup(d, "y"+flood[i], func(t *detect.Transaction) { t.Query.Time = t.Query.Time.Add(time.Hour) })
	}
	if got := d.Site().Names() - before; got < 1900 || got > 2000 {
		t.Errorf("one client added %d names in two hours, want 2,000 or little less", got)
	}
}

// Nobody gets ordinary names blocked by filling the figures with duller ones.
func TestWhatTheCardCallsOrdinaryIsNeverRare(t *testing.T) {
	d := newDetector(t, setup{change: func(c *detect.Config) { c.Model.MaxRate = "1/100" }})
	for i := range 3000 {
		lookup(d, fmt.Sprintf("house%d.com", i), from(i))
	}
	for _, name := range names(1000) {
		if v := inspect(d, name); v.Level == detect.LevelNone && v.Action != detect.Pass {
			t.Fatalf("%s: %s at score %v, 1 in %d", name, brief(v), v.Score, v.OneIn)
		}
	}
}

func TestAnotherModelBeginsAnew(t *testing.T) {
	d := newDetector(t, setup{})
	for i := range 2000 {
		lookup(d, ordinary(i), from(i))
	}
	same, err := detect.EmbeddedModel()
	if err != nil {
		t.Fatal(err)
	}
	for what, c := range map[*detect.Model]bool{same: true, eager(t): false} {
		if err := d.Swap(detect.DefaultConfig(), nil, what); err != nil {
			t.Fatal(err)
		}
		if got := d.Site().Names() > 0; got && !c {
			t.Errorf("%s: %d names, want none", what.Info().Version, d.Site().Names())
		}
	}
}

func filled(t testing.TB) *detect.Detector {
	d := newDetector(t, setup{})
	d.Site().Reset(detect.SiteKey{1, 2, 3})
	for i := range 3000 {
		lookup(d, ordinary(i), from(i))
	}
	return d
}

func TestASiteSurvivesARestart(t *testing.T) {
	old := filled(t)
	file := old.Site().Append(nil)
	d := newDetector(t, setup{})
	if err := d.Site().Restore(file); err != nil {
		t.Fatal(err)
	}
	if got, want := inspect(d, generated).OneIn, inspect(old, generated).OneIn; got < want*9/10 || got > want*11/10 {
		t.Errorf("after the restart 1 in %d, before it 1 in %d", got, want)
	}
	names := d.Site().Names()
	for i := range 3000 {
		lookup(d, ordinary(i), from(i))
	}
	if got := d.Site().Names(); got > names+30 {
		t.Errorf("%d names after those of before the restart came again, want about %d", got, names)
	}
	if again := d.Site().Append(nil); bytes.Equal(again[:64], file[:64]) == false {
		t.Error("the file of the second run has another model or secret")
	}
}

// resign gives a damaged file the right checksum.
func resign(file []byte) []byte {
	sum := sha256.Sum256(file[:len(file)-sha256.Size])
	return append(file[:len(file)-sha256.Size:len(file)-sha256.Size], sum[:]...)
}

func TestBadSiteFilesAreRefused(t *testing.T) {
	d := filled(t)
	file := d.Site().Append(nil)
	edit := func(f func(b []byte)) []byte { b := bytes.Clone(file); f(b); return b }
	other := newDetector(t, setup{})
	if err := other.Swap(detect.DefaultConfig(), nil, eager(t)); err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		file []byte
		want error
		text string
	}{
		"empty":           {nil, detect.ErrSiteFile, "0 octets"},
		"cut":             {file[:len(file)-1], detect.ErrSiteFile, "octets"},
		"longer":          {append(bytes.Clone(file), 0), detect.ErrSiteFile, "octets"},
		"another file":    {edit(func(b []byte) { b[0] = 'X' }), detect.ErrSiteFile, "starts with"},
		"one bit":         {edit(func(b []byte) { b[5000] ^= 1 }), detect.ErrSiteFile, "checksum"},
		"another version": {resign(edit(func(b []byte) { b[8] = 9 })), detect.ErrSiteFile, "version 9"},
		"another model":   {other.Site().Append(nil), detect.ErrSiteModel, ""},
		"too many":        {resign(edit(func(b []byte) { binary.LittleEndian.PutUint32(b[64:], math.MaxUint32) })), detect.ErrSiteFile, "counts"},
		"too full":        {resign(edit(func(b []byte) { binary.LittleEndian.PutUint32(b[60:], math.MaxUint32) })), detect.ErrSiteFile, "counts"},
	} {
		before := d.Site().Names()
		err := d.Site().Restore(c.file)
		if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v, want %v with %q", what, err, c.want, c.text)
		}
		if got := d.Site().Names(); got != before {
			t.Errorf("%s: %d names after it was refused, were %d", what, got, before)
		}
	}
}

// FuzzSiteRestore writes octets anywhere into a good file, and signs it: what is
// taken must give verdicts.
func FuzzSiteRestore(f *testing.F) {
	d := filled(f)
	file := d.Site().Append(nil)
	for _, at := range []int{0, 8, 12, 44, 60, 64, 1000, 1608, len(file) - 33} {
		f.Add(uint32(at), []byte{0xff, 0xff, 0xff, 0xff})
	}
	f.Fuzz(func(t *testing.T, at uint32, octets []byte) {
		b := bytes.Clone(file)
		copy(b[int(at)%len(b):], octets)
		err := d.Site().Restore(resign(b))
		if err != nil && !errors.Is(err, detect.ErrSiteFile) && !errors.Is(err, detect.ErrSiteModel) {
			t.Fatal(err)
		}
		lookup(d, "wikipedia.org")
		if v := inspect(d, generated); v.Unscored != detect.Scored {
			t.Fatalf("not scored: %s", v.Unscored)
		}
	})
}

func TestASiteTakesManyAtOnce(t *testing.T) {
	d := newDetector(t, setup{})
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 2000 {
				lookup(d, ordinary(i), from(i+g*2000))
				if i%500 == 0 {
					d.Site().Append(nil)
				}
			}
		})
	}
	wg.Wait()
	if got := d.Site().Names(); got > 2000 || got < 1900 {
		t.Errorf("%d names, want 2000 or little less", got)
	}
}

func TestCountingANewNameDoesNotAllocate(t *testing.T) {
	d := newDetector(t, setup{change: func(c *detect.Config) { c.Model.CacheEntries = 1024 }})
	var ts []*detect.Transaction
	for i := range 8192 {
		ts = append(ts, &detect.Transaction{Query: *query(ordinary(i)), Source: detect.FromUpstream, Response: make([]byte, 12)})
		from(i)(ts[i])
	}
	i := 0
	run := func() {
		tx := ts[i%len(ts)]
		d.Inspect(&tx.Query, &tx.Verdict)
		d.Record(tx)
		i++
	}
	run()
	if got := testing.AllocsPerRun(len(ts)-2, run); got != 0 {
		t.Errorf("%v allocations a new name, want 0", got)
	}
}

func BenchmarkRecordNewName(b *testing.B) {
	d := newDetector(b, setup{})
	var ts []*detect.Transaction
	for i := range 1 << 16 {
		t := &detect.Transaction{Query: *query(ordinary(i)), Source: detect.FromUpstream, Response: make([]byte, 12)}
		from(i)(t)
		d.Inspect(&t.Query, &t.Verdict)
		ts = append(ts, t)
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		d.Record(ts[i&(1<<16-1)])
		i++
	}
}
