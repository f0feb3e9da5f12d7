package resolver_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/weirdns/weir/internal/dnstest"
	"github.com/weirdns/weir/resolver"
)

// secure starts a resolver that listens over TLS and HTTPS too.
func secure(t *testing.T, up *fakeUpstream, change func(*resolver.Config)) (*server, *dnstest.Identity) {
	t.Helper()
	id := dnstest.NewIdentity(t, "127.0.0.1")
	s := start(t, up, nil, func(c *resolver.Config) {
		c.ListenTLS, c.ListenHTTPS = []string{"127.0.0.1:0"}, []string{"127.0.0.1:0"}
		c.TLS = resolver.TLSConfig{CertFile: id.CertFile, KeyFile: id.KeyFile}
		if change != nil {
			change(c)
		}
	})
	return s, id
}

func roots(t *testing.T, id *dnstest.Identity) *tls.Config {
	t.Helper()
	pem, err := os.ReadFile(id.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	return &tls.Config{RootCAs: pool, ServerName: "127.0.0.1"}
}

func browser(t *testing.T, id *dnstest.Identity, http2 bool) *http.Client {
	t.Helper()
	tr := &http.Transport{TLSClientConfig: roots(t, id), ForceAttemptHTTP2: http2}
	if !http2 {
		tr.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
	}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 20 * time.Second}
}

func answersA(up string) *fakeUpstream { return &fakeUpstream{answer: zone(up)} }

func TestDoTAnswers(t *testing.T) {
	s, id := secure(t, answersA("www.example. 300 A 192.0.2.1"), nil)
	c := dns.Client{Net: "tcp-tls", TLSConfig: roots(t, id), Timeout: 10 * time.Second}
	m := new(dns.Msg).SetQuestion("www.example.", dns.TypeA)
	m.SetEdns0(1232, false)
	m.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_PADDING{Padding: make([]byte, 20)}, &dns.EDNS0_TCP_KEEPALIVE{Code: dns.EDNS0TCPKEEPALIVE}}
	r, _, err := c.Exchange(m, s.resolver.AddrsTLS()[0])
	if err != nil {
		t.Fatal(err)
	}
	r.Compress = true
	wire, _ := r.Pack()
	if len(r.Answer) != 1 || len(wire)%468 != 0 {
		t.Errorf("%d octets, want a multiple of 468\n%s", len(wire), r)
	}
	keepalive := false
	for _, o := range r.IsEdns0().Option {
		if k, ok := o.(*dns.EDNS0_TCP_KEEPALIVE); ok {
			keepalive = k.Timeout == 100 // 10 s
		}
	}
	if !keepalive {
		t.Errorf("no keepalive of 10 s:\n%s", r)
	}
}

