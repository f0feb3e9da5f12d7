// Package httpout sends rows to services that take JSON over HTTP: lines as they
// are, or in the envelopes of Loki, Splunk's event collector, and the bulk
// interface of Elasticsearch and OpenSearch.
package httpout

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/weirdns/weir/pdns/encode"
	"github.com/weirdns/weir/pdns/outlet"
)

// Config is one service.
type Config struct {
	outlet.Config `yaml:",inline"`
	// URL is where batches are posted to: with http:// or https://, and without a
	// password in it. Of elastic_bulk the path ends in /_bulk, of loki in
	// /loki/api/v1/push, of splunk_hec in /services/collector/event.
	URL string `yaml:"url"`
	// Preset is the envelope: ndjson (a line for each row), loki, splunk_hec or
	// elastic_bulk. Default: ndjson.
	Preset Preset `yaml:"preset"`
	// Format of the rows: native, zeek_json, eve, ecs or ocsf. Default: native.
	Format encode.Format `yaml:"format"`
	// Gzip compresses what is sent. Default: true.
	Gzip bool `yaml:"gzip"`
	// TokenFile has a token that goes out with each batch: "Bearer TOKEN", of
	// splunk_hec "Splunk TOKEN", of elastic_bulk "ApiKey TOKEN". Default: empty.
	TokenFile string `yaml:"token_file"`
	// User and PasswordFile are for services that ask for both. Default: empty.
	User         string `yaml:"user"`
	PasswordFile string `yaml:"password_file"`
	// Headers are more of them, "Name: value", such as X-Scope-OrgID. They are
	// written to the log with the configuration: no secrets. Default: none.
	Headers []string `yaml:"headers"`
	// Index is where elastic_bulk puts rows, and the index of splunk_hec. Default:
	// weir-dns for elastic_bulk, the token's own for splunk_hec.
	Index string `yaml:"index"`
	// Labels of loki's stream, "name=value". Default: job=weir.
	Labels []string `yaml:"labels"`
	// TLS says whom to believe. Default: whom the system does.
	TLS outlet.TLSConfig `yaml:"tls"`
}

// DefaultConfig is for lines as they are.
func DefaultConfig() Config { return Config{Config: outlet.DefaultConfig(), Gzip: true} }

// Validate says everything that is wrong with c, short of reading files.
func (c *Config) Validate() error {
	errs := []error{c.Config.Validate()}
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	u, err := url.Parse(c.URL)
	switch {
	case err != nil: // the error has the whole URL, which may hold a secret
		fail("url: is no URL")
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		fail("url: must be like https://host/path")
	case u.User != nil:
		fail("url: must not hold a user or password: use user and password_file")
	}
	if int(c.Preset) >= len(presetNames) {
		fail("preset: must be one of %s, got %d", strings.Join(presetNames[:], ", "), c.Preset)
	}
	if !c.Format.JSON() {
		fail("format: must be one that is JSON (native, zeek_json, eve, ecs, ocsf), got %v", c.Format)
	}
	if c.TokenFile != "" && (c.User != "" || c.PasswordFile != "") {
		fail("token_file: either a token, or user and password_file")
	}
	if (c.User == "") != (c.PasswordFile == "") {
		fail("user: user and password_file belong together")
	}
	for i, h := range c.Headers {
		if name, _, ok := strings.Cut(h, ":"); !ok || !token(name) || strings.ContainsAny(h, "\r\n\x00") {
			fail("headers[%d]: must be Name: value", i)
		} else if strings.EqualFold(name, "Authorization") {
			fail("headers[%d]: Authorization is set by token_file, or by user and password_file", i)
		}
	}
	for i, l := range c.Labels {
		if name, _, ok := strings.Cut(l, "="); !ok || !token(name) || strings.Contains(name, "-") {
			fail("labels[%d]: must be name=value, got %q", i, l)
		}
	}
	for _, err := range []error{c.TLS.Validate()} {
		if err != nil {
			fail("tls.%w", err)
		}
	}
	return errors.Join(errs...)
}

// token says whether s is letters, digits, - and _.
func token(s string) bool {
	for _, r := range s {
		if !strings.ContainsRune("-_", r) && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') {
			return false
		}
	}
	return s != ""
}

// Files are those that the configuration names.
func (c *Config) Files() []string { return append(c.TLS.Files(), c.TokenFile, c.PasswordFile) }

// Preset is an envelope.
type Preset uint8

// The envelopes.
const (
	NDJSON Preset = iota
	Loki
	SplunkHEC
	ElasticBulk
)

var presetNames = [...]string{NDJSON: "ndjson", Loki: "loki", SplunkHEC: "splunk_hec", ElasticBulk: "elastic_bulk"}

// String is the word used in the configuration.
func (p Preset) String() string {
	if int(p) < len(presetNames) {
		return presetNames[p]
	}
	return fmt.Sprintf("Preset(%d)", uint8(p))
}

// MarshalText is String, for the configuration.
func (p Preset) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads the word used in the configuration.
func (p *Preset) UnmarshalText(text []byte) error {
	for i, name := range presetNames {
		if string(text) == name {
			*p = Preset(i)
			return nil
		}
	}
	return fmt.Errorf("must be one of %s, got %q", strings.Join(presetNames[:], ", "), text)
}
