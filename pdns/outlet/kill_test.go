package outlet_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/weirdns/weir/pdns/outlet"
	"github.com/weirdns/weir/pdns/privacy"
	"go.uber.org/zap"
)

// fileService appends what it gets to a file, which outlives the process.
type fileService struct {
	f     *os.File
	tries int
}

func (s *fileService) Send(_ context.Context, b *outlet.Batch) error {
	if s.tries++; s.tries%3 == 0 {
		return errors.New("down")
	}
	var lines []byte
	err := b.Each(func(r outlet.Row) error {
		lines = fmt.Appendf(lines, "\n%s %s", r.Query.Name, r.ID) // the newline ends what a kill cut
		return nil
	})
	if err != nil {
		return err
	}
	_, err = s.f.Write(lines)
	return err
}

func (s *fileService) Close() error { return nil }

// child records and delivers until it is killed. It prints the number of the last
// row that is on the disk.
func child(dir string) {
	f, err := os.OpenFile(filepath.Join(dir, "arrived"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		panic(err)
	}
	cfg := config()
	o, err := outlet.New(cfg, &fileService{f: f}, outlet.Deps{Dir: filepath.Join(dir, "spool"), Log: zap.NewNop(), Registry: prometheus.NewRegistry(), Privacy: privacy.Plain(privacy.None)})
	if err != nil {
		panic(err)
	}
	o.SetRetry(time.Millisecond)
	go func() { panic(o.Run(context.Background())) }()
	var from int
	_, _ = fmt.Sscan(os.Getenv("WEIR_OUTLET_FROM"), &from)
	for i := from; ; i += 50 {
		for j := range 50 {
			o.Consume(row(i + j))
		}
		if err := o.Tend(); err != nil {
			panic(err)
		}
		fmt.Println(i + 50)
	}
}

// Whatever moment the process is killed at, what was in the spool arrives, and what
// arrives twice has one identity.
func TestKilledProcessLosesNoRow(t *testing.T) {
	dir, next := t.TempDir(), 0
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 8 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "WEIR_OUTLET_CHILD="+dir, fmt.Sprintf("WEIR_OUTLET_FROM=%d", next))
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines, kill := bufio.NewScanner(out), 1+rnd.IntN(40)
		for n := 0; n < kill && lines.Scan(); n++ {
			_, _ = fmt.Sscan(lines.Text(), &next)
		}
		time.Sleep(time.Duration(rnd.IntN(20)) * time.Millisecond)
		_ = cmd.Process.Kill()
		for lines.Scan() { // what it said before it died
			_, _ = fmt.Sscan(lines.Text(), &next)
		}
		_ = cmd.Wait()
	}
	// The last process delivers the rest.
	f, err := os.OpenFile(filepath.Join(dir, "arrived"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	o := make1(t, config(), filepath.Join(dir, "spool"), &fileService{f: f})
	put(t, o, next, next+1)
	start(t, o)
	until(t, "an empty spool", func() bool { return o.Stats().Bytes == 0 })
	text, err := os.ReadFile(filepath.Join(dir, "arrived"))
	if err != nil {
		t.Fatal(err)
	}
	arrived, seen, double := map[string]bool{}, map[string]bool{}, 0
	for line := range strings.Lines(string(text)) {
		name, id, _ := strings.Cut(strings.TrimSpace(line), " ")
		if len(id) != 32 {
			continue // half a line
		}
		if seen[id] {
			double++
		}
		seen[id], arrived[name] = true, true
	}
	for i := range next {
		if name := fmt.Sprintf("n%d.example", i); !arrived[name] {
			t.Fatalf("%s of %d never arrived", name, next)
		}
	}
	if n := o.Stats().Dropped["damaged"]; n != 0 {
		t.Errorf("%d damaged places", n)
	}
	t.Logf("%d rows, %d came twice", next, double)
}
