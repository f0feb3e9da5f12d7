package sandbox_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weirdns/weir/sandbox"
)

// childEnv has the test binary play the process in the sandbox: a process that
// went in does not come out again.
const childEnv = "WEIR_TEST_SANDBOX"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		child(dir)
		return
	}
	os.Exit(m.Run())
}

// report is what the child could do.
type report struct {
	Applied sandbox.Applied
	Error   string
	Can     map[string]bool
	Status  string // /proc/self/status
}

func child(dir string) {
	var r report
	cfg := sandbox.Config{Enabled: true, User: os.Getenv(childEnv + "_USER")}
	etc := os.Getenv(childEnv + "_ETC") // what a configuration in /etc itself is
	applied, err := sandbox.Apply(cfg, sandbox.Paths{
		Read:  []string{filepath.Join(dir, "read", "weir.yaml"), etc},
		Own:   []string{filepath.Join(dir, "state"), filepath.Join(dir, "new", "store")},
		Write: []string{filepath.Join(dir, "others")},
	})
	r.Applied, r.Can = applied, map[string]bool{}
	if err != nil {
		r.Error = err.Error()
	}
	try := func(what string, f func() error) { r.Can[what] = f() == nil }
	open := func(path string) func() error {
		return func() error { _, err := os.ReadFile(path); return err }
	}
	write := func(path string) func() error {
		return func() error { return os.WriteFile(path, []byte("x"), 0o600) }
	}
	socket := func(family, kind int) func() error {
		return func() error {
			fd, err := syscall.Socket(family, kind, 0)
			if err == nil {
				_ = syscall.Close(fd)
			}
			return err
		}
	}
	try("read config", open(filepath.Join(dir, "read", "weir.yaml")))
	try("read replaced config", open(filepath.Join(dir, "read", "new.yaml")))
	try("write state", write(filepath.Join(dir, "state", "file")))
	try("rename in state", func() error {
		return os.Rename(filepath.Join(dir, "state", "file"), filepath.Join(dir, "state", "other"))
	})
	try("write in a folder that was missing", write(filepath.Join(dir, "new", "store", "file")))
	try("write beside it", write(filepath.Join(dir, "new", "file")))
	try("write in a folder of others", write(filepath.Join(dir, "others", "file")))
	try("read file in /etc", open(etc))
	try("read replaced file in /etc", open(etc+".new"))
	try("read outside", open(filepath.Join(dir, "secret", "key")))
	try("write outside", write(filepath.Join(dir, "secret", "file")))
	try("write config", write(filepath.Join(dir, "read", "file")))
	try("exec", func() error { return exec.Command("/bin/true").Run() })
	try("ptrace", func() error {
		if _, _, errno := syscall.RawSyscall(syscall.SYS_PTRACE, 0, 0, 0); errno != 0 {
			return errno
		}
		return nil
	})
	try("mount", func() error { return syscall.Mount("none", dir, "tmpfs", 0, "") })
	try("packet socket", socket(syscall.AF_PACKET, syscall.SOCK_RAW))
	try("raw socket", socket(syscall.AF_INET, syscall.SOCK_RAW))
	try("setuid", func() error { return syscall.Setuid(0) })
	try("kill", func() error { return syscall.Kill(os.Getppid(), 0) })
	try("udp", func() error {
		c, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err == nil {
			defer c.Close()
			_, err = c.WriteTo([]byte("x"), c.LocalAddr())
		}
		return err
	})
	try("tcp", func() error {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		defer l.Close()
		go func() { _ = http.Serve(l, http.NotFoundHandler()) }()
		resp, err := (&http.Client{Timeout: 10 * time.Second}).Get("http://" + l.Addr().String())
		if err == nil {
			resp.Body.Close()
		}
		return err
	})
	try("interfaces", func() error { _, err := net.Interfaces(); return err })
	try("threads", func() error {
		done := make(chan struct{})
		for range 20 {
			go func() { runtime.LockOSThread(); runtime.Gosched(); done <- struct{}{} }()
		}
		for range 20 {
			<-done
		}
		runtime.GC()
		return nil
	})
	status, _ := os.ReadFile("/proc/self/status")
	r.Status = string(status)
	_ = json.NewEncoder(os.Stdout).Encode(r)
}

