package parquetout_test

import (
	"bufio"
	"context"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/weirdns/weir/capture"
	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/pdns/outlet"
	"github.com/weirdns/weir/pdns/privacy"
	"go.uber.org/zap"
)

// A lake of two days for other programs, through a whole outlet: clients that ask for
// names of a file, a few of them often and most now and then. It says how fast that
// was, and testdata/integration/spark.sh reads it.
func TestLargeLake(t *testing.T) {
	dir, file := os.Getenv("WEIR_LAKE"), os.Getenv("WEIR_LAKE_NAMES")
	rows, _ := strconv.Atoi(os.Getenv("WEIR_LAKE_ROWS"))
	if dir == "" || file == "" || rows == 0 {
		t.Skip("set WEIR_LAKE to a folder that is written, WEIR_LAKE_NAMES to a file with a name a line, WEIR_LAKE_ROWS to how many rows")
	}
	names := readNames(t, file)
	random := rand.New(rand.NewPCG(1, 2))
	often := rand.NewZipf(random, 1.1, 10, uint64(len(names)-1))
	fill(t, dir, func(consume func(*detect.Transaction)) {
		for i := range rows {
			at := begin.Add(time.Duration(float64(48*time.Hour) * float64(i) / float64(rows)))
			consume(lakeRow(random, names[often.Uint64()], at))
		}
	})
}

// A lake of what is in a capture: testdata/bench/ingest.py makes one, and has others
// read it too. No name is judged.
func TestLakeOfACapture(t *testing.T) {
	dir, file := os.Getenv("WEIR_LAKE"), os.Getenv("WEIR_LAKE_CAPTURE")
	if dir == "" || file == "" {
		t.Skip("set WEIR_LAKE to a folder that is written, WEIR_LAKE_CAPTURE to a capture")
	}
	fill(t, dir, func(consume func(*detect.Transaction)) {
		c, err := capture.New(capture.DefaultConfig(), capture.Deps{Sinks: []detect.Sink{recorder(consume)}, Log: zap.NewNop(), Registry: prometheus.NewRegistry()})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.ReadFile(t.Context(), file); err != nil {
			t.Fatal(err)
		}
	})
}

type recorder func(*detect.Transaction)

func (r recorder) Record(t *detect.Transaction) { r(t) }

// fill brings what feed consumes to a lake, through a whole outlet, and says how fast
// that was and how large the lake is.
func fill(t *testing.T, dir string, feed func(consume func(*detect.Transaction))) {
	t.Helper()
	cfg := config(dir)
	cfg.BatchRows, cfg.BatchInterval = 250000, 20*time.Second
	o, err := outlet.New(cfg.Config, sink(t, cfg), outlet.Deps{
		Dir: t.TempDir(), Log: zap.NewNop(), Registry: prometheus.NewRegistry(), Privacy: privacy.Plain(privacy.Truncated),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- o.Run(ctx) }()
	start, used, rows := time.Now(), processor(t), 0
	tend := func() {
		if err := o.Tend(); err != nil {
			t.Fatal(err)
		}
	}
	feed(func(tx *detect.Transaction) {
		o.Consume(tx)
		if rows++; rows%500 == 0 {
			tend()
			for o.Stats().Bytes > cfg.SpoolBytes/2 {
				time.Sleep(10 * time.Millisecond)
			}
		}
	})
	tend()
	for o.Stats().Sent < uint64(rows) {
		if st := o.Stats(); st.Failing || o.Dropped() > 0 || time.Since(start) > time.Hour {
			t.Fatalf("%+v", st)
		}
		time.Sleep(10 * time.Millisecond)
	}
	took := time.Since(start)
	used = processor(t) - used
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	n, octets := 0, int64(0)
	err = filepath.WalkDir(dir, func(_ string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			n, octets = n+1, octets+info.Size()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d rows in %v, %.0f rows/s, %.0f rows/s of a processor: %d files, %d octets, %.1f a row",
		rows, took, float64(rows)/took.Seconds(), float64(rows)/used.Seconds(), n, octets, float64(octets)/float64(rows))
}

// processor is how much time of processors this process has used.
func processor(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// lakeRow is an answered query of one of 5,000 clients.
func lakeRow(random *rand.Rand, name dnsname.Name, at time.Time) *detect.Transaction {
	who := random.IntN(5000)
	t := &detect.Transaction{
		Query:   detect.Query{Time: at, Client: netip.AddrFrom4([4]byte{10, 0, byte(who >> 8), byte(who)}), Name: name, Type: 1, Class: 1},
		Verdict: detect.Verdict{Unscored: detect.NotAsked}, Source: detect.FromCache, Latency: time.Duration(20+random.IntN(200)) * time.Microsecond,
	}
	if random.IntN(4) == 0 {
		t.Source, t.Upstream, t.Latency = detect.FromUpstream, "192.0.2.53:53", time.Duration(5000+random.IntN(40000))*time.Microsecond
	}
	msg := append([]byte{0x12, 0x34, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0}, name...)
	msg = append(msg, 0, 1, 0, 1, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, byte(random.IntN(250)), 0, 4, 198, 18)
	t.Response = append(msg, byte(len(name)), name[len(name)/2])
	return t
}

func readNames(t *testing.T, file string) (names []dnsname.Name) {
	t.Helper()
	f, err := os.Open(filepath.Clean(file))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if n, err := dnsname.Parse(lines.Text()); err == nil {
			names = append(names, n)
		}
	}
	if len(names) < 2 {
		t.Fatalf("%s has %d names", file, len(names))
	}
	// By no order of the file's.
	rand.New(rand.NewPCG(3, 4)).Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	return names
}
