package upstream

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/weirdns/weir/internal/dnsname"
)

// Config of a group of upstreams.
type Config struct {
	// Servers are asked in this order: an IP address, with a port if it is not
	// 53 ("192.0.2.1", "192.0.2.1:5353", "[2001:db8::1]:53"), over UDP and, where
	// UDP does not do, TCP; "tcp://192.0.2.1:53" is asked over TCP only;
	// "tls://192.0.2.1#dns.example" over TLS, with a certificate for that name
	// (without a name: for the address); "https://dns.example/dns-query" over
	// HTTPS; "quic://..." and "h3://..." are written like these two and asked over
	// QUIC and HTTP/3; "sdns://..." is a DNS stamp for one of these. A name in
	// place of an address must be in Hosts: to look it up, a resolver would be
	// needed first.
	Servers []string `yaml:"servers"`
	// Hosts says where names in Servers are, and who they must be.
	Hosts []HostConfig `yaml:"hosts"`
	// CAFile has the CAs, in PEM, that servers over TLS, HTTPS and QUIC are believed
	// from. Default: the system's.
	CAFile string `yaml:"ca_file"`
	// Cookies sends a DNS cookie over UDP and, once a server has answered it,
	// drops what comes without (RFC 7873). Default true.
	Cookies bool `yaml:"cookies"`
	// Zones send some questions to other servers: by name, by client, or both.
	Zones []ZoneConfig `yaml:"zones"`
	// Timeout is for one question altogether. Clients give up, or ask again,
	// after 2s, and RFC 8767, section 5 would have a stale answer sent by 1.8s.
	// Default 1.8s.
	Timeout time.Duration `yaml:"timeout"`
	// AttemptTimeout is how long one server may take before the next is asked,
	// or the same one again. Default 400ms.
	AttemptTimeout time.Duration `yaml:"attempt_timeout"`
	// CaseRandomization sends names in random case over UDP, as more that a
	// forger must guess (0x20). A server that does not give the case back is
	// left out by itself. Default true.
	CaseRandomization bool `yaml:"case_randomization"`
	// EDNSUDPSize is the largest answer that is taken over UDP, in octets; a
	// larger one comes over TCP. Above 1232 it may arrive in fragments, which
	// are easy to forge (RFC 9715). Default 1232.
	EDNSUDPSize int64 `yaml:"edns_udp_size"`
	// PortUses is how many questions one source port serves, one at a time and
	// for a second at most, when a server is asked more than 2,000 questions a
	// second. Below that rate, or with 1, each has a port of its own. Default 16.
	PortUses int64 `yaml:"port_uses"`
	// MaxInFlight is how many questions may wait for an answer at a time; one
	// more is refused. Each takes one socket, or two when something is wrong.
	// Default 2048.
	MaxInFlight int64 `yaml:"max_in_flight"`
	// Strategy is how servers are chosen: "race" (the two that are likely to be
	// best, at once), "failover" (in order), "round_robin" or "random"; those
	// that are down come last. Default race.
	Strategy string `yaml:"strategy"`
	// Hedge asks the next server, if there is one, when an answer takes longer
	// than nineteen of twenty do. Default true.
	Hedge bool `yaml:"hedge"`
}

// HostConfig is a server's name.
type HostConfig struct {
	// Name as in Servers.
	Name string `yaml:"name"`
	// Addresses are tried in turn.
	Addresses []string `yaml:"addresses"`
	// Pins are SHA-256 hashes of the server's public key (SPKI) in base64. With
	// a pin the key proves who it is, and no CA is asked.
	Pins []string `yaml:"pins"`
}

// maxServers bounds what one question may cost.
const maxServers = 16

// DefaultConfig is what the comments in Config say. It names no servers.
func DefaultConfig() Config {
	return Config{
		Timeout:           1800 * time.Millisecond,
		AttemptTimeout:    400 * time.Millisecond,
		CaseRandomization: true,
		EDNSUDPSize:       1232,
		PortUses:          16,
		MaxInFlight:       2048,
		Strategy:          StrategyRace,
		Hedge:             true,
		Cookies:           true,
	}
}

