// Package kafka sends rows to a topic of Kafka, or of what speaks its protocol.
package kafka

import (
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/weirdns/weir/pdns/encode"
	"github.com/weirdns/weir/pdns/outlet"
)

// Config is one topic.
type Config struct {
	outlet.Config `yaml:",inline"`
	// Brokers are some of the cluster's, host:port; the others are asked of them.
	Brokers []string `yaml:"brokers"`
	// Topic is where rows go. It has to be there, unless the brokers make what is
	// asked for. Default: weir-dns.
	Topic string `yaml:"topic"`
	// Format of the rows: native, zeek_json, eve, ecs or ocsf. Default: native.
	Format encode.Format `yaml:"format"`
	// Compression is none, gzip, snappy, lz4 or zstd. Default: zstd.
	Compression string `yaml:"compression"`
	// MaxMessageBytes is the most that the brokers take of one request for one
	// partition, as their message.max.bytes; a row that is larger is refused. Bytes.
	// Default: 1000012.
	MaxMessageBytes int64 `yaml:"max_message_bytes"`
	// User and PasswordFile log in, by Mechanism: plain, scram-sha-256 or
	// scram-sha-512. Default: nobody, plain.
	User         string `yaml:"user"`
	PasswordFile string `yaml:"password_file"`
	Mechanism    string `yaml:"mechanism"`
	// UseTLS speaks TLS to the brokers. Default: false.
	UseTLS bool `yaml:"use_tls"`
	// TLS says whom to believe. Default: whom the system does.
	TLS outlet.TLSConfig `yaml:"tls"`
}

// DefaultConfig is for a cluster without login.
func DefaultConfig() Config {
	return Config{Config: outlet.DefaultConfig(), Topic: "weir-dns", Compression: "zstd", Mechanism: "plain", MaxMessageBytes: 1000012}
}

// Validate says everything that is wrong with c, short of reading files.
func (c *Config) Validate() error {
	errs := []error{c.Config.Validate()}
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if len(c.Brokers) == 0 {
		fail("brokers: name at least one, host:port")
	}
	for i, b := range c.Brokers {
		if host, port, err := net.SplitHostPort(b); err != nil || host == "" || port == "" {
			fail("brokers[%d]: must be host:port, got %q", i, b)
		}
	}
	if c.Topic == "" || len(c.Topic) > 249 || strings.Trim(c.Topic, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") != "" {
		fail("topic: must be up to 249 letters, digits, '.', '_' and '-', got %q", c.Topic)
	}
	if !c.Format.JSON() {
		fail("format: must be one that is JSON (native, zeek_json, eve, ecs, ocsf), got %v", c.Format)
	}
	if _, ok := codecs[c.Compression]; !ok {
		fail("compression: must be none, gzip, snappy, lz4 or zstd, got %q", c.Compression)
	}
	if c.MaxMessageBytes < 1<<10 || c.MaxMessageBytes > 64<<20 {
		fail("max_message_bytes: must be from 1KiB to 64MiB, got %d", c.MaxMessageBytes)
	}
	switch c.Mechanism {
	case "plain", "scram-sha-256", "scram-sha-512":
	default:
		fail("mechanism: must be plain, scram-sha-256 or scram-sha-512, got %q", c.Mechanism)
	}
	if (c.User == "") != (c.PasswordFile == "") {
		fail("user: user and password_file belong together")
	}
	if err := c.TLS.Validate(); err != nil {
		fail("tls.%w", err)
	} else if !c.UseTLS && c.TLS != (outlet.TLSConfig{}) {
		fail("tls: means nothing without use_tls")
	}
	return errors.Join(errs...)
}

// Files are those that the configuration names.
func (c *Config) Files() []string { return append(c.TLS.Files(), c.PasswordFile) }
