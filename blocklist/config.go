package blocklist

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Bounds and defaults of Config.
const (
	defaultRefresh = 6 * time.Hour
	// minRefresh: URLhaus rebuilds its exports every five minutes and asks not
	// to be fetched more often.
	minRefresh     = 5 * time.Minute
	maxRefresh     = 30 * 24 * time.Hour
	defaultTimeout = time.Minute
	minTimeout     = time.Second
	maxTimeout     = 10 * time.Minute
	defaultBytes   = 64 << 20
	// defaultConfidence leaves out what its own reporter doubts more than not.
	defaultConfidence = 50
	minBytes          = 1 << 10
	// maxBytes keeps a compiled list below the 4 GiB that its table can address.
	maxBytes = 1 << 30
	// maxLists keeps the lookups of one query, which go through every list,
	// and the series of the metrics bounded.
	maxLists = 256
)

// keyPlaceholder in a URL stands for the content of AuthKeyFile.
const keyPlaceholder = "{key}"

// A list's name becomes part of a file name and a metric's label.
var namePattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// Config describes one list. A zero field means its default.
type Config struct {
	// Name of the list in records, metrics and logs: 1 to 64 letters, digits,
	// dots, dashes and underscores. Required, and unique.
	Name string `yaml:"name"`
	// Disabled lists are checked, and then left out. Default false.
	Disabled bool `yaml:"disabled"`
	// Kind: block or allow. Default block.
	Kind Kind `yaml:"kind"`
	// Format: auto, domains, hosts, adblock, regex, rpz, dnsmasq, unbound,
	// bind, urlhaus or threatfox. Default auto.
	Format Format `yaml:"format"`
	// Match: exact, subtree, or auto for what fits the format: exact for hosts,
	// rpz, urlhaus and threatfox, subtree for the others. Default auto.
	Match MatchMode `yaml:"match"`

	// Inline entries, one line of the format each. Exactly one of inline, file
	// and url is set.
	Inline []string `yaml:"inline"`
	// File is the path of a local list; it is read again when it changes.
	File string `yaml:"file"`
	// URL of a list, https or http. {key} stands for the content of auth_key_file.
	URL string `yaml:"url"`

	// Transfer makes the list a policy zone that comes from its primary, by AXFR
	// and IXFR. Instead of inline, file and url.
	Transfer Transfer `yaml:"transfer"`

	// Refresh is how often the URL is asked, give or take a tenth; from 5m to
	// 720h. Default 6h.
	Refresh time.Duration `yaml:"refresh"`
	// Timeout for one refresh as a whole, from 1s to 10m. Default 1m.
	Timeout time.Duration `yaml:"timeout"`
	// MaxBytes is the largest source that is accepted, in octets after
	// decompression, from 1024 to 1 GiB. Default 64 MiB.
	MaxBytes int64 `yaml:"max_bytes"`
	// AuthKeyFile holds the key for the URL, on one line; it is read before
	// each refresh. The key goes where the URL says {key}, else into the
	// header Auth-Key. Default none.
	AuthKeyFile string `yaml:"auth_key_file"`
	// Addresses of the URL's host. With them it is never resolved, which matters
	// where the system's resolver is this one. Default none.
	Addresses []string `yaml:"addresses"`
	// Bootstrap are resolvers, IP or IP:port, that the URL's host, and those that
	// it redirects to, are resolved by. Default none: the system's.
	Bootstrap []string `yaml:"bootstrap"`
	// Proxy is the URL of a proxy (http, https or socks5) to reach the list's URL
	// by. It is taken from here only, never from the environment. Default none.
	Proxy string `yaml:"proxy"`
	// PinSHA256 is the one text, unpacked, that is taken: its SHA-256 in hex.
	// Default none.
	PinSHA256 string `yaml:"pin_sha256"`
	// MinisignKey is the public key that the text, unpacked, must be signed with;
	// the signature is at the URL with .minisig behind its path. Default none.
	MinisignKey string `yaml:"minisign_key"`
	// AllowPrivate lets the URL, or what it redirects to, be in private,
	// loopback or link-local address space. Default false.
	AllowPrivate bool `yaml:"allow_private"`
	// AllowShrink accepts a refresh with fewer than half of the entries before
	// it. Default false.
	AllowShrink bool `yaml:"allow_shrink"`
	// AllowGrow accepts a refresh with more than five times the entries before
	// it, where those were 1000 or more. Default false.
	AllowGrow bool `yaml:"allow_grow"`
	// AllowLocalData lets the URL say what names resolve to (RPZ local data and
	// its like). Without it such entries block as any other: who holds the feed
	// could send every client wherever he likes. Files and inline entries may
	// always say so. Default false.
	AllowLocalData bool `yaml:"allow_local_data"`
	// MinConfidence is the least confidence of ThreatFox's rows that become
	// entries, 1 to 100. Default 50.
	MinConfidence int `yaml:"min_confidence"`
}

