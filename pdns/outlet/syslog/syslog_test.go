package syslog_test

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirdns/weir/internal/outlettest"
	"github.com/weirdns/weir/pdns/encode"
	"github.com/weirdns/weir/pdns/outlet"
	"github.com/weirdns/weir/pdns/outlet/syslog"
	"github.com/weirdns/weir/pdns/privacy"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func config(url string) syslog.Config {
	c := syslog.DefaultConfig()
	c.Name, c.URL, c.BatchInterval, c.BatchRows, c.Hostname = "test", url, 10*time.Millisecond, 100, "sensor-1"
	return c
}

func sink(t *testing.T, cfg syslog.Config) *syslog.Sink {
	t.Helper()
	s, err := syslog.New(cfg, privacy.Kept(privacy.DefaultConfig()))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// receiver keeps the messages that reached it.
type receiver struct {
	t    *testing.T
	take func(msg string) // nil: all are kept
	mu   sync.Mutex
	msgs []string
	wg   sync.WaitGroup
}

// stream reads what is framed by octet counting, and ends its side at the end.
func (r *receiver) stream(l net.Listener, secure *tls.Config) {
	if secure != nil {
		l = tls.NewListener(l, secure)
	}
	r.t.Cleanup(func() { l.Close(); r.wg.Wait() })
	r.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			r.wg.Go(func() { r.read(c) })
		}
	})
}

func (r *receiver) read(c net.Conn) {
	defer c.Close()
	in := bufio.NewReader(c)
	for {
		digits, err := in.ReadString(' ')
		if err != nil {
			return
		}
		n, err := strconv.Atoi(strings.TrimSuffix(digits, " "))
		if err != nil || n > 1<<20 {
			r.t.Errorf("a frame begins with %q", digits)
			return
		}
		msg := make([]byte, n)
		if _, err := io.ReadFull(in, msg); err != nil {
			return
		}
		r.add(string(msg))
	}
}

func (r *receiver) datagrams(c net.PacketConn) {
	r.t.Cleanup(func() { c.Close(); r.wg.Wait() })
	r.wg.Go(func() {
		buf := make([]byte, 1<<16)
		for {
			n, _, err := c.ReadFrom(buf)
			if err != nil {
				return
			}
			r.add(string(buf[:n]))
		}
	})
}

func (r *receiver) add(msg string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.take != nil {
		r.take(msg)
		return
	}
	r.msgs = append(r.msgs, msg)
}

func (r *receiver) all() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.msgs...)
}

var form = regexp.MustCompile(`^<(\d+)>1 (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z) sensor-1 weir - (dns|detection) \[weir@32473 weir_id="([0-9a-f]{32})"\] (.*)$`)

// identities reads messages strictly: the names that arrived, with their identities.
func identities(t *testing.T, msgs []string) map[string]string {
	t.Helper()
	names := map[string]string{}
	for _, m := range msgs {
		part := form.FindStringSubmatch(m)
		if part == nil {
			t.Errorf("%q is no message as RFC 5424 has it", m)
			continue
		}
		var row struct {
			ID     string `json:"weir_id"`
			Qname  string `json:"qname"`
			Client string `json:"client"`
		}
		if err := json.Unmarshal([]byte(part[5]), &row); err != nil {
			t.Errorf("%s: %v", part[5], err)
		}
		want := "dns 134" // local0.info
		if strings.Contains(part[5], `"origin":"model"`) {
			want = "detection 132" // local0.warning
		}
		if got := part[3] + " " + part[1]; got != want || row.ID != part[4] || row.Client != "192.0.2.0/24" {
			t.Errorf("%s of %s, want %s", got, m, want)
		}
		if old, ok := names[row.Qname]; ok && old != row.ID {
			t.Errorf("%s came as %s and as %s", row.Qname, old, row.ID)
		}
		names[row.Qname] = row.ID
	}
	return names
}

func listen(t *testing.T, network, addr string) net.Listener {
	t.Helper()
	l, err := net.Listen(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestEveryRowArrivesOnceOverStreams(t *testing.T) {
	cert, _, secure := outlettest.Certificate(t)
	for _, kind := range []string{"tcp", "tls", "unix"} {
		r := &receiver{t: t}
		cfg := config("unix://" + filepath.Join(t.TempDir(), "s"))
		if kind == "unix" {
			r.stream(listen(t, "unix", strings.TrimPrefix(cfg.URL, "unix://")), nil)
		} else {
			l := listen(t, "tcp", "127.0.0.1:0")
			cfg.URL = kind + "://" + l.Addr().String()
			if kind == "tls" {
				cfg.TLS.CAFile = cert
				r.stream(l, secure)
			} else {
				r.stream(l, nil)
			}
		}
		outlettest.Deliver(t, cfg.Config, sink(t, cfg), 250)
		if got := r.all(); len(got) != 250 || len(identities(t, got)) != 250 {
			t.Errorf("%s: %d messages of %d rows, want 250, each once", kind, len(got), len(identities(t, got)))
		}
	}
}

func TestEveryRowArrivesAsADatagramOfTheMachine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	c, err := net.ListenPacket("unixgram", path)
	if err != nil {
		t.Fatal(err)
	}
	r := &receiver{t: t}
	r.datagrams(c)
	cfg := config("unixgram://" + path)
	outlettest.Deliver(t, cfg.Config, sink(t, cfg), 250)
	for deadline := time.Now().Add(outlettest.Limit); len(r.all()) < 250 && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
	}
	if got := identities(t, r.all()); len(got) != 250 {
		t.Errorf("%d rows, want 250", len(got))
	}
}

