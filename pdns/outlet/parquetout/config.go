// Package parquetout writes rows as Parquet files, into a folder or into a bucket of
// S3, for Spark, DuckDB, Trino and the like: partitions by hour, rows sorted by
// registered domain and time.
package parquetout

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/weirdns/weir/pdns/outlet"
)

// Config is one lake.
type Config struct {
	outlet.Config `yaml:",inline"`
	// Folder is where files go, an absolute path. Default: empty, s3 says where.
	Folder string `yaml:"folder"`
	// MaxBytes and MaxAge bound what lies in Folder: the oldest partitions make room,
	// and one goes when its data is so old. Bytes; default: 10 GiB. Default: 90 days.
	MaxBytes int64         `yaml:"max_bytes"`
	MaxAge   time.Duration `yaml:"max_age"`
	// S3 is a bucket. Default: none.
	S3 S3Config `yaml:"s3"`
	// RowGroupRows is how many rows a reader can skip at once. Default: 131072.
	RowGroupRows int `yaml:"row_group_rows"`
}

// S3Config is a bucket of S3, or of what speaks its protocol.
type S3Config struct {
	// Endpoint is the service: https://s3.eu-central-1.amazonaws.com, or that of
	// another one. Default: empty, no bucket.
	Endpoint string `yaml:"endpoint"`
	// Region is what requests are signed for. Default: us-east-1.
	Region string `yaml:"region"`
	// Bucket has to be there.
	Bucket string `yaml:"bucket"`
	// Prefix goes in front of the names of objects, such as dns/berlin. Default:
	// empty.
	Prefix string `yaml:"prefix"`
	// PathStyle says that the bucket is part of the path, not of the host's name.
	// Default: true; all but some of Amazon's take that.
	PathStyle bool `yaml:"path_style"`
	// AccessKey and SecretKeyFile log in; SessionTokenFile where the key is one that
	// ends. The key needs s3:PutObject below prefix and nothing else.
	AccessKey        string `yaml:"access_key"`
	SecretKeyFile    string `yaml:"secret_key_file"`
	SessionTokenFile string `yaml:"session_token_file"`
	// TLS says whom to believe. Default: whom the system does.
	TLS outlet.TLSConfig `yaml:"tls"`
}

// DefaultConfig is for few large files: one in ten minutes, unless there is more than
// 64 MiB to write.
func DefaultConfig() Config {
	c := Config{
		Config: outlet.DefaultConfig(), MaxBytes: 10 << 30, MaxAge: 90 * 24 * time.Hour,
		S3: S3Config{Region: "us-east-1", PathStyle: true}, RowGroupRows: 1 << 17,
	}
	c.BatchRows, c.BatchBytes, c.BatchInterval, c.Timeout, c.SpoolBytes = 250000, 64<<20, 10*time.Minute, 5*time.Minute, 1<<30
	return c
}

var bucketForm = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)

// Validate says everything that is wrong with c, short of reading files.
func (c *Config) Validate() error {
	errs := []error{c.Config.Validate()}
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	switch {
	case (c.Folder == "") == (c.S3.Endpoint == ""):
		fail("folder: either a folder or s3.endpoint")
	case c.Folder != "" && !filepath.IsAbs(c.Folder):
		fail("folder: must be an absolute path, got %q", c.Folder)
	}
	if c.MaxBytes < 1<<20 {
		fail("max_bytes: must be at least 1MiB, got %d", c.MaxBytes)
	}
	if c.MaxAge < time.Hour {
		fail("max_age: must be at least 1h, got %v", c.MaxAge)
	}
	if c.RowGroupRows < 1 || c.RowGroupRows > 1<<24 {
		fail("row_group_rows: must be from 1 to %d, got %d", 1<<24, c.RowGroupRows)
	}
	if c.S3.Endpoint == "" {
		return errors.Join(errs...)
	}
	u, err := url.Parse(c.S3.Endpoint)
	switch {
	case err != nil:
		fail("s3.endpoint: is no URL")
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.User != nil:
		fail("s3.endpoint: must be like https://host, and no more")
	case u.Scheme == "http" && c.S3.TLS != (outlet.TLSConfig{}):
		fail("s3.tls: means nothing without https")
	}
	if c.S3.Region == "" {
		fail("s3.region: must be said; us-east-1 where the service has none")
	}
	if !bucketForm.MatchString(c.S3.Bucket) {
		fail("s3.bucket: must be 3 to 63 lower-case letters, digits, dots and -, got %q", c.S3.Bucket)
	}
	if !prefixFits(c.S3.Prefix) {
		fail("s3.prefix: must be names of letters, digits, '-', '_', '=' and '.', with / between, got %q", c.S3.Prefix)
	}
	if c.S3.AccessKey == "" || c.S3.SecretKeyFile == "" {
		fail("s3.access_key: access_key and secret_key_file have to be there")
	}
	if err := c.S3.TLS.Validate(); err != nil {
		fail("s3.tls.%w", err)
	}
	return errors.Join(errs...)
}

var prefixForm = regexp.MustCompile(`^[A-Za-z0-9_=-][A-Za-z0-9_=.-]*(/[A-Za-z0-9_=-][A-Za-z0-9_=.-]*)*$`)

func prefixFits(s string) bool { return s == "" || len(s) <= 512 && prefixForm.MatchString(s) }

// Files are those that the configuration names.
func (c *Config) Files() []string {
	return append(c.S3.TLS.Files(), c.S3.SecretKeyFile, c.S3.SessionTokenFile)
}
