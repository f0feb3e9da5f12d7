package outbox_test

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
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/weirdns/weir/alert"
	"github.com/weirdns/weir/alert/outbox"
	"github.com/weirdns/weir/pdns/outlet"
	"go.uber.org/goleak"
	"go.uber.org/zap"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv("WEIR_OUTBOX_CHILD"); dir != "" {
		child(dir)
	}
	goleak.VerifyTestMain(m)
}

// send is a receiver made of a function.
type send func(ctx context.Context, n *alert.Notification) error

func (f send) Send(ctx context.Context, n *alert.Notification) error { return f(ctx, n) }

func config() outbox.Config {
	return outbox.Config{Name: "test", Timeout: 30 * time.Second, RetryMax: 5 * time.Millisecond, MaxWaiting: 1000, MaxAge: time.Hour}
}

func open(t *testing.T, cfg outbox.Config, dir string, s outbox.Sender) *outbox.Outbox {
	t.Helper()
	o, err := outbox.New(cfg, s, outbox.Deps{Dir: dir, Log: zap.NewNop(), Registry: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	o.SetRetry(time.Millisecond)
	return o
}

// start runs o until the test ends, or the function returned is called.
func start(t *testing.T, o *outbox.Outbox) (stop func()) {
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

func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("no %s within a minute", what)
		}
	}
}

func note(i int) *alert.Notification {
	return &alert.Notification{ID: fmt.Sprintf("n%d", i), Subject: "s", Body: strings.Repeat("b", 100)}
}

func put(t *testing.T, o *outbox.Outbox, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		if err := o.Put(note(i)); err != nil {
			t.Fatal(err)
		}
	}
}

// log keeps what arrives.
type log struct {
	mu  sync.Mutex
	ids []string
}

func (l *log) add(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ids = append(l.ids, id)
}

func (l *log) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string{}, l.ids...)
}

func TestWhatFlapsGetsEverythingInOrder(t *testing.T) {
	var got log
	tries := 0
	o := open(t, config(), t.TempDir(), send(func(_ context.Context, n *alert.Notification) error {
		if tries++; tries%3 != 0 {
			return errors.New("down")
		}
		got.add(n.ID)
		return nil
	}))
	put(t, o, 0, 20)
	start(t, o)
	until(t, "arrival of all", func() bool { return o.Status().Waiting == 0 })
	for i, id := range got.all() {
		if want := fmt.Sprintf("n%d", i); id != want {
			t.Errorf("arrived as number %d: %s, want %s", i, id, want)
		}
	}
	if s := o.Status(); s.Sent != 20 || s.Failing || s.Dropped != 0 {
		t.Errorf("status %+v", s)
	}
}

func TestWhatIsRefusedHoldsUpNothing(t *testing.T) {
	var got log
	o := open(t, config(), t.TempDir(), send(func(_ context.Context, n *alert.Notification) error {
		if n.ID == "n1" {
			return &outlet.Refused{Err: errors.New("400")}
		}
		got.add(n.ID)
		return nil
	}))
	put(t, o, 0, 3)
	start(t, o)
	until(t, "end", func() bool { return o.Status().Waiting == 0 })
	if s := o.Status(); s.Sent != 2 || s.Dropped != 1 {
		t.Errorf("status %+v", s)
	}
}

// What a sender calls a time-out is a failure also when there was more time.
func TestTimeOutOfTheSenderItselfIsAFailure(t *testing.T) {
	var got log
	tries := 0
	o := open(t, config(), t.TempDir(), send(func(_ context.Context, n *alert.Notification) error {
		if tries++; tries < 3 {
			return fmt.Errorf("the server: %w", context.DeadlineExceeded)
		}
		got.add(n.ID)
		return nil
	}))
	put(t, o, 0, 1)
	start(t, o)
	until(t, "end", func() bool { return o.Status().Waiting == 0 })
	if len(got.all()) != 1 {
		t.Errorf("%d notifications arrived after %d tries, want one after 3", len(got.all()), tries)
	}
}

func TestAReceiverThatWantsToBeLeftAloneIs(t *testing.T) {
	var mu sync.Mutex
	var at []time.Time
	o := open(t, config(), t.TempDir(), send(func(context.Context, *alert.Notification) error {
		mu.Lock()
		defer mu.Unlock()
		if at = append(at, time.Now()); len(at) == 1 {
			return &outlet.Later{After: 300 * time.Millisecond, Err: errors.New("429")}
		}
		return nil
	}))
	put(t, o, 0, 1)
	start(t, o)
	until(t, "arrival", func() bool { return o.Status().Sent == 1 })
	if d := at[1].Sub(at[0]); d < 300*time.Millisecond {
		t.Errorf("tried again after %v, want 300ms at least", d)
	}
}

