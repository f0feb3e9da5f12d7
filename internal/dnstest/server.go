// Package dnstest is an authoritative DNS server for tests: real sockets on
// loopback, zones from RFC 1035 master text, and per name a script that makes
// it slow, silent, wrong or hostile. It writes down every query it sees.
//
// It refuses to be fast or complete: it is the peer that tests are written
// against, and speaks through another implementation (miekg/dns) than the code
// under test.
package dnstest

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// Server answers on UDP and TCP on one loopback port. Its methods may be
// called from any goroutine.
type Server struct {
	t    testing.TB
	addr string // as bound by the first Start

	mu      sync.Mutex // guards all below
	zones   []*zone
	scripts map[string]Script
	all     Script // for names without a script of their own; nil: the zones
	queries []Query
	counts  map[string]int
	stop    context.CancelFunc // nil while stopped
	running []*dns.Server
	served  *sync.WaitGroup
}

// Query is one query as it arrived.
type Query struct {
	Name     string // presentation form with final dot, in the case that was sent
	Type     uint16
	ID       uint16
	Port     int // the client's source port
	TCP      bool
	RD       bool
	AD       bool
	CD       bool
	EDNS     bool
	DO       bool
	Size     uint16 // EDNS UDP size
	Options  int    // EDNS options, without cookie and padding
	Padded   bool   // there is padding
	Cookie   string // in hexadecimal
	Length   int    // of the message as our own library packs it
	Received time.Time
}

// NewServer starts a server on 127.0.0.1, which ends with the test. Zones are
// given as pairs of an origin and master text (see LoadZone).
func NewServer(t testing.TB, zones ...string) *Server {
	t.Helper()
	return newServer(t, "127.0.0.1:0", zones)
}

// NewServer6 is NewServer on ::1. It skips the test where there is no IPv6.
func NewServer6(t testing.TB, zones ...string) *Server {
	t.Helper()
	c, err := net.ListenPacket("udp", "[::1]:0")
	if err != nil {
		t.Skip("no IPv6 on loopback: ", err)
	}
	c.Close()
	return newServer(t, "[::1]:0", zones)
}

func newServer(t testing.TB, addr string, zones []string) *Server {
	t.Helper()
	s := &Server{t: t, addr: addr, scripts: map[string]Script{}, counts: map[string]int{}}
	for i := 0; i+1 < len(zones); i += 2 {
		s.LoadZone(zones[i], zones[i+1])
	}
	s.Start()
	t.Cleanup(s.Stop)
	return s
}

// Addr is where the server listens, as host:port, also while it is stopped.
func (s *Server) Addr() string { return s.addr }

// Start binds the server's port again after Stop.
func (s *Server) Start() {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stop != nil {
		return
	}
	pc, l := s.listen()
	ctx, stop := context.WithCancel(context.Background())
	s.stop, s.served = stop, new(sync.WaitGroup)
	handler := dns.HandlerFunc(func(w dns.ResponseWriter, m *dns.Msg) { s.serve(ctx, w, m) })
	s.running = []*dns.Server{
		{PacketConn: pc, Handler: handler, UDPSize: 65535},
		{Listener: l, Handler: handler},
	}
	for _, d := range s.running {
		started := make(chan struct{})
		d.NotifyStartedFunc = func() { close(started) }
		s.served.Go(func() { _ = d.ActivateAndServe() })
		<-started
	}
}

// Stop closes the port and ends all scripts; the server is then like a host
// without a service. It returns when nothing runs any more.
func (s *Server) Stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stop == nil {
		return
	}
	s.stop()
	running, served := s.running, s.served
	s.stop, s.running = nil, nil
	s.mu.Unlock() // handlers take it
	for _, d := range running {
		_ = d.Shutdown()
	}
	served.Wait()
	s.mu.Lock()
}

// listen binds UDP and TCP to one port. Port 0 may be free for one and taken
// for the other, and a port that was ours may be taken for a moment as the
// random source port of somebody's query: so it is tried again.
func (s *Server) listen() (net.PacketConn, net.Listener) {
	var err error
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		var pc net.PacketConn
		if pc, err = net.ListenPacket("udp", s.addr); err != nil {
			continue
		}
		var l net.Listener
		if l, err = net.Listen("tcp", pc.LocalAddr().String()); err != nil {
			pc.Close()
			continue
		}
		s.addr = pc.LocalAddr().String()
		return pc, l
	}
	s.t.Fatalf("dnstest: listen on %s: %v", s.addr, err)
	return nil, nil
}

