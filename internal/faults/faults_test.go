// Package faults breaks things around a running weir, the binary that users
// run, and measures what its clients notice. It has no code of its own.
//
// WEIR_FAULTS=short (part of make check) makes each fault short, and only what
// must never happen fails a test; with WEIR_FAULTS=full (make faults) the loads
// are those of docs/reliability.md, and so are the figures that must be reached.
// Every fault prints its figure. Without the variable nothing runs.
package faults

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/weirdns/weir/internal/dnstest"
)

var (
	full  = os.Getenv("WEIR_FAULTS") == "full"
	race  = flag.Bool("race-binary", false, "build weir with the race detector, and want no report")
	table = flag.String("table", "", "file to write the table of figures to")
)

// figures are what was measured, for the table at the end.
var figures struct {
	sync.Mutex
	rows map[string]string
}

// figure notes what a fault did, and wants ok if the loads are the whole ones.
func figure(t *testing.T, fault, want string, ok bool, format string, args ...any) {
	t.Helper()
	text := fmt.Sprintf(format, args...)
	t.Logf("%s: %s", fault, text)
	verdict := "reached"
	if !ok {
		verdict = "**missed**"
	}
	figures.Lock()
	defer figures.Unlock()
	if figures.rows == nil {
		figures.rows = map[string]string{}
	}
	figures.rows[fault] = fmt.Sprintf("| %s | %s | %s | %s |", fault, want, text, verdict)
	if !ok && full {
		t.Errorf("%s: %s; want %s", fault, text, want)
	}
}

func TestMain(m *testing.M) {
	flag.Parse()
	if os.Getenv("WEIR_FAULTS") == "" {
		fmt.Println("skipped: set WEIR_FAULTS to short or full (make faults)")
		return
	}
	code := m.Run()
	if binary.dir != "" {
		_ = os.RemoveAll(binary.dir) // a temporary folder
	}
	var rows []string
	for _, r := range figures.rows {
		rows = append(rows, r)
	}
	sort.Slice(rows, func(i, j int) bool { return order(rows[i]) < order(rows[j]) })
	text := "| fault | wanted | measured | |\n|---|---|---|---|\n" + strings.Join(rows, "\n") + "\n"
	if full || testing.Verbose() {
		fmt.Print(text)
	}
	if *table != "" {
		if err := os.WriteFile(*table, []byte(text), 0o644); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// order sorts E2 before E10.
func order(row string) string {
	var n int
	var rest string
	_, _ = fmt.Sscanf(row, "| E%d%s", &n, &rest)
	return fmt.Sprintf("%03d%s", n, rest)
}

var binary struct {
	once sync.Once
	dir  string
	path string
	err  error
}

// weirBinary builds weir once.
func weirBinary(t *testing.T) string {
	t.Helper()
	binary.once.Do(func() {
		if binary.dir, binary.err = os.MkdirTemp("", "weir-faults-*"); binary.err != nil {
			return
		}
		binary.path = filepath.Join(binary.dir, "weir")
		args := []string{"build", "-o", binary.path}
		if *race {
			args = append(args, "-race")
		}
		out, err := exec.Command("go", append(args, "github.com/weirdns/weir/cmd/weir")...).CombinedOutput()
		if err != nil {
			binary.err = fmt.Errorf("go build: %w\n%s", err, out)
		}
	})
	if binary.err != nil {
		t.Fatal(binary.err)
	}
	return binary.path
}

// weir is a running one.
type weir struct {
	t       *testing.T
	cmd     *exec.Cmd
	addr    string
	metrics string
	config  string
	state   string

	mu   sync.Mutex
	logs []string
	done chan struct{}
}

// options of start.
type options struct {
	upstreams []*dnstest.Server
	servers   []string // addresses besides those
	resolver  string   // lines below "resolver:"
	more      string   // other sections
	listen    string
	silent    bool // an upstream is, for ever: the default time-out, also in short loads
	state     string
	shell     string     // run before it, in its shell: ulimit and the like
	files     []*os.File // what it inherits, from descriptor 3 on
}

func (o *options) text() string {
	servers := append([]string{}, o.servers...)
	for _, up := range o.upstreams {
		servers = append(servers, up.Addr())
	}
	if o.listen == "" {
		o.listen = "127.0.0.1:0"
	}
	upstream := "    servers: [" + strings.Join(servers, ", ") + "]\n"
	if !full && !o.silent {
		upstream += "    timeout: 10s\n" // CI's machine may be slow, and what is slow there is no fault
	}
	return "admin: {listen: \"127.0.0.1:0\"}\nresolver:\n  listen: [\"" + o.listen + "\"]\n  upstream:\n" + upstream + o.resolver + "\n" + o.more + "\n"
}

// start runs weir between the given upstreams and the test.
func start(t *testing.T, o options) *weir {
	t.Helper()
	dir := t.TempDir()
	if o.state == "" {
		o.state = filepath.Join(dir, "state")
	}
	w := &weir{t: t, config: filepath.Join(dir, "weir.yaml"), state: o.state, done: make(chan struct{})}
	w.write(o.text())
	args := []string{weirBinary(t), "serve", "-c", w.config, "--state", o.state}
	if o.shell != "" {
		args = []string{"sh", "-c", o.shell + ` && exec "$@"`, "sh", args[0], args[1], args[2], args[3], args[4], args[5]}
	}
	w.cmd = exec.Command(args[0], args[1:]...)
	w.cmd.ExtraFiles = o.files
	stderr, err := w.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := w.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	first := make(chan string, 1)
	go func() {
		defer close(w.done)
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			w.mu.Lock()
			w.logs = append(w.logs, lines.Text())
			w.mu.Unlock()
			if strings.Contains(lines.Text(), `"weir starts"`) {
				first <- lines.Text()
			}
		}
	}()
	t.Cleanup(func() {
		w.stop()
		if log := w.log(); strings.Contains(log, "DATA RACE") || strings.Contains(log, "panicked") {
			t.Errorf("in weir's log:\n%s", log)
		}
	})
	select {
	case line := <-first:
		var s struct {
			Listen  []string
			Metrics string
		}
		if err := json.Unmarshal([]byte(line), &s); err != nil || len(s.Listen) == 0 {
			t.Fatalf("first log line %q: %v", line, err)
		}
		w.addr, w.metrics = s.Listen[0], s.Metrics
	case <-w.done:
		t.Fatalf("weir ended at once:\n%s", w.log())
	case <-time.After(60 * time.Second):
		t.Fatal("weir did not start in 60 s")
	}
	return w
}

func (w *weir) write(config string) {
	if err := os.WriteFile(w.config, []byte(config), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

func (w *weir) signal(s syscall.Signal) { _ = w.cmd.Process.Signal(s) } // it may have ended

// stop ends weir as a service manager would, and waits.
func (w *weir) stop() {
	w.signal(syscall.SIGTERM)
	select {
	case <-w.done:
	case <-time.After(30 * time.Second):
		w.t.Errorf("weir did not end in 30 s")
		_ = w.cmd.Process.Kill()
		<-w.done
	}
	_ = w.cmd.Wait() // the exit code of a second call is of no interest
}

func (w *weir) log() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(w.logs, "\n")
}

// logged waits for a line of the log.
func (w *weir) logged(text string) {
	w.t.Helper()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if strings.Contains(w.log(), text) {
			return
		}
	}
	w.t.Fatalf("weir did not log %q:\n%s", text, w.log())
}
