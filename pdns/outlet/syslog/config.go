// Package syslog sends rows as messages of RFC 5424: over UDP (RFC 5426), TCP
// with octet counting (RFC 6587), TLS (RFC 5425), and sockets of the machine.
package syslog

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/weirdns/weir/pdns/encode"
	"github.com/weirdns/weir/pdns/outlet"
)

// Config is one receiver.
type Config struct {
	outlet.Config `yaml:",inline"`
	// URL is the receiver: udp://HOST:PORT, tcp://HOST:PORT, tls://HOST:PORT,
	// unix:///PATH (a stream) or unixgram:///PATH (as /dev/log).
	URL string `yaml:"url"`
	// Format of the rows: native, zeek, zeek_json, eve, ecs, ocsf, spot or csv.
	// Default: native.
	Format encode.Format `yaml:"format"`
	// Facility is kern, user, daemon, auth, syslog, local0 to local7 and so on.
	// Default: local0.
	Facility string `yaml:"facility"`
	// Hostname is who speaks. Default: empty, the name of the system.
	Hostname string `yaml:"hostname"`
	// AppName is the program's name. Default: weir.
	AppName string `yaml:"app_name"`
	// DataID names the structured data with weir_id, name@number, where the number is
	// a private enterprise's. Default: weir@32473, whose number is for examples.
	DataID string `yaml:"data_id"`
	// MaxMessageBytes is the longest message that the receiver takes; a row that makes
	// a longer one is refused, and counted. Bytes. Default: 8192.
	MaxMessageBytes int `yaml:"max_message_bytes"`
	// Confirm waits, on streams, until the receiver has closed its side, which it does
	// when it has read everything. Default: true.
	Confirm bool `yaml:"confirm"`
	// TLS says whom to believe. Default: whom the system does.
	TLS outlet.TLSConfig `yaml:"tls"`
}

// DefaultConfig is for a receiver without limits of its own.
func DefaultConfig() Config {
	return Config{Config: outlet.DefaultConfig(), Facility: "local0", AppName: "weir", DataID: "weir@32473", MaxMessageBytes: 8192, Confirm: true}
}

var schemes = []string{"udp", "tcp", "tls", "unix", "unixgram"}

// facilities are their names, by number (RFC 5424, section 6.2.1).
var facilities = []string{
	"kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "ntp", "audit", "alert", "clock",
	"local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
}

// Bounds of messages: every receiver takes 480 octets (RFC 5424, section 6.1), and
// no datagram is longer than maxDatagram.
const (
	minMessage  = 480
	maxMessage  = 1 << 20
	maxDatagram = 65507
)

// Validate says everything that is wrong with c, short of reading files.
func (c *Config) Validate() error {
	errs := []error{c.Config.Validate()}
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	target, err := outlet.ParseTarget(c.URL, schemes...)
	if err != nil {
		fail("url: %w", err)
	}
	if !c.Format.Valid() {
		fail("format: there is no %v", c.Format)
	}
	if !slices.Contains(facilities, c.Facility) {
		fail("facility: must be one of %s, got %q", strings.Join(facilities, ", "), c.Facility)
	}
	if c.Hostname != "" && !printable(c.Hostname, 255) {
		fail("hostname: must be up to 255 letters, digits and signs without spaces, got %q", c.Hostname)
	}
	if !printable(c.AppName, 48) {
		fail("app_name: must be up to 48 letters, digits and signs without spaces, got %q", c.AppName)
	}
	if name, number, ok := strings.Cut(c.DataID, "@"); !ok || !printable(c.DataID, 32) || name == "" || number == "" ||
		strings.ContainsAny(name, `="]`) || strings.Trim(number, "0123456789.") != "" {
		fail("data_id: must be like name@32473, got %q", c.DataID)
	}
	longest := maxMessage
	if target.Network == "udp" || target.Network == "unixgram" {
		longest = maxDatagram
	}
	if c.MaxMessageBytes < minMessage || c.MaxMessageBytes > longest {
		fail("max_message_bytes: must be from %d to %d, got %d", minMessage, longest, c.MaxMessageBytes)
	}
	if err := c.TLS.Validate(); err != nil {
		fail("tls.%w", err)
	} else if target.Network != "tls" && c.TLS != (outlet.TLSConfig{}) {
		fail("tls: means nothing unless url begins with tls://")
	}
	return errors.Join(errs...)
}

// printable says whether s is a field of the header: visible ASCII.
func printable(s string, longest int) bool {
	for i := range len(s) {
		if s[i] < '!' || s[i] > '~' {
			return false
		}
	}
	return s != "" && len(s) <= longest
}

// Files are those that the configuration names.
func (c *Config) Files() []string { return c.TLS.Files() }
