package syslog_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weirdns/weir/internal/outlettest"
)

// A real receiver takes rows by every way, cut connections included:
// testdata/integration/syslog.sh says where it is.
func TestRealReceiver(t *testing.T) {
	daemon := os.Getenv("WEIR_RSYSLOGD")
	if daemon == "" {
		t.Skip("no rsyslogd: set WEIR_RSYSLOGD to the program, or run testdata/integration/syslog.sh")
	}
	dir := t.TempDir()
	cert, key, _ := outlettest.Certificate(t)
	secure, plain, datagrams := freePort(t), freePort(t), freePort(t)
	conf, out := filepath.Join(dir, "conf"), filepath.Join(dir, "out")
	writeFile(t, conf, fmt.Sprintf(`
global(workDirectory="%[1]s" maxMessageSize="64k" DefaultNetstreamDriver="gtls" DefaultNetstreamDriverCAFile="%[2]s" DefaultNetstreamDriverCertFile="%[2]s" DefaultNetstreamDriverKeyFile="%[3]s")
module(load="imtcp" StreamDriver.Name="gtls" StreamDriver.Mode="1" StreamDriver.AuthMode="anon")
input(type="imtcp" port="%[4]d" address="127.0.0.1")
module(load="imptcp")
input(type="imptcp" port="%[5]d" address="127.0.0.1")
input(type="imptcp" path="%[1]s/stream")
module(load="imudp")
input(type="imudp" port="%[6]d" address="127.0.0.1")
module(load="imuxsock" SysSock.Use="off")
input(type="imuxsock" Socket="%[1]s/dgram" useSpecialParser="off" parseHostname="on" rateLimit.Interval="0")
template(name="rows" type="string" string="<%%pri%%>1 %%timestamp:::date-rfc3339%% %%hostname%% %%app-name%% - %%msgid%% %%structured-data%% %%msg%%\n")
action(type="omfile" file="%[7]s" template="rows")
`, dir, cert, key, secure, plain, datagrams, out))
	for _, way := range []struct {
		url  string
		rows int
		cuts int
	}{
		{fmt.Sprintf("tcp://127.0.0.1:%d", plain), 20000, 0},
		{fmt.Sprintf("tcp://127.0.0.1:%d", plain), 20000, 20},
		{fmt.Sprintf("tls://127.0.0.1:%d", secure), 20000, 0},
		{fmt.Sprintf("tls://127.0.0.1:%d", secure), 20000, 20},
		{"unix://" + dir + "/stream", 20000, 0},
		{"unixgram://" + dir + "/dgram", 20000, 0},
		{fmt.Sprintf("udp://127.0.0.1:%d", datagrams), 100, 0},
	} {
		for _, name := range []string{"out", "stream", "dgram"} {
			_ = os.Remove(filepath.Join(dir, name))
		}
		stop := startReceiver(t, daemon, conf, filepath.Join(dir, "pid"))
		cfg := config(way.url)
		cfg.BatchRows = 1000
		if strings.HasPrefix(way.url, "tls") {
			cfg.TLS.CAFile = cert
		}
		if way.cuts > 0 {
			scheme, addr, _ := strings.Cut(way.url, "://")
			p := outlettest.NewProxy(t, "tcp", addr, way.cuts)
			cfg.URL = scheme + "://" + p.Addr()
			defer func() { t.Logf("%s: %d connections were cut", way.url, p.Cuts()) }()
		}
		begin := time.Now()
		outlettest.Deliver(t, cfg.Config, sink(t, cfg), way.rows)
		took := time.Since(begin)
		stop() // writes what it has
		text, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		msgs := strings.Split(strings.TrimRight(strings.ReplaceAll(string(text), "+00:00", "Z"), "\n"), "\n")
		names := identities(t, msgs)
		t.Logf("%s: %d messages, %d rows, in %v", way.url, len(msgs), len(names), took)
		if len(names) != way.rows {
			t.Errorf("%s: %d rows arrived, want %d", way.url, len(names), way.rows)
		}
	}
}

// startReceiver runs rsyslogd until stop, and never as root.
func startReceiver(t *testing.T, daemon, conf, pid string) (stop func()) {
	t.Helper()
	cmd := exec.Command(daemon, "-n", "-f", conf, "-i", pid)
	cmd.Stderr = os.Stderr
	if os.Getuid() == 0 {
		const nobody = 65534
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		err := os.Chmod(filepath.Dir(filepath.Dir(conf)), 0o755)
		for _, path := range []string{filepath.Dir(conf), conf} {
			err = errors.Join(err, os.Chown(path, nobody, nobody))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(outlettest.Limit); ; time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(pid); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("rsyslogd does not start")
		}
	}
	return func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Errorf("rsyslogd: %v", err)
		}
		_ = os.Remove(pid)
	}
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
