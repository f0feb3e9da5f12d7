// Package postgres sends rows to a table of PostgreSQL, with a partition for each
// day, which weir makes and drops.
package postgres

import (
	"errors"
	"fmt"
	"net"
	"path"
	"regexp"
	"time"

	"github.com/weirdns/weir/pdns/outlet"
)

// Config is one database.
type Config struct {
	outlet.Config `yaml:",inline"`
	// Address is host:port, or the folder of the server's socket.
	Address string `yaml:"address"`
	// Database is where the table is. Default: weir.
	Database string `yaml:"database"`
	// User owns the table. Default: weir.
	User string `yaml:"user"`
	// PasswordFile has the user's password. Default: empty, none.
	PasswordFile string `yaml:"password_file"`
	// Table is made if it is missing, beside views and tables whose names begin with
	// its own. Lower-case letters, digits and _, 40 at most. Default: weir_dns.
	Table string `yaml:"table"`
	// Retention is how long rows are kept, in whole days; older partitions are
	// dropped. 0: for ever. Default: 2160h, 90 days.
	Retention time.Duration `yaml:"retention"`
	// UseTLS speaks TLS to the server. Default: false.
	UseTLS bool `yaml:"use_tls"`
	// TLS says whom to believe. Default: whom the system does.
	TLS outlet.TLSConfig `yaml:"tls"`
}

// DefaultConfig keeps rows for 90 days.
func DefaultConfig() Config {
	return Config{Config: outlet.DefaultConfig(), Database: "weir", User: "weir", Table: "weir_dns", Retention: 90 * day}
}

const (
	day          = 24 * time.Hour
	maxRetention = 36500 * day
)

// Names are written into statements, quoted; longer ones PostgreSQL would cut.
var tableForm = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,39}$`)

// Validate says everything that is wrong with c, short of reading files.
func (c *Config) Validate() error {
	errs := []error{c.Config.Validate()}
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if host, port, err := net.SplitHostPort(c.Address); !path.IsAbs(c.Address) && (err != nil || host == "" || port == "") {
		fail("address: must be host:port or the folder of a socket, got %q", c.Address)
	} else if path.IsAbs(c.Address) && c.UseTLS {
		fail("use_tls: means nothing over a socket of the machine")
	}
	if c.Database == "" {
		fail("database: is missing")
	}
	if c.User == "" {
		fail("user: is missing")
	}
	if !tableForm.MatchString(c.Table) {
		fail("table: must be up to 40 lower-case letters, digits and _, got %q", c.Table)
	}
	if c.Retention != 0 && (c.Retention < day || c.Retention > maxRetention || c.Retention%day != 0) {
		fail("retention: must be 0, or whole days (24h) up to %d of them, got %v", maxRetention/day, c.Retention)
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
