package blocklist

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"syscall"
	"time"
)

const (
	maxRedirects    = 3
	dialTimeout     = 10 * time.Second
	maxHeader       = 64 << 10
	authKeyHeader   = "Auth-Key"
	clientUserAgent = "weir (+https://github.com/weirdns/weir)"
)

// notPublic is address space that a feed must not lead us to: what is answered
// from there is not the internet's, and asking may do something (a cloud's
// metadata service, a router's web page).
var notPublic = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("100.64.0.0/10"), // carrier-grade NAT, RFC 6598
	netip.MustParsePrefix("192.0.0.0/24"),  // RFC 6890
	netip.MustParsePrefix("198.18.0.0/15"), // benchmarks, RFC 2544
	netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("::/96"),        // IPv4-compatible, deprecated
	netip.MustParsePrefix("64:ff9b::/96"), // NAT64 leads to any IPv4 address, private ones too
	netip.MustParsePrefix("64:ff9b:1::/48"),
	netip.MustParsePrefix("2002::/16"), // 6to4, the same
	netip.MustParsePrefix("fec0::/10"), // site-local, deprecated
}

// public says whether a is an address of the internet.
func public(a netip.Addr) bool {
	a = a.Unmap()
	if !a.IsGlobalUnicast() || a.IsPrivate() {
		return false
	}
	for _, p := range notPublic {
		if p.Contains(a) {
			return false
		}
	}
	return true
}

// errPrivate refuses a connection.
var errPrivate = errors.New("refused to connect to a private address; set allow_private if that is meant")

// newTransport makes a transport for a list, without connections that outlive
// a fetch. Unless the list may be private it connects to public addresses only,
// which is checked on the address dialled: a name cannot point elsewhere
// between the check and the use. A proxy is the configuration's own choice and
// may be anywhere; it is never taken from the environment.
func newTransport(c *Config) http.RoundTripper {
	d := newDialer(c)
	if !c.AllowPrivate && c.Proxy == "" {
		d.ControlContext = func(_ context.Context, _, address string, _ syscall.RawConn) error {
			ap, err := netip.ParseAddrPort(address)
			if err != nil || !public(ap.Addr()) {
				return errPrivate
			}
			return nil
		}
	}
	t := &http.Transport{
		DialContext:            d.DialContext,
		TLSHandshakeTimeout:    dialTimeout,
		ResponseHeaderTimeout:  defaultTimeout,
		MaxResponseHeaderBytes: maxHeader,
		DisableKeepAlives:      true,
		// Decompression is ours, so that both sizes can be bounded.
		DisableCompression: true,
	}
	if proxy, err := url.Parse(c.Proxy); c.Proxy != "" && err == nil {
		t.Proxy = http.ProxyURL(proxy)
		return viaProxy{t, c.AllowPrivate}
	}
	return t
}

// newClient makes a client that follows few redirects and takes no secret along.
func newClient(t http.RoundTripper) *http.Client {
	return &http.Client{
		Transport: t,
		CheckRedirect: func(req *http.Request, via []*http.Request) error {
			if len(via) > maxRedirects {
				return fmt.Errorf("more than %d redirects", maxRedirects)
			}
			last := via[len(via)-1]
			switch {
			case req.URL.Scheme != "https" && req.URL.Scheme != "http":
				return errors.New("redirected to something other than http")
			case last.URL.Scheme == "https" && req.URL.Scheme == "http":
				return errors.New("redirected from https to http")
			}
			// net/http takes custom headers along to any host, and puts the
			// last URL, which may hold the key, into the Referer.
			req.Header.Del("Referer")
			if req.URL.Host != via[0].URL.Host {
				req.Header.Del(authKeyHeader)
			}
			return nil
		},
	}
}

// withoutURL strips the URL that net/http puts into its errors: it may hold the key.
func withoutURL(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}