func TestRowsAreDatagramsOverUDP(t *testing.T) {
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &receiver{t: t}
	r.datagrams(c)
	cfg := config("udp://" + c.LocalAddr().String())
	outlettest.Deliver(t, cfg.Config, sink(t, cfg), 20) // few enough for any buffer
	for deadline := time.Now().Add(outlettest.Limit); len(r.all()) < 20 && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
	}
	if got := identities(t, r.all()); len(got) != 20 {
		t.Errorf("%d rows, want 20", len(got))
	}
}

// A connection that is cut, in the middle of a message or behind all of them, costs
// duplicates and no row.
func TestCutConnectionsCostNoRow(t *testing.T) {
	l := listen(t, "tcp", "127.0.0.1:0")
	r := &receiver{t: t}
	r.stream(l, nil)
	p := outlettest.NewProxy(t, "tcp", l.Addr().String(), 4)
	cfg := config("tcp://" + p.Addr())
	outlettest.Deliver(t, cfg.Config, sink(t, cfg), 1500)
	if got := identities(t, r.all()); len(got) != 1500 || p.Cuts() == 0 {
		t.Errorf("%d rows after %d cuts, want 1500 after some", len(got), p.Cuts())
	}
}

// A receiver that has taken what was sent, and never says that it has read it, has
// not got it.
func TestSilentReceiverHasNothing(t *testing.T) {
	l := listen(t, "tcp", "127.0.0.1:0")
	p := outlettest.NewProxy(t, "tcp", l.Addr().String(), 0)
	p.Do(outlettest.Hang)
	t.Cleanup(func() { l.Close() })
	cfg := config("tcp://" + p.Addr())
	cfg.Timeout = time.Second
	o := outlettest.Start(t, cfg.Config, sink(t, cfg), 10)
	for deadline := time.Now().Add(outlettest.Limit); o.Stats().Failed == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("no failure is counted")
		}
	}
	r := &receiver{t: t}
	r.stream(l, nil)
	p.Do(outlettest.Pass)
	outlettest.Wait(t, o, 10)
	if got := identities(t, r.all()); len(got) != 10 {
		t.Errorf("%d rows, want 10", len(got))
	}
}

func TestUnconfirmedRowsGoToAReceiverThatNeverCloses(t *testing.T) {
	l := listen(t, "tcp", "127.0.0.1:0")
	p := outlettest.NewProxy(t, "tcp", l.Addr().String(), 0)
	p.Do(outlettest.Hang)
	t.Cleanup(func() { l.Close() })
	cfg := config("tcp://" + p.Addr())
	cfg.Confirm = false
	outlettest.Deliver(t, cfg.Config, sink(t, cfg), 10)
}

func TestLongMessageIsRefusedAlone(t *testing.T) {
	l := listen(t, "tcp", "127.0.0.1:0")
	r := &receiver{t: t}
	r.stream(l, nil)
	cfg := config("tcp://" + l.Addr().String())
	cfg.MaxMessageBytes = 820 // detections are longer
	st := outlettest.Deliver(t, cfg.Config, sink(t, cfg), 100)
	if st.Dropped["refused"] != 10 || len(identities(t, r.all())) != 90 {
		t.Errorf("%+v and %d rows, want 10 refused and 90", st, len(r.all()))
	}
}

func TestOtherFormatsAreMessages(t *testing.T) {
	for f := encode.Native; f.Valid(); f++ {
		l := listen(t, "tcp", "127.0.0.1:0")
		r := &receiver{t: t}
		r.stream(l, nil)
		cfg := config("tcp://" + l.Addr().String())
		cfg.Format = f
		outlettest.Deliver(t, cfg.Config, sink(t, cfg), 3)
		for _, m := range r.all() {
			part := form.FindStringSubmatch(m)
			if part == nil || part[5] == "" || strings.Contains(m, "\n") {
				t.Errorf("%v: %q", f, m)
			} else if f.JSON() && (!json.Valid([]byte(part[5])) || !strings.HasPrefix(part[5], fmt.Sprintf(`{"weir_id":%q,`, part[4]))) {
				t.Errorf("%v: %q is not JSON with weir_id in front", f, part[5])
			}
		}
	}
}

func TestValidateNamesEveryField(t *testing.T) {
	c := syslog.Config{URL: "udp://x", Format: 99, Facility: "local9", Hostname: "a b", DataID: "weir", TLS: outlet.TLSConfig{CAFile: "x"}}
	err := c.Validate()
	for _, want := range []string{"name: ", "url: ", "format: ", "facility: ", "hostname: ", "app_name: ", "data_id: ", "max_message_bytes: ", "tls: "} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q in it", err, want)
		}
	}
	for _, url := range []string{"tcp://h", "tcp://h:1/x", "unix://x/y", "http://h:1", "tcp://u:p@h:1", "tcp://h:1?x=y", ""} {
		if c := config(url); c.Validate() == nil {
			t.Errorf("%q is taken", url)
		}
	}
}