// Validate joins everything that is wrong with c.
func (c *Config) Validate() error {
	var errs []error
	bad := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	bad(len(c.Servers) >= 1 && len(c.Servers) <= maxServers,
		"servers: must name 1 to %d servers, got %d", maxServers, len(c.Servers))
	errs = append(errs, c.checkServers()...)
	bad(len(c.Zones) <= MaxZones, "zones: at most %d rules, got %d", MaxZones, len(c.Zones))
	for i := range c.Zones {
		errs = append(errs, under(fmt.Sprintf("zones[%d].", i), c.Zones[i].validate(c.Hosts))...)
	}
	bad(c.Timeout >= 100*time.Millisecond && c.Timeout <= time.Minute,
		"timeout: must be between 100ms and 1m, got %s", c.Timeout)
	bad(c.AttemptTimeout >= 10*time.Millisecond && c.AttemptTimeout <= c.Timeout,
		"attempt_timeout: must be between 10ms and timeout (%s), got %s", c.Timeout, c.AttemptTimeout)
	bad(c.EDNSUDPSize >= 512 && c.EDNSUDPSize <= 4096,
		"edns_udp_size: must be between 512 and 4096, got %d", c.EDNSUDPSize)
	bad(c.PortUses >= 1 && c.PortUses <= 64,
		"port_uses: must be between 1 and 64, got %d", c.PortUses)
	bad(c.MaxInFlight >= 1 && c.MaxInFlight <= 1<<20,
		"max_in_flight: must be between 1 and %d, got %d", 1<<20, c.MaxInFlight)
	strategies := []string{StrategyRace, StrategyFailover, StrategyRoundRobin, StrategyRandom}
	bad(slices.Contains(strategies, c.Strategy),
		"strategy: must be %s, got %q", strings.Join(strategies, ", "), c.Strategy)
	return errors.Join(errs...)
}

// under puts a field's path in front of each error that err joins.
func under(path string, err error) (errs []error) {
	if err == nil {
		return nil
	}
	for _, e := range err.(interface{ Unwrap() []error }).Unwrap() { // all of validate's are joined
		errs = append(errs, fmt.Errorf("%s%w", path, e))
	}
	return errs
}

func (c *Config) checkServers() (errs []error) {
	add := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	for i, h := range c.Hosts {
		if _, err := dnsname.ParseHost(h.Name); err != nil {
			if _, err := netip.ParseAddr(h.Name); err != nil {
				add("hosts[%d].name: must be a host name or an address, got %q", i, h.Name)
			}
		}
		for j, a := range h.Addresses {
			if _, err := netip.ParseAddr(a); err != nil {
				add("hosts[%d].addresses[%d]: must be an IP address, got %q", i, j, a)
			}
		}
		if _, err := parsePins(h.Pins); err != nil {
			add("hosts[%d].%w", i, err)
		}
	}
	seen := map[string]string{}
	for i, text := range c.Servers {
		t, err := parseTarget(text, c.Hosts)
		if err != nil {
			add("servers[%d]: %q: %w", i, text, err)
			continue
		}
		if was := seen[t.key()]; was != "" {
			add("servers[%d]: %q is the same as %q", i, text, was)
		}
		seen[t.key()] = text
	}
	return errs
}

// HostNames are the names of the servers that have one, those of rules too.
func (c *Config) HostNames() (names []string) {
	servers := slices.Clone(c.Servers)
	for i := range c.Zones {
		servers = append(servers, c.Zones[i].Servers...)
	}
	for _, text := range servers {
		t, err := parseTarget(text, c.Hosts)
		if _, notName := netip.ParseAddr(t.name); err == nil && t.name != "" && notName != nil && !slices.Contains(names, t.name) {
			names = append(names, t.name)
		}
	}
	return names
}
