package blocklist

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"

	"aead.dev/minisign"
)

// How a list's URL is reached, and how what comes from there is known to be
// what it should be.

// checkWay checks the fields that say so. Its errors quote no URL: it may hold
// a secret.
func (c *Config) checkWay() (errs []error) {
	for i, a := range c.Addresses {
		if addr, err := netip.ParseAddr(a); err != nil || addr.Zone() != "" {
			errs = append(errs, fmt.Errorf("addresses[%d]: want an IP address, got %q", i, a))
		} else if !c.AllowPrivate && !public(addr) {
			errs = append(errs, fmt.Errorf("addresses[%d]: %s is private; set allow_private if that is meant", i, a))
		}
	}
	for i, b := range c.Bootstrap {
		if _, err := (&Transfer{Primary: b}).address(); err != nil {
			errs = append(errs, fmt.Errorf("bootstrap[%d]: want IP or IP:port, got %q", i, b))
		}
	}
	if c.Proxy != "" {
		u, err := url.Parse(c.Proxy)
		switch {
		case err != nil || u.Hostname() == "" || !slices.Contains([]string{"http", "https", "socks5"}, u.Scheme):
			errs = append(errs, errors.New("proxy: want an http, https or socks5 URL"))
		case u.User != nil:
			errs = append(errs, errors.New("proxy: a password does not belong into a configuration; use a proxy that knows its clients by address"))
		}
		if len(c.Addresses)+len(c.Bootstrap) > 0 {
			errs = append(errs, errors.New("proxy: the proxy resolves, so addresses and bootstrap would be in vain"))
		}
	}
	if sum, err := hex.DecodeString(c.PinSHA256); c.PinSHA256 != "" && (err != nil || len(sum) != 32) {
		errs = append(errs, errors.New("pin_sha256: want 64 hex digits"))
	}
	if c.MinisignKey != "" {
		if err := new(minisign.PublicKey).UnmarshalText([]byte(c.MinisignKey)); err != nil {
			errs = append(errs, errors.New("minisign_key: want a public key of minisign: the line of 56 characters"))
		}
	}
	return errs
}

// dialer connects to a list's host, at the addresses that are configured or
// that the bootstrap resolvers know.
type dialer struct {
	net.Dialer
	host      string // that addresses are of
	addresses []string
}

func newDialer(c *Config) *dialer {
	d := &dialer{Dialer: net.Dialer{Timeout: dialTimeout}, addresses: c.Addresses}
	if u, err := url.Parse(strings.ReplaceAll(c.URL, keyPlaceholder, "key")); err == nil {
		d.host = u.Hostname()
	}
	if len(c.Bootstrap) > 0 {
		var next atomic.Uint32 // whoever fails is not asked first the next time
		d.Resolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			b, err := (&Transfer{Primary: c.Bootstrap[int(next.Add(1)-1)%len(c.Bootstrap)]}).address()
			if err != nil {
				return nil, err // Validate has seen it
			}
			return (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, network, b.String())
		}}
	}
	return d
}

// DialContext is for http.Transport.
func (d *dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil || host != d.host || len(d.addresses) == 0 {
		return d.Dialer.DialContext(ctx, network, address)
	}
	var errs []error
	for _, a := range d.addresses {
		conn, err := d.Dialer.DialContext(ctx, network, net.JoinHostPort(a, port))
		if err == nil {
			return conn, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

// viaProxy is a transport through a proxy. The proxy resolves and connects, so
// what can be checked here is that nobody leads it to a private address by
// number or by a name that is local by itself.
type viaProxy struct {
	http.RoundTripper
	private bool
}

// RoundTrip is called for each redirect, too.
func (t viaProxy) RoundTrip(r *http.Request) (*http.Response, error) {
	if !t.private {
		host := strings.TrimSuffix(strings.ToLower(r.URL.Hostname()), ".")
		addr, err := netip.ParseAddr(host)
		if err == nil && !public(addr) || err != nil && (!strings.Contains(host, ".") || strings.HasSuffix(host, ".localhost")) {
			return nil, errPrivate
		}
	}
	return t.RoundTripper.RoundTrip(r)
}

// maxSignature is how large a signature file may be.
const maxSignature = 4 << 10

// signature fetches what is beside the list's text.
func signature(ctx context.Context, t http.RoundTripper, q *request, key string) ([]byte, error) {
	beside := *q.cfg
	path, query, asked := strings.Cut(beside.URL, "?")
	beside.URL = path + ".minisig"
	if asked {
		beside.URL += "?" + query
	}
	req, err := newRequest(ctx, &request{cfg: &beside}, key)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept-Encoding", "identity")
	resp, err := newClient(t).Do(req)
	if err != nil {
		return nil, withoutURL(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, refuse(resultSignature, "no signature: HTTP status %d", resp.StatusCode)
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxSignature+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxSignature {
		return nil, refuse(resultSignature, "a signature of more than %d octets", maxSignature)
	}
	return b, nil
}

// verify says whether the text whose hash is sum, and that seal has read, is
// the one that is pinned and signed.
func verify(ctx context.Context, t http.RoundTripper, q *request, key, sum string, seal *minisign.Reader) error {
	if pin := q.cfg.PinSHA256; pin != "" && !strings.EqualFold(pin, sum) {
		return refuse(resultPin, "sha256 is %s, and pin_sha256 says %s", sum, strings.ToLower(pin))
	}
	if seal == nil {
		return nil
	}
	sig, err := signature(ctx, t, q, key)
	if err != nil {
		return err
	}
	var public minisign.PublicKey
	if err := public.UnmarshalText([]byte(q.cfg.MinisignKey)); err != nil {
		return refuse(resultSignature, "minisign_key: %w", err)
	}
	if !seal.Verify(public, sig) {
		return refuse(resultSignature, "not signed with minisign_key")
	}
	return nil
}
