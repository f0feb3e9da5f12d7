package dnstest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// Identity is a key and a certificate for names and addresses, from a CA of its
// own.
type Identity struct {
	TLS      tls.Certificate
	CertFile string // PEM
	KeyFile  string // PEM
	CAFile   string // PEM
	Pin      string // SHA-256 of the public key, base64
}

// NewIdentity makes an Identity whose files end with the test.
func NewIdentity(t testing.TB, hosts ...string) *Identity {
	t.Helper()
	return newIdentity(t, time.Now().Add(24*time.Hour), hosts)
}

// EndedIdentity makes one whose certificate has ended.
func EndedIdentity(t testing.TB, hosts ...string) *Identity {
	t.Helper()
	return newIdentity(t, time.Now().Add(-time.Minute), hosts)
}

func newIdentity(t testing.TB, end time.Time, hosts []string) *Identity {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("dnstest: %v", err)
		}
	}
	key := func() *ecdsa.PrivateKey {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		must(err)
		return k
	}
	serial := func() *big.Int {
		n, err := rand.Int(rand.Reader, big.NewInt(1<<62))
		must(err)
		return n
	}
	caKey, leafKey := key(), key()
	ca := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "dnstest CA"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey)
	must(err)
	leaf := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "dnstest"},
		NotBefore: ca.NotBefore, NotAfter: end, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			leaf.IPAddresses = append(leaf.IPAddresses, ip)
		} else {
			leaf.DNSNames = append(leaf.DNSNames, h)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, ca, leafKey.Public(), caKey)
	must(err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(leafKey)
	must(err)
	parsed, err := x509.ParseCertificate(der)
	must(err)
	pin := sha256.Sum256(parsed.RawSubjectPublicKeyInfo)
	dir := t.TempDir()
	file := func(name, kind string, der []byte) string {
		path := filepath.Join(dir, name)
		must(os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
		return path
	}
	id := &Identity{
		CertFile: file("cert.pem", "CERTIFICATE", der),
		KeyFile:  file("key.pem", "PRIVATE KEY", keyDER),
		CAFile:   file("ca.pem", "CERTIFICATE", caDER),
		Pin:      base64.StdEncoding.EncodeToString(pin[:]),
	}
	id.TLS, err = tls.LoadX509KeyPair(id.CertFile, id.KeyFile)
	must(err)
	return id
}

// ServeTLS has the server answer over TLS too (RFC 7858), until the test ends,
// and returns where.
func (s *Server) ServeTLS(id *Identity) (addr string) {
	s.t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{id.TLS}, NextProtos: []string{"dot"}})
	if err != nil {
		s.t.Fatalf("dnstest: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	d := &dns.Server{Listener: l, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, m *dns.Msg) { s.serve(ctx, w, m) })}
	started := make(chan struct{})
	d.NotifyStartedFunc = func() { close(started) }
	var served sync.WaitGroup
	served.Go(func() { _ = d.ActivateAndServe() })
	<-started
	s.t.Cleanup(func() {
		cancel()
		_ = d.Shutdown()
		served.Wait()
	})
	return l.Addr().String()
}

// ServeHTTPS has the server answer over HTTPS too (RFC 8484, POST only), until
// the test ends, and returns where. conns, if not nil, counts connections.
func (s *Server) ServeHTTPS(id *Identity, conns *atomic.Int64) (addr string) {
	s.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	h := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.serveHTTP(ctx, w, r) }))
	h.TLS = &tls.Config{Certificates: []tls.Certificate{id.TLS}}
	h.EnableHTTP2 = true
	h.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError) // clients that refuse the certificate are what some tests want
	if conns != nil {
		h.Config.ConnState = func(_ net.Conn, state http.ConnState) {
			if state == http.StateNew {
				conns.Add(1)
			}
		}
	}
	h.StartTLS()
	s.t.Cleanup(func() {
		cancel()
		h.CloseClientConnections()
		h.Close()
	})
	return h.Listener.Addr().String()
}

func (s *Server) serveHTTP(ctx context.Context, w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	m := new(dns.Msg)
	if err != nil || m.Unpack(body) != nil || r.Header.Get("Content-Type") != "application/dns-message" {
		http.Error(w, "no query", http.StatusBadRequest)
		return
	}
	s.serve(ctx, &overHTTP{w: w}, m)
}

// overHTTP is the way back of one HTTP request: it takes one message.
type overHTTP struct {
	w    http.ResponseWriter
	done bool
}

func (o *overHTTP) Write(wire []byte) (int, error) {
	if o.done {
		return len(wire), nil
	}
	o.done = true
	o.w.Header().Set("Content-Type", "application/dns-message")
	return o.w.Write(wire)
}

func (o *overHTTP) WriteMsg(m *dns.Msg) error {
	wire, err := m.Pack()
	if err == nil {
		_, err = o.Write(wire)
	}
	return err
}

func (o *overHTTP) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }
func (o *overHTTP) LocalAddr() net.Addr  { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }
func (o *overHTTP) Close() error         { return nil }
func (o *overHTTP) TsigStatus() error    { return nil }
func (o *overHTTP) TsigTimersOnly(bool)  {}
func (o *overHTTP) Hijack()              {}

// Fail answers a query over HTTPS with a status, and ends it on any other way.
func (x *Exchange) Fail(status int) {
	if h, ok := x.w.(*overHTTP); ok && !h.done {
		h.done = true
		http.Error(h.w, "failed", status)
		return
	}
	x.Close()
}
