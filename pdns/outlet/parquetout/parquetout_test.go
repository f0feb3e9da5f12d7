package parquetout_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/internal/outlettest"
	"github.com/weirdns/weir/pdns/encode"
	"github.com/weirdns/weir/pdns/outlet"
	"github.com/weirdns/weir/pdns/outlet/parquetout"
	"github.com/weirdns/weir/pdns/privacy"
	"go.uber.org/goleak"
	"go.uber.org/zap"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// begin is the time of the first row: 1,000 rows before an hour ends.
var begin = time.Date(2026, 3, 1, 11, 59, 59, 0, time.UTC)

// row is a query, a millisecond after the one before.
func row(i int) *detect.Transaction {
	t := outlettest.Row(i)
	t.Query.Time = begin.Add(time.Duration(i) * time.Millisecond)
	return t
}

func config(folder string) parquetout.Config {
	c := parquetout.DefaultConfig()
	c.Name, c.Folder, c.BatchInterval, c.BatchRows = "test", folder, 10*time.Millisecond, 5000
	return c
}

func sink(t *testing.T, cfg parquetout.Config) *parquetout.Sink {
	t.Helper()
	s, err := parquetout.New(cfg, privacy.Kept(privacy.DefaultConfig()), parquetout.Deps{
		Work: filepath.Join(t.TempDir(), "work"), Sensor: "edge-1", Now: func() time.Time { return begin },
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// deliver brings rows 0 to n to s by a whole outlet.
func deliver(t *testing.T, cfg outlet.Config, s outlet.Sink, n int) outlet.Stats {
	t.Helper()
	o, err := outlet.New(cfg, s, outlet.Deps{
		Dir: t.TempDir(), Log: zap.NewNop(), Registry: prometheus.NewRegistry(), Privacy: privacy.Plain(privacy.Truncated),
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		o.Consume(row(i))
		if i%1000 == 999 {
			if err := o.Tend(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := o.Tend(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- o.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	return outlettest.Wait(t, o, n)
}

// line is some columns of a row, as a reader of Parquet has them.
type line struct {
	ID      string    `parquet:"weir_id"`
	Time    time.Time `parquet:"time,timestamp(microsecond)"`
	Sensor  *string   `parquet:"sensor_id,optional"`
	Client  *string   `parquet:"client,optional"`
	Qname   *string   `parquet:"qname,optional"`
	Domain  *string   `parquet:"registered_domain,optional"`
	Score   *float64  `parquet:"score,optional"`
	Latency int64     `parquet:"latency_us"`
	Level   string    `parquet:"level"`
	Lists   []string  `parquet:"lists,list"`
	Answers []struct {
		Name  string `parquet:"rrname"`
		Type  string `parquet:"rrtype"`
		TTL   int64  `parquet:"ttl"`
		Rdata string `parquet:"rdata"`
	} `parquet:"answers,list"`
}

// read is a file: its rows have to be in order.
func read(t *testing.T, data []byte) []line {
	t.Helper()
	f, err := parquet.OpenFile(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	if v, _ := f.Lookup("weir.columns_version"); v != fmt.Sprint(encode.ColumnsVersion) {
		t.Errorf("columns_version is %q, want %d", v, encode.ColumnsVersion)
	}
	for i, c := range encode.Columns() {
		if got := f.Schema().Fields()[i].Name(); got != c.Name {
			t.Errorf("column %d is %s, want %s", i, got, c.Name)
		}
	}
	for _, g := range f.RowGroups() {
		if s := g.SortingColumns(); len(s) != 2 || s[0].Path()[0] != "registered_domain" || s[1].Path()[0] != "time" {
			t.Errorf("a row group says it is sorted by %v", s)
		}
	}
	lines, err := parquet.Read[line](bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.IsSortedFunc(lines, func(a, b line) int {
		if c := strings.Compare(*a.Domain, *b.Domain); c != 0 {
			return c
		}
		return a.Time.Compare(b.Time)
	}) {
		t.Error("rows are not sorted by registered domain and time")
	}
	return lines
}

// files are those below root, by their paths in it.
func files(t *testing.T, root string) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		out[filepath.ToSlash(rel)], err = os.ReadFile(filepath.Clean(path))
		return err
	})
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return out
}

// check wants each of n rows once in these files, in the partition of its time, with
// all that row has.
func check(t *testing.T, all map[string][]byte, n int) {
	t.Helper()
	ids, seen := map[string]bool{}, map[string]line{}
	for path, data := range all {
		for _, l := range read(t, data) {
			if want := l.Time.UTC().Format("dt=2006-01-02/hour=15/"); !strings.HasPrefix(path, want) {
				t.Fatalf("a row of %v is in %s", l.Time, path)
			}
			if ids[l.ID] {
				t.Errorf("row %s is there twice", l.ID)
			}
			ids[l.ID] = true
			seen[*l.Qname] = l
		}
	}
	if len(ids) != n || len(seen) != n {
		t.Fatalf("%d rows, %d names, want %d of each", len(ids), len(seen), n)
	}
	for i := range n {
		tx := row(i)
		l := seen[tx.Query.Name.String()]
		if name, err := dnsname.Parse(*l.Qname); err != nil || !name.Equal(tx.Query.Name) {
			t.Fatalf("%q reads as %v, %v", *l.Qname, name, err)
		}
		if !l.Time.Equal(tx.Query.Time) || *l.Client != "192.0.2.0/24" || *l.Sensor != "edge-1" || l.Latency != 1500 || *l.Domain != strings.Join(strings.SplitN(outlettest.Name(i), ".", 2)[1:], "") ||
			len(l.Answers) != 1 || l.Answers[0].Rdata != "203.0.113.9" || l.Answers[0].TTL != 60 || l.Answers[0].Type != "A" || l.Answers[0].Name != *l.Qname {
			t.Fatalf("row %d reads as %+v", i, l)
		}
		switch scored := i%10 == 0; {
		case scored && (l.Score == nil || *l.Score != 0.75 || l.Level != "high" || !slices.Equal(l.Lists, []string{"urlhaus"})):
			t.Fatalf("detection %d reads as %+v", i, l)
		case !scored && (l.Score != nil || len(l.Lists) != 0):
			t.Fatalf("row %d, which has no score, reads as %+v", i, l)
		}
	}
}

func TestRowsAreFilesByHour(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "lake")
	cfg := config(dir)
	cfg.RowGroupRows = 300 // several in a file
	deliver(t, cfg.Config, sink(t, cfg), 3000)
	all := files(t, dir)
	check(t, all, 3000)
	if len(all) != 2 {
		t.Errorf("%d files, want one for each hour", len(all))
	}
}

// again fails once after each batch has been written, as a crash may.
type again struct {
	*parquetout.Sink
	fresh func() *parquetout.Sink // a sink that knows nothing, as after a start
	sent  map[string]bool
}

func (a *again) Send(ctx context.Context, b *outlet.Batch) error {
	err := a.Sink.Send(ctx, b)
	if err == nil && !a.sent[b.Key()] {
		a.sent[b.Key()] = true
		a.Sink = a.fresh()
		return errors.New("cut")
	}
	return err
}

// A batch that comes again, by whatever start, takes its own place.
func TestBatchThatComesAgainIsThereOnce(t *testing.T) {
	dir := t.TempDir()
	cfg := config(dir)
	cfg.BatchRows = 400
	fresh := func() *parquetout.Sink { return sink(t, cfg) }
	st := deliver(t, cfg.Config, &again{fresh(), fresh, map[string]bool{}}, 1200)
	if st.Failed < 3 {
		t.Errorf("%d failures, want one for each batch", st.Failed)
	}
	check(t, files(t, dir), 1200)
}

// A folder that cannot be written costs nothing but time, and leaves no half file.
func TestRowsWaitForAFolder(t *testing.T) {
	dir := t.TempDir()
	in := filepath.Join(dir, "file")
	if err := os.WriteFile(in, []byte("in the way"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := config(filepath.Join(in, "lake"))
	o := outlettest.Start(t, cfg.Config, sink(t, cfg), 10)
	for deadline := time.Now().Add(outlettest.Limit); o.Stats().Failed == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("no failure is counted")
		}
	}
	if err := os.Remove(in); err != nil {
		t.Fatal(err)
	}
	outlettest.Wait(t, o, 10)
	if all := files(t, in); len(all) != 1 {
		t.Errorf("%d files, want 1", len(all))
	}
}

// The oldest files make room, and those go whose data is too old; what others put
// there stays.
func TestFolderStaysInItsBounds(t *testing.T) {
	dir := t.TempDir()
	put := func(path string, size int) {
		path = filepath.Join(dir, filepath.FromSlash(path))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, make([]byte, size), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	id := strings.Repeat("0f", 16)
	old, big, young := "dt=2026-01-01/hour=00/"+id+"-1.parquet", "dt=2026-02-27/hour=00/"+id+"-1.parquet", "dt=2026-02-28/hour=00/"+id+"-1.parquet"
	theirs := []string{"dt=2026-01-01/notes.txt", "dt=2025-01-01/hour=00/part-0.parquet", "top.parquet", "dt=2025-99-99/hour=00/" + id + "-1.parquet"}
	put(old, 10)
	put(big, 1<<20)
	put(young, 1000)
	for _, f := range theirs {
		put(f, 10)
	}
	cfg := config(dir)
	cfg.MaxBytes, cfg.MaxAge = 1<<20, 30*24*time.Hour
	deliver(t, cfg.Config, sink(t, cfg), 10)
	all := files(t, dir)
	for _, f := range append(theirs, young) {
		if all[f] == nil {
			t.Errorf("%s is gone", f)
		}
	}
	for _, f := range []string{old, big} {
		if all[f] != nil {
			t.Errorf("%s is there", f)
		}
	}
	if len(all) != len(theirs)+2 {
		t.Errorf("%d files, want theirs, the young one and the new one", len(all))
	}
	if _, err := os.Stat(filepath.Join(dir, "dt=2026-02-27")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the empty partition is there: %v", err)
	}
}

func TestValidateNamesEveryField(t *testing.T) {
	c := parquetout.Config{Folder: "lake", S3: parquetout.S3Config{Endpoint: "ftp://x", Bucket: "B", Prefix: "../x", TLS: outlet.TLSConfig{CertFile: "x"}}}
	err := c.Validate()
	for _, want := range []string{
		"name: ", "folder: ", "max_bytes: ", "max_age: ", "row_group_rows: ", "s3.endpoint: ", "s3.region: ", "s3.bucket: ", "s3.prefix: ", "s3.access_key: ", "s3.tls.cert_file: ",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q in it", err, want)
		}
	}
	c = config("lake")
	if err := c.Validate(); err == nil || !strings.Contains(err.Error(), "absolute") {
		t.Errorf("a relative folder: %v", err)
	}
	c = config("")
	if err := c.Validate(); err == nil {
		t.Error("neither a folder nor a bucket passes")
	}
}
