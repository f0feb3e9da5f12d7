package notify_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weirdns/weir/alert"
	"github.com/weirdns/weir/alert/notify"
	"github.com/weirdns/weir/internal/dnstest"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func config(kind string) notify.Config {
	c := notify.DefaultConfig()
	c.Name, c.Kind = "test", kind
	return c
}

// sample is a notification whose texts try to be more than text.
func sample() *alert.Notification {
	n := alert.Sample("host.example", "0123456789abcdef", time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	n.Reason, n.Alert.Rule, n.Alert.Severity, n.Alert.By, n.Alert.Key = alert.ReasonFires, "infected", alert.Critical, "client", "192.0.2.7"
	n.Subject = "<!channel> infected & *bold* [x](http://evil.example)"
	n.Body = "line one <script>\n\n.line two ü\n"
	return n
}

func secret(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func sender(t *testing.T, c notify.Config) notify.Sender {
	t.Helper()
	s, err := notify.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// within is a context with more time than anything here needs.
func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestSyslogIsOneMessage(t *testing.T) {
	check := func(what, got string) {
		t.Helper()
		head, body, _ := strings.Cut(got, `{"id"`)
		if !strings.HasPrefix(head, "<26>1 2026-03-01T12:00:00.000000Z host.example weir ") || !strings.Contains(head, " new - <!channel> infected") || strings.Contains(got, "\n") {
			t.Errorf("%s: %q", what, got)
		}
		var n alert.Notification
		if err := json.Unmarshal([]byte(`{"id"`+body), &n); err != nil || n.Alert.Rule != "infected" {
			t.Errorf("%s: %v: %s", what, err, body)
		}
	}
	// The hour is not up to chance, and neither is the length.
	long := sample()
	for range 9 {
		long.Alert.Events = append(long.Alert.Events, long.Alert.Events[0])
	}
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	conf := config(notify.Syslog)
	conf.Syslog.Address = "udp://" + udp.LocalAddr().String()
	unixPath := filepath.Join(t.TempDir(), "log")
	unix, err := net.ListenPacket("unixgram", unixPath)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close()
	local := config(notify.Syslog)
	local.Syslog.Address = "unix://" + unixPath
	for what, c := range map[string]struct {
		conf notify.Config
		from net.PacketConn
	}{"udp": {conf, udp}, "unix": {local, unix}} {
		if err := sender(t, c.conf).Send(within(t), long); err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		buf := make([]byte, 65536)
		_ = c.from.SetReadDeadline(time.Now().Add(60 * time.Second))
		n, _, err := c.from.ReadFrom(buf)
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		if n > 2000 {
			t.Errorf("%s: %d octets, want 2000 at most", what, n)
		}
		check(what, string(buf[:n]))
	}
	id := dnstest.NewIdentity(t, "127.0.0.1")
	for _, scheme := range []string{"tcp", "tls"} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		if scheme == "tls" {
			l = serverTLS(t, l, id)
		}
		got := make(chan string, 1)
		go func() {
			defer close(got)
			conn, err := l.Accept()
			if err != nil {
				return
			}
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(60 * time.Second))
			all, _ := io.ReadAll(conn)
			got <- string(all)
		}()
		c := config(notify.Syslog)
		c.Syslog.Address, c.TLS.CAFile = scheme+"://"+l.Addr().String(), id.CAFile
		if err := sender(t, c).Send(within(t), sample()); err != nil {
			t.Errorf("%s: %v", scheme, err)
			continue
		}
		text := <-got
		length, message, _ := strings.Cut(text, " ")
		if length != fmt.Sprint(len(message)) {
			t.Errorf("%s: length %s before %d octets", scheme, length, len(message))
		}
		check(scheme, message)
	}
	conf.Syslog.Address = "unix://" + filepath.Join(t.TempDir(), "none")
	if err := sender(t, conf).Send(within(t), sample()); err == nil {
		t.Error("nobody there, and no error")
	}
}

func TestAProgramGetsTheNotification(t *testing.T) {
	dir := t.TempDir()
	script := filepath.Join(dir, "told")
	if err := os.WriteFile(script, []byte("#!/bin/sh\nread -r line; printf '%s|%s|%s' \"$1\" \"$WEIR_ALERT_ID\" \"$line\" >\""+dir+"/got\"; env >\""+dir+"/env\"; exit $2\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	conf := config(notify.Exec)
	conf.Exec.Command = []string{script, "a b; $(id)", "0"}
	t.Setenv("SECRET_OF_WEIR", "x")
	if err := sender(t, conf).Send(within(t), sample()); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(dir, "got"))
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.SplitN(string(got), "|", 3)
	var n alert.Notification
	if len(parts) != 3 || parts[0] != "a b; $(id)" || parts[1] != "0123456789abcdef-1" || json.Unmarshal([]byte(parts[2]), &n) != nil || n.Alert.Rule != "infected" {
		t.Errorf("it got %s", got)
	}
	if env, err := os.ReadFile(filepath.Join(dir, "env")); err != nil || strings.Contains(string(env), "SECRET_OF_WEIR") {
		t.Errorf("its environment (%v): %s", err, env)
	}
	conf.Exec.Command[2] = "3"
	if err := sender(t, conf).Send(within(t), sample()); err == nil || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("a program that fails: %v", err)
	}
	conf.Exec.Command = []string{"/bin/sh", "-c", "exec sleep 600"}
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	if err := sender(t, conf).Send(ctx, sample()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a program that hangs: %v", err)
	}
	// What it started hangs too: nothing of it goes on.
	pid := filepath.Join(dir, "pid")
	conf.Exec.Command = []string{"/bin/sh", "-c", "sleep 600 & echo $! > " + pid + ".tmp; mv " + pid + ".tmp " + pid + "; wait"}
	ctx, cancel = context.WithCancel(context.Background())
	defer cancel()
	go func() {
		defer cancel()
		for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
			if _, err := os.Stat(pid); err == nil {
				return
			}
		}
	}()
	if err := sender(t, conf).Send(ctx, sample()); err == nil {
		t.Error("a program whose child hangs: no error")
	}
	text, err := os.ReadFile(pid)
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); alive(strings.TrimSpace(string(text))); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("what the program started goes on after it was killed")
		}
	}
	conf.Exec.Command = []string{filepath.Join(dir, "none")}
	if err := sender(t, conf).Send(within(t), sample()); err == nil {
		t.Error("no program, and no error")
	}
}

