package doctor_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/weirdns/weir/doctor"
)

// root is a file system with these files; a link is "-> TARGET".
func root(t *testing.T, files map[string]string) doctor.System {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		if to, ok := strings.CutPrefix(text, "-> "); ok {
			err = os.Symlink(to, path)
		} else {
			err = os.WriteFile(path, []byte(text), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return doctor.System{Root: dir, UID: 1000}
}

func ports(list ...string) (out []netip.AddrPort) {
	for _, s := range list {
		out = append(out, netip.MustParseAddrPort(s))
	}
	return out
}

// want checks grade, and words of text or fix.
func want(t *testing.T, what string, got doctor.Result, g doctor.Grade, words ...string) {
	t.Helper()
	if got.Grade != g {
		t.Errorf("%s: %+v, want %s", what, got, g)
	}
	for _, w := range words {
		if !strings.Contains(got.Text+"\n"+got.Fix, w) {
			t.Errorf("%s: no %q in %+v", what, w, got)
		}
	}
	if got.Grade == doctor.Fail && got.Fix == "" {
		t.Errorf("%s: %+v fails without a fix", what, got)
	}
}

const procHead = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"

func TestWhoHoldsThePort(t *testing.T) {
	s := root(t, map[string]string{
		"/proc/net/udp": procHead +
			"   1: 3500007F:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000   101        0 111 2 0 0\n" +
			"   2: 0100007F:14E9 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 333 2 0 0\n",
		"/proc/net/tcp": procHead + // a connection to port 53 holds nothing
			"   1: 0100000A:0035 0200000A:9C40 01 00000000:00000000 00:00000000 00000000     0        0 222 1 0\n",
		"/proc/net/udp6":  procHead + "   1: 00000000000000000000000000000000:1F90 00000000000000000000000000000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 444 2 0 0\n",
		"/proc/77/comm":   "systemd-resolve\n",
		"/proc/77/fd/5":   "-> socket:[111]",
		"/proc/88/comm":   "weir\n",
		"/proc/88/fd/9":   "-> socket:[333]",
		"/proc/self/none": "",
	})
	got := s.Ports(ports("0.0.0.0:53"), 0)
	want(t, "every address", got[0], doctor.Fail, "systemd-resolve (process 77)", "DNSStubListener=no")
	want(t, "an address of its own", s.Ports(ports("192.0.2.1:53"), 0)[0], doctor.OK, "free")
	want(t, "the same", s.Ports(ports("127.0.0.53:53"), 0)[0], doctor.Fail, "127.0.0.53:53 over udp")
	want(t, "weir's own", s.Ports(ports("127.0.0.1:5353"), 88)[0], doctor.OK, "held by weir")
	want(t, "another weir", s.Ports(ports("127.0.0.1:5353"), 99)[0], doctor.Fail, "weir (process 88)")
	want(t, "nobody to be seen", s.Ports(ports("127.0.0.1:8080"), 0)[0], doctor.Fail, "sudo weir doctor")
	want(t, "no /proc", doctor.System{Root: t.TempDir()}.Ports(ports("127.0.0.1:53"), 0)[0], doctor.Skip)
}

// What /proc of this machine says, with a socket of our own.
func TestThisProcessHoldsItsPort(t *testing.T) {
	if _, err := os.Stat("/proc/net/udp"); err != nil {
		t.Skip("there is no /proc here")
	}
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	got := doctor.System{}.Ports(ports(c.LocalAddr().String()), 0)
	want(t, "a socket of this test", got[0], doctor.Fail, fmt.Sprintf("(process %d)", os.Getpid()))
	want(t, "as weir's", doctor.System{}.Ports(ports(c.LocalAddr().String()), os.Getpid())[0], doctor.OK)
}

func TestPrivileges(t *testing.T) {
	status := func(caps string) string { return "Name:\tx\nCapEff:\t" + caps + "\n" }
	none := root(t, map[string]string{"/proc/self/status": status("0000000000000000"), "/proc/sys/net/ipv4/ip_unprivileged_port_start": "1024\n"})
	want(t, "none", none.Capabilities(ports("127.0.0.1:53")), doctor.Fail, "setcap", "user 1000")
	want(t, "a high port", none.Capabilities(ports("127.0.0.1:5300")), doctor.OK)
	bind := root(t, map[string]string{"/proc/self/status": status("0000000000000400")})
	want(t, "the capability", bind.Capabilities(ports("127.0.0.1:53")), doctor.OK)
	low := root(t, map[string]string{"/proc/self/status": status("0"), "/proc/sys/net/ipv4/ip_unprivileged_port_start": "53\n"})
	want(t, "a lower limit", low.Capabilities(ports("127.0.0.1:53")), doctor.OK)
	want(t, "no /proc", root(t, nil).Capabilities(ports("127.0.0.1:53")), doctor.Skip)
}

func TestResolvConf(t *testing.T) {
	conf := func(text string) doctor.System { return root(t, map[string]string{"/etc/resolv.conf": text}) }
	listen := ports("0.0.0.0:53")
	want(t, "weir", conf("nameserver 127.0.0.1\n").Resolved(listen)[0], doctor.OK, "asks weir")
	both := conf("nameserver 127.0.0.1\nnameserver 9.9.9.9\n").Resolved(listen)
	want(t, "another beside it", both[1], doctor.Warn, "9.9.9.9", "past all lists")
	want(t, "the stub", conf("nameserver 127.0.0.53\n").Resolved(listen)[0], doctor.OK, "systemd-resolved", "resolvectl")
	want(t, "somebody else", conf("nameserver 9.9.9.9\n").Resolved(listen)[0], doctor.OK, "9.9.9.9")
	want(t, "nobody", conf("search x\n").Resolved(listen)[0], doctor.Warn)
	want(t, "no file", root(t, nil).Resolved(listen)[0], doctor.Skip)
}

func TestSandbox(t *testing.T) {
	with := root(t, map[string]string{"/sys/kernel/security/lsm": "capability,landlock,yama\n"})
	want(t, "with", with.Sandbox(true), doctor.OK)
	want(t, "without", root(t, map[string]string{"/sys/kernel/security/lsm": "capability\n"}).Sandbox(true), doctor.Warn, "landlock")
	want(t, "off", with.Sandbox(false), doctor.OK)
	want(t, "not to be seen", root(t, nil).Sandbox(true), doctor.Skip)
}

func TestSecrets(t *testing.T) {
	s := root(t, map[string]string{"/etc/key": "x", "/etc/empty": ""})
	want(t, "everybody's", s.Secret("a.b", "/etc/key"), doctor.Warn, "chmod o= /etc/key")
	want(t, "empty", s.Secret("a.b", "/etc/empty"), doctor.Fail, "is empty")
	want(t, "missing", s.Secret("a.b", "/etc/none"), doctor.Fail, "a.b")
	if err := os.Chmod(filepath.Join(s.Root, "/etc/key"), 0o600); err != nil {
		t.Fatal(err)
	}
	want(t, "good", s.Secret("a.b", "/etc/key"), doctor.OK)
}

func TestClientsBehindOneAddress(t *testing.T) {
	c := func(name string, n uint64) doctor.Client { return doctor.Client{Name: name, Count: n} }
	want(t, "a gateway", doctor.Clients([]doctor.Client{c("172.17.0.1", 1950), c("10.0.0.2", 50)}, 2000), doctor.Warn, "98 %", "proxy_protocol")
	want(t, "many", doctor.Clients([]doctor.Client{c("10.0.0.1", 1000), c("10.0.0.2", 1000)}, 2000), doctor.OK)
	want(t, "only this machine", doctor.Clients([]doctor.Client{c("127.0.0.1", 2000)}, 2000), doctor.OK)
	want(t, "networks", doctor.Clients([]doctor.Client{c("10.0.0.0/24", 2000)}, 2000), doctor.Skip, "privacy")
	want(t, "few", doctor.Clients([]doctor.Client{c("10.0.0.1", 20)}, 20), doctor.Skip)
	want(t, "not counted", doctor.Clients(nil, 2000), doctor.Skip, "store:")
	want(t, "not kept", doctor.Clients([]doctor.Client{}, 2000), doctor.Skip)
}

func TestDisk(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	clock := time.Unix(0, 0)
	quick := func() time.Time { return clock }
	slow := func() time.Time { clock = clock.Add(2 * time.Second); return clock }
	limits := doctor.DiskLimits{Slow: time.Second}
	got := doctor.Disk(dir, limits, quick)
	for i, what := range []string{"permissions", "room", "speed"} {
		want(t, what, got[i], doctor.OK)
	}
	want(t, "slow", doctor.Disk(dir, limits, slow)[2], doctor.Warn, "2s")
	limits.WarnBytes = 1 << 62
	want(t, "little room", doctor.Disk(dir, limits, quick)[1], doctor.Warn, "MiB left")
	limits.FailBytes = 1 << 62
	want(t, "no room", doctor.Disk(dir, limits, quick)[1], doctor.Fail, "max_bytes")
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	want(t, "everybody's", doctor.Disk(dir, limits, quick)[0], doctor.Fail, "chmod o-w")
	want(t, "not there", doctor.Disk(filepath.Join(dir, "none"), limits, quick)[0], doctor.Skip)
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v (%v)", left, err)
	}
}

func TestDateOfAServer(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for what, c := range map[string]struct {
		date  string
		grade doctor.Grade
	}{
		"right":    {now.Format(http.TimeFormat), doctor.OK},
		"minutes":  {now.Add(10 * time.Minute).Format(http.TimeFormat), doctor.Warn},
		"hours":    {now.Add(-2 * time.Hour).Format(http.TimeFormat), doctor.Fail},
		"nonsense": {"x", doctor.Skip},
	} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Date", c.date) }))
		want(t, what, doctor.Date(t.Context(), s.Client(), s.URL, func() time.Time { return now }), c.grade)
		s.Close()
		want(t, "nobody", doctor.Date(t.Context(), http.DefaultClient, s.URL, time.Now), doctor.Skip)
	}
}

