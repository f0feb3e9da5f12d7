package resolver_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/quic-go/quic-go"

	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/internal/dnstest"
	"github.com/weirdns/weir/resolver"
)

// Codes of RFC 9250, section 4.3.
const (
	doqProtocolError = 2
	doqExcessiveLoad = 4
)

// overQUIC starts a resolver that listens over QUIC too.
func overQUIC(t *testing.T, up *fakeUpstream, j *judge, change func(*resolver.Config)) (*server, *dnstest.Identity) {
	t.Helper()
	id := dnstest.NewIdentity(t, "127.0.0.1")
	s := start(t, up, j, func(c *resolver.Config) {
		c.ListenQUIC = []string{"127.0.0.1:0"}
		c.TLS = resolver.TLSConfig{CertFile: id.CertFile, KeyFile: id.KeyFile}
		if change != nil {
			change(c)
		}
	})
	return s, id
}

// dialQUIC connects from a socket of its own, which ends with the test.
func dialQUIC(t *testing.T, id *dnstest.Identity, addr string) (*quic.Conn, error) {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	tr := &quic.Transport{Conn: pc}
	t.Cleanup(func() { tr.Close(); pc.Close() })
	conf := roots(t, id)
	conf.NextProtos = []string{"doq"}
	to, err := net.ResolveUDPAddr("udp", addr)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	c, err := tr.Dial(ctx, to, conf, nil)
	if err == nil {
		t.Cleanup(func() { _ = c.CloseWithError(0, "") })
	}
	return c, err
}

func mustDialQUIC(t *testing.T, id *dnstest.Identity, addr string) *quic.Conn {
	t.Helper()
	c, err := dialQUIC(t, id, addr)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// sendQUIC writes octets on a stream of their own, ends it, and returns all that
// comes back.
func sendQUIC(t *testing.T, c *quic.Conn, octets []byte) ([]byte, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	st, err := c.OpenStreamSync(ctx)
	if err != nil {
		return nil, err
	}
	_ = st.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := st.Write(octets); err != nil {
		return nil, err
	}
	_ = st.Close()
	return io.ReadAll(st)
}

func askQUIC(t *testing.T, c *quic.Conn, m *dns.Msg) (*dns.Msg, []byte, error) {
	t.Helper()
	got, err := sendQUIC(t, c, frame(t, m))
	if err != nil {
		return nil, nil, err
	}
	if len(got) < 2 || int(binary.BigEndian.Uint16(got)) != len(got)-2 {
		t.Fatalf("got %x, want one message with its length", got)
	}
	r := new(dns.Msg)
	return r, got[2:], r.Unpack(got[2:])
}

func quicEvents(t *testing.T, s *server, event string) float64 {
	t.Helper()
	return gathered(t, s.registry)[`weir_quic_events_total{event="`+event+`"}`]
}

func denied(t *testing.T, s *server) float64 {
	t.Helper()
	return gathered(t, s.registry)[`weir_dns_not_served_total{reason="denied"}`]
}

func frame(t *testing.T, m *dns.Msg) []byte {
	t.Helper()
	wire, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(wire))), wire...)
}

func queryQUIC(name string) *dns.Msg {
	m := new(dns.Msg).SetQuestion(name, dns.TypeA)
	m.Id = 0
	return m
}

func TestDoQAnswers(t *testing.T) {
	s, id := overQUIC(t, answersA("www.example. 300 A 192.0.2.1"), nil, nil)
	c := mustDialQUIC(t, id, s.resolver.AddrsQUIC()[0])
	for range 2 { // from upstream, and from the cache
		r, _, err := askQUIC(t, c, queryQUIC("www.example."))
		if err != nil || r.Id != 0 || len(r.Answer) != 1 {
			t.Fatalf("%v\n%s", err, r)
		}
	}
	m := queryQUIC("www.example.")
	m.SetEdns0(1232, false)
	r, wire, err := askQUIC(t, c, m)
	if err != nil || len(wire)%468 != 0 || r.IsEdns0() == nil {
		t.Errorf("%v, %d octets with EDNS: want a multiple of 468\n%s", err, len(wire), r)
	}
	if got := s.sink.lines(); len(got) != 3 || !strings.HasPrefix(got[0], "doq ") {
		t.Errorf("recorded %q, want three over doq", got)
	}
	if v := gathered(t, s.registry)[`weir_dns_requests_total{family="4",proto="doq",qtype="A"}`]; v != 3 {
		t.Errorf("%v requests counted over doq, want 3", v)
	}
	if v := gauge(t, s.registry, "weir_quic_connections"); v != 1 {
		t.Errorf("%v connections, want 1", v)
	}
}