func TestEveryMistakeIsNamed(t *testing.T) {
	for want, change := range map[string]func(c *notify.Config){
		"kind: must be one of":           func(c *notify.Config) { c.Kind = "pigeon" },
		"name: must":                     func(c *notify.Config) { c.Name = "No" },
		"timeout: must":                  func(c *notify.Config) { c.Timeout = 0 },
		"retry_max: must":                func(c *notify.Config) { c.RetryMax = 0 },
		"max_waiting: must":              func(c *notify.Config) { c.MaxWaiting = 0 },
		"max_age: must":                  func(c *notify.Config) { c.MaxAge = 0 },
		"url: webhook needs one":         func(c *notify.Config) { c.URL = "" },
		"url: either":                    func(c *notify.Config) { c.URLFile = "x" },
		"url: must be like":              func(c *notify.Config) { c.URL = "ftp://x" },
		"url: must not hold":             func(c *notify.Config) { c.URL = "https://user:hunter2@x" },
		"format: must":                   func(c *notify.Config) { c.Format = "xml" },
		"tls.cert_file: ":                func(c *notify.Config) { c.TLS.CertFile = "x" },
		"token_file: pagerduty":          func(c *notify.Config) { c.Kind = notify.PagerDuty },
		"chat: telegram":                 func(c *notify.Config) { c.Kind = notify.Telegram },
		"mail.server: ":                  func(c *notify.Config) { c.Kind = notify.Mail },
		"mail.from: ":                    func(c *notify.Config) { c.Kind = notify.Mail; c.Mail.Server = "x:25" },
		"mail.to: ":                      func(c *notify.Config) { c.Kind = notify.Mail },
		"mail.to[0]: ":                   func(c *notify.Config) { c.Kind = notify.Mail; c.Mail.To = []string{"x\ny"} },
		"mail.security: ":                func(c *notify.Config) { c.Kind = notify.Mail; c.Mail.Security = "" },
		"mail.user: ":                    func(c *notify.Config) { c.Kind = notify.Mail; c.Mail.User = "x" },
		"syslog.address: ":               func(c *notify.Config) { c.Kind = notify.Syslog; c.Syslog.Address = "udp://x" },
		"syslog.facility: ":              func(c *notify.Config) { c.Kind = notify.Syslog; c.Syslog.Facility = "mail" },
		"exec.command: must be a progra": func(c *notify.Config) { c.Kind = notify.Exec; c.Exec.Command = []string{"sh"} },
	} {
		c := config(notify.Webhook)
		c.URL = "https://hooks.example/x"
		change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("want %q, got %v", want, err)
		}
	}
	c := config(notify.Slack)
	c.URLFile = secret(t, "no url, but hunter2")
	if _, err := notify.New(c); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("a file without a URL: %v", err)
	}
}

// alive says whether a process runs; one that nobody has waited for yet does not.
func alive(pid string) bool {
	stat, err := os.ReadFile("/proc/" + pid + "/stat")
	return err == nil && !strings.Contains(string(stat), ") Z ")
}
