package dnstest

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/miekg/dns"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// ServeQUIC has the server answer over QUIC too (RFC 9250), until the test ends,
// and returns where.
func (s *Server) ServeQUIC(id *Identity) (addr string) {
	s.t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatalf("dnstest: %v", err)
	}
	tr := &quic.Transport{Conn: pc}
	l, err := tr.Listen(&tls.Config{Certificates: []tls.Certificate{id.TLS}, NextProtos: []string{"doq"}}, &quic.Config{})
	if err != nil {
		s.t.Fatalf("dnstest: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var served sync.WaitGroup
	served.Go(func() {
		for {
			c, err := l.Accept(ctx)
			if err != nil {
				return
			}
			served.Go(func() { s.serveQUIC(ctx, c, &served) })
		}
	})
	s.t.Cleanup(func() {
		cancel()
		_ = tr.Close() // ends every connection
		served.Wait()
		_ = pc.Close()
	})
	return pc.LocalAddr().String()
}

func (s *Server) serveQUIC(ctx context.Context, c *quic.Conn, served *sync.WaitGroup) {
	var closing atomic.Bool
	for {
		st, err := c.AcceptStream(ctx)
		if err != nil {
			return
		}
		if closing.Load() {
			_ = c.CloseWithError(0, "")
			return
		}
		served.Go(func() {
			defer func() { _ = st.Close() }()
			all, err := io.ReadAll(st)
			m := new(dns.Msg)
			if err != nil || len(all) < 2 || int(binary.BigEndian.Uint16(all)) != len(all)-2 || m.Unpack(all[2:]) != nil {
				_ = c.CloseWithError(2, "no query") // DOQ_PROTOCOL_ERROR
				return
			}
			s.serve(ctx, &overQUIC{conn: c, stream: st, closing: &closing}, m)
		})
	}
}

// overQUIC is the way back on one stream.
type overQUIC struct {
	conn    *quic.Conn
	stream  *quic.Stream
	closing *atomic.Bool
}

// Write sends a message with its length in front. A server that sends more than
// one is wrong, and can be that.
func (o *overQUIC) Write(wire []byte) (int, error) {
	return o.stream.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(wire))), wire...))
}

func (o *overQUIC) WriteMsg(m *dns.Msg) error {
	wire, err := m.Pack()
	if err == nil {
		_, err = o.Write(wire)
	}
	return err
}

// Close ends the connection when the next query comes: at once would be before
// the client has what was written last.
func (o *overQUIC) Close() error {
	o.closing.Store(true)
	return nil
}

// RemoteAddr is of TCP, as the way back is no datagram.
func (o *overQUIC) RemoteAddr() net.Addr {
	a := o.conn.RemoteAddr().(*net.UDPAddr)
	return &net.TCPAddr{IP: a.IP, Port: a.Port}
}

func (o *overQUIC) LocalAddr() net.Addr { return o.conn.LocalAddr() }
func (o *overQUIC) TsigStatus() error   { return nil }
func (o *overQUIC) TsigTimersOnly(bool) {}
func (o *overQUIC) Hijack()             {}

// ServeHTTP3 has the server answer over HTTP/3 too (RFC 8484, POST only), until
// the test ends, and returns where.
func (s *Server) ServeHTTP3(id *Identity) (addr string) {
	s.t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatalf("dnstest: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	h := &http3.Server{
		TLSConfig: http3.ConfigureTLSConfig(&tls.Config{Certificates: []tls.Certificate{id.TLS}}),
		Handler:   http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.serveHTTP(ctx, w, r) }),
	}
	var served sync.WaitGroup
	served.Go(func() { _ = h.Serve(pc) })
	s.t.Cleanup(func() {
		cancel()
		_ = h.Close()
		served.Wait()
		_ = pc.Close()
	})
	return pc.LocalAddr().String()
}