// upstream is a DNS server over UDP and TCP that answers as it is told to.
func upstream(t *testing.T, answer func(w dns.ResponseWriter, q *dns.Msg, udp bool)) netip.AddrPort {
	t.Helper()
	for range 20 { // a port that is free for both
		udp, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		tcp, err := net.Listen("tcp", udp.LocalAddr().String())
		if err != nil {
			udp.Close()
			continue
		}
		for _, s := range []*dns.Server{
			{PacketConn: udp, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) { answer(w, q, true) })},
			{Listener: tcp, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) { answer(w, q, false) })},
		} {
			started, done := make(chan struct{}), make(chan struct{})
			s.NotifyStartedFunc = func() { close(started) }
			go func() { defer close(done); _ = s.ActivateAndServe() }()
			<-started
			t.Cleanup(func() { _ = s.Shutdown(); <-done })
		}
		return netip.MustParseAddrPort(udp.LocalAddr().String())
	}
	t.Fatal("no port is free for both")
	return netip.AddrPort{}
}

var (
	signed = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	noon   = signed.Add(12 * time.Hour)
)

// honest answers as a good upstream.
func honest(w dns.ResponseWriter, q *dns.Msg, _ bool) {
	m := new(dns.Msg).SetReply(q)
	rr := func(text string) {
		r, err := dns.NewRR(text)
		if err != nil {
			panic(err)
		}
		m.Answer = append(m.Answer, r)
	}
	switch q.Question[0].Name {
	case ".":
		rr(". 86400 IN SOA a.root-servers.net. nstld.verisign-grs.com. 1 1800 900 604800 86400")
		rr(fmt.Sprintf(". 86400 IN RRSIG SOA 8 0 86400 %s %s 1 . AAAA", signed.Add(13*24*time.Hour).Format("20060102150405"), signed.Format("20060102150405")))
	case "com.":
		rr("com. 172800 IN NS a.gtld-servers.net.")
		rr("com. 172800 IN NS b.gtld-servers.net.")
	default:
		m.Rcode = dns.RcodeNameError
	}
	_ = w.WriteMsg(m)
}

