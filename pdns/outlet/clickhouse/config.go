// Package clickhouse sends rows to ClickHouse over its native protocol, into
// tables that it makes: all rows, passive DNS summed up by materialized views, and
// detections.
//
// Of ch-go it uses the messages and columns, and not the client, which costs seven
// times as much binary: what is left to do is to say hello and to read answers.
package clickhouse

import (
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/weirdns/weir/pdns/outlet"
)

// Config is one server, or a cluster of them.
type Config struct {
	outlet.Config `yaml:",inline"`
	// URL is the native port of a server, tcp://HOST:PORT (9000) or tls://HOST:PORT
	// (9440).
	URL string `yaml:"url"`
	// Database is where the tables are; it has to be there. Default: default.
	Database string `yaml:"database"`
	// User and PasswordFile log in. Default: default, and no password.
	User         string `yaml:"user"`
	PasswordFile string `yaml:"password_file"`
	// Table is the name of the one with all rows; the others' names begin with it.
	// Lower-case letters, digits and _, 40 at most. Default: weir_dns.
	Table string `yaml:"table"`
	// ManageTables has weir make the tables, and complete them. If not, the table has
	// to be there: weir needs INSERT on it alone, fills those of its columns that the
	// table has, and makes no detections and no passive DNS. Default: true.
	ManageTables bool `yaml:"manage_tables"`
	// Cluster makes the tables on all servers of a cluster: replicated, and
	// distributed by registered domain. Default: empty, on one server.
	Cluster string `yaml:"cluster"`
	// Retention is how long all rows are kept, DetectionRetention how long detections
	// are, in whole days. 0: for ever. Default: 720h (30 days) and 9600h (400 days).
	Retention          time.Duration `yaml:"retention"`
	DetectionRetention time.Duration `yaml:"detection_retention"`
	// TLS says whom to believe. Default: whom the system does.
	TLS outlet.TLSConfig `yaml:"tls"`
}

const day = 24 * time.Hour

// DefaultConfig makes few and large inserts, as ClickHouse wants them.
func DefaultConfig() Config {
	c := Config{
		Config: outlet.DefaultConfig(), Database: "default", User: "default", Table: "weir_dns", ManageTables: true,
		Retention: 30 * day, DetectionRetention: 400 * day,
	}
	c.BatchRows, c.BatchBytes, c.BatchInterval = 20000, 8<<20, 2*time.Second
	return c
}

// maxRetention keeps the end of a row's time within what DateTime has, until 2106.
const maxRetention = 7300 * day

// Names are written into statements, quoted.
var (
	tableForm = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,39}$`)
	wordForm  = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,100}$`)
)

var schemes = []string{"tcp", "tls"}

// Validate says everything that is wrong with c, short of reading files.
func (c *Config) Validate() error {
	errs := []error{c.Config.Validate()}
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	target, err := outlet.ParseTarget(c.URL, schemes...)
	if err != nil {
		fail("url: %w", err)
	}
	if !wordForm.MatchString(c.Database) {
		fail("database: must be up to 100 letters, digits, '_', '.' and '-', got %q", c.Database)
	}
	if c.User == "" {
		fail("user: is missing")
	}
	if !tableForm.MatchString(c.Table) {
		fail("table: must be up to 40 lower-case letters, digits and _, got %q", c.Table)
	}
	if c.Cluster != "" && !wordForm.MatchString(c.Cluster) {
		fail("cluster: must be up to 100 letters, digits, '_', '.' and '-', got %q", c.Cluster)
	}
	if c.Cluster != "" && !c.ManageTables {
		fail("cluster: means nothing without manage_tables")
	}
	for _, r := range []struct {
		field string
		value time.Duration
	}{{"retention", c.Retention}, {"detection_retention", c.DetectionRetention}} {
		if r.value != 0 && (r.value < day || r.value > maxRetention || r.value%day != 0) {
			fail("%s: must be 0, or whole days (24h) up to %d of them, got %v", r.field, maxRetention/day, r.value)
		}
	}
	if err := c.TLS.Validate(); err != nil {
		fail("tls.%w", err)
	} else if target.Network != "tls" && c.TLS != (outlet.TLSConfig{}) {
		fail("tls: means nothing unless url begins with tls://")
	}
	return errors.Join(errs...)
}

// Files are those that the configuration names.
func (c *Config) Files() []string { return append(c.TLS.Files(), c.PasswordFile) }
