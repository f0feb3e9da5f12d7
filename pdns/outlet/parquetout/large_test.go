package parquetout_test

import (
	"bufio"
	"context"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
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
	random := rand.New(rand.NewPCG(1, 2))
	often := rand.NewZipf(random, 1.1, 10, uint64(len(names)-1))
	start := time.Now()
	for i := range rows {
		at := begin.Add(time.Duration(float64(48*time.Hour) * float64(i) / float64(rows)))
		o.Consume(lakeRow(random, names[often.Uint64()], at))
		if i%500 == 499 {
			if err := o.Tend(); err != nil {
				t.Fatal(err)
			}
			for o.Stats().Bytes > cfg.SpoolBytes/2 {
				time.Sleep(10 * time.Millisecond)
			}
		}
	}
	if err := o.Tend(); err != nil {
		t.Fatal(err)
	}
	for o.Stats().Sent < uint64(rows) {
		if st := o.Stats(); st.Failing || o.Dropped() > 0 || time.Since(start) > time.Hour {
			t.Fatalf("%+v", st)
		}
		time.Sleep(10 * time.Millisecond)
	}
	took := time.Since(start)
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
	t.Logf("%d rows in %v, %.0f rows/s: %d files, %d octets, %.1f a row", rows, took, float64(rows)/took.Seconds(), n, octets, float64(octets)/float64(rows))
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
