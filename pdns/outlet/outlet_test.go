package outlet_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/pdns"
	"github.com/weirdns/weir/pdns/outlet"
	"github.com/weirdns/weir/pdns/privacy"
	"go.uber.org/goleak"
	"go.uber.org/zap"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv("WEIR_OUTLET_CHILD"); dir != "" {
		child(dir)
	}
	goleak.VerifyTestMain(m)
}

// service is a sink in memory. before is asked ahead of each batch.
type service struct {
	before func(ctx context.Context, b *outlet.Batch) error
	each   func(r outlet.Row) error // nil: takes all

	mu     sync.Mutex
	names  map[string]outlet.ID // of the rows, by name
	rows   int                  // with duplicates
	keys   []string
	closed bool
}

func (s *service) Send(ctx context.Context, b *outlet.Batch) error {
	if s.before != nil {
		if err := s.before(ctx, b); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys = append(s.keys, b.Key())
	return b.Each(func(r outlet.Row) error {
		if s.each != nil {
			if err := s.each(r); err != nil {
				return err
			}
		}
		s.take(r)
		return nil
	})
}

func (s *service) take(r outlet.Row) {
	name := r.Query.Name.String()
	if s.names == nil {
		s.names = map[string]outlet.ID{}
	}
	if id, ok := s.names[name]; ok && id != r.ID {
		panic(fmt.Sprintf("%s came as %s and as %s", name, id, r.ID))
	}
	s.names[name] = r.ID
	s.rows++
}

func (s *service) Close() error { s.closed = true; return nil }

func (s *service) distinct() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.names)
}

func config() outlet.Config {
	c := outlet.DefaultConfig()
	c.Name, c.BatchRows, c.BatchInterval = "test", 100, 10*time.Millisecond
	return c
}

func make1(t testing.TB, cfg outlet.Config, dir string, s outlet.Sink) *outlet.Outlet {
	t.Helper()
	o, err := outlet.New(cfg, s, outlet.Deps{Dir: dir, Log: zap.NewNop(), Registry: prometheus.NewRegistry(), Privacy: privacy.Plain(privacy.Truncated)})
	if err != nil {
		t.Fatal(err)
	}
	o.SetRetry(time.Millisecond)
	return o
}

func row(i int) *detect.Transaction {
	return &detect.Transaction{
		Query:   detect.Query{Time: time.Unix(1772366400+int64(i), 0), Client: netip.MustParseAddr("192.0.2.77"), Name: dnsname.MustParse(fmt.Sprintf("n%d.example", i)), Type: 1, Class: 1},
		Verdict: detect.Verdict{Unscored: detect.NotAsked},
	}
}

// put brings rows from to to into the spool and onto the disk.
func put(t testing.TB, o *outlet.Outlet, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		o.Consume(row(i))
	}
	if err := o.Tend(); err != nil {
		t.Fatal(err)
	}
}

// start runs o; stop ends it.
func start(t testing.TB, o *outlet.Outlet) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- o.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return stop
}

func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within a minute", what)
		}
	}
}

func TestEveryRowArrivesOnceWhereNothingFails(t *testing.T) {
	dir, s := t.TempDir(), &service{}
	s.each = func(r outlet.Row) error {
		if got := r.Query.Client.String(); got != "192.0.2.0" {
			return fmt.Errorf("the client is %s, want what may be kept of it", got)
		}
		return nil
	}
	o := make1(t, config(), dir, s)
	stop := start(t, o) // before the spool is open
	for i := range 10 {
		put(t, o, 250*i, 250*(i+1))
	}
	until(t, "2500 rows", func() bool { return o.Stats().Sent == 2500 })
	stop()
	if err := o.Close(); err != nil {
		t.Error(err)
	}
	if s.rows != 2500 || s.distinct() != 2500 || !s.closed || o.Recorded() != 2500 || o.Stats().Bytes != 0 {
		t.Errorf("%d rows, %d distinct, closed %v, %+v; want 2500 each and an empty spool", s.rows, s.distinct(), s.closed, o.Stats())
	}
}

