package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weirdns/weir/internal/dnstest"
)

// weir runs a command as a user would, in this process, and returns its output.
func weir(t *testing.T, wantCode int, args ...string) (stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	if code := run(args, stdio{strings.NewReader(""), &out, &errs}); code != wantCode {
		t.Fatalf("weir %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), code, wantCode, out.String(), errs.String())
	}
	return out.String(), errs.String()
}

func TestStatusOfARunningWeir(t *testing.T) {
	up := dnstest.NewServer(t, "example.com", "@ SOA ns admin 1 3600 600 86400 60\n")
	state := t.TempDir()
	conf := writeFile(t, filepath.Join(t.TempDir(), "weir.yaml"), "state_dir: "+state+"\nlists:\n  - {name: l, inline: [a.example, b.example]}\n")
	p := startWeir(t, "-c", conf, "--upstream", up.Addr(), "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0")

	out, _ := weir(t, exitOK, "status", "-c", conf, "--json")
	var r statusReport
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatalf("status --json: %v\n%s", err, out)
	}
	if r.Version == "" || r.PID != p.cmd.Process.Pid || r.Uptime <= 0 || len(r.Missing) != 0 || r.StateDir != state ||
		len(r.Listen) != 1 || r.Listen[0] != p.listen[0] || !strings.Contains(p.metrics, r.Admin) ||
		len(r.Upstreams) != 1 || r.Upstreams[0] != (upstreamStatus{up.Addr(), true}) ||
		r.Model == nil || r.Model.Mode != "monitor" || r.Lists != (listsSummary{1, 2, 0}) || r.Records.Dir != filepath.Join(state, "records") {
		t.Errorf("status = %s", out)
	}
	for _, args := range [][]string{{"status", "--state", state}, {"status", "--socket", filepath.Join(state, "weir.sock")}} {
		out, _ := weir(t, exitOK, args...)
		for _, want := range []string{"ready     yes\n", "upstream  " + up.Addr() + " up\n", "lists     1 with 2 entries, 0 failing\n"} {
			if !strings.Contains(out, want) {
				t.Errorf("%s: %q is not in\n%s", args, want, out)
			}
		}
	}
	p.stop()
	if _, err := os.Stat(filepath.Join(state, "weir.sock")); !os.IsNotExist(err) {
		t.Errorf("the socket is still there after the end: %v", err)
	}
	if _, stderr := weir(t, exitFailure, "status", "-c", conf); !strings.Contains(stderr, "no weir is running") {
		t.Errorf("status of a stopped weir: %q", stderr)
	}
}

// A socket that was left behind by a killed weir does not keep the next from
// having one.
func TestTheSocketOutlivesAKill(t *testing.T) {
	up := dnstest.NewServer(t, "example.com", "@ SOA ns admin 1 3600 600 86400 60\n")
	state := t.TempDir()
	args := []string{"--upstream", up.Addr(), "--listen", "127.0.0.1:0", "--admin", "", "--state", state}
	first := startWeir(t, args...)
	if err := first.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-first.done
	_ = first.cmd.Wait() // killed
	second := startWeir(t, args...)
	if out, _ := weir(t, exitOK, "status", "--state", state); !strings.Contains(out, "admin     none\n") {
		t.Errorf("status = %s", out)
	}
	second.stop()
}