func network() doctor.Network {
	return doctor.Network{Timeout: 30 * time.Second, Linger: 100 * time.Millisecond}
}

// examine asks one server, with nobody at the address where nobody is.
func examine(t *testing.T, server netip.AddrPort, now time.Time) map[string]doctor.Result {
	t.Helper()
	silent, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := network()
	n.Nobody = netip.MustParseAddrPort(silent.LocalAddr().String())
	silent.Close() // the port is refused at once
	out := map[string]doctor.Result{}
	for _, r := range n.Upstreams(context.Background(), []netip.AddrPort{server}, now) {
		if old, ok := out[r.Check]; !ok || r.Grade > old.Grade {
			out[r.Check] = r
		}
	}
	return out
}

func TestAnHonestUpstream(t *testing.T) {
	got := examine(t, upstream(t, honest), noon)
	for _, check := range []string{"hijack", "transports", "interception", "clock"} {
		want(t, check, got[check], doctor.OK)
		if got[check].Check == "" {
			t.Errorf("no word of %s", check)
		}
	}
}

func TestAHijackingUpstream(t *testing.T) {
	server := upstream(t, func(w dns.ResponseWriter, q *dns.Msg, udp bool) {
		if !strings.HasPrefix(q.Question[0].Name, "weir-") {
			honest(w, q, udp)
			return
		}
		m := new(dns.Msg).SetReply(q)
		rr, err := dns.NewRR(q.Question[0].Name + " 60 IN A 198.51.100.7")
		if err != nil {
			panic(err)
		}
		m.Answer = append(m.Answer, rr)
		_ = w.WriteMsg(m)
	})
	want(t, "an address for what is not there", examine(t, server, noon)["hijack"], doctor.Fail, "198.51.100.7", "tls://")
}

