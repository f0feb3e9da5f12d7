package privacy

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/weirdns/weir/internal/dnsname"
)

// Config says how much of a client is kept, and of whom nothing is.
type Config struct {
	// ClientAddress is how much of a client's address is kept, everywhere: none,
	// truncated (to /24 and /48), hash, ipcrypt or full. Default: truncated.
	ClientAddress Mode `yaml:"client_address"`
	// KeyRotation is how long one key of hash is in use. Then it is forgotten, and
	// the same client is another one. Default: 24h.
	KeyRotation time.Duration `yaml:"key_rotation"`
	// KeyFile is a key of your own for hash (64 hexadecimal digits) or ipcrypt (32),
	// which weir never changes, so that several instances write a client alike.
	// Default: empty, and weir makes one in its state folder.
	KeyFile string `yaml:"key_file"`
	// FullClients are networks or addresses that are kept in full whatever
	// ClientAddress says: servers, not people. Default: none.
	FullClients []string `yaml:"full_clients"`
	// SkipClients are networks or addresses whose queries are not recorded at
	// all. Default: none.
	SkipClients []string `yaml:"skip_clients"`
	// SkipNames are names that are not recorded at all, with all below them.
	// Default: none.
	SkipNames []string `yaml:"skip_names"`
}

// DefaultConfig keeps the network of a client, and records everybody.
func DefaultConfig() Config {
	return Config{ClientAddress: Truncated, KeyRotation: 24 * time.Hour}
}

const (
	minRotation = time.Minute
	maxNetworks = 256 // of one list: each record is held against all of them
	maxNames    = 65536
)

// Validate says everything that is wrong with c, short of reading files.
func (c *Config) Validate() error {
	var errs []error
	if int(c.ClientAddress) >= len(modeNames) {
		errs = append(errs, fmt.Errorf("client_address: must be %s, got %d", modeList, c.ClientAddress))
	}
	if c.KeyRotation < minRotation {
		errs = append(errs, fmt.Errorf("key_rotation: must be at least %v, got %v", minRotation, c.KeyRotation))
	}
	if c.KeyFile != "" && !c.ClientAddress.keyed() {
		errs = append(errs, fmt.Errorf("key_file: only client_address hash and ipcrypt have a key, not %v", c.ClientAddress))
	}
	_, err := parseNetworks("full_clients", c.FullClients)
	errs = append(errs, err)
	_, err = parseNetworks("skip_clients", c.SkipClients)
	errs = append(errs, err)
	_, err = parseNames(c.SkipNames)
	return errors.Join(append(errs, err)...)
}

// networks are looked through one by one: they are few.
type networks []netip.Prefix

func parseNetworks(field string, list []string) (out networks, err error) {
	var errs []error
	for i, s := range list {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			var a netip.Addr
			if a, err = netip.ParseAddr(s); err == nil {
				p = netip.PrefixFrom(a, a.BitLen())
			}
		}
		if err != nil || strings.Contains(s, "%") {
			errs = append(errs, fmt.Errorf("%s[%d]: must be an address or a network like 192.0.2.0/24, got %q", field, i, s))
			continue
		}
		if p.Addr().Is4In6() && p.Bits() >= 96 {
			p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
		}
		out = append(out, p.Masked())
	}
	if len(list) > maxNetworks {
		errs = append(errs, fmt.Errorf("%s: at most %d, got %d", field, maxNetworks, len(list)))
	}
	return out, errors.Join(errs...)
}

// has wants an address that is unmapped and has no zone.
func (n networks) has(a netip.Addr) bool {
	for i := range n {
		if n[i].Contains(a) {
			return true
		}
	}
	return false
}

func parseNames(list []string) (map[string]struct{}, error) {
	if len(list) == 0 {
		return nil, nil
	}
	var errs []error
	out := make(map[string]struct{}, len(list))
	for i, s := range list {
		n, err := dnsname.Parse(s)
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("skip_names[%d]: %q: %w", i, s, err))
		case n.IsRoot():
			errs = append(errs, fmt.Errorf("skip_names[%d]: the root would skip everything; switch off records instead", i))
		default:
			out[string(n)] = struct{}{}
		}
	}
	if len(list) > maxNames {
		errs = append(errs, fmt.Errorf("skip_names: at most %d, got %d", maxNames, len(list)))
	}
	return out, errors.Join(errs...)
}

// CheckFiles reads what the configuration names, and says what is wrong with it.
func (c *Config) CheckFiles() error {
	if c.KeyFile == "" {
		return nil
	}
	_, err := readOwnKey(c.KeyFile, c.ClientAddress)
	return err
}

// readOwnKey reads the operator's key. The error never holds what the file does.
func readOwnKey(path string, m Mode) ([]byte, error) {
	text, err := os.ReadFile(filepath.Clean(path))
	if err != nil {
		return nil, fmt.Errorf("key_file: %w", err)
	}
	key, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(key) != m.keyLen() {
		return nil, fmt.Errorf("key_file: %s must hold %d hexadecimal digits for %v", path, 2*m.keyLen(), m)
	}
	return key, nil
}
