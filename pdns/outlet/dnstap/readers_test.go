package dnstap_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/weirdns/weir/capture"
	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/internal/outlettest"
	"go.uber.org/zap"
)

// names collects what a capture made of the frames.
type names struct {
	mu   sync.Mutex
	seen map[string]bool
}

func (n *names) Record(t *detect.Transaction) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(t.Response) > 0 && t.Query.Client.String() == "192.0.2.0" && t.Query.Time.Unix() == outlettest.Begin.Unix() {
		n.seen[t.Query.Name.String()] = true
	}
}

// What weir sends, weir sniff takes.
func TestWeirReadsItBack(t *testing.T) {
	cfg, sinks := capture.DefaultConfig(), &names{seen: map[string]bool{}}
	path := filepath.Join(t.TempDir(), "s")
	cfg.Dnstap.Listen = []string{"unix:" + path}
	c, err := capture.New(cfg, capture.Deps{Sinks: []detect.Sink{sinks}, Log: zap.NewNop(), Registry: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	d, err := c.OpenDnstap()
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	out := config("unix://" + path)
	outlettest.Deliver(t, out.Config, sink(t, out), 500)
	stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if len(sinks.seen) != 500 {
		t.Errorf("%d transactions, want 500", len(sinks.seen))
	}
}

// The programs of others read it: fstrm_capture takes the stream, dnstap-ldns and
// dnstap-read what it wrote, and weir's own file. testdata/integration/dnstap.sh
// says where they are.
func TestReadersOfOthers(t *testing.T) {
	taker := os.Getenv("WEIR_FSTRM_CAPTURE")
	if taker == "" {
		t.Skip("no fstrm_capture: set WEIR_FSTRM_CAPTURE, or run testdata/integration/dnstap.sh")
	}
	const rows = 5000
	dir := t.TempDir()
	socket, taken, own := filepath.Join(dir, "s"), filepath.Join(dir, "taken"), filepath.Join(dir, "own")
	cmd := exec.Command(taker, "-t", "protobuf:dnstap.Dnstap", "-u", socket, "-w", taken)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(outlettest.Limit); ; time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(socket); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("fstrm_capture does not start")
		}
	}
	for _, url := range []string{"unix://" + socket, "file://" + own} {
		cfg := config(url)
		cfg.BatchRows = 1000
		s := sink(t, cfg)
		outlettest.Deliver(t, cfg.Config, s, rows)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	_ = cmd.Process.Signal(syscall.SIGTERM)
	if err := cmd.Wait(); err != nil {
		t.Errorf("fstrm_capture: %v", err)
	}
	for _, reader := range [][]string{{"dnstap-ldns", "-q", "-r"}, {"dnstap-read"}} {
		for _, file := range []string{taken, own} {
			out, err := exec.Command(reader[0], append(reader[1:], file)...).CombinedOutput()
			lines := strings.Count(string(out), " CR ")
			if err != nil || lines != rows || strings.Count(string(out), "\n") != rows || !strings.Contains(string(out), "192.0.2.0") {
				t.Errorf("%s reads %d responses of %s, %v; want %d\n%.300s", reader[0], lines, filepath.Base(file), err, rows, out)
				continue
			}
			first, _, _ := strings.Cut(string(out), "\n")
			t.Logf("%s of %s: %d, the first is %s", reader[0], filepath.Base(file), lines, first)
		}
	}
}
