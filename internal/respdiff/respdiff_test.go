// Package respdiff compares weir with Unbound and BIND: all three are asked the
// same of one signed zone that Knot DNS serves, and where the two agree, weir
// must say the same. It has no code of its own, and runs with WEIR_RESPDIFF=1
// (make respdiff) where the three daemons are installed.
package respdiff

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

const (
	names  = 2000
	origin = "respdiff.example."
)

// qtypes are what every name is asked for.
var qtypes = []uint16{
	dns.TypeA, dns.TypeAAAA, dns.TypeTXT, dns.TypeMX, dns.TypeNS,
	dns.TypeSOA, dns.TypeSRV, dns.TypeDS, dns.TypeHTTPS, 65400,
}

// zone makes the zone and the names to ask for: hosts, aliases that lead
// somewhere and nowhere, wildcards, empty names, odd labels, large record sets,
// unknown types, an alias for a subtree, and one name in five that is not there.
func zone() (text string, ask []string) {
	var z strings.Builder
	fmt.Fprintf(&z, "$ORIGIN %s\n$TTL 3600\n@ SOA ns host 1 3600 600 86400 300\n@ NS ns\nns A 127.0.0.1\n", origin)
	fmt.Fprintf(&z, "*.wild A 192.0.2.7\n*.wild TXT \"any\"\nold DNAME new\nnew A 192.0.2.8\na.new A 192.0.2.9\ndeep.empty.name A 192.0.2.1\n")
	ask = []string{"", "ns.", "x.wild.", "y.x.wild.", "a.old.", "b.old.", "old.", "empty.name.", "name.", "wild."}
	for i := len(ask); i < names; i++ {
		n := fmt.Sprintf("n%d", i)
		switch i % 20 {
		case 0, 1, 2, 3: // not there
		case 4:
			fmt.Fprintf(&z, "%s CNAME n%d\n", n, i+1)
		case 5:
			fmt.Fprintf(&z, "%s CNAME missing%d\n", n, i)
		case 6:
			fmt.Fprintf(&z, "%s TYPE65400 \\# 6 c00cc00cff%02x\n%s MX 10 ns\n", n, i%256, n)
		case 7:
			for k := range 40 {
				fmt.Fprintf(&z, "%s TXT \"%d%s\"\n", n, k, strings.Repeat("x", 80))
			}
		case 8:
			n = fmt.Sprintf(`o\.%d\032\255`, i)
			fmt.Fprintf(&z, "%s A 192.0.2.3\n", n)
		case 9:
			fmt.Fprintf(&z, "%s HTTPS 1 . alpn=h2 ipv4hint=192.0.2.4\n%s SRV 1 2 53 ns\n", n, n)
		case 10:
			n = fmt.Sprintf("y%d.x.wild", i)
		case 11:
			n = fmt.Sprintf("N%d.MiXed", i)
			fmt.Fprintf(&z, "%s AAAA 2001:db8::%x\n", n, i)
		case 12:
			fmt.Fprintf(&z, "%s CNAME c1.%s\nc1.%s CNAME c2.%s\nc2.%s CNAME ns\n", n, n, n, n, n)
		default:
			fmt.Fprintf(&z, "%s A 192.0.2.%d\n%s AAAA 2001:db8::1\n%s TXT \"%d\"\n", n, i%256, n, n, i)
		}
		ask = append(ask, n+".")
	}
	for i := range ask {
		ask[i] += origin
	}
	return z.String(), ask
}

// daemon is a server under comparison.
type daemon struct{ name, addr string }

func TestNoDifferenceWhereUnboundAndBINDAgree(t *testing.T) {
	if os.Getenv("WEIR_RESPDIFF") == "" {
		t.Skip("set WEIR_RESPDIFF=1 (make respdiff)")
	}
	for _, name := range []string{"knotd", "unbound", "named"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("%s is not installed", name)
		}
	}
	text, ask := zone()
	dir := t.TempDir()
	auth := knot(t, dir, text)
	daemons := []daemon{unbound(t, dir, auth), bind(t, dir, auth), weir(t, dir, auth)}

	// answers[d][i] is what daemon d says to question i.
	answers := make([][]string, len(daemons))
	var all sync.WaitGroup
	for d := range daemons {
		answers[d] = make([]string, len(ask)*len(qtypes))
		const clients = 8
		for c := range clients {
			all.Go(func() { askAll(t, daemons[d], ask, answers[d], c, clients) })
		}
	}
	all.Wait()
	agree, differ := 0, 0
	codes := map[string]int{} // of what they agree on
	for i := range answers[0] {
		if answers[0][i] != answers[1][i] {
			continue
		}
		agree++
		code, _, _ := strings.Cut(answers[0][i], " ")
		codes[code]++
		if answers[2][i] != answers[0][i] {
			if differ++; differ <= 10 {
				t.Errorf("%s %s: unbound and named say\n%s\nweir\n%s", ask[i/len(qtypes)], dns.Type(qtypes[i%len(qtypes)]), answers[0][i], answers[2][i])
			}
		}
	}
	t.Logf("%d questions; unbound and named agree on %d, weir differs on %d of these (%v)", len(answers[0]), agree, differ, codes)
	if codes["NOERROR"] < len(answers[0])/2 || codes["NXDOMAIN"] < len(answers[0])/10 {
		t.Errorf("the references agree on %v of %d only: something is wrong with them", codes, len(answers[0]))
	}
}