// A service that fails in every way there is gets every row all the same, and the
// rows that come twice come with one identity.
func TestEveryRowArrivesAtLeastOnceWhateverFails(t *testing.T) {
	s := &service{}
	cfg := config()
	cfg.Timeout = time.Second
	try, halfway := 0, errors.New("cut off")
	s.before = func(ctx context.Context, b *outlet.Batch) error {
		switch try++; try % 6 {
		case 1:
			return errors.New("down")
		case 2:
			return &outlet.Later{After: time.Millisecond, Err: errors.New("429")}
		case 3:
			if try == 3 { // hung
				<-ctx.Done()
				return ctx.Err()
			}
		case 4: // takes half of them and is gone
			s.mu.Lock()
			defer s.mu.Unlock()
			n := 0
			return b.Each(func(r outlet.Row) error {
				if n++; n > b.Rows/2 {
					return halfway
				}
				s.take(r)
				return nil
			})
		}
		return nil
	}
	o := make1(t, cfg, t.TempDir(), s)
	start(t, o)
	put(t, o, 0, 1000)
	until(t, "all rows", func() bool { return o.Stats().Sent == 1000 })
	if s.distinct() != 1000 || s.rows <= 1000 || o.Stats().Failed == 0 {
		t.Errorf("%d distinct of %d rows, %+v; want 1000, and some twice", s.distinct(), s.rows, o.Stats())
	}
}

// A start sends what was under way as the same batch, so that a service which
// knows its batches can tell.
func TestInterruptedBatchIsSentAgainAsItWas(t *testing.T) {
	dir, cfg := t.TempDir(), config()
	hung := make(chan string, 1)
	s := &service{before: func(ctx context.Context, b *outlet.Batch) error {
		hung <- b.Key()
		<-ctx.Done()
		return ctx.Err()
	}}
	o := make1(t, cfg, dir, s)
	put(t, o, 0, 70)
	stop := start(t, o)
	key := <-hung
	put(t, o, 70, 500) // would make the batch larger
	// Killed: neither Close nor the end of Run.
	copied := t.TempDir()
	if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	stop()
	next := &service{}
	o = make1(t, cfg, copied, next)
	if err := o.Tend(); err != nil {
		t.Fatal(err)
	}
	start(t, o)
	until(t, "all rows", func() bool { return o.Stats().Sent == 500 })
	if next.keys[0] != key || !strings.HasSuffix(key, "-70") {
		t.Errorf("the batch is %s, was %s", next.keys[0], key)
	}
}

// What does not fit pushes out the oldest, and every row is accounted for.
func TestSpoolIsBoundedAndTheOldestMakeRoom(t *testing.T) {
	dir, cfg := t.TempDir(), config()
	cfg.SpoolBytes, cfg.BatchBytes, cfg.BatchRows = 1<<20, 64<<10, 1000000
	var mu sync.Mutex
	open := false
	s := &service{before: func(context.Context, *outlet.Batch) error {
		mu.Lock()
		defer mu.Unlock()
		if !open {
			return errors.New("down")
		}
		return nil
	}}
	o := make1(t, cfg, dir, s)
	start(t, o)
	const rows = 20000
	most := int64(0)
	for i := 0; i < rows; i += 500 {
		put(t, o, i, i+500)
		most = max(most, folder(t, dir))
	}
	mu.Lock()
	open = true
	mu.Unlock()
	lost := func() uint64 { return o.Stats().Dropped["spool_full"] }
	until(t, "the rest", func() bool { return o.Stats().Sent+lost() == rows })
	if most > cfg.SpoolBytes || lost() == 0 || s.distinct() < rows/4 {
		t.Errorf("the folder took %d octets of %d, %d rows arrived, %d were lost", most, cfg.SpoolBytes, s.distinct(), lost())
	}
	if _, ok := s.names[fmt.Sprintf("n%d.example", rows-1)]; !ok {
		t.Error("the newest row was lost")
	}
}

func folder(t testing.TB, dir string) (n int64) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil && strings.HasSuffix(e.Name(), ".spool") {
			n += info.Size()
		}
	}
	return n
}

