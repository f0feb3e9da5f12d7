package outlet

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
)

// Target is where a service takes a stream or datagrams.
type Target struct {
	Network string // the scheme: tcp, tls, udp, unix (a stream), unixgram or file
	Address string // host:port, or a path
}

// ParseTarget reads SCHEME://HOST:PORT or, of unix, unixgram and file,
// SCHEME:///PATH. Schemes are those that are allowed.
func ParseTarget(text string, schemes ...string) (Target, error) {
	form := fmt.Errorf("must be %s://..., with host:port or a whole path, got %q", strings.Join(schemes, "://..., "), text)
	u, err := url.Parse(text)
	if err != nil || !slices.Contains(schemes, u.Scheme) || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return Target{}, form
	}
	switch u.Scheme {
	case "unix", "unixgram", "file":
		if u.Host != "" || len(u.Path) < 2 {
			return Target{}, form
		}
		return Target{u.Scheme, u.Path}, nil
	}
	if u.Hostname() == "" || u.Port() == "" || u.Path != "" {
		return Target{}, form
	}
	return Target{u.Scheme, net.JoinHostPort(u.Hostname(), u.Port())}, nil
}

// Dial connects. What waits on the connection ends when ctx does. Config is for
// tls alone; it believes the host that is connected to, unless it names another.
func (t Target) Dial(ctx context.Context, config *tls.Config) (*Conn, error) {
	var d net.Dialer
	network := t.Network
	if network == "tls" {
		network = "tcp"
	}
	conn, err := d.DialContext(ctx, network, t.Address)
	if err != nil {
		return nil, err
	}
	if t.Network == "tls" {
		config = config.Clone()
		if config.ServerName == "" {
			config.ServerName, _, _ = net.SplitHostPort(t.Address) // a Target has both
		}
		secure := tls.Client(conn, config)
		if err := secure.HandshakeContext(ctx); err != nil {
			_ = conn.Close() // said already
			return nil, err
		}
		conn = secure
	}
	return &Conn{conn, context.AfterFunc(ctx, func() { _ = conn.Close() })}, nil
}

// Conn is a connection that lasts for one batch.
type Conn struct {
	net.Conn
	stop func() bool
}

// Close ends the connection.
func (c *Conn) Close() error {
	c.stop()
	return c.Conn.Close()
}

// CloseWrite says that nothing more will be sent; what comes may still be read.
func (c *Conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// Acknowledged waits, after the other side has closed a connection that was closed
// for writing, until its system has taken all that was written. Who closes a
// connection while something is on its way says so in the same words as who has read
// all of it; only what comes back of the rest tells them apart. It can be known of
// TCP on Linux; elsewhere it is taken for granted.
func (c *Conn) Acknowledged(ctx context.Context) error {
	conn := c.Conn
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn()
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		return acknowledged(ctx, tcp)
	}
	return nil
}
