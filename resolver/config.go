package resolver

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/resolver/cache"
	"github.com/weirdns/weir/resolver/upstream"
)

// Config is how the resolver listens, whom it serves, and how far it goes.
type Config struct {
	// Listen are the addresses for UDP and TCP. 0.0.0.0 is every IPv4 address
	// and [::] every IPv6 one. Default 127.0.0.1:5300.
	Listen []string `yaml:"listen"`
	// ListenTLS are addresses for DNS over TLS (RFC 7858). Default none.
	ListenTLS []string `yaml:"listen_tls"`
	// ListenHTTPS are addresses for DNS over HTTPS (RFC 8484), HTTP/1.1 and 2,
	// path /dns-query. Default none.
	ListenHTTPS []string `yaml:"listen_https"`
	// ListenQUIC are addresses for DNS over QUIC (RFC 9250). Default none.
	ListenQUIC []string `yaml:"listen_quic"`
	// TLS is the certificate for all three.
	TLS TLSConfig `yaml:"tls"`
	// DDR offers the encrypted listeners to clients that ask in the clear.
	DDR DDRConfig `yaml:"ddr"`
	// ProxyProtocol are networks of proxies: what comes from them, over any
	// transport, begins with a PROXY header, version 2, and is the client's that
	// it names. Default none.
	ProxyProtocol []string `yaml:"proxy_protocol"`
	// Allow are the client networks that are answered; all others get nothing
	// over UDP and a closed connection over TCP. Default: loopback, RFC 1918,
	// RFC 6598, link-local and fc00::/7.
	Allow []string `yaml:"allow"`
	// OpenResolver must be true where Allow lets the whole internet in. An open
	// resolver is a weapon for others. Default false.
	OpenResolver bool `yaml:"open_resolver"`
	// Workers is how many sockets and goroutines read UDP on each address.
	// Default 0: one for each processor.
	Workers int `yaml:"workers"`
	// MaxUDPSize is the largest UDP answer in octets. Default 1232, which
	// passes every network without fragments.
	MaxUDPSize int `yaml:"max_udp_size"`
	// MaxPending is how many queries may wait for an upstream at once, waiters
	// for the same answer included. Default 8192.
	MaxPending int `yaml:"max_pending"`
	// SpecialNames are answered here and never forwarded: localhost, invalid,
	// onion, alt, local, home.arpa, and the names by which browsers and phones
	// ask whether they may bypass the network's resolver. Default true.
	SpecialNames bool `yaml:"special_names"`
	// PrivateReverse answers reverse lookups of addresses that mean nothing
	// outside one network (RFC 6303): NXDOMAIN, and nothing is forwarded.
	// Default true.
	PrivateReverse bool `yaml:"private_reverse"`
	// SpecialExcept are zones to forward all the same, for example a local
	// domain, or reverse zone, that an upstream serves. Zones of upstream.zones
	// need not stand here.
	SpecialExcept []string `yaml:"special_except"`
	// StaleAfter is how long who could be given a stale answer waits for the
	// upstreams first. Clients ask again after 2s; RFC 8767, section 5 has it
	// answered by 1.8s. Default 1s.
	StaleAfter time.Duration `yaml:"stale_after"`
	// NXDOMAINCut answers NXDOMAIN for all that is below a name of which the
	// cache knows that it does not exist (RFC 8020). Some servers say so of
	// names that have others below them. Default false.
	NXDOMAINCut bool `yaml:"nxdomain_cut"`
	// Cookies are DNS cookies (RFC 7873, RFC 9018): a client with one of ours has
	// shown that its address is not forged.
	Cookies CookieConfig `yaml:"cookies"`
	// RateLimit bounds what one network and one client get.
	RateLimit RateLimitConfig `yaml:"rate_limit"`
	// TCP bounds connections from clients, those over TLS and HTTPS too.
	TCP TCPConfig `yaml:"tcp"`
	// QUIC bounds those over QUIC.
	QUIC QUICConfig `yaml:"quic"`
	// Cache bounds the answer cache.
	Cache cache.Config `yaml:"cache"`
	// Upstream is where queries are forwarded.
	Upstream upstream.Config `yaml:"upstream"`
}

// TCPConfig bounds what TCP clients may hold.
type TCPConfig struct {
	// MaxConns over all listeners. Default 1024.
	MaxConns int `yaml:"max_conns"`
	// MaxConnsPerClient from one IPv4 address or IPv6 /64. Default 128.
	MaxConnsPerClient int `yaml:"max_conns_per_client"`
	// MaxPipelined is how many queries of one connection are worked on at
	// once; the next is read when one is answered. Default 64.
	MaxPipelined int `yaml:"max_pipelined"`
	// IdleTimeout closes a connection without a query. Default 10s.
	IdleTimeout time.Duration `yaml:"idle_timeout"`
	// MessageTimeout is how long a message that began may take to arrive, and
	// an answer to be taken, also over QUIC. Default 2s.
	MessageTimeout time.Duration `yaml:"message_timeout"`
}

