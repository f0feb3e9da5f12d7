package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// builtIn is the folder of what buildOnce built; "": nothing.
var builtIn string

// buildOnce builds the binary that users run, once for all tests.
var buildOnce = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "weir-e2e-*")
	if err != nil {
		return "", err
	}
	builtIn = dir
	bin := filepath.Join(dir, "weir")
	build := exec.Command("go", "build", "-o", bin, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return bin, nil
})

// process is a running weir.
type process struct {
	t       *testing.T
	cmd     *exec.Cmd
	listen  []string
	metrics string
	state   string

	mu   sync.Mutex
	logs []string
	done chan struct{} // the log has ended
}

// startWeir runs weir serve and waits for its first log line.
func startWeir(t *testing.T, args ...string) *process {
	t.Helper()
	bin, err := buildOnce()
	if err != nil {
		t.Fatal(err)
	}
	p, line := start(t, exec.Command(bin, append([]string{"serve"}, args...)...))
	var first struct {
		Msg     string   `json:"msg"`
		Listen  []string `json:"listen"`
		Forward []string `json:"forward"`
		Records string   `json:"records"`
		Metrics string   `json:"metrics"`
	}
	if err := json.Unmarshal([]byte(line), &first); err != nil || first.Msg != "weir starts" || len(first.Forward) == 0 || first.Records == "" {
		t.Fatalf("first log line %q: %v; want where weir listens, forwards, records, and its metrics", line, err)
	}
	p.listen, p.metrics, p.state = first.Listen, first.Metrics, filepath.Dir(first.Records)
	return p
}

// startSniffer starts weir sniff with these arguments, and waits until it says that
// it sniffs; it returns that line, too.
func startSniffer(t *testing.T, args ...string) (*process, string) {
	t.Helper()
	bin, err := buildOnce()
	if err != nil {
		t.Fatal(err)
	}
	p, _ := start(t, exec.Command(bin, append([]string{"sniff"}, args...)...))
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		for line := range strings.Lines(p.log()) {
			if strings.Contains(line, `"msg":"weir sniffs"`) {
				return p, line
			}
		}
		select {
		case <-p.done:
			t.Fatalf("weir ended at once\n%s", p.log())
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("weir did not start within a minute\n%s", p.log())
		}
	}
}

// start runs a program that logs to standard error, and returns its first line.
func start(t *testing.T, cmd *exec.Cmd) (*process, string) {
	t.Helper()
	p := &process{t: t, cmd: cmd, done: make(chan struct{})}
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // no harm if it has ended
		<-p.done
	})
	first := make(chan string, 1)
	go func() {
		defer close(p.done)
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			p.mu.Lock()
			p.logs = append(p.logs, lines.Text())
			p.mu.Unlock()
			select {
			case first <- lines.Text():
			default:
			}
		}
	}()
	select {
	case line := <-first:
		return p, line
	case <-p.done:
		t.Fatal("weir ended at once")
	case <-time.After(time.Minute):
		t.Fatal("weir did not start within a minute")
	}
	return nil, ""
}

func (p *process) log() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.logs, "\n")
}

// stop ends weir as a service manager would, and wants exit code 0.
func (p *process) stop() {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
	<-p.done
	if err := p.cmd.Wait(); err != nil {
		p.t.Fatalf("weir ended with %v\n%s", err, p.log())
	}
}

func (p *process) ask(network, addr, name string, qtype uint16) *dns.Msg {
	p.t.Helper()
	m := new(dns.Msg)
	m.SetQuestion(name, qtype)
	m.SetEdns0(1232, false)
	c := dns.Client{Net: network, Timeout: 20 * time.Second}
	r, _, err := c.Exchange(m, addr)
	if err != nil {
		p.t.Fatalf("%s %s %s at %s: %v\n%s", network, name, dns.TypeToString[qtype], addr, err, p.log())
	}
	return r
}

func (p *process) scrape() string {
	p.t.Helper()
	resp, err := http.Get(p.metrics)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return string(body)
}

// metric is the value of one series, "" if there is none.
func metric(text, series string) string {
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, series+" "); ok {
			return strings.TrimSpace(rest)
		}
	}
	return ""
}

func answers(m *dns.Msg) string {
	var out []string
	for _, rr := range m.Answer {
		out = append(out, strings.TrimPrefix(rr.String(), rr.Header().String()))
	}
	sort.Strings(out)
	return strings.Join(out, " ")
}

func edeText(m *dns.Msg) string {
	if opt := m.IsEdns0(); opt != nil {
		for _, o := range opt.Option {
			if e, ok := o.(*dns.EDNS0_EDE); ok {
				return fmt.Sprintf("%d %s", e.InfoCode, e.ExtraText)
			}
		}
	}
	return ""
}

func writeFile(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// jsonLines reads every line of the files that match a pattern. A last one without
// its end is being written.
func jsonLines[T any](t *testing.T, pattern string) (out []T) {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no file matches %s (%v)", pattern, err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(data)) {
			if !strings.HasSuffix(line, "\n") {
				break
			}
			var v T
			if err := json.Unmarshal([]byte(line), &v); err != nil {
				t.Fatalf("%s: %q: %v", file, line, err)
			}
			out = append(out, v)
		}
	}
	return out
}
