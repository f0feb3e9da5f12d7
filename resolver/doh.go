package resolver

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/binary"
	"io"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/internal/dnswire"
)

const (
	dohPath    = "/dns-query"
	dnsMessage = "application/dns-message"
	// maxGET is the longest message in a URL: 4 KiB, and a third more in base64.
	maxGET = maxQuery * 4 / 3
	// maxHTTPHeader is what a request may have for headers and its URL.
	maxHTTPHeader = 32 << 10
	// maxStreamBytes is what a client may have on its way in one connection.
	maxStreamBytes = 1 << 20
)

// dohServer answers over HTTP/1.1 and HTTP/2 (RFC 8484).
type dohServer struct {
	*listener
	server *http.Server
	conns  chan net.Conn // let in, on their way to the HTTP server
	once   sync.Once
	done   chan struct{} // closed when nobody takes from conns any more
}

func newDoHServer(l *listener) *dohServer {
	cfg := l.s.cfg.TCP
	d := &dohServer{listener: l, conns: make(chan net.Conn), done: make(chan struct{})}
	d.server = &http.Server{
		Handler:           d,
		ReadHeaderTimeout: cfg.MessageTimeout,
		ReadTimeout:       2 * cfg.MessageTimeout,
		// From a request's header on: its body, the exchange, and the answer,
		// which a client must take.
		WriteTimeout:   3*cfg.MessageTimeout + dohGrace,
		IdleTimeout:    cfg.IdleTimeout,
		MaxHeaderBytes: maxHTTPHeader,
		ConnState:      watchState,
		ErrorLog:       slog.NewLogLogger(slog.DiscardHandler, slog.LevelError), // clients' addresses
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams:          cfg.MaxPipelined,
			MaxReadFrameSize:              16 << 10,
			MaxReceiveBufferPerConnection: maxStreamBytes,
			MaxReceiveBufferPerStream:     1 << 16,
			WriteByteTimeout:              cfg.MessageTimeout,
		},
	}
	return d
}

// run serves until ctx ends, and returns when every connection has ended.
func (d *dohServer) run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() {
		// Requests under way get their answers: an exchange takes under 2 s.
		end, cancel := context.WithTimeout(context.Background(), dohGrace)
		defer cancel()
		_ = d.server.Shutdown(end) // what is left is closed
		_ = d.server.Close()
	})
	defer stop()
	var wg sync.WaitGroup
	wg.Go(func() { _ = d.server.Serve(handed{d}) }) // always an error: it was told to end
	err := d.accept(ctx, d.hand)
	d.end()
	_ = d.server.Close() // where the listener failed
	wg.Wait()
	return err
}

// dohGrace is how long requests under way have at the end.
const dohGrace = 3 * time.Second

func (d *dohServer) end() { d.once.Do(func() { close(d.done) }) }

// hand gives a connection to the HTTP server and waits for its end.
func (d *dohServer) hand(_ context.Context, c net.Conn, a *guest) {
	select {
	case d.conns <- c:
		<-a.closed
	case <-d.done:
	}
}

// watchState notes on a connection whether requests of it are under way.
func watchState(c net.Conn, state http.ConnState) {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	g, ok := c.(*guest)
	if !ok {
		return
	}
	switch state {
	case http.StateActive:
		g.active.Store(1)
	case http.StateIdle:
		g.active.Store(0)
	}
}

// handed is the listener that the HTTP server sees.
type handed struct{ d *dohServer }

func (h handed) Accept() (net.Conn, error) {
	select {
	case c := <-h.d.conns:
		return c, nil
	case <-h.d.done:
		return nil, net.ErrClosed
	}
}

func (h handed) Close() error   { h.d.end(); return nil }
func (h handed) Addr() net.Addr { return h.d.Listener.Addr() }

