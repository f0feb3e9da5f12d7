package rpz_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/internal/dnstest"
	"github.com/weirdns/weir/rpz"
)

// A real Unbound takes the zone, and does to each name what weir would.
func TestUnboundEnforcesTheZone(t *testing.T) {
	unbound, err := exec.LookPath("unbound")
	if err != nil {
		t.Skip("unbound is not installed (Debian: unbound)")
	}
	upstream := dnstest.NewServer(t, ".", "@ SOA ns admin 1 3600 600 86400 60\n"+
		"*.example.com. A 198.51.100.1\n*.example.net. A 198.51.100.1\n*.example.org. A 198.51.100.1\n"+
		"listed.example.org. A 203.0.113.9\nfine.bad.example.com. A 198.51.100.1\n*.fine.bad.example.com. A 198.51.100.1\nok.wild.example.net. A 198.51.100.1\n")
	s := newSite(t, map[string]string{"watched": detect.ModeMonitor}, everything()...)
	zone, _ := s.zone(t, func(z *rpz.Zone) {
		z.Extras = []rpz.Extra{{Name: dnsname.MustParse("generated.example.org"), Action: detect.NXDOMAIN}}
	})
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	port := freePort(t)
	host, upPort, _ := net.SplitHostPort(upstream.Addr())
	conf := write("unbound.conf", fmt.Sprintf(`
server:
  interface: 127.0.0.1
  port: %d
  username: ""
  chroot: ""
  directory: %q
  pidfile: ""
  use-syslog: no
  do-daemonize: no
  do-not-query-localhost: no
  module-config: "respip iterator"
  num-threads: 1
forward-zone:
  name: "."
  forward-addr: %s@%s
rpz:
  name: rpz.test
  zonefile: %q
remote-control:
  control-enable: no
`, port, dir, host, upPort, write("rpz.zone", zone)))
	var log strings.Builder
	cmd := exec.Command(unbound, "-d", "-p", "-c", conf)
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stop := func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // killed
	}
	defer stop()
	addr := fmt.Sprintf("127.0.0.1:%d", port)
	ask := func(name string, qtype uint16) (string, error) {
		m := new(dns.Msg)
		m.SetQuestion(name, qtype)
		c := dns.Client{Timeout: 5 * time.Second}
		r, _, err := c.Exchange(m, addr)
		if err != nil {
			return "", err
		}
		var data []string
		for _, rr := range r.Answer {
			data = append(data, strings.TrimPrefix(rr.String(), rr.Header().String()))
		}
		sort.Strings(data)
		return strings.TrimSpace(dns.RcodeToString[r.Rcode] + " " + strings.Join(data, " ")), nil
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if _, err := ask("clean.example.com.", dns.TypeA); err == nil {
			break
		}
		if time.Now().After(deadline) {
			stop()
			t.Fatalf("unbound does not answer\n%s", log.String())
		}
	}
	for _, c := range []struct {
		name  string
		qtype uint16
		want  string
	}{
		{"clean.example.com.", dns.TypeA, "NOERROR 198.51.100.1"},
		{"bad.example.com.", dns.TypeA, "NOERROR 0.0.0.0"},
		{"www.bad.example.com.", dns.TypeAAAA, "NOERROR ::"},
		{"fine.bad.example.com.", dns.TypeA, "NOERROR 198.51.100.1"},
		{"www.fine.bad.example.com.", dns.TypeA, "NOERROR 198.51.100.1"},
		{"x.below.example.com.", dns.TypeA, "NOERROR 0.0.0.0"},
		{"below.example.com.", dns.TypeA, "NOERROR 198.51.100.1"},
		{"exact.example.com.", dns.TypeA, "NOERROR 0.0.0.0"},
		{"nx.example.net.", dns.TypeA, "NXDOMAIN"},
		{"nodata.example.net.", dns.TypeA, "NOERROR"},
		{"garden.example.net.", dns.TypeA, "NOERROR 192.0.2.80"},
		{"garden.example.net.", dns.TypeAAAA, "NOERROR 2001:db8::80"},
		{"x.wild.example.net.", dns.TypeA, "NXDOMAIN"},
		{"ok.wild.example.net.", dns.TypeA, "NOERROR 198.51.100.1"},
		{"watched.example.org.", dns.TypeA, "NOERROR 198.51.100.1"},
		{"a.generated.example.org.", dns.TypeA, "NXDOMAIN"},
		{"listed.example.org.", dns.TypeA, "NOERROR 0.0.0.0"},
	} {
		got, err := ask(c.name, c.qtype)
		if err != nil || got != c.want {
			t.Errorf("%s %s: %s, %v; want %s", c.name, dns.TypeToString[c.qtype], got, err, c.want)
		}
	}
	stop()
	if t.Failed() || strings.Contains(log.String(), "error") {
		t.Errorf("unbound said\n%s", log.String())
	}
}

// freePort is a port that nobody has at the moment, for UDP and TCP.
func freePort(t *testing.T) int {
	t.Helper()
	for {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := l.Addr().(*net.TCPAddr).Port
		u, err := net.ListenPacket("udp", fmt.Sprintf("127.0.0.1:%d", port))
		_ = l.Close()
		if err == nil {
			_ = u.Close()
			return port
		}
	}
}
