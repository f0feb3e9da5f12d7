package pdns_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/pdns"
	"github.com/weirdns/weir/pdns/encode"
	"github.com/weirdns/weir/pdns/privacy"
	"go.uber.org/goleak"
	"go.uber.org/zap"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var _ detect.Sink = (*pdns.Recorder)(nil)

// run starts a Recorder and returns what ends it.
func run(tb testing.TB, r *pdns.Recorder) (stop func() error) {
	tb.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	return sync.OnceValue(func() error { cancel(); return <-done })
}

// record brings so many transactions from four goroutines, and every tenth is
// of our own making.
func record(tb testing.TB, r *pdns.Recorder, n int) (all, answers uint64) {
	tb.Helper()
	var wg sync.WaitGroup
	var said atomic.Uint64
	for g := range 4 {
		wg.Go(func() {
			for i := g; i < n; i += 4 {
				name := fmt.Sprintf("n%d.example", i%100)
				tx := quick(i/100, name)
				if i%10 == 0 {
					tx.Source = detect.FromPolicy
				} else {
					said.Add(1)
				}
				r.Record(tx)
			}
		})
	}
	wg.Wait()
	return uint64(n), said.Load()
}

func dropped(s pdns.SinkStats) (n uint64) {
	for _, d := range s.Dropped {
		n += d
	}
	return n
}

// The front ends stop first, then the recorder: everything is in the files.
func TestNothingIsLostWhenRecordersStopLast(t *testing.T) {
	r, dir := newRecorder(t, nil)
	stop := run(t, r)
	offered, answers := record(t, r, 2000)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	for sink, want := range map[string]uint64{"cof": answers, "transactions": offered} {
		if got := r.Stats()[sink]; got.Recorded != want || dropped(got) != 0 {
			t.Errorf("%s: %+v, want %d recorded, none dropped", sink, got, want)
		}
	}
	if got := len(parse[txLine](t, read(t, filepath.Join(dir, "transactions.jsonl")))); got != int(offered) {
		t.Errorf("%d transaction lines, want %d", got, offered)
	}
	var sum uint64
	for _, l := range parse[cofLine](t, read(t, filepath.Join(dir, "cof.jsonl"))) {
		sum += l.Count
	}
	if sum != answers {
		t.Errorf("COF counts add up to %d, want %d", sum, answers)
	}
}

// The control of the test above: a recorder that is stopped together with the
// front ends drains its queues too early. That must show, and still add up.
func TestStoppingARecorderTooEarlyShows(t *testing.T) {
	r, _ := newRecorder(t, nil)
	stop := run(t, r)
	first, firstAnswers := record(t, r, 400)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	late, lateAnswers := record(t, r, 400)
	for sink, want := range map[string][2]uint64{"cof": {firstAnswers, lateAnswers}, "transactions": {first, late}} {
		got := r.Stats()[sink]
		if got.Recorded != want[0] || got.Dropped["queue"] != want[1] {
			t.Errorf("%s: %+v, want %d recorded, %d dropped at the queue", sink, got, want[0], want[1])
		}
	}
}

