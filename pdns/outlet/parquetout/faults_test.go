package parquetout_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirdns/weir/internal/outlettest"
)

// bucket keeps what reached it whole.
type bucket struct {
	mu      sync.Mutex
	failing bool
	answers int
	objects map[string][]byte
}

func (b *bucket) fail(on bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failing = on
}

func (b *bucket) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil || r.ContentLength != int64(len(body)) {
		panic(http.ErrAbortHandler) // cut: nobody hears an answer
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failing {
		answers := []func(http.ResponseWriter, *http.Request){says(429, "TooManyRequests", "Retry-After", "1"), says(503, "SlowDown"), says(500, "InternalError")}
		answers[b.answers%len(answers)](w, r)
		b.answers++
		return
	}
	b.objects[r.URL.Path] = body
}

// identities are those of the rows in files, by name.
func identities(t *testing.T, files map[string][]byte) (names map[string]string, rows int) {
	t.Helper()
	names = map[string]string{}
	for _, data := range files {
		for _, l := range read(t, data) {
			if old, ok := names[*l.Qname]; ok && old != l.ID {
				t.Errorf("%s came as %s and as %s", *l.Qname, old, l.ID)
			}
			names[*l.Qname] = l.ID
			rows++
		}
	}
	return names, rows
}

// Whatever happens to a bucket, every row is there, and once.
func TestFaults(t *testing.T) {
	b := &bucket{objects: map[string][]byte{}}
	server := httptest.NewServer(b)
	t.Cleanup(server.Close)
	p := outlettest.NewProxy(t, "tcp", strings.TrimPrefix(server.URL, "http://"), 0)
	cfg := bucketConfig(t, "http://"+p.Addr(), secret)
	outlettest.Faults(t, cfg.Config, sink(t, cfg), outlettest.Service{
		Name: "Parquet, S3", Proxy: p, Fail: b.fail, Once: true,
		Arrived: func() (map[string]string, int) {
			b.mu.Lock()
			defer b.mu.Unlock()
			return identities(t, b.objects)
		},
	})
}

// The same with a real service: testdata/integration/s3.sh starts one.
func TestFaultsOfRealS3(t *testing.T) {
	endpoint := os.Getenv("WEIR_S3_FAULTS")
	if endpoint == "" {
		t.Skip("no S3: set WEIR_S3_FAULTS as WEIR_S3, without a proxy, or run testdata/integration/outlets-faults.sh")
	}
	name := "faults" + time.Now().UTC().Format("20060102150405")
	request(t, http.MethodPut, endpoint+"/"+name, "weir-secret")
	p := outlettest.NewProxy(t, "tcp", strings.TrimPrefix(endpoint, "http://"), 0)
	cfg := bucketConfig(t, "http://"+p.Addr(), "weir-secret")
	cfg.S3.Bucket, cfg.S3.Region = name, "us-east-1"
	outlettest.Faults(t, cfg.Config, sink(t, cfg), outlettest.Service{
		Name: "Parquet, S3 (versitygw)", Proxy: p, Once: true,
		Arrived: func() (map[string]string, int) {
			all := map[string][]byte{}
			for _, key := range list(t, endpoint+"/"+name) {
				all[key] = request(t, http.MethodGet, endpoint+"/"+name+"/"+key, "weir-secret")
			}
			return identities(t, all)
		},
	})
}

// A folder that cannot be written to, as one that was taken away, costs time alone.
func TestFolderThatCannotBeWrittenToHasEveryRowLater(t *testing.T) {
	root := t.TempDir()
	lake := filepath.Join(root, "lake")
	if err := os.WriteFile(lake, nil, 0o600); err != nil { // in the way
		t.Fatal(err)
	}
	cfg := config(lake)
	cfg.RetryMax = 500 * time.Millisecond
	o := outlettest.Start(t, cfg.Config, sink(t, cfg), 500)
	for deadline := time.Now().Add(outlettest.Limit); o.Stats().Failed < 2; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("no failure is counted: %+v", o.Stats())
		}
	}
	if err := os.Remove(lake); err != nil {
		t.Fatal(err)
	}
	outlettest.Wait(t, o, 500)
	if names, rows := identities(t, files(t, lake)); len(names) != 500 || rows != 500 {
		t.Errorf("%d rows, %d names, want 500 of each", rows, len(names))
	}
}