// askAll asks every clients-th question over TCP, from the first-th on.
func askAll(t *testing.T, d daemon, ask, out []string, first, clients int) {
	var conn *dns.Conn
	for i := first; i < len(out); i += clients {
		m := new(dns.Msg)
		m.SetQuestion(ask[i/len(qtypes)], qtypes[i%len(qtypes)])
		m.SetEdns0(1232, true)
		for try := 0; ; try++ {
			var r *dns.Msg
			var err error
			if conn == nil {
				conn, err = dns.DialTimeout("tcp", d.addr, 5*time.Second)
			}
			if err == nil {
				_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
				if err = conn.WriteMsg(m); err == nil {
					r, err = conn.ReadMsg()
				}
			}
			if err == nil {
				out[i] = digest(r)
				break
			}
			if conn != nil {
				_ = conn.Close()
				conn = nil
			}
			if try == 3 {
				t.Errorf("%s %s: %v", d.name, m.Question[0].Name, err)
				break
			}
		}
	}
	if conn != nil {
		_ = conn.Close()
	}
}

// digest is what an answer says, in a form to compare: response code, flags,
// question, the answer section in any order without TTLs, and the kinds of
// records of a denial.
func digest(m *dns.Msg) string {
	out := []string{fmt.Sprintf("%s tc=%v rd=%v ra=%v cd=%v", dns.RcodeToString[m.Rcode], m.Truncated, m.RecursionDesired, m.RecursionAvailable, m.CheckingDisabled)}
	for _, q := range m.Question {
		out = append(out, q.String())
	}
	var rrs []string
	for _, rr := range m.Answer {
		rr.Header().Ttl = 0
		rrs = append(rrs, strings.ToLower(rr.String()))
	}
	slices.Sort(rrs)
	out = append(out, slices.Compact(rrs)...)
	if len(m.Answer) == 0 {
		var kinds []string
		for _, rr := range m.Ns {
			kinds = append(kinds, dns.Type(rr.Header().Rrtype).String())
		}
		slices.Sort(kinds)
		out = append(out, "denied by "+strings.Join(slices.Compact(kinds), " "))
	}
	return strings.Join(out, "\n")
}

// free is a port of loopback that nobody had a moment ago.
func free(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// run starts a daemon and waits until it answers for the zone.
func run(t *testing.T, port int, name string, args ...string) daemon {
	t.Helper()
	cmd := exec.Command(name, args...)
	var log strings.Builder
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // nothing of it is kept
		_ = cmd.Wait()
	})
	d := daemon{filepath.Base(name), fmt.Sprintf("127.0.0.1:%d", port)}
	m := new(dns.Msg)
	m.SetQuestion(origin, dns.TypeSOA)
	m.SetEdns0(1232, true)
	for end := time.Now().Add(60 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if r, err := dns.Exchange(m, d.addr); err == nil && len(r.Answer) > 1 { // signed
			return d
		}
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	t.Fatalf("%s does not answer:\n%s", name, log.String())
	return d
}

func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// knot serves the zone and signs it. It returns its port.
func knot(t *testing.T, dir, zone string) int {
	port := free(t)
	dir = filepath.Join(dir, "knot")
	write(t, filepath.Join(dir, "zone"), zone)
	conf := write(t, filepath.Join(dir, "knot.conf"), fmt.Sprintf(`
server:
  rundir: %[1]s
  listen: 127.0.0.1@%[2]d
database:
  storage: %[1]s
log:
  - target: stderr
    any: warning
zone:
  - domain: %[3]s
    storage: %[1]s
    file: zone
    zonefile-sync: -1
    dnssec-signing: on
`, dir, port, origin))
	run(t, port, "knotd", "-c", conf)
	return port
}

func unbound(t *testing.T, dir string, auth int) daemon {
	port := free(t)
	conf := write(t, filepath.Join(dir, "unbound.conf"), fmt.Sprintf(`
server:
  username: ""
  chroot: ""
  directory: %q
  pidfile: ""
  use-syslog: no
  interface: 127.0.0.1@%d
  do-not-query-localhost: no
  module-config: "iterator"
  num-threads: 1
  incoming-num-tcp: 100
remote-control:
  control-enable: no
forward-zone:
  name: "."
  forward-addr: 127.0.0.1@%d
`, dir, port, auth))
	return run(t, port, "unbound", "-d", "-p", "-c", conf)
}

func bind(t *testing.T, dir string, auth int) daemon {
	port := free(t)
	conf := write(t, filepath.Join(dir, "named.conf"), fmt.Sprintf(`
options {
  directory %q;
  pid-file none;
  session-keyfile none;
  listen-on port %d { 127.0.0.1; };
  listen-on-v6 { none; };
  recursion yes;
  allow-query { any; };
  dnssec-validation no;
  qname-minimization off;
  forward only;
  forwarders { 127.0.0.1 port %d; };
};
controls { };
`, dir, port, auth))
	return run(t, port, "named", "-g", "-c", conf)
}

func weir(t *testing.T, dir string, auth int) daemon {
	bin := filepath.Join(dir, "weir")
	if out, err := exec.Command("go", "build", "-o", bin, "github.com/weirdns/weir/cmd/weir").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	port := free(t)
	return run(t, port, bin, "serve", "--listen", fmt.Sprintf("127.0.0.1:%d", port), "--admin", "",
		"--upstream", fmt.Sprintf("127.0.0.1:%d", auth), "--state", filepath.Join(dir, "state"))
}