func TestAnInjectedAnswer(t *testing.T) {
	// Each question over UDP has two answers, so that nothing waits for a second.
	server := upstream(t, func(w dns.ResponseWriter, q *dns.Msg, udp bool) {
		honest(w, q, udp)
		if !udp {
			return
		}
		if !strings.HasPrefix(q.Question[0].Name, "weir-") {
			honest(w, q, udp)
			return
		}
		m := new(dns.Msg).SetReply(q)
		rr, err := dns.NewRR(q.Question[0].Name + " 60 IN A 198.51.100.7")
		if err != nil {
			panic(err)
		}
		m.Answer = append(m.Answer, rr)
		_ = w.WriteMsg(m)
	})
	n := network()
	n.Linger, n.Nobody = 30*time.Second, server
	for _, r := range n.Upstreams(t.Context(), []netip.AddrPort{server}, noon) {
		if r.Check == "hijack" {
			want(t, "two answers", r, doctor.Fail, "two different answers", "tls://")
		}
		if r.Check == "transports" {
			want(t, "the same twice", r, doctor.OK)
		}
	}
}

func TestSomebodyAnswersForNobody(t *testing.T) {
	server := upstream(t, honest)
	n := network()
	n.Nobody = server
	for _, r := range n.Upstreams(t.Context(), []netip.AddrPort{server}, noon) {
		if r.Check == "interception" {
			want(t, "interception", r, doctor.Fail, "where nobody is")
			return
		}
	}
	t.Error("no word of interception")
}

func TestTransportsThatDisagree(t *testing.T) {
	server := upstream(t, func(w dns.ResponseWriter, q *dns.Msg, udp bool) {
		if !udp && q.Question[0].Name == "com." {
			m := new(dns.Msg).SetReply(q)
			rr, err := dns.NewRR("com. 60 IN NS evil.example.")
			if err != nil {
				panic(err)
			}
			m.Answer = append(m.Answer, rr)
			_ = w.WriteMsg(m)
			return
		}
		honest(w, q, udp)
	})
	want(t, "another answer over TCP", examine(t, server, noon)["transports"], doctor.Fail, "UDP")
}

func TestTheClockAgainstTheRoot(t *testing.T) {
	server := upstream(t, honest)
	want(t, "behind", examine(t, server, signed.Add(-48*time.Hour))["clock"], doctor.Fail, "48h0m0s behind", "set-ntp")
	want(t, "ahead", examine(t, server, signed.Add(20*24*time.Hour))["clock"], doctor.Fail, "168h0m0s ahead")
	bare := upstream(t, func(w dns.ResponseWriter, q *dns.Msg, udp bool) { _ = w.WriteMsg(new(dns.Msg).SetReply(q)) })
	want(t, "without signatures", examine(t, bare, noon)["clock"], doctor.Skip)
	want(t, "neither a name nor a denial", examine(t, bare, noon)["hijack"], doctor.Warn, "NXDOMAIN would be right")
}

func TestOfflineSaysSo(t *testing.T) {
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead := netip.MustParseAddrPort(c.LocalAddr().String())
	c.Close()
	got := examine(t, dead, noon)
	want(t, "upstream", got["upstream"], doctor.Fail, "does not answer")
	want(t, "hijack", got["hijack"], doctor.Skip, "nothing can be said")
	want(t, "clock", got["clock"], doctor.Skip)
	if r := network().Upstreams(t.Context(), nil, noon); len(r) != 1 || r[0].Grade != doctor.Skip {
		t.Errorf("without plain servers: %+v", r)
	}
}