// DefaultConfig serves loopback and private networks on port 5300. It names no
// upstream: the caller knows the system's.
func DefaultConfig() Config {
	return Config{
		Listen: []string{"127.0.0.1:5300"},
		Allow: []string{
			"127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16",
			"::1/128", "fc00::/7", "fe80::/10",
		},
		MaxUDPSize:     1232,
		MaxPending:     8192,
		SpecialNames:   true,
		PrivateReverse: true,
		StaleAfter:     time.Second,
		Cookies:        CookieConfig{Enabled: true},
		RateLimit:      RateLimitConfig{IPv4Prefix: 24, IPv6Prefix: 56, Slip: 2},
		TCP: TCPConfig{
			MaxConns: 1024, MaxConnsPerClient: 128, MaxPipelined: 64,
			IdleTimeout: 10 * time.Second, MessageTimeout: 2 * time.Second,
		},
		QUIC: QUICConfig{
			MaxConns: 256, MaxConnsPerClient: 16, MaxStreams: 32, RetryAbove: 32, IdleTimeout: 10 * time.Second,
		},
		Cache:    cache.DefaultConfig(),
		Upstream: upstream.DefaultConfig(),
	}
}

// Validate says everything that is wrong with c.
func (c *Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if len(c.Listen) == 0 {
		bad("listen: needs at least one address")
	}
	for i, s := range c.Listen {
		switch a, err := netip.ParseAddrPort(s); {
		case err != nil:
			bad("listen[%d]: must be IP:port, got %q", i, s)
		case a.Port() != 0 && slices.Contains(c.Listen[:i], s):
			bad("listen[%d]: %s is listed twice", i, s)
		case a.Port() != 0 && slices.Contains(c.Upstream.Servers, s):
			bad("upstream.servers: %s is where weir itself listens, which would be a loop", s)
		}
	}
	for _, more := range []struct {
		setting string
		addrs   []string
	}{{"listen_tls", c.ListenTLS}, {"listen_https", c.ListenHTTPS}, {"listen_quic", c.ListenQUIC}} {
		for i, s := range more.addrs {
			if _, err := netip.ParseAddrPort(s); err != nil {
				bad("%s[%d]: must be IP:port, got %q", more.setting, i, s)
			}
		}
	}
	errs = append(errs, c.validateQUIC())
	if c.encrypted() {
		errs = append(errs, c.TLS.validate())
	}
	errs = append(errs, c.DDR.validate(c.encrypted()))
	proxies, err := parseNetworks("proxy_protocol", c.ProxyProtocol)
	errs = append(errs, err)
	if proxies.everybody() {
		bad("proxy_protocol: would believe the whole internet who a client is")
	}
	errs = append(errs, c.RateLimit.validate())
	a, err := parseACL(c.Allow)
	errs = append(errs, err)
	if a.everybody() && !c.OpenResolver {
		bad("allow: would answer the whole internet; set open_resolver: true if that is really meant")
	}
	inRange := func(field string, got, low, high int) {
		if got < low || got > high {
			bad("%s: must be %d to %d, got %d", field, low, high, got)
		}
	}
	inRange("workers", c.Workers, 0, 256)
	inRange("max_udp_size", c.MaxUDPSize, 512, 4096)
	inRange("max_pending", c.MaxPending, 1, 1<<20)
	for i, s := range c.SpecialExcept {
		if _, err := dnsname.ParseHost(s); err != nil {
			bad("special_except[%d]: %q is not a domain name: %v", i, s, err)
		}
	}
	if c.StaleAfter < 10*time.Millisecond || c.StaleAfter > 10*time.Second {
		bad("stale_after: must be 10ms to 10s, got %s", c.StaleAfter)
	}
	inRange("tcp.max_conns", c.TCP.MaxConns, 1, 1<<20)
	inRange("tcp.max_conns_per_client", c.TCP.MaxConnsPerClient, 1, 1<<20)
	inRange("tcp.max_pipelined", c.TCP.MaxPipelined, 1, 1<<12)
	if c.TCP.IdleTimeout < 100*time.Millisecond {
		bad("tcp.idle_timeout: must be at least 100ms, got %s", c.TCP.IdleTimeout)
	}
	if c.TCP.MessageTimeout < 100*time.Millisecond {
		bad("tcp.message_timeout: must be at least 100ms, got %s", c.TCP.MessageTimeout)
	}
	errs = append(errs, c.QUIC.validate())
	errs = append(errs, prefixed("cache.", c.Cache.Validate()), prefixed("upstream.", c.Upstream.Validate()))
	return errors.Join(errs...)
}

// prefixed puts a field's path in front of each of the errors that err joins.
func prefixed(path string, err error) error {
	if err == nil {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return fmt.Errorf("%s%w", path, err)
	}
	var errs []error
	for _, e := range joined.Unwrap() {
		errs = append(errs, fmt.Errorf("%s%w", path, e))
	}
	return errors.Join(errs...)
}