// A slow answer does not hold up others on its connection, and more queries than
// may be worked on at once are all answered.
func TestDoQStreamsAreIndependent(t *testing.T) {
	release := make(chan struct{})
	up := &fakeUpstream{answer: func(q *dns.Msg) (*dns.Msg, error) {
		if q.Question[0].Name == "slow.example." {
			<-release
		}
		return zone("slow.example. 300 A 192.0.2.1", "www.example. 300 A 192.0.2.1")(q)
	}}
	s, id := overQUIC(t, up, nil, func(c *resolver.Config) { c.QUIC.MaxStreams = 4 })
	c := mustDialQUIC(t, id, s.resolver.AddrsQUIC()[0])
	slow := make(chan error, 1)
	go func() {
		_, _, err := askQUIC(t, c, queryQUIC("slow.example."))
		slow <- err
	}()
	waitFor(t, "the slow question", func() bool { return up.asked.Load() == 1 })
	var wg sync.WaitGroup
	for range 40 {
		wg.Go(func() {
			if r, _, err := askQUIC(t, c, queryQUIC("www.example.")); err != nil || len(r.Answer) != 1 {
				t.Errorf("%v, %v", r, err)
			}
		})
	}
	wg.Wait()
	close(release)
	if err := <-slow; err != nil {
		t.Error(err)
	}
}

// What RFC 9250, section 4.3.3, calls an error ends the connection with
// DOQ_PROTOCOL_ERROR.
func TestDoQProtocolErrors(t *testing.T) {
	s, id := overQUIC(t, answersA("www.example. 300 A 192.0.2.1"), nil, nil)
	good := frame(t, queryQUIC("www.example."))
	withID := queryQUIC("www.example.")
	withID.Id = 7
	keepalive := queryQUIC("www.example.")
	keepalive.SetEdns0(1232, false)
	keepalive.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_TCP_KEEPALIVE{Code: dns.EDNS0TCPKEEPALIVE}}
	response := queryQUIC("www.example.")
	response.Response = true
	for name, octets := range map[string][]byte{
		"an ID":                  frame(t, withID),
		"two queries":            append(append([]byte{}, good...), good...),
		"an octet more":          append(append([]byte{}, good...), 0),
		"half a query":           good[:len(good)-3],
		"half a length":          good[:1],
		"nothing":                nil,
		"a length of 0":          {0, 0},
		"less than a header":     {0, 3, 0, 0, 0},
		"more than a query has":  append([]byte{0xff, 0xff}, make([]byte, 5000)...),
		"edns-tcp-keepalive":     frame(t, keepalive),
		"a response":             frame(t, response),
		"a length of nearly 64K": {0xff, 0xfe, 0, 0},
	} {
		before := quicEvents(t, s, "protocol")
		c := mustDialQUIC(t, id, s.resolver.AddrsQUIC()[0])
		got, err := sendQUIC(t, c, octets)
		var app *quic.ApplicationError
		if !errors.As(err, &app) || !app.Remote || app.ErrorCode != doqProtocolError {
			t.Errorf("%s: got %x, %v; want DOQ_PROTOCOL_ERROR", name, got, err)
		}
		if n := quicEvents(t, s, "protocol"); n != before+1 {
			t.Errorf("%s: counted %v times", name, n-before)
		}
	}
	// Malformed inside is DNS's own error.
	q := good[2:]
	c := mustDialQUIC(t, id, s.resolver.AddrsQUIC()[0])
	if got, err := sendQUIC(t, c, append([]byte{0, 14}, q[:14]...)); err != nil || len(got) < 14 || got[5]&0xf != dns.RcodeFormatError {
		t.Errorf("malformed: got %x, %v; want FORMERR", got, err)
	}
	// A server takes no other kind of stream.
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := c.OpenUniStreamSync(ctx); err == nil {
		t.Error("a unidirectional stream may be opened")
	}
}

