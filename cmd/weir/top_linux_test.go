package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sys/unix"
)

// console is a terminal with weir on it.
type console struct {
	t      *testing.T
	master *os.File
	slave  *os.File
	cmd    *exec.Cmd
	ended  chan error

	mu  sync.Mutex
	raw []byte
}

// openConsole makes a terminal of that size and runs weir top on it.
func openConsole(t *testing.T, width, height uint16, args ...string) *console {
	t.Helper()
	return onConsole(t, width, height, append([]string{"top"}, args...)...)
}

// onConsole makes a terminal of that size and runs weir on it, as its session's
// own.
func onConsole(t *testing.T, width, height uint16, args ...string) *console {
	t.Helper()
	bin, err := buildOnce()
	if err != nil {
		t.Fatal(err)
	}
	c := &console{t: t, ended: make(chan error, 1)}
	if c.master, err = os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0); err != nil {
		t.Skipf("no pseudo terminals here: %v", err)
	}
	t.Cleanup(func() { _ = c.master.Close() }) // nothing is lost
	number := 0
	c.control(c.master, func(fd int) error {
		if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
			return err
		}
		number, err = unix.IoctlGetInt(fd, unix.TIOCGPTN)
		return err
	})
	if c.slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0); err != nil {
		t.Skipf("no pseudo terminals here: %v", err)
	}
	t.Cleanup(func() { _ = c.slave.Close() })
	c.resize(width, height)
	c.cmd = exec.Command(bin, args...)
	c.cmd.Env = append(os.Environ(), "TERM=xterm", "NO_COLOR=")
	c.cmd.Stdin, c.cmd.Stdout, c.cmd.Stderr = c.slave, c.slave, c.slave
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.cmd.Process.Kill() }) // no harm if it has ended
	go func() { c.ended <- c.cmd.Wait() }()
	go func() {
		buf := make([]byte, 64<<10)
		for {
			n, err := c.master.Read(buf)
			c.mu.Lock()
			c.raw = append(c.raw, buf[:n]...)
			c.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	return c
}

func (c *console) control(f *os.File, do func(fd int) error) {
	c.t.Helper()
	raw, err := f.SyscallConn()
	if err != nil {
		c.t.Fatal(err)
	}
	var failed error
	if err := raw.Control(func(fd uintptr) { failed = do(int(fd)) }); err != nil || failed != nil {
		c.t.Fatal(err, failed)
	}
}

func (c *console) resize(width, height uint16) {
	c.t.Helper()
	c.control(c.slave, func(fd int) error {
		return unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Col: width, Row: height})
	})
}

func (c *console) press(keys string) {
	c.t.Helper()
	if _, err := c.master.WriteString(keys); err != nil {
		c.t.Fatal(err)
	}
}

func (c *console) output() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return string(c.raw)
}

var escapes = regexp.MustCompile("\x1b\\[[0-9;?]*[a-zA-Z]")

// screen is the last screen that was drawn as a whole.
func (c *console) screen() string {
	frames := strings.Split(c.output(), "\x1b[H")
	if len(frames) < 3 {
		return ""
	}
	return escapes.ReplaceAllString(frames[len(frames)-2], "")
}

func (c *console) shows(what string, parts ...string) {
	c.t.Helper()
	untilTrue(c.t, what, func() bool {
		now := c.screen()
		for _, part := range parts {
			if !strings.Contains(now, part) {
				return false
			}
		}
		return now != ""
	})
}

func (c *console) echoes() bool {
	var state *unix.Termios
	c.control(c.slave, func(fd int) (err error) {
		state, err = unix.IoctlGetTermios(fd, unix.TCGETS)
		return err
	})
	return state.Lflag&unix.ECHO != 0
}

// leavesAsItWas: what was written last may be read after the program has ended.
func (c *console) leavesAsItWas() {
	c.t.Helper()
	untilTrue(c.t, "the terminal as it was", func() bool {
		return c.echoes() && strings.HasSuffix(c.output(), "\x1b[?25h\x1b[?1049l")
	})
}