// ServeHTTP answers one request.
func (d *dohServer) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	msg, status := readDoH(req)
	client, err := netip.ParseAddrPort(req.RemoteAddr)
	if status == http.StatusOK && err != nil {
		status = http.StatusInternalServerError
	}
	if status == http.StatusOK && !d.s.live.Load().acl.allows(client.Addr().Unmap()) {
		d.s.metrics.denied.Add(1) // a reload has put it out
		status = http.StatusForbidden
		w.Header().Set("Connection", "close")
	}
	if status != http.StatusOK {
		d.s.metrics.httpRefused.Add(1)
		if status == http.StatusMethodNotAllowed {
			w.Header().Set("Allow", "GET, POST")
		}
		http.Error(w, http.StatusText(status), status)
		return
	}
	s := d.s
	r := s.getRequest()
	back := make(awaited, 1)
	r.ask = detect.Query{Time: s.now(), Client: client.Addr().Unmap(), Transport: detect.DoH}
	r.from = back
	if !s.serve(r, msg) {
		r = <-back // the exchange has a time-out of its own
	}
	defer s.putRequest(r)
	if len(r.out) == 0 {
		if r.source == detect.FromPolicy {
			panic(http.ErrAbortHandler) // dropped, as elsewhere
		}
		http.Error(w, http.StatusText(http.StatusBadRequest), http.StatusBadRequest)
		return
	}
	h := w.Header()
	h.Set("Content-Type", dnsMessage)
	h.Set("Content-Length", strconv.Itoa(len(r.out)))
	h.Set("Cache-Control", "max-age="+strconv.FormatUint(uint64(freshness(r.out)), 10))
	if _, err := w.Write(r.out); err != nil {
		s.metrics.writeErrors.Add(1)
	}
}

// awaited is where a handler waits for an answer.
type awaited chan *request

func (c awaited) reply(r *request) { c <- r }

// readDoH takes the message out of a request, or says with which status it is
// refused (RFC 8484, section 4.1).
func readDoH(req *http.Request) (msg []byte, status int) {
	if req.URL.Path != dohPath {
		return nil, http.StatusNotFound
	}
	switch req.Method {
	case http.MethodGet:
		if len(req.URL.RawQuery) > maxGET+len("dns=") {
			return nil, http.StatusRequestURITooLong
		}
		text := req.URL.Query().Get("dns")
		if text == "" {
			return nil, http.StatusBadRequest
		}
		msg, err := base64.RawURLEncoding.DecodeString(text)
		if err != nil {
			return nil, http.StatusBadRequest
		}
		return msg, checkDoH(msg)
	case http.MethodPost:
		if req.ContentLength > maxQuery {
			return nil, http.StatusRequestEntityTooLarge
		}
		// Read before anything is said of it: over HTTP/2 a body of another length
		// than announced must reset the stream, and not get an answer (RFC 9113,
		// section 8.1.1).
		msg, err := io.ReadAll(io.LimitReader(req.Body, maxQuery+1))
		media, _, bad := mime.ParseMediaType(req.Header.Get("Content-Type"))
		switch {
		case err != nil:
			return nil, http.StatusBadRequest
		case bad != nil || media != dnsMessage:
			return nil, http.StatusUnsupportedMediaType
		case len(msg) > maxQuery:
			return nil, http.StatusRequestEntityTooLarge
		}
		return msg, checkDoH(msg)
	}
	return nil, http.StatusMethodNotAllowed
}

// checkDoH refuses what would get no DNS answer.
func checkDoH(msg []byte) int {
	if h, err := dnswire.ReadHeader(msg); err != nil || h.Response() {
		return http.StatusBadRequest
	}
	return http.StatusOK
}

// freshness is for how many seconds an HTTP cache may keep an answer: the
// smallest TTL of its answers, and of a denial what its SOA says (RFC 8484,
// section 5.1; RFC 2308, section 5).
func freshness(msg []byte) uint32 {
	h, walk, err := dnswire.WalkMessage(msg)
	if err != nil {
		return 0
	}
	age, found := uint32(0), false
	for rec := (dnswire.Record{}); walk.Next(&rec); {
		ttl := rec.TTL
		switch {
		case rec.Section == dnswire.Additional, rec.Section == dnswire.Authority && h.AN > 0:
			continue
		case rec.Section == dnswire.Authority:
			if rec.Type != dnswire.TypeSOA || rec.End-rec.Data < 4 {
				continue
			}
			ttl = min(ttl, binary.BigEndian.Uint32(msg[rec.End-4:]))
		}
		if !found || ttl < age {
			age, found = ttl, true
		}
	}
	return age
}
