package detect

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/weirdns/weir/internal/dnsname"
)

// MuteConfig keeps findings from being told for a while. What it leaves open
// matches everything; it must not leave everything open.
type MuteConfig struct {
	// Kind of finding, as in weir_findings_total. Empty: any.
	Kind string `yaml:"kind"`
	// Name is a domain; findings about it and all below it match. Empty: any.
	Name string `yaml:"name"`
	// Client is an address or a network. Empty: any.
	Client string `yaml:"client"`
	// Reason is why, for who reads the file later. Must be given.
	Reason string `yaml:"reason"`
	// Until is the day on which it ends, YYYY-MM-DD, or a moment in RFC 3339.
	// It is held against the time of the data. Must be given.
	Until string `yaml:"until"`
}

// mute is a MuteConfig, read.
type mute struct {
	anyKind bool
	kind    FindingKind
	name    dnsname.Name // nil: any
	client  netip.Prefix // invalid: any
	until   time.Time
}

// Validate says everything that is wrong with c.
func (c *MuteConfig) Validate() error {
	_, err := c.parse()
	return err
}

func (c *MuteConfig) parse() (m mute, err error) {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if m.anyKind = c.Kind == ""; !m.anyKind {
		var ok bool
		if m.kind, ok = ParseFindingKind(c.Kind); !ok {
			bad("kind: must be a kind of finding, got %q", c.Kind)
		}
	}
	if c.Name != "" {
		if m.name, err = dnsname.ParseHost(c.Name); err != nil {
			bad("name: %q is not a domain name: %w", c.Name, err)
		}
	}
	if c.Client != "" {
		if m.client, err = parseNetwork(c.Client); err != nil {
			bad("client: must be an address or a network, got %q", c.Client)
		}
	}
	if c.Kind == "" && c.Name == "" && c.Client == "" {
		bad("kind: one of kind, name and client must be given, or nothing would be told any more")
	}
	if c.Reason == "" {
		bad("reason: must say why")
	}
	if m.until, err = parseUntil(c.Until); err != nil {
		bad("until: must be a day, YYYY-MM-DD, or a moment in RFC 3339, got %q", c.Until)
	}
	return m, errors.Join(errs...)
}

// parseUntil reads the end of a mute: a day as its beginning, in UTC.
func parseUntil(s string) (time.Time, error) {
	if t, err := time.Parse(time.DateOnly, s); err == nil {
		return t, nil
	}
	return time.Parse(time.RFC3339, s)
}

func parseNetwork(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		a = a.Unmap().WithZone("")
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	return p.Masked(), err
}

func (m *mute) covers(f *Finding) bool {
	return f.Time.Before(m.until) &&
		(m.anyKind || m.kind == f.Kind) &&
		(m.name == nil || f.Name != nil && f.Name.Within(m.name)) &&
		(!m.client.IsValid() || m.client.Contains(f.Client.Unmap().WithZone("")))
}