// On a real terminal: what is blocked, the name that a key lets through, another
// size, a weir that goes and comes back, names that want to be commands; and a
// terminal that is afterwards as it was.
func TestTopOnATerminal(t *testing.T) {
	dir := t.TempDir()
	conf := writeFile(t, filepath.Join(dir, "weir.yaml"), `
resolver: {listen: ["127.0.0.1:0"], upstream: {servers: ["127.0.0.1:9"]}}
admin: {listen: "127.0.0.1:0"}
lists: [{name: ours, inline: [evil.example]}]
`)
	state := filepath.Join(dir, "state")
	p := startWeir(t, "-c", conf, "--state", state)
	c := openConsole(t, 100, 30, "--state", state, "--every", "500ms")
	c.shows("numbers", "Queries ", "/s", "DETECTIONS", "q quit")
	if c.echoes() {
		t.Error("what is typed is shown too")
	}
	// The feed may not be open yet, and a name that was missed comes from the
	// database only later.
	untilTrue(t, "the blocked name", func() bool {
		p.ask("udp", p.listen[0], "www.evil.example.", dns.TypeA)
		return strings.Contains(c.screen(), "www.evil.example") && strings.Contains(c.screen(), "blocked: blocklist")
	})
	c.press("a")
	c.shows("what came of the key", "www.evil.example and all below it is let through until")
	if out, _ := weir(t, exitOK, "allow", "list", "--state", state); !strings.Contains(out, "www.evil.example") || !strings.Contains(out, "weir top") {
		t.Errorf("let through: %s", out)
	}
	c.press("u")
	c.shows("that it is taken back", "no longer let through")
	if out, _ := weir(t, exitOK, "allow", "list", "--state", state); strings.Contains(out, "www.evil.example") {
		t.Errorf("still let through: %s", out)
	}
	untilTrue(t, "the hostile name", func() bool {
		p.ask("udp", p.listen[0], `\027]0\;pwned\007\027[31m.evil.example.`, dns.TypeA)
		return strings.Contains(c.screen(), "pwned")
	})
	if strings.Contains(c.output(), "\x1b]0;") || strings.Contains(c.output(), "\x07") {
		t.Error("a name writes to the terminal what it likes")
	}

	c.resize(40, 12)
	untilTrue(t, "the smaller screen", func() bool {
		lines := strings.Split(c.screen(), "\r\n")
		for _, l := range lines {
			if len(l) > 40 {
				return false
			}
		}
		return len(lines) == 12 && strings.Contains(c.screen(), "DETECTIONS")
	})
	c.resize(120, 40)
	untilTrue(t, "the larger screen", func() bool { return len(strings.Split(c.screen(), "\r\n")) == 40 })

	p.stop()
	c.shows("that weir is gone", "no answer for")
	startWeir(t, "-c", conf, "--state", state)
	untilTrue(t, "the next weir", func() bool { return c.screen() != "" && !strings.Contains(c.screen(), "no answer for") })

	c.press("q")
	select {
	case err := <-c.ended:
		if err != nil {
			t.Errorf("it ends with %v", err)
		}
	case <-time.After(time.Minute):
		t.Fatal("q does not end it")
	}
	c.leavesAsItWas()
}

// A terminal is given back on SIGTERM too.
func TestTopGivesTheTerminalBackWhenItIsTold(t *testing.T) {
	dir := t.TempDir()
	conf := writeFile(t, filepath.Join(dir, "weir.yaml"), `
resolver: {listen: ["127.0.0.1:0"], upstream: {servers: ["127.0.0.1:9"]}}
admin: {listen: "127.0.0.1:0"}
`)
	p := startWeir(t, "-c", conf, "--state", filepath.Join(dir, "state"))
	c := openConsole(t, 80, 24, "--state", p.state)
	c.shows("numbers", "Queries ")
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-c.ended:
	case <-time.After(time.Minute):
		t.Fatal("SIGTERM does not end it")
	}
	if !c.echoes() {
		t.Error("the terminal does not echo any more")
	}
}

// Where standard output is no terminal it prints once, without a control
// character; without a weir it says so.
func TestTopPrintsOnceWithoutATerminal(t *testing.T) {
	dir := t.TempDir()
	conf := writeFile(t, filepath.Join(dir, "weir.yaml"), `
resolver: {listen: ["127.0.0.1:0"], upstream: {servers: ["127.0.0.1:9"]}}
admin: {listen: "127.0.0.1:0"}
lists: [{name: ours, inline: [evil.example]}]
`)
	p := startWeir(t, "-c", conf, "--state", filepath.Join(dir, "state"))
	p.ask("udp", p.listen[0], `\027[31m.evil.example.`, dns.TypeA)
	untilTrue(t, "the blocked name", func() bool {
		out, _ := weir(t, exitOK, "top", "--state", p.state)
		if strings.Contains(out, "\x1b") || strings.Contains(out, "q quit") || !strings.Contains(out, "Queries ") {
			t.Fatalf("printed: %q", out)
		}
		return strings.Contains(out, `\027[31m.evil.example`) && strings.Contains(out, "blocked: blocklist")
	})
	p.stop()
	if _, stderr := weir(t, exitFailure, "top", "--once", "--state", p.state); !strings.Contains(stderr, "no weir is running") {
		t.Errorf("without a weir: %q", stderr)
	}
}