// What policy drops gets no answer, and the connection lives on.
func TestDoQDropsAStreamOnly(t *testing.T) {
	j := &judge{inspect: func(_ *detect.Query, v *detect.Verdict) {
		v.Action, v.Origin, v.Enforced, v.Answer = detect.Drop, detect.OriginBlockList, true, &detect.BlockAnswer{}
	}}
	s, id := overQUIC(t, answersA("www.example. 300 A 192.0.2.1"), j, nil)
	c := mustDialQUIC(t, id, s.resolver.AddrsQUIC()[0])
	for range 2 {
		var reset *quic.StreamError
		if got, err := sendQUIC(t, c, frame(t, queryQUIC("www.example."))); !errors.As(err, &reset) || len(got) != 0 {
			t.Errorf("got %x, %v; want the stream reset", got, err)
		}
	}
}

// Queries that never come whole are given up, and do not keep others out.
func TestDoQSlowQueriesAreGivenUp(t *testing.T) {
	s, id := overQUIC(t, answersA("www.example. 300 A 192.0.2.1"), nil, func(c *resolver.Config) {
		c.QUIC.MaxStreams, c.TCP.MessageTimeout = 3, 200*time.Millisecond
	})
	c := mustDialQUIC(t, id, s.resolver.AddrsQUIC()[0])
	for range 3 {
		st, err := c.OpenStreamSync(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = st.Write([]byte{0, 30, 0, 0, 1})
	}
	if r, _, err := askQUIC(t, c, queryQUIC("www.example.")); err != nil || len(r.Answer) != 1 {
		t.Errorf("after three that hang: %v, %v", r, err)
	}
	waitFor(t, "three given up", func() bool { return quicEvents(t, s, "incomplete") == 3 })
}

// A client that has nothing to ask is sent away, also if it sends packets.
func TestDoQIdleConnectionsEnd(t *testing.T) {
	s, id := overQUIC(t, answersA("www.example. 300 A 192.0.2.1"), nil, func(c *resolver.Config) { c.QUIC.IdleTimeout = 300 * time.Millisecond })
	conf := roots(t, id)
	conf.NextProtos = []string{"doq"}
	c, err := quic.DialAddr(t.Context(), s.resolver.AddrsQUIC()[0], conf, &quic.Config{KeepAlivePeriod: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseWithError(0, "")
	select {
	case <-c.Context().Done():
	case <-time.After(30 * time.Second):
		t.Fatal("still open")
	}
	waitFor(t, "no connection", func() bool { return gauge(t, s.registry, "weir_quic_connections") == 0 })
}

// One client gets its share of the connections, all get no more than there are,
// and what ended makes room.
func TestDoQConnectionLimits(t *testing.T) {
	s, id := overQUIC(t, answersA("www.example. 300 A 192.0.2.1"), nil, func(c *resolver.Config) { c.QUIC.MaxConnsPerClient = 2 })
	addr := s.resolver.AddrsQUIC()[0]
	ask := func(c *quic.Conn) error {
		_, _, err := askQUIC(t, c, queryQUIC("www.example."))
		return err
	}
	var open []*quic.Conn
	for range 2 {
		c := mustDialQUIC(t, id, addr)
		if err := ask(c); err != nil {
			t.Fatal(err)
		}
		open = append(open, c)
	}
	c, err := dialQUIC(t, id, addr)
	if err == nil {
		err = ask(c)
	}
	var app *quic.ApplicationError
	if !errors.As(err, &app) || app.ErrorCode != doqExcessiveLoad {
		t.Errorf("third connection: %v, want DOQ_EXCESSIVE_LOAD", err)
	}
	if n := quicEvents(t, s, "refused"); n != 1 {
		t.Errorf("%v refused, want 1", n)
	}
	_ = open[0].CloseWithError(0, "")
	waitFor(t, "a place", func() bool { return gauge(t, s.registry, "weir_quic_connections") == 1 })
	if err := ask(mustDialQUIC(t, id, addr)); err != nil {
		t.Errorf("after one has ended: %v", err)
	}
}

// With many handshakes under way, who is new must show its address first.
func TestDoQAsksForProofOfTheAddress(t *testing.T) {
	s, id := overQUIC(t, answersA("www.example. 300 A 192.0.2.1"), nil, func(c *resolver.Config) {
		c.QUIC.RetryAbove, c.QUIC.MaxConnsPerClient = 3, 1 // whose place the half-open ones, from the same address, do not take
	})
	addr := s.resolver.AddrsQUIC()[0]
	// First packets from addresses that never answer.
	halfOpen(t, addr, 6)
	waitFor(t, "three half open", func() bool { return gauge(t, s.registry, "weir_quic_connections") == 3 })
	waitFor(t, "three asked", func() bool { return quicEvents(t, s, "retry") >= 3 })
	if r, _, err := askQUIC(t, mustDialQUIC(t, id, addr), queryQUIC("www.example.")); err != nil || len(r.Answer) != 1 {
		t.Errorf("a true client: %v, %v", r, err)
	}
	waitFor(t, "the half-open ones to be given up", func() bool {
		return quicEvents(t, s, "handshake") == 3
	})
}

// halfOpen begins n handshakes and goes silent.
func halfOpen(t *testing.T, addr string, n int) {
	t.Helper()
	to, err := net.ResolveUDPAddr("udp", addr)
	if err != nil {
		t.Fatal(err)
	}
	for range n {
		pc, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		m := &mute{PacketConn: pc}
		tr := &quic.Transport{Conn: m}
		t.Cleanup(func() { tr.Close(); pc.Close() })
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		conf := roots(t, &dnstest.Identity{CAFile: os.DevNull})
		conf.NextProtos = []string{"doq"}
		_, _ = tr.Dial(ctx, to, conf, nil)
		cancel()
	}
}

// mute is a socket that hears nothing.
type mute struct{ net.PacketConn }

func (m *mute) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		if n, from, err := m.PacketConn.ReadFrom(b); err != nil {
			return n, from, err
		}
	}
}

// A stranger hears nothing, not even that there is somebody, and a reload puts
// out who is connected.
func TestDoQStrangersAreNotHeard(t *testing.T) {
	s, id := overQUIC(t, answersA("www.example. 300 A 192.0.2.1"), nil, nil)
	addr := s.resolver.AddrsQUIC()[0]
	c := mustDialQUIC(t, id, addr)
	if _, _, err := askQUIC(t, c, queryQUIC("www.example.")); err != nil {
		t.Fatal(err)
	}
	cfg := resolver.DefaultConfig()
	cfg.Upstream.Servers = []string{"192.0.2.53"}
	cfg.Allow = []string{"10.0.0.0/8"}
	if err := s.resolver.Swap(cfg, s.up); err != nil {
		t.Fatal(err)
	}
	st, err := c.OpenStreamSync(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	asked := s.up.asked.Load()
	_ = st.SetDeadline(time.Now().Add(300 * time.Millisecond)) // in which nothing must come
	_, _ = st.Write(frame(t, queryQUIC("other.example.")))
	_ = st.Close()
	if got, err := io.ReadAll(st); err == nil || len(got) > 0 || s.up.asked.Load() != asked {
		t.Errorf("got %x, %v after the reload", got, err)
	}
	raw, err := net.Dial("udp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	before := denied(t, s)
	// A version that nobody has, which a server answers with those that it has.
	_, _ = raw.Write(append([]byte{0xc0, 0x1a, 0x2a, 0x3a, 0x4a, 8, 1, 2, 3, 4, 5, 6, 7, 8, 0}, make([]byte, 1300)...))
	waitFor(t, "the datagram to be denied", func() bool {
		return denied(t, s) > before
	})
	_ = raw.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
	if n, err := raw.Read(make([]byte, 1500)); err == nil {
		t.Errorf("a stranger got %d octets", n)
	}
	if _, err := dialQUICFor(t, id, addr, 300*time.Millisecond); err == nil {
		t.Error("a stranger has a connection")
	}
}

func dialQUICFor(t *testing.T, id *dnstest.Identity, addr string, d time.Duration) (*quic.Conn, error) {
	conf := roots(t, id)
	conf.NextProtos = []string{"doq"}
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	return quic.DialAddr(ctx, addr, conf, nil)
}

// Asking and giving up at once is no way to have more asked than one connection
// may (rapid reset): a stream counts until its query is done with.
func TestDoQRapidResets(t *testing.T) {
	up := &fakeUpstream{answer: zone("www.example. 300 A 192.0.2.1"), hold: make(chan struct{})}
	s, id := overQUIC(t, up, nil, func(c *resolver.Config) { c.QUIC.MaxStreams = 8 })
	c := mustDialQUIC(t, id, s.resolver.AddrsQUIC()[0])
	// As many as are let in while the time lasts.
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	sent := 0
	for ; sent < 1000; sent++ {
		st, err := c.OpenStreamSync(ctx)
		if err != nil {
			break
		}
		_, _ = st.Write(frame(t, queryQUIC(fmt.Sprintf("n%d.example.", sent))))
		_ = st.Close()
		st.CancelRead(3)
	}
	if n := up.asked.Load(); sent != 8 || n > 8 {
		t.Errorf("%d streams, %d questions upstream; want 8 at most", sent, n)
	}
	close(up.hold)
	if r, _, err := askQUIC(t, c, queryQUIC("www.example.")); err != nil || len(r.Answer) != 1 {
		t.Errorf("afterwards: %v, %v", r, err)
	}
}

// Queries under way at the end get their answers.
func TestDoQShutdownAnswersWhatIsUnderWay(t *testing.T) {
	up := &fakeUpstream{answer: zone("www.example. 300 IN A 192.0.2.1"), hold: make(chan struct{})}
	s, id := overQUIC(t, up, nil, nil)
	c := mustDialQUIC(t, id, s.resolver.AddrsQUIC()[0])
	got := make(chan error, 1)
	go func() {
		r, _, err := askQUIC(t, c, queryQUIC("www.example."))
		if err == nil && len(r.Answer) != 1 {
			err = errors.New(r.String())
		}
		got <- err
	}()
	waitFor(t, "the question", func() bool { return gauge(t, s.registry, "weir_dns_pending") == 1 })
	stopped := make(chan struct{})
	go func() { s.stop(); close(stopped) }()
	close(up.hold)
	if err := <-got; err != nil {
		t.Error(err)
	}
	<-stopped
	<-c.Context().Done()
	var app *quic.ApplicationError
	if err := context.Cause(c.Context()); !errors.As(err, &app) || app.ErrorCode != 0 {
		t.Errorf("the connection ended with %v, want DOQ_NO_ERROR", err)
	}
}

// A renewed certificate is shown to new connections.
func TestDoQShowsTheRenewedCertificate(t *testing.T) {
	s, id := overQUIC(t, answersA("www.example. 300 A 192.0.2.1"), nil, nil)
	other := dnstest.NewIdentity(t, "127.0.0.1")
	cfg := resolver.DefaultConfig()
	cfg.Upstream.Servers = []string{"192.0.2.53"}
	cfg.ListenQUIC, cfg.TLS = []string{"127.0.0.1:0"}, resolver.TLSConfig{CertFile: other.CertFile, KeyFile: other.KeyFile}
	if err := s.resolver.Swap(cfg, s.up); err != nil {
		t.Fatal(err)
	}
	addr := s.resolver.AddrsQUIC()[0]
	if _, _, err := askQUIC(t, mustDialQUIC(t, other, addr), queryQUIC("www.example.")); err != nil {
		t.Errorf("with the new CA: %v", err)
	}
	if _, err := dialQUIC(t, id, addr); err == nil {
		t.Error("the old certificate is still shown")
	}
}

// Nothing but DoQ is spoken.
func TestDoQWantsItsOwnProtocol(t *testing.T) {
	s, id := overQUIC(t, answersA("www.example. 300 A 192.0.2.1"), nil, nil)
	conf := roots(t, id)
	conf.NextProtos = []string{"h3"}
	if c, err := quic.DialAddr(t.Context(), s.resolver.AddrsQUIC()[0], conf, nil); err == nil {
		_ = c.CloseWithError(0, "")
		t.Error("a connection for HTTP/3 was taken")
	}
}

func TestQUICConfigSaysAllThatIsWrong(t *testing.T) {
	c := resolver.DefaultConfig()
	c.Upstream.Servers = []string{"192.0.2.53"}
	c.ListenQUIC = []string{"here", "127.0.0.1:53", "127.0.0.1:5300"}
	c.QUIC = resolver.QUICConfig{RetryAbove: -1, IdleTimeout: time.Millisecond}
	err := c.Validate()
	for _, want := range []string{
		"listen_quic[0]: must be IP:port", "listen_quic[1]: not port 53", "listen_quic[2]: 127.0.0.1:5300 is taken by UDP",
		"tls.cert_file: needed", "quic.max_conns: must be", "quic.max_conns_per_client: must", "quic.max_streams: must",
		"quic.retry_above: must", "quic.idle_timeout: must",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in %v", want, err)
		}
	}
}

// A client that is not ours.
func TestKdigSpeaksQUICToUs(t *testing.T) {
	kdig, err := exec.LookPath("kdig")
	if err != nil {
		t.Skip("kdig is not there: install knot-dnsutils")
	}
	// All know +quic, but not all are built with it, and those ask over UDP or TCP.
	if libs, err := exec.CommandContext(t.Context(), "ldd", kdig).CombinedOutput(); err != nil || !strings.Contains(string(libs), "ngtcp2") {
		t.Skip("this kdig is built without QUIC")
	}
	s, id := overQUIC(t, answersA("www.example. 300 A 192.0.2.1"), nil, nil)
	_, port, _ := net.SplitHostPort(s.resolver.AddrsQUIC()[0])
	out, err := exec.CommandContext(t.Context(), kdig, "@127.0.0.1", "-p", port, "www.example.", "A", "+quic",
		"+tls-ca="+id.CAFile, "+tls-hostname=127.0.0.1", "+time=20").CombinedOutput()
	for _, want := range []string{"192.0.2.1", "QUIC", "PADDING"} {
		if err != nil || !strings.Contains(string(out), want) {
			t.Errorf("%v: no %q in\n%s", err, want, out)
		}
	}
}

// dnspython asks over aioquic, which has nothing in common with our library.
func TestDnspythonSpeaksQUICToUs(t *testing.T) {
	if err := exec.CommandContext(t.Context(), "python3", "-c", "import aioquic, dns.query; dns.query.quic").Run(); err != nil {
		t.Skip("no python3 with dnspython and aioquic (pip install 'dnspython[doq]')")
	}
	s, id := overQUIC(t, answersA("www.example. 300 A 192.0.2.1"), nil, nil)
	_, port, _ := net.SplitHostPort(s.resolver.AddrsQUIC()[0])
	const script = `
import sys, dns.edns, dns.message, dns.query, dns.quic
host, port, ca = "127.0.0.1", int(sys.argv[1]), sys.argv[2]
q = dns.message.make_query("www.example.", "A", use_edns=0)
r = dns.query.quic(q, host, port=port, verify=ca, server_hostname=host, timeout=25)
print("one:", r.answer[0], "id", r.id, "options", [int(o.otype) for o in r.options])
with dns.quic.SyncQuicManager(verify_mode=ca, server_name=host) as m:
    c = m.connect(host, port)
    for i in range(20):
        q = dns.message.make_query("www.example.", "A")
        r = dns.query.quic(q, host, port=port, connection=c, timeout=25)
        assert len(r.answer) == 1, r
print("twenty on one connection")
`
	out, err := exec.CommandContext(t.Context(), "python3", "-c", script, port, id.CAFile).CombinedOutput()
	for _, want := range []string{"one: www.example. 300 IN A 192.0.2.1 id 0 options [12]", "twenty on one connection"} {
		if err != nil || !strings.Contains(strings.ReplaceAll(string(out), " 299 ", " 300 "), want) {
			t.Errorf("%v: no %q in\n%s", err, want, out)
		}
	}
}