// DefaultConfig has every default written out.
func DefaultConfig() Config { return (&Config{}).withDefaults() }

// withDefaults is c with zero fields replaced by what they mean.
func (c *Config) withDefaults() Config {
	d := *c
	set := func(p *time.Duration, v time.Duration) {
		if *p == 0 {
			*p = v
		}
	}
	set(&d.Refresh, defaultRefresh)
	set(&d.Timeout, defaultTimeout)
	if d.MaxBytes == 0 {
		d.MaxBytes = defaultBytes
	}
	if d.MinConfidence == 0 {
		d.MinConfidence = defaultConfidence
	}
	if d.Transfer.set() && d.Format == "" {
		d.Format = FormatRPZ
	}
	if d.Kind == "" {
		d.Kind = Block
	}
	if d.Format == "" {
		d.Format = FormatAuto
	}
	if d.Match == "" {
		d.Match = MatchAuto
	}
	return d
}

func (c *Config) equal(o *Config) bool { return reflect.DeepEqual(c, o) }

// Validate says everything that is wrong with c, as one joined error.
func (c *Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	d := c.withDefaults()

	if !namePattern.MatchString(d.Name) {
		bad("name: want 1 to 64 letters, digits, dots, dashes and underscores, got %q", d.Name)
	}
	switch d.Kind {
	case Block, Allow:
	default:
		bad("kind: want block or allow, got %q", d.Kind)
	}
	if d.Format != FormatAuto && !slices.Contains(formats, d.Format) {
		bad("format: want auto or one of %q, got %q", formats, d.Format)
	}
	switch d.Match {
	case MatchAuto, MatchExact, MatchSubtree:
	default:
		bad("match: want auto, exact or subtree, got %q", d.Match)
	}
	if d.Refresh < minRefresh || d.Refresh > maxRefresh {
		bad("refresh: must be from %v to %v, got %v", minRefresh, maxRefresh, d.Refresh)
	}
	if d.Timeout < minTimeout || d.Timeout > maxTimeout {
		bad("timeout: must be from %v to %v, got %v", minTimeout, maxTimeout, d.Timeout)
	}
	if d.MaxBytes < minBytes || d.MaxBytes > maxBytes {
		bad("max_bytes: must be from %d to %d, got %d", minBytes, maxBytes, d.MaxBytes)
	}
	if d.MinConfidence < 1 || d.MinConfidence > 100 {
		bad("min_confidence: must be from 1 to 100, got %d", d.MinConfidence)
	}
	switch n := c.sources(); {
	case n == 0:
		bad("url: one of inline, file, url and transfer must be set")
	case n > 1:
		bad("url: only one of inline, file, url and transfer may be set")
	}
	errs = append(errs, c.Transfer.check()...)
	errs = append(errs, c.checkWay()...)
	errs = append(errs, c.checkURL()...)
	if len(errs) == 0 && len(c.Inline) > 0 {
		errs = append(errs, c.checkInline()...)
	}
	return errors.Join(errs...)
}

// remote says whether the list comes from somebody else's machine.
func (c *Config) remote() bool { return c.URL != "" || c.Transfer.set() }

