package main

import (
	"bufio"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
)

// systemResolvers are the nameservers of a resolv.conf(5) that are not weir
// itself: to forward to ourselves would be a loop.
func systemResolvers(file string, listen []string) ([]string, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close() // read only: nothing to lose
	var servers []string
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
		server := netip.AddrPortFrom(addr, 53).String()
		if !slices.Contains(listen, server) && !slices.Contains(servers, server) {
			servers = append(servers, server)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if len(servers) == 0 {
		return nil, errors.New(file + " names no other nameserver: " + `give one with --upstream or resolver.upstream.servers`)
	}
	return servers, nil
}

// makeStateDir makes the state folder. A folder that nobody asked for may be
// impossible, on a read-only system: weir then works without.
func makeStateDir(cfg *config) error {
	if cfg.StateDir == "" {
		return errors.New("state_dir: none is set, and there is no home folder")
	}
	if err := os.MkdirAll(cfg.StateDir, 0o750); err != nil {
		return fmt.Errorf("state_dir: %w", err)
	}
	probe, err := os.CreateTemp(cfg.StateDir, ".writable-*")
	if err != nil {
		return fmt.Errorf("state_dir: %w", err)
	}
	_ = probe.Close() // it only showed that it could be made
	return os.Remove(probe.Name())
}
