package main

import (
	"bufio"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// systemResolvers are the nameservers of a resolv.conf(5) that are not weir
// itself: to forward to ourselves would be a loop.
func systemResolvers(file string, listen []string) ([]string, error) {
	all, err := nameservers(file)
	if err != nil {
		return nil, err
	}
	var servers []string
	for _, server := range all {
		if !isOurs(server, listen) && !slices.Contains(servers, server.String()) {
			servers = append(servers, server.String())
		}
	}
	if len(servers) == 0 {
		return nil, errors.New(file + " names no other nameserver: " + `give one with --upstream or resolver.upstream.servers`)
	}
	return servers, nil
}

// nameservers are those of a resolv.conf(5).
func nameservers(file string) ([]netip.AddrPort, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close() // read only: nothing to lose
	var servers []netip.AddrPort
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 2 || fields[0] != "nameserver" {
			continue
		}
		addr, err := netip.ParseAddr(fields[1])
		if err != nil {
			continue // as the system's own resolver does
		}
		servers = append(servers, netip.AddrPortFrom(addr, 53))
	}
	return servers, lines.Err()
}

// feedsThroughUs is a warning for each list whose URL's host the system's
// resolver is asked for, where that is the weir of this configuration: while it
// cannot answer, it gets no lists, and before its lists are there it needs them.
func (c *config) feedsThroughUs(resolvConf string) (warnings []error) {
	servers, err := nameservers(resolvConf)
	if err != nil {
		return nil // then it is nobody's
	}
	i := slices.IndexFunc(servers, func(s netip.AddrPort) bool { return isOurs(s, c.Resolver.Listen) })
	if i < 0 {
		return nil
	}
	sources := c.sources()
	for n := range sources {
		if sources[n].AsksSystem() {
			warnings = append(warnings, c.located(fmt.Errorf(
				"lists[%d].url: the system resolves its host by asking %s, which is this weir: set list_defaults.bootstrap, or the list's own bootstrap or addresses", n, servers[i])))
		}
	}
	return warnings
}

// isOurs says whether a server is one of the addresses that weir listens on.
// Where that is every address, 127.0.0.1 and ::1 are; other loopback addresses
// may be somebody else's, as Docker's 127.0.0.11 is.
func isOurs(server netip.AddrPort, listen []string) bool {
	for _, s := range listen {
		l, err := netip.ParseAddrPort(s)
		if err != nil || l.Port() != server.Port() {
			continue
		}
		own := server.Addr() == netip.IPv6Loopback() || server.Addr() == netip.AddrFrom4([4]byte{127, 0, 0, 1})
		if l.Addr() == server.Addr() || l.Addr().IsUnspecified() && l.Addr().Is4() == server.Addr().Is4() && own {
			return true
		}
	}
	return false
}

// makeStateDir makes the state folder. A folder that nobody asked for may be
// impossible, on a read-only system: weir then works without.
func makeStateDir(cfg *config) error {
	if cfg.StateDir == "" {
		return stateError(errors.New("none is set, and there is no home folder"))
	}
	// Those above it may stay root's when it becomes another user's, who must get
	// through.
	if err := os.MkdirAll(filepath.Dir(filepath.Clean(cfg.StateDir)), 0o755); err != nil {
		return stateError(err)
	}
	if err := os.MkdirAll(cfg.StateDir, 0o750); err != nil {
		return stateError(err)
	}
	probe, err := os.CreateTemp(cfg.StateDir, ".writable-*")
	if err != nil {
		return stateError(err)
	}
	_ = probe.Close() // it only showed that it could be made
	return os.Remove(probe.Name())
}

// stateError says how to have another state folder.
func stateError(err error) error {
	return fmt.Errorf("state_dir: %w (--state DIR sets another folder)", err)
}
