package faults

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/weirdns/weir/internal/dnstest"
)

// inBackground runs a load while the test does something, and returns how to
// wait for its outcome.
func inBackground(t *testing.T, addr string, rate, n int, name func(int) string) (wait func() *outcome) {
	t.Helper()
	done := make(chan *outcome, 1)
	go func() { done <- load(t, addr, rate, n, name) }()
	return func() *outcome { return <-done }
}

func TestE16ReloadsUnderLoad(t *testing.T) {
	t.Parallel()
	up := server(t)
	list := filepath.Join(t.TempDir(), "list.txt")
	var names strings.Builder
	for i := range pick(1000000, 20000) {
		fmt.Fprintf(&names, "bad%d.example\n", i)
	}
	if err := os.WriteFile(list, []byte(names.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	w := start(t, options{upstreams: []*dnstest.Server{up}, more: "lists:\n  - {name: big, file: " + list + "}\n"})
	reloads, rate, seconds := pick(100, 5), pick(2000, 300), pick(60, 4)
	load(t, w.addr, 500, 500, among(500, "example.com."))
	calm := load(t, w.addr, rate, rate*pick(10, 1), among(500, "example.com.")) // what the machine itself does
	before := w.rss()
	wait := inBackground(t, w.addr, rate, rate*seconds, among(500, "example.com."))
	for range reloads {
		w.signal(syscall.SIGHUP)
		time.Sleep(time.Duration(seconds) * time.Second / time.Duration(reloads))
	}
	o := wait()
	if o.lost() != 0 {
		t.Errorf("%d of %d queries lost by reloads, want none", o.lost(), o.sent)
	}
	figure(t, "E16", "0 lost, worst 50 ms", o.lost() == 0 && o.quantile(1) <= 50*time.Millisecond,
		"%d reloads under %d/s with a list of %d: %d lost, worst %s (without reloads %s), memory %.0f to %.0f MiB",
		reloads, rate, strings.Count(names.String(), "\n"), o.lost(), o.quantile(1), calm.quantile(1), before, w.rss())
}

func TestE17BadConfigurationOnReload(t *testing.T) {
	t.Parallel()
	up := server(t)
	o := options{upstreams: []*dnstest.Server{up}}
	w := start(t, o)
	w.write(o.text() + "nonsense: [1, 2\n")
	w.signal(syscall.SIGHUP)
	for end := time.Now().Add(20 * time.Second); w.metric("weir_config_reload_total", `result="rejected"`) != 1; {
		if time.Now().After(end) {
			t.Fatal("a rejected reload is not counted")
		}
		time.Sleep(10 * time.Millisecond)
	}
	if r, _ := ask(t, "udp", w.addr, "www.example.com."); r == nil || len(r.Answer) != 1 {
		t.Errorf("after a bad reload: %v, want the old configuration to serve", r)
	}
	figure(t, "E17", "the old one stays, metric and log say why", true, "old configuration served, 1 rejected reload counted")
}

func TestE18RestartUnderLoad(t *testing.T) {
	t.Parallel()
	up := server(t)
	first := start(t, options{upstreams: []*dnstest.Server{up}})
	rate, seconds := pick(1000, 200), pick(6, 3)
	load(t, first.addr, 500, 200, among(200, "example.com."))
	wait := inBackground(t, first.addr, rate, rate*seconds, among(200, "example.com."))
	time.Sleep(time.Duration(seconds) * time.Second / 3)
	// The same state folder, so the second must wait for the first.
	first.stop()
	second := start(t, options{upstreams: []*dnstest.Server{up}, listen: first.addr, state: first.state})
	o := wait()
	second.logged("cache loaded")
	down := float64(o.lost()) / float64(rate)
	if o.answered == 0 || o.answered < o.sent/4 {
		t.Errorf("%d of %d answered over a restart", o.answered, o.sent)
	}
	figure(t, "E18", "plain restart: what it is down for, once", down < 1,
		"%d of %d queries lost: %.0f ms without service; the cache was there again", o.lost(), o.sent, 1000*down)
}

// A service manager holds the sockets while one weir goes and the next comes.
func TestE18RestartWithInheritedSockets(t *testing.T) {
	t.Parallel()
	up := server(t)
	addr, files := sockets(t)
	with := options{upstreams: []*dnstest.Server{up}, listen: addr, files: files, shell: "export LISTEN_PID=$$ LISTEN_FDS=2"}
	first := start(t, with)
	rate, seconds := pick(1000, 200), pick(6, 3)
	load(t, addr, 500, 200, among(200, "example.com."))
	wait := inBackground(t, addr, rate, rate*seconds, among(200, "example.com."))
	time.Sleep(time.Duration(seconds) * time.Second / 3)
	first.stop()
	with.state = first.state
	c, err := net.DialTimeout("tcp", addr, 10*time.Second) // nobody is there
	if err != nil {
		t.Fatalf("between two processes no connection is taken: %v", err)
	}
	defer c.Close()
	start(t, with)
	o := wait()
	if o.lost() != 0 {
		t.Errorf("%d of %d queries lost over a restart with the sockets kept, want none", o.lost(), o.sent)
	}
	conn := &dns.Conn{Conn: c}
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	if err := conn.WriteMsg(new(dns.Msg).SetQuestion("n1.example.com.", dns.TypeA)); err != nil {
		t.Fatal(err)
	}
	if m, err := conn.ReadMsg(); err != nil || len(m.Answer) != 1 {
		t.Errorf("the connection that was made meanwhile is not served: %v", err)
	}
	figure(t, "E18b", "with inherited sockets: 0 lost", o.lost() == 0, "%d of %d queries lost, slowest %s", o.lost(), o.sent, o.quantile(1))
}

// sockets are UDP and TCP on one port, as a service manager opens them.
func sockets(t *testing.T) (addr string, files []*os.File) {
	t.Helper()
	for {
		p, err := net.ListenPacket("udp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		l, err := net.Listen("tcp4", p.LocalAddr().String())
		if err != nil {
			continue // the port is somebody's, over TCP
		}
		defer l.Close()
		u, err1 := p.(*net.UDPConn).File()
		f, err2 := l.(*net.TCPListener).File()
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		t.Cleanup(func() { u.Close(); f.Close() })
		return p.LocalAddr().String(), []*os.File{u, f}
	}
}

func TestE19WarmRestart(t *testing.T) {
	t.Parallel()
	up := server(t)
	first := start(t, options{upstreams: []*dnstest.Server{up}})
	n := pick(1000, 300)
	load(t, first.addr, 500, n, among(n, "example.com."))
	first.stop()
	up.Reset()
	second := start(t, options{upstreams: []*dnstest.Server{up}, state: first.state})
	second.logged("cache loaded")
	o := load(t, second.addr, 500, n, among(n, "example.com."))
	asked := len(up.Queries())
	if o.good != o.sent || asked > n/20 {
		t.Errorf("%d of %d answered, %d asked upstream, want none to speak of", o.good, o.sent, asked)
	}
	figure(t, "E19", "hit rate within 5 points of before", asked <= n/20, "hit rate 100 %% before, %.1f %% after", 100*(1-float64(asked)/float64(n)))
}

func TestE22FewDescriptors(t *testing.T) {
	t.Parallel()
	up := server(t)
	w := start(t, options{upstreams: []*dnstest.Server{up}, shell: "ulimit -n 256", resolver: "  tcp: {max_conns: 1000, max_conns_per_client: 1000, idle_timeout: 2s}"})
	load(t, w.addr, 200, 50, among(50, "example.com."))
	var conns []net.Conn
	for range 400 {
		if c, err := net.DialTimeout("tcp", w.addr, time.Second); err == nil {
			conns = append(conns, c)
		}
	}
	o := load(t, w.addr, 200, pick(1000, 200), among(50, "example.com."))
	for _, c := range conns {
		_ = c.Close() // they did their part
	}
	if o.good != o.sent {
		t.Errorf("without descriptors %d of %d cached names answered over UDP, want all", o.good, o.sent)
	}
	recovered := false
	for end := time.Now().Add(20 * time.Second); !recovered && time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		r, _ := ask(t, "tcp", w.addr, "n1.example.com.")
		recovered = r != nil && len(r.Answer) == 1
	}
	if !recovered {
		t.Error("20 s after the connections are gone TCP does not work again")
	}
	figure(t, "E22", "UDP unaffected, TCP recovers", o.good == o.sent && recovered, "%d connections against 256 descriptors: %d of %d over UDP, p99 %s; TCP works again",
		len(conns), o.good, o.sent, o.quantile(.99))
}

func TestE23UniqueNames(t *testing.T) {
	t.Parallel()
	up := server(t)
	w := start(t, options{upstreams: []*dnstest.Server{up}, resolver: "  cache: {max_bytes: 8MiB}"})
	n := pick(120000, 3000)
	set := func(i int) string { return fmt.Sprintf("w%d.example.com.", i%1000) }
	for range 3 {
		load(t, w.addr, 2000, 1000, set)
	}
	before := w.rss()
	wait := inBackground(t, w.addr, pick(3000, 1000), n, fresh("u", "flood.example."))
	o := wait()
	missesBefore := countBelow(up, "example.com.")
	again := load(t, w.addr, 2000, 1000, set)
	misses := countBelow(up, "example.com.") - missesBefore
	after := w.rss()
	if again.good != again.sent || o.lost() != 0 {
		t.Errorf("%d of %d of the working set and %d of %d of the flood answered, want all", again.good, again.sent, o.answered, o.sent)
	}
	figure(t, "E23", "never killed, working set at least 95 % hits, memory within the cap plus 64 MB",
		misses <= 50 && after-before <= 72, "%d unique names: working set %.1f %% hits, memory %.0f to %.0f MiB (cache cap 8)",
		n, 100*(1-float64(misses)/1000), before, after)
}

func countBelow(s *dnstest.Server, zone string) (n int) {
	for _, q := range s.Queries() {
		if strings.HasSuffix(strings.ToLower(q.Name), "."+zone) {
			n++
		}
	}
	return n
}

func TestE24JunkNames(t *testing.T) {
	t.Parallel()
	up := dnstest.NewServer(t)
	up.ScriptAll(below("junk.example.", dnstest.Drop(), anything(300)))
	w := start(t, options{upstreams: []*dnstest.Server{up}, silent: true})
	rate, seconds := pick(500, 200), pick(10, 3)
	load(t, w.addr, 200, 50, among(50, "cached.example."))
	junk := inBackground(t, w.addr, rate, rate*seconds, fresh("j", "junk.example."))
	time.Sleep(time.Second)
	other := inBackground(t, w.addr, 50, 50*(seconds-1), fresh("o", "other.example."))
	cached := load(t, w.addr, 100, 100*(seconds-1), among(50, "cached.example."))
	good, bad := other(), junk()
	if good.good != good.sent || cached.good != cached.sent {
		t.Errorf("%d of %d new and %d of %d cached names answered, want all", good.good, good.sent, cached.good, cached.sent)
	}
	if bad.lost() != 0 {
		t.Errorf("%d junk names without any answer, want SERVFAIL for each", bad.lost())
	}
	figure(t, "E24", "other new names 100 %, p99 under 100 ms, cached 100 %", good.good == good.sent && cached.good == cached.sent && good.quantile(.99) < 100*time.Millisecond,
		"%d junk names/s: other new names %d of %d, p99 %s; cached %d of %d, p99 %s", rate,
		good.good, good.sent, good.quantile(.99), cached.good, cached.sent, cached.quantile(.99))
}

// mutants are queries and answers with octets changed, cut and added.
func mutants(n int) (out [][]byte) {
	m := new(dns.Msg)
	m.SetQuestion("www.example.com.", dns.TypeA)
	m.SetEdns0(1232, true)
	query, _ := m.Pack() // of our own making
	m.Answer = []dns.RR{&dns.MX{Hdr: dns.RR_Header{Name: "www.example.com.", Rrtype: dns.TypeMX, Class: 1, Ttl: 1}, Mx: "mail.example.com."}}
	answer, _ := m.Pack()
	for i := range n {
		b := append([]byte{}, [][]byte{query, answer}[i%2]...)
		for range 1 + rand.IntN(4) {
			switch rand.IntN(4) {
			case 0:
				b = b[:rand.IntN(len(b)+1)]
			case 1:
				b = append(b, byte(rand.Uint32()))
			default:
				if len(b) > 0 {
					b[rand.IntN(len(b))] = byte(rand.Uint32())
				}
			}
		}
		out = append(out, b)
	}
	return out
}

func TestE25MalformedFloods(t *testing.T) {
	t.Parallel()
	up := server(t)
	w := start(t, options{upstreams: []*dnstest.Server{up}, silent: true})
	up.ScriptAll(below("broken.example.", func(x *dnstest.Exchange) {
		x.SendRaw(append([]byte{byte(x.ID >> 8), byte(x.ID)}, mutants(1)[0]...))
	}, anything(300)))
	load(t, w.addr, 200, 50, among(50, "canary.example."))
	before := w.rss()
	n, canaries := pick(30000, 2000), pick(600, 100)
	flood := make(chan struct{})
	go func() {
		defer close(flood)
		udp, err := net.Dial("udp", w.addr)
		if err != nil {
			t.Error(err)
			return
		}
		defer udp.Close()
		for i, b := range mutants(n) {
			_, _ = udp.Write(b)
			if i%100 == 0 { // and framed, on a connection of its own
				if tcp, err := net.Dial("tcp", w.addr); err == nil {
					_, _ = tcp.Write(append([]byte{byte(len(b) >> 8), byte(len(b))}, b...))
					_ = tcp.Close()
				}
				time.Sleep(25 * time.Millisecond) // 4,000 a second
			}
		}
	}()
	queries := load(t, w.addr, 80, canaries, fresh("q", "canary.example."))
	<-flood
	broken := inBackground(t, w.addr, 200, pick(6000, 200), fresh("b", "broken.example."))
	answers := load(t, w.addr, 40, canaries/5, fresh("a", "canary.example."))
	bad := broken()
	panics := w.metric("weir_panics_recovered_total", "")
	if queries.good != queries.sent || answers.good != answers.sent || panics != 0 {
		t.Errorf("%d of %d and %d of %d canaries answered, %v panics, want all and none", queries.good, queries.sent, answers.good, answers.sent, panics)
	}
	if bad.lost() != 0 {
		t.Errorf("%d questions with malformed answers got none, want SERVFAIL for each", bad.lost())
	}
	figure(t, "E25", "600 of 600, 120 of 120 canaries, 0 panics", queries.good == queries.sent && answers.good == answers.sent && panics == 0,
		"%d malformed queries: %d of %d canaries; %d malformed answers: %d of %d; 0 panics; memory %.0f to %.0f MiB",
		n, queries.good, queries.sent, bad.sent, answers.good, answers.sent, before, w.rss())
}

func TestE26TCPClients(t *testing.T) {
	t.Parallel()
	up := server(t)
	w := start(t, options{upstreams: []*dnstest.Server{up}, resolver: "  tcp: {max_conns: 500, max_conns_per_client: 400}"})
	calm := load(t, w.addr, 200, pick(1000, 200), among(50, "example.com."))
	from := func(ip string) (net.Conn, error) {
		d := net.Dialer{Timeout: 2 * time.Second, LocalAddr: &net.TCPAddr{IP: net.ParseIP(ip)}}
		return d.DialContext(context.Background(), "tcp", w.addr)
	}
	var conns []net.Conn
	defer func() {
		for _, c := range conns {
			_ = c.Close()
		}
	}()
	for i := range pick(5000, 600) {
		c, err := from("127.0.0.9")
		if err != nil {
			continue
		}
		conns = append(conns, c)
		switch i % 50 {
		case 1: // slow writers
			_, _ = c.Write([]byte{0, 40, 1})
		case 2: // never readers
			m := new(dns.Msg)
			m.SetQuestion("n1.example.com.", dns.TypeA)
			wire, _ := m.Pack()
			framed := append([]byte{0, byte(len(wire))}, wire...)
			_ = c.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
			for range 200 {
				if _, err := c.Write(framed); err != nil {
					break
				}
			}
		}
	}
	o := load(t, w.addr, 200, pick(1000, 200), among(50, "example.com."))
	var others sync.WaitGroup
	var mu sync.Mutex
	welcome := 0
	for i := range 10 {
		others.Go(func() {
			c, err := from(fmt.Sprintf("127.0.0.%d", 20+i))
			if err != nil {
				return
			}
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(lost))
			m := new(dns.Msg)
			m.SetQuestion("n1.example.com.", dns.TypeA)
			conn := &dns.Conn{Conn: c}
			if conn.WriteMsg(m) == nil {
				if r, err := conn.ReadMsg(); err == nil && len(r.Answer) == 1 {
					mu.Lock()
					welcome++
					mu.Unlock()
				}
			}
		})
	}
	others.Wait()
	if o.good != o.sent || welcome != 10 {
		t.Errorf("%d of %d over UDP, %d of 10 new TCP clients answered, want all", o.good, o.sent, welcome)
	}
	figure(t, "E26", "UDP p99 unchanged, other addresses connect, memory under 100 MB", welcome == 10 && w.rss() < 100 && o.quantile(.99) < calm.quantile(.99)+5*time.Millisecond,
		"%d connections of one address: UDP %d of %d, p99 %s (before: %s), 10 of 10 others served, memory %.0f MiB",
		len(conns), o.good, o.sent, o.quantile(.99), calm.quantile(.99), w.rss())
}