func (c *Config) sources() int {
	n := 0
	for _, set := range []bool{len(c.Inline) > 0, c.File != "", c.URL != "", c.Transfer.set()} {
		if set {
			n++
		}
	}
	return n
}

// checkURL checks the URL and the fields that mean something only with one. Its
// errors never quote the URL: it may hold a secret.
func (c *Config) checkURL() (errs []error) {
	bad := func(text string) { errs = append(errs, errors.New(text)) }
	if c.URL == "" {
		for _, f := range []struct {
			field string
			set   bool
		}{
			{"refresh", c.Refresh != 0}, {"auth_key_file", c.AuthKeyFile != ""},
			{"allow_private", c.AllowPrivate}, {"addresses", len(c.Addresses) > 0}, {"bootstrap", len(c.Bootstrap) > 0},
			{"proxy", c.Proxy != ""}, {"pin_sha256", c.PinSHA256 != ""}, {"minisign_key", c.MinisignKey != ""},
			{"allow_shrink", c.AllowShrink && !c.Transfer.set()}, {"allow_grow", c.AllowGrow && !c.Transfer.set()},
			{"allow_local_data", c.AllowLocalData && !c.Transfer.set()},
		} {
			if f.set {
				bad(f.field + ": means something only with a url")
			}
		}
		return errs
	}
	u, err := url.Parse(strings.ReplaceAll(c.URL, keyPlaceholder, "key"))
	switch {
	case err != nil:
		bad("url: not a URL")
		return errs
	case u.Scheme != "https" && u.Scheme != "http":
		bad("url: want https or http, got the scheme " + fmt.Sprintf("%q", u.Scheme))
	case u.Hostname() == "":
		bad("url: no host")
	case strings.Contains(u.Host, keyPlaceholder):
		bad("url: {key} in place of the host")
	}
	keyed := strings.Contains(c.URL, keyPlaceholder)
	if keyed && c.AuthKeyFile == "" {
		bad("auth_key_file: must be set, since the url has {key}")
	}
	if c.AuthKeyFile != "" && u.Scheme == "http" && !c.AllowPrivate {
		bad("url: must be https to carry a key")
	}
	if addr, err := netip.ParseAddr(u.Hostname()); err == nil && !c.AllowPrivate && !public(addr) {
		bad("url: the host is a private address; set allow_private if that is meant")
	}
	return errs
}

// checkInline reads the entries, so that a slip is found when the
// configuration is and not when the list is missed.
func (c *Config) checkInline() (errs []error) {
	d := c.withDefaults()
	p := newParser(&d, nil)
	for i, entry := range c.Inline {
		if strings.ContainsAny(entry, "\r\n") {
			errs = append(errs, fmt.Errorf("inline[%d]: %q is more than one line", i, entry))
			continue
		}
		p.onReject = func(r Reason) {
			errs = append(errs, fmt.Errorf("inline[%d]: %q: %s", i, entry, r.Text()))
		}
		if err := p.line([]byte(entry)); err != nil {
			errs = append(errs, fmt.Errorf("inline[%d]: %q: %w", i, entry, err))
		}
	}
	return errs
}

// ValidateAll checks every list and that their names differ; each error begins
// with the position, like "[2].url: no host".
func ValidateAll(cfgs []Config) error {
	var errs []error
	if len(cfgs) > maxLists {
		errs = append(errs, fmt.Errorf("at most %d lists, got %d", maxLists, len(cfgs)))
	}
	seen := make(map[string]int)
	for i := range cfgs {
		c := &cfgs[i]
		if err := c.Validate(); err != nil {
			for _, line := range unjoin(err) {
				errs = append(errs, fmt.Errorf("[%d].%w", i, line))
			}
		}
		if first, ok := seen[c.Name]; ok {
			errs = append(errs, fmt.Errorf("[%d].name: %q is the name of list %d already", i, c.Name, first))
		} else {
			seen[c.Name] = i
		}
	}
	return errors.Join(errs...)
}

func unjoin(err error) []error {
	if j, ok := err.(interface{ Unwrap() []error }); ok {
		return j.Unwrap()
	}
	return []error{err}
}