// Script sets what happens to queries for name, in any case and of any type.
func (s *Server) Script(name string, script Script) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.scripts[canonical(name)] = script
}

// ScriptAll sets what happens to queries for names without a script of their
// own; nil is the zones.
func (s *Server) ScriptAll(script Script) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = script
}

// Count is how many queries for name arrived, in any case and of any type.
func (s *Server) Count(name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts[canonical(name)]
}

// Queries lists every query that arrived, in order.
func (s *Server) Queries() []Query {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Query(nil), s.queries...)
}

// Reset forgets the queries that arrived.
func (s *Server) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queries = nil
	clear(s.counts)
}

func (s *Server) serve(ctx context.Context, w dns.ResponseWriter, m *dns.Msg) {
	seen := Query{ID: m.Id, RD: m.RecursionDesired, AD: m.AuthenticatedData, CD: m.CheckingDisabled, Received: time.Now()}
	switch a := w.RemoteAddr().(type) {
	case *net.UDPAddr:
		seen.Port = a.Port
	case *net.TCPAddr:
		seen.Port, seen.TCP = a.Port, true
	}
	if len(m.Question) != 1 {
		return
	}
	seen.Length = m.Len()
	seen.Name, seen.Type = m.Question[0].Name, m.Question[0].Qtype
	if opt := m.IsEdns0(); opt != nil {
		seen.EDNS, seen.DO, seen.Size, seen.Options = true, opt.Do(), opt.UDPSize(), 0
		for _, o := range opt.Option {
			switch o := o.(type) {
			case *dns.EDNS0_PADDING:
				seen.Padded = true
			case *dns.EDNS0_COOKIE:
				seen.Cookie = o.Cookie
			default:
				seen.Options++
			}
		}
	}
	name := canonical(seen.Name)
	s.mu.Lock()
	s.queries = append(s.queries, seen)
	s.counts[name]++
	script := s.scripts[name]
	if script == nil {
		script = s.all
	}
	s.mu.Unlock()
	if script == nil {
		script = Good()
	}
	script(&Exchange{Query: seen, Msg: m, ctx: ctx, server: s, w: w})
}

func canonical(name string) string { return strings.ToLower(dns.Fqdn(name)) }

// Exchange is one query and the way to answer it.
type Exchange struct {
	Query
	Msg    *dns.Msg
	ctx    context.Context
	server *Server
	w      dns.ResponseWriter
}

// Good is the true answer from the zones, cut to the client's size over UDP.
func (x *Exchange) Good() *dns.Msg {
	m := x.server.lookup(x.Msg)
	if !x.TCP {
		size := dns.MinMsgSize
		if x.EDNS {
			size = max(size, int(x.Size))
		}
		m.Truncate(size)
	}
	return m
}

// Send answers with m. A client that has gone is not an error.
func (x *Exchange) Send(m *dns.Msg) {
	wire, err := m.Pack()
	if err != nil {
		x.server.t.Errorf("dnstest: answer to %s: %v", x.Name, err)
		return
	}
	x.SendRaw(wire)
}

// SendRaw answers with any octets, framed over TCP.
func (x *Exchange) SendRaw(wire []byte) { _, _ = x.w.Write(wire) }

// SendFromOtherPort answers with m from a port that was not asked.
func (x *Exchange) SendFromOtherPort(m *dns.Msg) {
	wire, err := m.Pack()
	if err != nil {
		x.server.t.Errorf("dnstest: answer to %s: %v", x.Name, err)
		return
	}
	host, _, _ := net.SplitHostPort(x.server.addr)
	c, err := net.ListenPacket("udp", net.JoinHostPort(host, "0"))
	if err != nil {
		x.server.t.Errorf("dnstest: %v", err)
		return
	}
	defer c.Close()
	_, _ = c.WriteTo(wire, x.w.RemoteAddr())
}

// Close ends the TCP connection that the query came on.
func (x *Exchange) Close() { _ = x.w.Close() }

// Wait lets d pass. It returns false when the server is being stopped.
func (x *Exchange) Wait(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-x.ctx.Done():
		return false
	}
}

// String names an exchange in a test's log.
func (x *Exchange) String() string {
	return fmt.Sprintf("%s %s, ID %d, port %d, TCP %v", x.Name, dns.TypeToString[x.Type], x.ID, x.Port, x.TCP)
}
