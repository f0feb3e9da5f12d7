package store_test

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/pdns/store"
	"go.uber.org/zap"
)

func deps() store.Deps {
	return store.Deps{Log: zap.NewNop(), Registry: prometheus.NewRegistry()}
}

// rounds is how often the store is killed; `make kill` asks for 200.
func rounds(tb testing.TB) int {
	text := os.Getenv("WEIR_KILL_ROUNDS")
	if text == "" {
		return 10
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		tb.Fatalf("WEIR_KILL_ROUNDS: %v", err)
	}
	return n
}

// numbered is the i-th transaction of the tests that kill: all differ, and i can
// be read from name and address alike.
func numbered(i int) (string, netip.Addr) {
	return fmt.Sprintf("n%d.d%d.example", i, i%50), netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
}

// TestKillChild is the process that is killed, and no test by itself.
func TestKillChild(t *testing.T) {
	dir := os.Getenv("WEIR_KILL_DIR")
	if dir == "" {
		t.Skip("only as a child of TestKillAtAnyMoment")
	}
	first, err := strconv.Atoi(os.Getenv("WEIR_KILL_FROM"))
	if err != nil {
		t.Fatal(err)
	}
	cfg := store.DefaultConfig()
	cfg.Dir = dir
	s, err := store.New(cfg, deps())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Tend(); err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(time.Millisecond)
	tended := time.Now()
	for i := first; ; {
		for range 5 {
			name, addr := numbered(i)
			s.Consume(quick(time.Now(), name, addr))
			fmt.Printf("%d %d\n", i, time.Now().UnixMilli())
			i++
		}
		if time.Since(tended) >= 500*time.Millisecond {
			if err := s.Tend(); err != nil {
				t.Fatal(err)
			}
			tended = time.Now()
		}
		<-tick.C
	}
}

// Killed at any moment, the store opens at once, has everything that is older
// than a second, and every way to find a record agrees.
func TestKillAtAnyMoment(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "pdns")
	next, gone := 0, map[int]bool{}
	for round := range rounds(t) {
		child := exec.Command(os.Args[0], "-test.run=^TestKillChild$")
		child.Env = append(os.Environ(), "WEIR_KILL_DIR="+dir, "WEIR_KILL_FROM="+strconv.Itoa(next))
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		timer := time.AfterFunc(time.Duration(50+rand.IntN(1500))*time.Millisecond, func() { _ = child.Process.Kill() })
		type one struct {
			i  int
			at int64
		}
		var sent []one
		for lines := bufio.NewScanner(out); lines.Scan(); {
			var o one
			if n, _ := fmt.Sscanf(lines.Text(), "%d %d", &o.i, &o.at); n == 2 {
				sent = append(sent, o)
			}
		}
		timer.Stop()
		_ = child.Wait() // it was killed

		if len(sent) == 0 {
			continue // before it had begun
		}
		begun := time.Now()
		r, err := store.OpenReader(dir)
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if took := time.Since(begun); took > 30*time.Second {
			t.Errorf("round %d: opening took %v", round, took)
		}
		have := map[int]bool{}
		for rec, err := range r.Records(t.Context(), everything()) {
			if err != nil {
				t.Fatalf("round %d: %v", round, err)
			}
			var i, d int
			if n, err := fmt.Sscanf(rec.Name.String(), "n%d.d%d.example", &i, &d); n != 2 || rec.Count != 1 || have[i] {
				t.Fatalf("round %d: record %s (%v)", round, text(rec), err)
			}
			have[i] = true
		}
		byAddress := 0
		for _, err := range r.Records(t.Context(), storeQuery(netip.MustParsePrefix("10.0.0.0/8"))) {
			if err != nil {
				t.Fatalf("round %d: %v", round, err)
			}
			byAddress++
		}
		if byAddress != len(have) {
			t.Errorf("round %d: %d records by address, %d by name", round, byAddress, len(have))
		}
		last := sent[len(sent)-1]
		for _, o := range sent {
			if !have[o.i] {
				if last.at-o.at > 1000 {
					t.Errorf("round %d: record %d is lost, %d ms old", round, o.i, last.at-o.at)
				}
				gone[o.i] = true
			}
		}
		next = last.i + 1
		for i := range next {
			if !have[i] && !gone[i] {
				t.Fatalf("round %d: record %d of an earlier round is lost", round, i)
			}
		}
		if name, addr := numbered(last.i); have[last.i] {
			for rec, err := range r.Records(t.Context(), store.Query{Name: dnsname.MustParse(name)}) {
				if err != nil || rec.Rdata != addr.String() {
					t.Errorf("round %d: %s has %s, %v", round, name, rec.Rdata, err)
				}
			}
		}
		if err := r.Close(); err != nil {
			t.Errorf("round %d: %v", round, err)
		}
	}
	t.Logf("%d records, %d lost with the process", next, len(gone))
	if next == 0 {
		t.Error("no child got as far as a record")
	}
}

func storeQuery(p netip.Prefix) store.Query { return store.Query{Prefix: p} }