// inside runs the child and returns what it could do.
func inside(t *testing.T, user string) report {
	t.Helper()
	dir := t.TempDir()
	for p := dir; len(p) > len(os.TempDir()); p = filepath.Dir(p) {
		_ = os.Chmod(p, 0o755)
	}
	for _, sub := range []string{"read", "state", "secret", "others"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range []string{"read/weir.yaml", "read/new.yaml", "secret/key"} {
		if err := os.WriteFile(filepath.Join(dir, file), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe)
	cmd.Env = append(os.Environ(), childEnv+"="+dir, childEnv+"_USER="+user, childEnv+"_ETC="+inEtc(t))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	var r report
	if jerr := json.Unmarshal(out, &r); err != nil || jerr != nil {
		t.Fatalf("the child: %v, %v\n%s", err, jerr, out)
	}
	if r.Error != "" {
		t.Fatalf("Apply: %s", r.Error)
	}
	return r
}

// inEtc makes a file in /etc, and one that is what it would be replaced with:
// neither is anything special to the kernel. Where that cannot be done, it is a
// file that is not there.
func inEtc(t *testing.T) string {
	t.Helper()
	f, err := os.CreateTemp("/etc", "weir-test-*")
	if err != nil {
		return "/etc/weir-test-is-not-root"
	}
	_ = f.Close()
	t.Cleanup(func() { _ = os.Remove(f.Name()) })
	t.Cleanup(func() { _ = os.Remove(f.Name() + ".new") })
	for _, path := range []string{f.Name(), f.Name() + ".new"} {
		if err := errors.Join(os.WriteFile(path, nil, 0o644), os.Chmod(path, 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	return f.Name()
}

var needed = []string{
	"read config", "read replaced config", "write state", "rename in state", "write in a folder that was missing", "udp", "tcp", "interfaces", "threads",
}

func TestWhatIsForbiddenFailsAndWhatIsNeededDoesNot(t *testing.T) {
	r := inside(t, "")
	for _, what := range needed {
		if !r.Can[what] {
			t.Errorf("cannot: %s", what)
		}
	}
	if r.Applied.Seccomp {
		for _, what := range []string{"exec", "ptrace", "mount", "packet socket", "setuid", "kill"} {
			if r.Can[what] {
				t.Errorf("can: %s", what)
			}
		}
		for _, line := range []string{"Seccomp:\t2", "NoNewPrivs:\t1"} {
			if !strings.Contains(r.Status, line) {
				t.Errorf("no %q in\n%s", line, r.Status)
			}
		}
	}
	if r.Applied.Landlock {
		for _, what := range []string{"read outside", "write outside", "write config", "write beside it"} {
			if r.Can[what] {
				t.Errorf("can: %s", what)
			}
		}
		if !r.Can["write in a folder of others"] {
			t.Error("cannot: write in a folder of others")
		}
	}
	if os.Geteuid() == 0 && r.Applied.Landlock {
		// Root could read all secrets in /etc: there a file is what it is.
		if !r.Can["read file in /etc"] || r.Can["read replaced file in /etc"] || !strings.Contains(strings.Join(r.Applied.Missing, " "), "after it was replaced") {
			t.Errorf("root: the file in /etc %v, another %v, missing %q; want only the first, and that said", r.Can["read file in /etc"], r.Can["read replaced file in /etc"], r.Applied.Missing)
		}
	}
	if !r.Applied.Seccomp && !r.Applied.Landlock {
		t.Skipf("the kernel has neither landlock nor seccomp: %v", r.Applied.Missing)
	}
	if r.Applied.Capabilities {
		noCapabilities(t, r.Status)
	}
}

func noCapabilities(t *testing.T, status string) {
	t.Helper()
	for _, set := range []string{"CapInh", "CapPrm", "CapEff", "CapAmb"} {
		if !strings.Contains(status, set+":\t0000000000000000") {
			t.Errorf("%s is not empty in\n%s", set, status)
		}
	}
}

func TestRootBecomesAnotherUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	r := inside(t, "65532")
	for _, what := range needed {
		if !r.Can[what] {
			t.Errorf("cannot: %s", what)
		}
	}
	for what, want := range map[string]bool{
		"read file in /etc": true, "read replaced file in /etc": true, // as anybody may
		"write in a folder of others": false, // it stays theirs
	} {
		if r.Can[what] != want {
			t.Errorf("%s: %v, want %v", what, r.Can[what], want)
		}
	}
	for _, set := range []string{"Uid", "Gid"} {
		if want := fmt.Sprintf("%s:\t65532\t65532\t65532\t65532", set); !strings.Contains(r.Status, want) {
			t.Errorf("no %q in\n%s", want, r.Status)
		}
	}
	noCapabilities(t, r.Status)
}

func TestBadUsersAreRefused(t *testing.T) {
	for _, c := range []sandbox.Config{{User: "65532"}, {Enabled: true, User: "nobody-of-that-name"}, {Enabled: true, User: "root"}, {Enabled: true, User: "0"}} {
		if c.Validate() == nil {
			t.Errorf("%+v is valid", c)
		}
	}
	if c := (sandbox.Config{Enabled: true, User: "65532"}); c.Validate() != nil {
		t.Errorf("%+v: %v", c, errors.Unwrap(c.Validate()))
	}
}