func TestASilentReceiverIsGivenUpAndTheEndIsQuick(t *testing.T) {
	cfg := config()
	cfg.Timeout = 10 * time.Millisecond
	entered := make(chan struct{}, 100)
	o := open(t, cfg, t.TempDir(), send(func(ctx context.Context, _ *alert.Notification) error {
		select {
		case entered <- struct{}{}:
		default:
		}
		<-ctx.Done()
		return ctx.Err()
	}))
	put(t, o, 0, 1)
	stop := start(t, o)
	<-entered
	<-entered
	until(t, "failure", func() bool { return o.Status().Failing })
	stop() // and Run returns, though nothing has arrived
	if s := o.Status(); s.Waiting != 1 {
		t.Errorf("status %+v; want one that waits for the next start", s)
	}
}

func TestThereIsAnEndToWhatWaits(t *testing.T) {
	cfg, dir := config(), t.TempDir()
	cfg.MaxWaiting = 5
	o := open(t, cfg, dir, send(func(context.Context, *alert.Notification) error { return errors.New("down") }))
	put(t, o, 0, 12)
	if s := o.Status(); s.Waiting != 5 || s.Dropped != 7 {
		t.Errorf("status %+v, want 5 waiting and 7 dropped", s)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 5 {
		t.Errorf("%d files (%v), want 5", len(entries), err)
	}
	// The next process sends the newest ones, those that are not too old or damaged.
	names := []string{}
	for _, e := range entries {
		names = append(names, filepath.Join(dir, e.Name()))
	}
	if err := os.WriteFile(names[0], []byte(`{"id":`), 0o600); err != nil {
		t.Fatal(err)
	}
	long := time.Now().Add(-2 * time.Hour)
	if err := os.Chtimes(names[1], long, long); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "00000000000000000099.json.tmp"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	var got log
	o = open(t, cfg, dir, send(func(_ context.Context, n *alert.Notification) error { got.add(n.ID); return nil }))
	put(t, o, 12, 13) // the damaged one makes room for it
	start(t, o)
	until(t, "end", func() bool { return o.Status().Waiting == 0 })
	if want := "n9 n10 n11 n12"; strings.Join(got.all(), " ") != want {
		t.Errorf("arrived %q, want %s", got.all(), want)
	}
	if s := o.Status(); s.Dropped != 2 {
		t.Errorf("status %+v, want 2 dropped", s)
	}
}

// child keeps and delivers until it is killed. It prints the number of the last
// notification that is kept.
func child(dir string) {
	f, err := os.OpenFile(filepath.Join(dir, "arrived"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		panic(err)
	}
	tries := 0
	o, err := outbox.New(config(), send(func(_ context.Context, n *alert.Notification) error {
		if tries++; tries%3 == 0 {
			return errors.New("down")
		}
		_, err := fmt.Fprintf(f, "\n%s", n.ID) // the newline ends what a kill cut
		return err
	}), outbox.Deps{Dir: filepath.Join(dir, "box"), Log: zap.NewNop(), Registry: prometheus.NewRegistry()})
	if err != nil {
		panic(err)
	}
	o.SetRetry(time.Millisecond)
	go func() { panic(o.Run(context.Background())) }()
	var from int
	_, _ = fmt.Sscan(os.Getenv("WEIR_OUTBOX_FROM"), &from)
	for i := from; ; i++ {
		if err := o.Put(note(i)); err != nil {
			panic(err)
		}
		fmt.Println(i + 1)
	}
}

// Whatever moment the process is killed at, what was kept arrives.
func TestKilledProcessLosesNothing(t *testing.T) {
	dir, next := t.TempDir(), 0
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 8 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "WEIR_OUTBOX_CHILD="+dir, fmt.Sprintf("WEIR_OUTBOX_FROM=%d", next))
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines, kill := bufio.NewScanner(out), 1+rnd.IntN(20)
		for n := 0; n < kill && lines.Scan(); n++ {
			_, _ = fmt.Sscan(lines.Text(), &next)
		}
		_ = cmd.Process.Kill()
		for lines.Scan() { // what it said before it died
			_, _ = fmt.Sscan(lines.Text(), &next)
		}
		_ = cmd.Wait()
	}
	var got log
	o := open(t, config(), filepath.Join(dir, "box"), send(func(_ context.Context, n *alert.Notification) error { got.add(n.ID); return nil }))
	start(t, o)
	until(t, "empty box", func() bool { return o.Status().Waiting == 0 })
	text, err := os.ReadFile(filepath.Join(dir, "arrived"))
	if err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	for _, id := range append(strings.Fields(string(text)), got.all()...) {
		count[id]++
	}
	twice := 0
	for i := range next {
		switch n := count[fmt.Sprintf("n%d", i)]; {
		case n == 0:
			t.Fatalf("n%d of %d never arrived", i, next)
		case n > 1:
			twice++
		}
	}
	if s := o.Status(); s.Dropped != 0 {
		t.Errorf("status %+v", s)
	}
	t.Logf("%d notifications, %d came twice", next, twice)
}
