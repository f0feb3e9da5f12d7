package quicdns

import (
	"context"
	"crypto/tls"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

const (
	// maxHeader is what an answer may have for headers, octets.
	maxHeader = 32 << 10
	// settingStreams are those by which a server says how it speaks (RFC 9114,
	// section 6.2): control, and two of QPACK.
	settingStreams = 3
)

// HTTP3 sends requests over HTTP/3 (RFC 9114) to one server, whatever host they
// are for: that stands in the request. It is an http.RoundTripper.
type HTTP3 struct {
	dialer  *dialer
	wait    time.Duration
	current atomic.Pointer[http3.Transport]
}

// NewHTTP3 is to HTTP/3 what NewClient is to DNS.
func NewHTTP3(addrs []netip.AddrPort, conf *tls.Config, idle, wait time.Duration) *HTTP3 {
	h := &HTTP3{dialer: newDialer(addrs, conf, idle, http3.NextProtoH3, settingStreams), wait: wait}
	h.Renew()
	return h
}

// RoundTrip is part of http.RoundTripper.
func (h *HTTP3) RoundTrip(r *http.Request) (*http.Response, error) {
	return h.current.Load().RoundTrip(r)
}

// Renew has the next request open a connection: those that are there may be
// dead. Requests under way on them may still end well.
func (h *HTTP3) Renew() {
	old := h.current.Swap(&http3.Transport{
		TLSClientConfig: h.dialer.tls,
		QUICConfig:      h.dialer.conf,
		Dial: func(ctx context.Context, _ string, _ *tls.Config, _ *quic.Config) (*quic.Conn, error) {
			ctx, cancel := context.WithTimeout(ctx, h.wait)
			defer cancel()
			return h.dialer.dial(ctx)
		},
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxHeader,
	})
	if old != nil {
		old.CloseIdleConnections()
	}
}

// Close ends all connections.
func (h *HTTP3) Close() {
	_ = h.current.Load().Close()
	h.dialer.close()
}