func doh(t *testing.T, c *http.Client, method, url, media string, body []byte) (*http.Response, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if media != "" {
		req.Header.Set("Content-Type", media)
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatalf("%s %.60s: %v", method, url, err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, got
}

const message = "application/dns-message"

func TestDoHAnswers(t *testing.T) {
	s, id := secure(t, answersA("www.example. 300 A 192.0.2.1"), nil)
	url := "https://" + s.resolver.AddrsHTTPS()[0] + "/dns-query"
	q := new(dns.Msg).SetQuestion("www.example.", dns.TypeA)
	q.Id = 0
	wire, _ := q.Pack()
	for _, http2 := range []bool{false, true} {
		c := browser(t, id, http2)
		for _, ask := range []struct{ method, url, media string }{
			{"POST", url, message},
			{"GET", url + "?dns=" + base64.RawURLEncoding.EncodeToString(wire), ""},
		} {
			body := wire
			if ask.method == "GET" {
				body = nil
			}
			resp, got := doh(t, c, ask.method, ask.url, ask.media, body)
			m := new(dns.Msg)
			if err := m.Unpack(got); err != nil || m.Id != 0 || len(m.Answer) != 1 {
				t.Errorf("%s: %v\n%s", ask.method, err, m)
			}
			if want := map[bool]int{false: 1, true: 2}[http2]; resp.ProtoMajor != want {
				t.Errorf("%s over HTTP/%d, want %d", ask.method, resp.ProtoMajor, want)
			}
			age := resp.Header.Get("Cache-Control")
			if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != message || age != "max-age=300" && age != "max-age=299" {
				t.Errorf("%s: status %d, headers %v", ask.method, resp.StatusCode, resp.Header)
			}
		}
	}
}

func TestDoHRefusesWithTheRightStatus(t *testing.T) {
	s, id := secure(t, answersA("www.example. 300 A 192.0.2.1"), nil)
	url := "https://" + s.resolver.AddrsHTTPS()[0] + "/dns-query"
	q, _ := new(dns.Msg).SetQuestion("www.example.", dns.TypeA).Pack()
	response := bytes.Clone(q)
	response[2] |= 0x80
	for _, tt := range []struct {
		name, method, url, media string
		body                     []byte
		want                     int
	}{
		{"another path", "POST", strings.Replace(url, "dns-query", "other", 1), message, q, 404},
		{"another method", "PUT", url, message, q, 405},
		{"another media type", "POST", url, "text/plain", q, 415},
		{"no media type", "POST", url, "", q, 415},
		{"media type with parameter", "POST", url, message + "; charset=x", q, 200},
		{"too large", "POST", url, message, make([]byte, 1<<17), 413},
		{"empty", "POST", url, message, nil, 400},
		{"eleven octets", "POST", url, message, q[:11], 400},
		{"a response", "POST", url, message, response, 400},
		{"GET without dns", "GET", url, "", nil, 400},
		{"GET with an empty one", "GET", url + "?dns=", "", nil, 400},
		{"GET with padding", "GET", url + "?dns=AAAA====", "", nil, 400},
		{"GET with a long one", "GET", url + "?dns=" + strings.Repeat("A", 12<<10), "", nil, 414},
		{"malformed inside", "POST", url, message, q[:14], 200},
	} {
		for _, http2 := range []bool{false, true} {
			resp, got := doh(t, browser(t, id, http2), tt.method, tt.url, tt.media, tt.body)
			if resp.StatusCode != tt.want {
				t.Errorf("%s: status %d, want %d", tt.name, resp.StatusCode, tt.want)
			}
			if tt.name == "malformed inside" && (len(got) < 12 || got[3]&0xf != dns.RcodeFormatError) {
				t.Errorf("%s: got %x, want FORMERR", tt.name, got)
			}
		}
	}
}

func TestDoHSlowAnswersAndShutdown(t *testing.T) {
	release := make(chan struct{})
	up := &fakeUpstream{answer: func(m *dns.Msg) (*dns.Msg, error) {
		<-release
		return zone("www.example. 300 A 192.0.2.1")(m)
	}}
	s, id := secure(t, up, nil)
	q, _ := new(dns.Msg).SetQuestion("www.example.", dns.TypeA).Pack()
	got := make(chan int, 1)
	c := browser(t, id, true)
	url := "https://" + s.resolver.AddrsHTTPS()[0] + "/dns-query"
	go func() {
		req, _ := http.NewRequestWithContext(context.Background(), "POST", url, bytes.NewReader(q))
		req.Header.Set("Content-Type", message)
		resp, err := c.Do(req)
		if err != nil {
			got <- 0
			return
		}
		resp.Body.Close()
		got <- resp.StatusCode
	}()
	waitFor(t, "the exchange", func() bool { return gauge(t, s.registry, "weir_dns_pending") == 1 })
	time.AfterFunc(100*time.Millisecond, func() { close(release) })
	s.stop()
	if status := <-got; status != 200 {
		t.Errorf("status %d, want the answer of the query under way", status)
	}
}

// Whoever is not allowed gets nothing, whatever the transport: not even a
// handshake.
func TestStrangersGetNothingOverAnyTransport(t *testing.T) {
	s, id := secure(t, answersA("www.example. 300 A 192.0.2.1"), func(c *resolver.Config) { c.Allow = []string{"192.0.2.0/24"} })
	for _, addr := range []string{s.addr, s.resolver.AddrsTLS()[0], s.resolver.AddrsHTTPS()[0]} {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil {
			t.Errorf("%s: got %d octets, %v; want a closed connection", addr, n, err)
		}
		c.Close()
	}
	if tc, err := tls.Dial("tcp", s.resolver.AddrsTLS()[0], roots(t, id)); err == nil {
		tc.Close()
		t.Error("a stranger got a TLS handshake")
	}
	if got := counter(t, s.registry, "weir_dns_not_served_total"); got < 4 {
		t.Errorf("%v denied, want 4", got)
	}
}

// Half a handshake or half a request is not waited for longer than half a
// message.
func TestSlowHandshakesAreCutOff(t *testing.T) {
	s, _ := secure(t, answersA("www.example. 300 A 192.0.2.1"), func(c *resolver.Config) { c.TCP.MessageTimeout = 200 * time.Millisecond })
	for _, addr := range []string{s.resolver.AddrsTLS()[0], s.resolver.AddrsHTTPS()[0]} {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = c.Write([]byte{0x16, 3, 1, 2, 0})
		_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
		if _, err := io.ReadAll(c); err != nil && os.IsTimeout(err) {
			t.Errorf("%s: still open", addr)
		}
		c.Close()
	}
	waitFor(t, "closed connections", func() bool { return gauge(t, s.registry, "weir_tcp_connections") == 0 })
}

func TestCertificateIsReadAgain(t *testing.T) {
	s, id := secure(t, answersA("www.example. 300 A 192.0.2.1"), nil)
	shown := func() string {
		c, err := tls.Dial("tcp", s.resolver.AddrsTLS()[0], &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return c.ConnectionState().PeerCertificates[0].SerialNumber.String()
	}
	first := shown()
	next := dnstest.NewIdentity(t, "127.0.0.1")
	cfg := resolver.DefaultConfig()
	cfg.Upstream.Servers = []string{"192.0.2.53"}
	cfg.ListenTLS = []string{"127.0.0.1:0"}
	cfg.TLS = resolver.TLSConfig{CertFile: id.CertFile, KeyFile: next.KeyFile}
	if err := s.resolver.Swap(cfg, s.up); err == nil {
		t.Error("a key of another certificate was taken")
	}
	if got := shown(); got != first {
		t.Error("a bad reload changed the certificate")
	}
	cfg.TLS.CertFile = next.CertFile
	if err := s.resolver.Swap(cfg, s.up); err != nil {
		t.Fatal(err)
	}
	if got := shown(); got == first {
		t.Error("the old certificate is still shown")
	}
}

// A certificate that has ended is no reason for plain DNS to stop, nor for a
// reload of other things to be refused; but it takes no better one's place.
func TestAnEndedCertificateStopsNothing(t *testing.T) {
	ended, good := dnstest.EndedIdentity(t, "127.0.0.1"), dnstest.NewIdentity(t, "127.0.0.1")
	s, _ := secure(t, answersA("www.example. 300 A 192.0.2.1"), func(c *resolver.Config) {
		c.TLS = resolver.TLSConfig{CertFile: ended.CertFile, KeyFile: ended.KeyFile}
	})
	if r := s.ask(t, "udp", "www.example.", dns.TypeA, nil); len(r.Answer) != 1 {
		t.Errorf("got %v, want an answer over plain DNS", r)
	}
	cfg := resolver.DefaultConfig()
	cfg.Upstream.Servers = []string{"192.0.2.53"}
	cfg.ListenTLS = []string{"127.0.0.1:0"}
	for _, step := range []struct {
		what  string
		id    *dnstest.Identity
		taken bool
	}{{"the same", ended, true}, {"a good one", good, true}, {"an ended one behind a good one", ended, false}} {
		cfg.TLS = resolver.TLSConfig{CertFile: step.id.CertFile, KeyFile: step.id.KeyFile}
		if err := s.resolver.Swap(cfg, s.up); (err == nil) != step.taken {
			t.Errorf("reload with %s: %v, want taken %v", step.what, err, step.taken)
		}
	}
	cfg.TLS = resolver.TLSConfig{CertFile: ended.CertFile, KeyFile: ended.KeyFile}
	if err := cfg.CheckFiles(); err == nil || !strings.Contains(err.Error(), "ended on") {
		t.Errorf("CheckFiles = %v, want it to say that the certificate has ended", err)
	}
}

// proxyHeader is what a proxy sends for a client.
func proxyHeader(client string) []byte {
	a := net.ParseIP(client).To4()
	h := append([]byte("\r\n\r\n\x00\r\nQUIT\n"), 0x21, 0x11, 0, 12)
	h = append(append(h, a...), 127, 0, 0, 1)
	return binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(h, 4242), 53)
}

// Behind a trusted proxy the client is whom the proxy names, for the ACL too,
// over UDP, TCP and TLS.
func TestProxiedClients(t *testing.T) {
	s, id := secure(t, answersA("www.example. 300 A 192.0.2.1"), func(c *resolver.Config) {
		c.ProxyProtocol = []string{"127.0.0.1"}
		c.Allow = []string{"198.51.100.0/24"}
	})
	q, _ := new(dns.Msg).SetQuestion("www.example.", dns.TypeA).Pack()
	framed := append(binary.BigEndian.AppendUint16(nil, uint16(len(q))), q...)
	for _, tt := range []struct {
		name   string
		header []byte
		ok     bool
	}{
		{"allowed", proxyHeader("198.51.100.7"), true},
		{"not allowed", proxyHeader("203.0.113.7"), false},
		{"no header", nil, false},
		{"cut header", proxyHeader("198.51.100.7")[:15], false},
	} {
		for _, network := range []string{"udp", "tcp", "tls"} {
			addr, msg := s.addr, framed
			switch network {
			case "udp":
				msg = q
			case "tls":
				addr = s.resolver.AddrsTLS()[0]
			}
			c, err := net.Dial(strings.Replace(network, "tls", "tcp", 1), addr)
			if err != nil {
				t.Fatal(err)
			}
			wait := 20 * time.Second
			if !tt.ok {
				wait = 300 * time.Millisecond // in which nothing must come
			}
			_ = c.SetDeadline(time.Now().Add(wait))
			if network == "udp" {
				_, _ = c.Write(append(bytes.Clone(tt.header), msg...))
			} else {
				_, _ = c.Write(tt.header)
				if network == "tls" {
					c = tls.Client(c, roots(t, id))
				}
				_, _ = c.Write(msg)
			}
			n, err := c.Read(make([]byte, 512))
			if got := n > 2 && err == nil; got != tt.ok {
				t.Errorf("%s over %s: %d octets, %v; want an answer: %v", tt.name, network, n, err, tt.ok)
			}
			c.Close()
		}
	}
}

func TestKdigSpeaksToUs(t *testing.T) {
	kdig, err := exec.LookPath("kdig")
	if err != nil {
		t.Skip("kdig is not there: install knot-dnsutils")
	}
	s, id := secure(t, answersA("www.example. 300 A 192.0.2.1"), nil)
	_, plain, _ := net.SplitHostPort(s.addr)
	_, dot, _ := net.SplitHostPort(s.resolver.AddrsTLS()[0])
	_, https, _ := net.SplitHostPort(s.resolver.AddrsHTTPS()[0])
	for _, tt := range []struct {
		name string
		args []string
		want []string
	}{
		{"DoT", []string{"-p", dot, "+tls-ca=" + id.CAFile, "+tls-hostname=127.0.0.1", "+padding=128"}, []string{"192.0.2.1", "PADDING", "TLS session"}},
		{"DoH", []string{"-p", https, "+https", "+tls-ca=" + id.CAFile, "+tls-hostname=127.0.0.1"}, []string{"192.0.2.1", "HTTP session"}},
		{"DoH by GET", []string{"-p", https, "+https-get", "+tls-ca=" + id.CAFile, "+tls-hostname=127.0.0.1"}, []string{"192.0.2.1", "HTTP session"}},
		{"cookie", []string{"-p", plain, "+cookie=0011223344556677"}, []string{"192.0.2.1", "COOKIE: 0011223344556677"}},
		{"keepalive", []string{"-p", plain, "+tcp", "+keepopen", "+ednsopt=11"}, []string{"192.0.2.1"}},
	} {
		out, err := exec.CommandContext(t.Context(), kdig, append([]string{"@127.0.0.1", "www.example.", "A"}, tt.args...)...).CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s", tt.name, err, out)
			continue
		}
		for _, want := range tt.want {
			if !strings.Contains(string(out), want) {
				t.Errorf("%s: no %q in\n%s", tt.name, want, out)
			}
		}
	}
}

// A client that asks on and on and reads nothing does not keep its connection.
func TestDoHClientThatDoesNotReadIsCutOff(t *testing.T) {
	big := "big.example. 300 TXT " + strings.Repeat(`"`+strings.Repeat("x", 250)+`" `, 60)
	s, id := secure(t, answersA(big), func(c *resolver.Config) { c.TCP.MessageTimeout = 300 * time.Millisecond })
	cfg := roots(t, id)
	cfg.NextProtos = []string{"http/1.1"}
	c, err := tls.Dial("tcp", s.resolver.AddrsHTTPS()[0], cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.NetConn().(*net.TCPConn).SetReadBuffer(4096)
	wire, _ := new(dns.Msg).SetQuestion("big.example.", dns.TypeTXT).Pack()
	ask := []byte("GET /dns-query?dns=" + base64.RawURLEncoding.EncodeToString(wire) + " HTTP/1.1\r\nHost: x\r\n\r\n")
	go func() {
		for { // until the server has had enough
			if _, err := c.Write(ask); err != nil {
				return
			}
		}
	}()
	for deadline := time.Now().Add(time.Minute); gauge(t, s.registry, "weir_tcp_connections") > 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the connection is still open")
		}
	}
}