// One sink whose disk hangs must not cost the other anything, and must not
// block Record.
func TestAHangingSinkDoesNotHurtTheOther(t *testing.T) {
	release := make(chan struct{})
	cfg := pdns.DefaultConfig()
	cfg.Dir = t.TempDir()
	cfg.Transactions.Enabled = true
	cfg.Transactions.QueueBytes = 64 << 10
	hang := hangingDisk{name: "transactions.jsonl", release: release}
	r, err := pdns.NewOn(cfg, pdns.Deps{Log: zap.NewNop(), Registry: prometheus.NewRegistry()}, hang, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	stop := run(t, r)
	offered, answers := record(t, r, 20_000)
	close(release)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if got := r.Stats()["cof"]; got.Recorded+dropped(got) != answers || got.Recorded == 0 {
		t.Errorf("cof: %+v, want %d in all", got, answers)
	}
	got := r.Stats()["transactions"]
	if got.Recorded+dropped(got) != offered || got.Dropped["queue"] == 0 {
		t.Errorf("transactions: %+v, want %d in all, some dropped at the queue", got, offered)
	}
	if lines := len(parse[txLine](t, read(t, filepath.Join(cfg.Dir, "transactions.jsonl")))); lines != int(got.Recorded) {
		t.Errorf("%d lines, %d recorded", lines, got.Recorded)
	}
}

// A disk that fills up and gets space again, and one that never does: what was
// offered is recorded or counted as dropped, and the files say the same.
func TestAFullDiskIsCountedExactly(t *testing.T) {
	for _, heals := range []bool{true, false} {
		t.Run(fmt.Sprintf("heals %v", heals), func(t *testing.T) {
			d := &fullDisk{}
			cfg := pdns.DefaultConfig()
			cfg.Dir = t.TempDir()
			cfg.Transactions.Enabled = true
			cfg.COF.MemoryBytes = 1 << 20
			r, err := pdns.NewOn(cfg, pdns.Deps{Log: zap.NewNop(), Registry: prometheus.NewRegistry()}, faultDisk{before: d.hook}, time.Now)
			if err != nil {
				t.Fatal(err)
			}
			stop := run(t, r)
			var offered uint64
			more := func() {
				for i := range 8000 {
					name := fmt.Sprintf("n%d.of%d.example", i, offered)
					r.Record(quick(0, name))
				}
				offered += 8000
			}
			d.set(true)
			more()
			more()
			if heals {
				waitFor(t, func() bool {
					return r.Stats()["transactions"].Dropped["disk"] > 0 && r.Stats()["cof"].Dropped["disk"] > 0
				})
				d.set(false)
				waitFor(t, func() bool { return r.Stats()["transactions"].Recorded > 0 && r.Stats()["cof"].Recorded > 0 })
				more()
			}
			if err := stop(); heals != (err == nil) {
				t.Errorf("Run = %v", err)
			}
			for _, sink := range []string{"cof", "transactions"} {
				got := r.Stats()[sink]
				if got.Recorded+dropped(got) != offered {
					t.Errorf("%s: %+v, want %d in all", sink, got, offered)
				}
				lines := strings.Count(read(t, filepath.Join(cfg.Dir, sink+".jsonl")), "\n")
				if uint64(lines) != got.Recorded { // a name of its own each, so a line each
					t.Errorf("%s: %d lines, %d recorded", sink, lines, got.Recorded)
				}
				if got.Dropped["disk"] == 0 || heals && got.Recorded == 0 {
					t.Errorf("%s: %+v, want drops, and records if the disk heals", sink, got)
				}
			}
		})
	}
}

// A directory that cannot be made is no reason not to start.
func TestADirectoryThatCannotBeMadeIsCountedNotFatal(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r, _ := newRecorder(t, func(c *pdns.Config) { c.Dir = filepath.Join(file, "below") })
	stop := run(t, r)
	offered, _ := record(t, r, 100)
	if err := stop(); err == nil {
		t.Error("Run ends without an error")
	}
	if got := r.Stats()["transactions"]; got.Dropped["disk"] != offered {
		t.Errorf("%+v, want %d dropped", got, offered)
	}
}

// newPrivateRecorder is newRecorder with a privacy of its own.
func newPrivateRecorder(t *testing.T, p privacy.Config) (*pdns.Recorder, string) {
	t.Helper()
	guard, err := privacy.New(p, privacy.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	cfg := pdns.DefaultConfig()
	cfg.Dir, cfg.Transactions.Enabled = filepath.Join(t.TempDir(), "records"), true
	r, err := pdns.New(cfg, pdns.Deps{Log: zap.NewNop(), Registry: prometheus.NewRegistry(), Privacy: guard})
	if err != nil {
		t.Fatal(err)
	}
	return r, cfg.Dir
}

// Who is to be skipped is in no file, not even in the sums without clients, nor
// in what an output gets to see.
func TestSkippedClientsAndNamesAreRecordedNowhere(t *testing.T) {
	p := privacy.DefaultConfig()
	p.SkipClients, p.SkipNames = []string{"198.51.100.0/24"}, []string{"clinic.example"}
	r, dir := newPrivateRecorder(t, p)
	stop := run(t, r)
	for _, one := range []struct{ client, name string }{
		{"198.51.100.23", "a.example"}, {"203.0.113.1", "www.clinic.example"}, {"203.0.113.1", "kept.example"},
	} {
		tx := answered(t, 0, one.name, one.name+". 60 IN A 192.0.2.1")
		tx.Query.Client = netip.MustParseAddr(one.client)
		r.Record(tx)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	for _, name := range files(t, dir) {
		text := read(t, filepath.Join(dir, name))
		if strings.Count(text, "\n") != 1 || !strings.Contains(text, "kept.example") {
			t.Errorf("%s holds\n%swant the one line of kept.example", name, text)
		}
	}
}

// Whatever the address looks like in text: with none it is in no file at all,
// and COF never has it.
func TestNoFileHoldsAnAddressThatIsNotWanted(t *testing.T) {
	r, dir := newPrivateRecorder(t, privacy.Config{ClientAddress: privacy.None, KeyRotation: time.Hour})
	stop := run(t, r)
	addrs := []string{"198.51.100.23", "2001:db8:aaaa:bbbb:cccc:dddd:eeee:1"}
	for _, a := range addrs {
		tx := answered(t, 0, "a.example", "a.example. 60 IN A 192.0.2.1")
		tx.Query.Client = netip.MustParseAddr(a)
		r.Record(tx)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	for _, name := range files(t, dir) {
		text := read(t, filepath.Join(dir, name))
		if text == "" {
			t.Errorf("%s is empty", name)
		}
		for _, form := range []string{"198.51.100", "\xc6\x33\x64\x17", "c6336417", "2001:db8", "20010db8", "\x20\x01\x0d\xb8"} {
			if strings.Contains(text, form) {
				t.Errorf("%s holds %q", name, form)
			}
		}
	}
}

func TestMetricsCountRecordsAndDropsBySink(t *testing.T) {
	cfg := pdns.DefaultConfig()
	cfg.Dir = t.TempDir()
	reg := prometheus.NewPedanticRegistry()
	r, err := pdns.New(cfg, pdns.Deps{Log: zap.NewNop(), Registry: reg})
	if err != nil {
		t.Fatal(err)
	}
	stop := run(t, r)
	r.Record(answered(t, 0, "a.example", "a.example. 60 IN A 192.0.2.1"))
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	r.Record(answered(t, 0, "a.example"))
	want := `
# HELP weir_records_skipped_total Transactions that privacy.skip_clients or privacy.skip_names keep from being recorded.
# TYPE weir_records_skipped_total counter
weir_records_skipped_total 0
# HELP weir_sink_dropped_total Transactions that a sink has lost, by reason.
# TYPE weir_sink_dropped_total counter
weir_sink_dropped_total{reason="disk",sink="cof"} 0
weir_sink_dropped_total{reason="queue",sink="cof"} 1
weir_sink_dropped_total{reason="record",sink="cof"} 0
# HELP weir_sink_records_total Transactions that a sink has recorded.
# TYPE weir_sink_records_total counter
weir_sink_records_total{sink="cof"} 1
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
	if _, err := pdns.New(cfg, pdns.Deps{Log: zap.NewNop(), Registry: reg}); err == nil {
		t.Error("a second recorder took the same metrics")
	}
}

// What is switched off costs no file.
func TestSinksThatAreOffWriteNothing(t *testing.T) {
	r, dir := newRecorder(t, func(c *pdns.Config) { c.COF.Enabled, c.Transactions.Enabled = false, false })
	stop := run(t, r)
	record(t, r, 10)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory is there: %v", err)
	}
}

// The answer path records: it must not allocate there.
func TestRecordDoesNotAllocate(t *testing.T) {
	if testing.Short() || raceEnabled {
		t.Skip("the race detector makes sync.Pool forget")
	}
	r, _ := newRecorder(t, nil)
	tx := answered(t, 0, "a.example", "a.example. 60 IN A 192.0.2.1")
	// A chunk of the queue is made every few hundred records, so under one in a
	// hundred is what is left of zero.
	if got := testing.AllocsPerRun(1000, func() { r.Record(tx) }); got >= 1 {
		t.Errorf("Record allocates %v times, want 0", got)
	}
}

// scored is what a log has most of: an answer of the cache, one address, a score.
func scored(tb testing.TB) *detect.Transaction {
	tx := answered(tb, 1, "www.shopnews123456.com", "www.shopnews123456.com. 300 IN A 192.0.2.7")
	tx.Source, tx.Upstream = detect.FromCache, ""
	tx.Verdict = detect.Verdict{
		Registered: dnsname.MustParse("shopnews123456.com"), Origin: detect.OriginModel, Score: 0.0123837, Probability: 0.00129, OneIn: 40,
	}
	return tx
}

func TestLineAllocatesNothing(t *testing.T) {
	w, tx := pdns.NewTransactionWriter(io.Discard, encode.Native, privacy.Plain(privacy.Truncated), nil), scored(t)
	w.Record(tx)
	if got := testing.AllocsPerRun(1000, func() { w.Record(tx) }); got > 0 {
		t.Errorf("a line costs %v allocations, want none", got)
	}
}

func BenchmarkLine(b *testing.B) {
	w, tx := pdns.NewTransactionWriter(io.Discard, encode.Native, privacy.Plain(privacy.Truncated), nil), scored(b)
	b.ReportAllocs()
	for b.Loop() {
		w.Record(tx)
	}
}

func BenchmarkRecord(b *testing.B) {
	r, _ := newRecorder(b, nil)
	stop := run(b, r)
	tx := answered(b, 0, "a.example", "a.example. 60 IN A 192.0.2.1")
	b.ReportAllocs()
	for b.Loop() {
		r.Record(tx)
	}
	b.StopTimer()
	_ = stop()
}

func waitFor(tb testing.TB, what func() bool) {
	tb.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !what() {
		if time.Now().After(deadline) {
			tb.Fatal("waited 30 seconds in vain")
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// hangingDisk blocks writes to one file until it is released.
type hangingDisk struct {
	pdns.Disk
	name    string
	release chan struct{}
}

func (d hangingDisk) Open(path string) (pdns.File, error) {
	f, err := d.Disk.Open(path)
	if err == nil && filepath.Base(path) == d.name {
		f = hangingFile{f, d.release}
	}
	return f, err
}

type hangingFile struct {
	pdns.File
	release chan struct{}
}

func (f hangingFile) Write(b []byte) (int, error) {
	<-f.release
	return f.File.Write(b)
}
