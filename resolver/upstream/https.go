package upstream

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"time"
)

const (
	// dnsMessage is the media type of RFC 8484.
	dnsMessage = "application/dns-message"
	// pingAfter is how long a connection with questions may be silent before it
	// is asked whether it lives, and how long the answer to that may take.
	pingAfter = time.Second
)

// newHTTPS makes a client that speaks to s alone: no proxy, and no other address
// than those configured.
func (s *server) newHTTPS() *http.Client {
	return httpClient(&http.Transport{
		DialTLSContext:      func(ctx context.Context, _, _ string) (net.Conn, error) { return s.dial(ctx) },
		ForceAttemptHTTP2:   true,
		DisableCompression:  true,
		MaxIdleConnsPerHost: maxStreams,
		MaxConnsPerHost:     maxStreams,
		IdleConnTimeout:     idleTLS,
		HTTP2:               &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingAfter},
	})
}

// httpClient sends by rt, with no redirect and no cookie.
func httpClient(rt http.RoundTripper) *http.Client {
	return &http.Client{
		Transport:     rt,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// renewHTTPS has the next question open a connection: those that are there may
// be dead.
func (s *server) renewHTTPS() {
	if s.http3 != nil {
		s.http3.Renew()
	} else if old := s.https.Swap(s.newHTTPS()); old != nil {
		old.CloseIdleConnections()
	}
}

// url is where s is asked. Its host is the name, whatever the address is.
func (t *target) url() string {
	host := t.name
	if port := t.addrs[0].Port(); port != defaultPort[overHTTPS] {
		host = net.JoinHostPort(t.name, strconv.Itoa(int(port)))
	} else if a, err := netip.ParseAddr(t.name); err == nil && a.Is6() {
		host = "[" + t.name + "]"
	}
	return (&url.URL{Scheme: "https", Host: host, Path: t.path}).String()
}

// exchangeHTTPS asks s over HTTPS (RFC 8484), HTTP/3 included, by POST: a GET would be kept by
// caches on the way, and the cache is ours.
func (s *server) exchangeHTTPS(ctx context.Context, q *Question, edns, redo, fresh bool) (o outcome, redone bool) {
	if fresh {
		s.renewHTTPS()
	}
	o = s.post(ctx, q, edns)
	if o.kind == kindNoEDNS && edns && redo {
		return s.post(ctx, q, false), true
	}
	return o, false
}

func (s *server) post(ctx context.Context, q *Question, edns bool) outcome {
	var sent query
	sent.build(q, &s.group.cfg, how{edns: edns, stream: true, pad: true, noID: true})
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url(), bytes.NewReader(sent.wire))
	if err != nil {
		return failed(ctx, err)
	}
	req.Header.Set("Content-Type", dnsMessage)
	req.Header.Set("Accept", dnsMessage)
	req.Header.Set("User-Agent", "") // says nothing about us
	s.streams.Inc()
	start := time.Now()
	resp, err := s.https.Load().Do(req)
	if err != nil {
		return failed(ctx, withoutURL(err))
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return outcome{kind: kindFailed, err: fmt.Errorf("HTTP status %d", resp.StatusCode)}
	}
	if got := resp.Header.Get("Content-Type"); got != dnsMessage {
		return outcome{kind: kindFailed, err: fmt.Errorf("HTTP content type %.40q", got)}
	}
	msg, err := io.ReadAll(io.LimitReader(resp.Body, 1<<16))
	if err != nil {
		return failed(ctx, err)
	}
	return s.judge(msg, &sent, start)
}

// withoutURL leaves out what every error of net/http begins with.
func withoutURL(err error) error {
	if u, ok := err.(*url.Error); ok {
		return u.Err
	}
	return err
}