// A connection is no way around a reload that puts its client out.
func TestAReloadPutsOutWhoIsConnected(t *testing.T) {
	s, id := secure(t, answersA("www.example. 300 A 192.0.2.1"), nil)
	wire, _ := new(dns.Msg).SetQuestion("www.example.", dns.TypeA).Pack()
	framed := append(binary.BigEndian.AppendUint16(nil, uint16(len(wire))), wire...)
	conns := map[string]net.Conn{}
	var err error
	if conns["TCP"], err = net.Dial("tcp", s.addr); err != nil {
		t.Fatal(err)
	}
	if conns["DoT"], err = tls.Dial("tcp", s.resolver.AddrsTLS()[0], roots(t, id)); err != nil {
		t.Fatal(err)
	}
	asks := func(c net.Conn) error {
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		if _, err := c.Write(framed); err != nil {
			return err
		}
		_, err := io.ReadFull(c, make([]byte, 2+12))
		return err
	}
	url := "https://" + s.resolver.AddrsHTTPS()[0] + "/dns-query"
	browsers := map[string]*http.Client{"HTTP/1.1": browser(t, id, false), "HTTP/2": browser(t, id, true)}
	for over, c := range conns {
		defer c.Close()
		if err := asks(c); err != nil {
			t.Fatalf("%s before: %v", over, err)
		}
		_, _ = io.CopyN(io.Discard, c, int64(len(wire)-12+16)) // the rest: one A record
	}
	for over, c := range browsers {
		if resp, _ := doh(t, c, "POST", url, message, wire); resp.StatusCode != http.StatusOK {
			t.Fatalf("%s before: %s", over, resp.Status)
		}
	}
	cfg := resolver.DefaultConfig()
	cfg.Upstream.Servers = []string{"192.0.2.53"}
	cfg.Allow = []string{"10.0.0.0/8"}
	if err := s.resolver.Swap(cfg, s.up); err != nil {
		t.Fatal(err)
	}
	for over, c := range conns {
		if err := asks(c); err == nil {
			t.Errorf("%s: answered after the reload", over)
		}
	}
	for over, c := range browsers {
		req, _ := http.NewRequestWithContext(t.Context(), "POST", url, bytes.NewReader(wire))
		req.Header.Set("Content-Type", message)
		if resp, err := c.Do(req); err == nil {
			resp.Body.Close()
			if resp.StatusCode != http.StatusForbidden {
				t.Errorf("%s: %s after the reload", over, resp.Status)
			}
		}
	}
}