// Who is never there must not make weir keep clients' rows for ever.
func TestRowsDoNotWaitForEver(t *testing.T) {
	var mu sync.Mutex
	now := time.Now()
	clock := func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	dir, cfg := t.TempDir(), config()
	cfg.SpoolAge, cfg.BatchRows = time.Hour, 10
	s := &service{before: func(context.Context, *outlet.Batch) error { return errors.New("down") }}
	o, err := outlet.New(cfg, s, outlet.Deps{Dir: dir, Log: zap.NewNop(), Registry: prometheus.NewRegistry(), Privacy: privacy.Plain(privacy.None), Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	o.SetRetry(time.Millisecond)
	put(t, o, 0, 100)
	start(t, o)
	until(t, "a try", func() bool { return o.Stats().Failed > 0 })
	mu.Lock()
	now = now.Add(cfg.SpoolAge/10 + time.Second)
	mu.Unlock()
	put(t, o, 100, 200)
	mu.Lock()
	now = now.Add(cfg.SpoolAge)
	mu.Unlock()
	until(t, "the old rows to go", func() bool {
		if err := o.Tend(); err != nil {
			t.Fatal(err)
		}
		return o.Stats().Dropped["old"] == 200
	})
	if err := o.Tend(); err != nil || folder(t, dir) > 1000 {
		t.Errorf("%d octets are left (%v)", folder(t, dir), err)
	}
}

// One row that the service never takes is found, counted and left out.
func TestRefusedRowStopsNoOther(t *testing.T) {
	s := &service{each: func(r outlet.Row) error {
		if r.Query.Name.String() == "n333.example" {
			return &outlet.Refused{Err: errors.New("400")}
		}
		return nil
	}}
	o := make1(t, config(), t.TempDir(), s)
	put(t, o, 0, 1000)
	start(t, o)
	until(t, "all but one", func() bool { return o.Stats().Sent == 999 })
	if got := o.Stats().Dropped["refused"]; got != 1 || s.distinct() != 999 {
		t.Errorf("%d refused, %d arrived; want 1 and 999", got, s.distinct())
	}
}

// A service that takes a batch and says how many rows it refused is not asked again.
func TestPartlyRefusedBatchIsDone(t *testing.T) {
	s := &service{}
	once := false
	s.before = func(_ context.Context, b *outlet.Batch) error {
		if once {
			return nil
		}
		once = true
		return &outlet.Refused{Rows: 3, Err: errors.New("three of them")}
	}
	o := make1(t, config(), t.TempDir(), s)
	put(t, o, 0, 150)
	start(t, o)
	until(t, "the rest", func() bool { return o.Stats().Sent == 147 })
	if got := o.Stats().Dropped["refused"]; got != 3 || s.rows != 50 {
		t.Errorf("%d refused, %d in the second batch; want 3 and 50", got, s.rows)
	}
}

// A damaged place costs what is behind it in its segment, and is counted.
func TestDamageIsCountedAndPassed(t *testing.T) {
	dir, cfg := t.TempDir(), config()
	cfg.SpoolBytes, cfg.BatchBytes = 1<<20, 64<<10
	o := make1(t, cfg, dir, &service{})
	for i := range 40 {
		put(t, o, 100*i, 100*(i+1)) // some segments of 64 KiB
	}
	if err := o.Close(); err != nil {
		t.Fatal(err)
	}
	segs, err := filepath.Glob(filepath.Join(dir, "*.spool"))
	if err != nil || len(segs) < 4 {
		t.Fatalf("%d segments (%v), want some", len(segs), err)
	}
	damage := func(path string, at int64) {
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 1)
		_, err = f.ReadAt(b, at)
		b[0] ^= 0x10
		_, err2 := f.WriteAt(b, at)
		if err := errors.Join(err, err2, f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	damage(segs[1], 30000)
	damage(segs[2], 3) // its header
	if err := os.Truncate(segs[len(segs)-1], 5000); err != nil {
		t.Fatal(err) // as a crash leaves it: no damage
	}
	s := &service{}
	o = make1(t, cfg, dir, s)
	if err := o.Tend(); err != nil {
		t.Fatal(err)
	}
	start(t, o)
	put(t, o, 5000, 5100)
	until(t, "the newest", func() bool { s.mu.Lock(); defer s.mu.Unlock(); _, ok := s.names["n5099.example"]; return ok })
	if got := o.Stats().Dropped["damaged"]; got != 2 || s.distinct() < 2000 {
		t.Errorf("%d damaged places, %d rows arrived; want 2, and most", got, s.distinct())
	}
}

// Where there can be no spool, rows are counted, nothing waits, and it heals.
func TestDiskThatRefusesCostsOnlyRows(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spool")
	if err := os.WriteFile(dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s := &service{}
	o := make1(t, config(), dir, s)
	start(t, o)
	for i := range 10000 {
		o.Consume(row(i))
	}
	if err := o.Tend(); err == nil {
		t.Error("a file in the place of the folder is no error")
	}
	if o.Dropped() == 0 || o.Recorded() != 0 {
		t.Errorf("%d dropped, %d recorded", o.Dropped(), o.Recorded())
	}
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	if err := o.Tend(); err != nil {
		t.Error(err)
	}
	until(t, "what was held", func() bool { return o.Stats().Sent+o.Dropped() == 10000 })
}

// A hung service costs neither the recorder nor another outlet anything.
func TestHungOutletCostsNobodyElseAnything(t *testing.T) {
	stuck, fine := &service{before: func(ctx context.Context, _ *outlet.Batch) error { <-ctx.Done(); return ctx.Err() }}, &service{}
	reg := prometheus.NewRegistry()
	var outputs []pdns.QueuedOutput
	var outs []*outlet.Outlet
	for i, s := range []*service{stuck, fine} {
		cfg := config()
		cfg.Name = []string{"stuck", "fine"}[i]
		o, err := outlet.New(cfg, s, outlet.Deps{Dir: t.TempDir(), Log: zap.NewNop(), Registry: reg, Privacy: privacy.Plain(privacy.None)})
		if err != nil {
			t.Fatal(err)
		}
		outs, outputs = append(outs, o), append(outputs, pdns.QueuedOutput{Output: o, QueueBytes: cfg.QueueBytes})
		start(t, o)
	}
	cfg := pdns.DefaultConfig()
	cfg.COF.Enabled = false
	r, err := pdns.New(cfg, pdns.Deps{Log: zap.NewNop(), Registry: reg, Outputs: outputs})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	for i := range 3000 {
		r.Record(row(i))
	}
	until(t, "all rows at the other", func() bool { return outs[1].Stats().Sent == 3000 })
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if st := r.Stats()["outlet_stuck"]; st.Recorded != 3000 {
		t.Errorf("the hung one has %+v in its spool, want 3000", st)
	}
}

func TestOnlyDetectionsGoOutWhereThatIsWanted(t *testing.T) {
	cfg := config()
	cfg.Rows = outlet.Detections
	o := make1(t, cfg, t.TempDir(), &service{})
	pass, hit := row(1), row(2)
	hit.Verdict.Origin, hit.Verdict.Action = detect.OriginModel, detect.NXDOMAIN
	if o.Wants(pass) || !o.Wants(hit) {
		t.Errorf("wants %v and %v, want the detection alone", o.Wants(pass), o.Wants(hit))
	}
}

func TestValidateNamesEveryField(t *testing.T) {
	c := outlet.Config{Name: "A b", Rows: 9, BatchInterval: -1, SpoolBytes: 1}
	err := c.Validate()
	for _, want := range []string{"name: ", "rows: ", "batch_rows: ", "batch_bytes: ", "batch_interval: ", "timeout: ", "retry_max: ", "spool_bytes: ", "spool_age: ", "queue_bytes: "} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q in it", err, want)
		}
	}
}

// What has come since the last batch goes out at the end.
func TestTheEndBringsWhatIsLeft(t *testing.T) {
	cfg, s := config(), &service{}
	cfg.BatchInterval = time.Hour
	o := make1(t, cfg, t.TempDir(), s)
	put(t, o, 0, 50)
	if rows, oldest := o.Waiting(); rows != 50 || !oldest.Equal(row(0).Query.Time) {
		t.Errorf("%d rows wait, the oldest of %v; want 50 of %v", rows, oldest, row(0).Query.Time)
	}
	start(t, o)()
	if rows, oldest := o.Waiting(); s.distinct() != 50 || rows != 0 || !oldest.IsZero() || !s.closed {
		t.Errorf("%d rows arrived, %d wait since %v; want 50 and none", s.distinct(), rows, oldest)
	}
}

// A service that hangs holds up the end for a moment only, and its rows go out after
// the next start.
func TestTheEndWaitsForNobody(t *testing.T) {
	hangs := &service{before: func(ctx context.Context, _ *outlet.Batch) error { <-ctx.Done(); return ctx.Err() }}
	cfg, dir := config(), t.TempDir()
	cfg.Timeout = time.Hour
	o := make1(t, cfg, dir, hangs)
	put(t, o, 0, 250)
	stop := start(t, o)
	until(t, "a batch under way", func() bool { return o.Stats().Lag > 0 })
	stop() // for an hour, if it waited
	if err := o.Close(); err != nil {
		t.Fatal(err)
	}
	s := &service{}
	o = make1(t, cfg, dir, s)
	put(t, o, 250, 251)
	start(t, o)
	until(t, "all rows", func() bool { return s.distinct() == 251 })
}

func TestTroubleIsTheLastError(t *testing.T) {
	s := &service{before: func(context.Context, *outlet.Batch) error {
		return errors.New("down\nfor \xff" + strings.Repeat("x", 1000))
	}}
	o := make1(t, config(), t.TempDir(), s)
	if o.Trouble() != nil {
		t.Error("trouble before anything was tried")
	}
	put(t, o, 0, 1)
	start(t, o)
	until(t, "a failed try", func() bool { return o.Trouble() != nil })
	if e := o.Trouble(); !strings.HasPrefix(e.Text, "down for ") || len(e.Text) > 300 || e.At.IsZero() {
		t.Errorf("%+v, want the error on one line, cut", e)
	}
}

// What a sink calls a time-out is a failure also when the batch had more time: its
// rows are not there.
func TestTimeOutOfTheSinkItselfIsAFailure(t *testing.T) {
	tries := 0
	s := &service{before: func(context.Context, *outlet.Batch) error {
		if tries++; tries <= 2 {
			return fmt.Errorf("the service: %w", context.DeadlineExceeded)
		}
		return nil
	}}
	o := make1(t, config(), t.TempDir(), s)
	put(t, o, 0, 10)
	stop := start(t, o)
	until(t, "ten rows", func() bool { return o.Stats().Sent == 10 })
	stop()
	if st := o.Stats(); s.distinct() != 10 || st.Failed != 2 {
		t.Errorf("%d rows arrived, %d tries failed; want 10 and 2", s.distinct(), st.Failed)
	}
}

// tended is a service that keeps something within bounds.
type tended struct {
	service
	times atomic.Int64
}

func (s *tended) Tend() error { s.times.Add(1); return errors.New("a disk of glass") }

// What a sink keeps is looked after before anything is sent, and trouble with it holds
// up no row.
func TestSinkIsTendedWithoutTraffic(t *testing.T) {
	s := &tended{}
	o := make1(t, config(), t.TempDir(), s)
	stop := start(t, o)
	until(t, "care", func() bool { return s.times.Load() == 1 })
	put(t, o, 0, 10)
	until(t, "ten rows", func() bool { return o.Stats().Sent == 10 })
	stop()
	if said := o.Trouble(); said == nil || !strings.Contains(said.Text, "glass") || o.Stats().Failed != 0 || s.times.Load() != 1 {
		t.Errorf("trouble %+v, %+v, tended %d times", said, o.Stats(), s.times.Load())
	}
}
