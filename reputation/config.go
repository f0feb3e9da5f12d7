package reputation

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/weirdns/weir/detect"
)

// Config says who is asked about names.
type Config struct {
	// Lists are lists of the configuration whose hits are a reputation, with all
	// that a feed says of them. Default: none.
	Lists []ListConfig `yaml:"lists"`
	// HTTP are services that answer in JSON. They are asked for the registered
	// domains of detections alone. Default: none.
	HTTP []HTTPConfig `yaml:"http"`
}

// ListConfig makes a list a service.
type ListConfig struct {
	// List is its name.
	List string `yaml:"list"`
	// Level is what a hit means: none, low, medium or high.
	Level string `yaml:"level"`
	// Disabled takes it out. Default: false.
	Disabled bool `yaml:"disabled"`
}

// HTTPConfig is a service over HTTP.
type HTTPConfig struct {
	// Disabled takes the service out. Default: false.
	Disabled bool `yaml:"disabled"`
	// Name is the service's in records and metrics: letters, digits, _ and -.
	Name string `yaml:"name"`
	// URL is asked with GET; {name} in it is the registered domain.
	URL string `yaml:"url"`
	// HeaderFile holds one header, as "Authorization: Bearer ..."; a secret belongs
	// there and not in URL. Default: empty, none.
	HeaderFile string `yaml:"header_file"`
	// Path leads to the value in the answer: keys and array indexes with dots
	// between, as data.0.score.
	Path string `yaml:"path"`
	// DetailPath leads to a text to keep beside. Default: empty, none.
	DetailPath string `yaml:"detail_path"`
	// Values are levels of values that are words, truth values or single numbers.
	Values []ValueConfig `yaml:"values"`
	// From are the least numbers of levels; a number below all of them is none.
	From []FromConfig `yaml:"from"`
	// Timeout bounds one question. Default: 5s.
	Timeout time.Duration `yaml:"timeout"`
	// PerMinute bounds the questions. Default: 60.
	PerMinute int `yaml:"per_minute"`
	// TTL is how long an answer is kept. Default: 24h.
	TTL time.Duration `yaml:"ttl"`
	// CacheEntries bounds the answers that are kept. Default: 10000.
	CacheEntries int `yaml:"cache_entries"`
}

// ValueConfig is what a value means.
type ValueConfig struct {
	// Value is it, as malicious or true.
	Value string `yaml:"value"`
	// Level is unverified, none, low, medium or high.
	Level string `yaml:"level"`
}

// FromConfig is what numbers mean.
type FromConfig struct {
	// Number is the least of the level.
	Number float64 `yaml:"number"`
	// Level is low, medium or high.
	Level string `yaml:"level"`
}

// DefaultHTTPConfig is a service of which only name, URL, path and levels lack.
func DefaultHTTPConfig() HTTPConfig {
	return HTTPConfig{Timeout: 5 * time.Second, PerMinute: 60, TTL: 24 * time.Hour, CacheEntries: 10_000}
}

var levels = map[string]detect.ReputationLevel{
	"unverified": detect.ReputationUnverified, "none": detect.ReputationNone, "low": detect.ReputationLow, "medium": detect.ReputationMedium, "high": detect.ReputationHigh,
}

var serviceName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

const (
	maxPerMinute    = 6000
	maxCacheEntries = 1 << 20
	maxServices     = 16
)

// Validate says everything that is wrong with c. lists are the names of those that
// there are.
func (c *Config) Validate(lists []string) error {
	var errs []error
	known := map[string]bool{}
	for _, l := range lists {
		known[l] = true
	}
	seen := map[string]bool{}
	for i, l := range c.Lists {
		if l.Disabled {
			continue
		}
		if !known[l.List] {
			errs = append(errs, fmt.Errorf("lists[%d].list: no list is named %q", i, l.List))
		}
		if seen[l.List] {
			errs = append(errs, fmt.Errorf("lists[%d].list: %q has a level already", i, l.List))
		}
		seen[l.List] = true
		if level, ok := levels[l.Level]; !ok || level == detect.ReputationUnverified {
			errs = append(errs, fmt.Errorf("lists[%d].level: must be none, low, medium or high, got %q", i, l.Level))
		}
	}
	if len(c.HTTP) > maxServices {
		errs = append(errs, fmt.Errorf("http: at most %d, got %d", maxServices, len(c.HTTP)))
	}
	for i := range c.HTTP {
		for _, err := range c.HTTP[i].problems() {
			errs = append(errs, fmt.Errorf("http[%d].%w", i, err))
		}
		if n := c.HTTP[i].Name; seen[n] && n != "" {
			errs = append(errs, fmt.Errorf("http[%d].name: %q is used already", i, n))
		}
		seen[c.HTTP[i].Name] = true
	}
	return errors.Join(errs...)
}

func (c *HTTPConfig) problems() (errs []error) {
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if !serviceName.MatchString(c.Name) {
		bad("name: must be letters, digits, _ and -, got %q", c.Name)
	}
	u, err := url.Parse(strings.ReplaceAll(c.URL, "{name}", "example.com"))
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || !strings.Contains(c.URL, "{name}") {
		bad("url: must be http:// or https:// with {name} in it") // it may hold a secret: not shown
	} else if strings.Contains(u.Host, "example.com") && !strings.Contains(c.URL, "example.com") {
		bad("url: {name} must not be in the host")
	}
	if c.Path == "" {
		bad("path: must not be empty")
	}
	if len(c.Values) == 0 && len(c.From) == 0 {
		bad("values: without values and from no answer has a level")
	}
	for i, v := range c.Values {
		if _, ok := levels[v.Level]; !ok {
			bad("values[%d].level: must be unverified, none, low, medium or high, got %q", i, v.Level)
		}
	}
	for i, f := range c.From {
		if level, ok := levels[f.Level]; !ok || level < detect.ReputationLow {
			bad("from[%d].level: must be low, medium or high, got %q", i, f.Level)
		}
	}
	if c.Timeout < 10*time.Millisecond || c.Timeout > time.Minute {
		bad("timeout: must be 10ms to 1m, got %v", c.Timeout)
	}
	if c.PerMinute < 1 || c.PerMinute > maxPerMinute {
		bad("per_minute: must be 1 to %d, got %d", maxPerMinute, c.PerMinute)
	}
	if c.TTL < time.Minute {
		bad("ttl: must be at least 1m, got %v", c.TTL)
	}
	if c.CacheEntries < 1 || c.CacheEntries > maxCacheEntries {
		bad("cache_entries: must be 1 to %d, got %d", maxCacheEntries, c.CacheEntries)
	}
	return errs
}

// Files are those that c names.
func (c *Config) Files() (files []string) {
	for _, h := range c.HTTP {
		if h.HeaderFile != "" && !h.Disabled {
			files = append(files, h.HeaderFile)
		}
	}
	return files
}

// readHeader reads "Name: value". The error never holds what the file does.
func readHeader(path string) (key, value string, err error) {
	if path == "" {
		return "", "", nil
	}
	data, err := os.ReadFile(filepath.Clean(path))
	if err != nil {
		return "", "", fmt.Errorf("header_file: %w", err)
	}
	k, v, ok := bytes.Cut(bytes.TrimSpace(data), []byte(":"))
	key, value = http.CanonicalHeaderKey(string(bytes.TrimSpace(k))), string(bytes.TrimSpace(v))
	if !ok || key == "" || value == "" || strings.ContainsAny(key+value, "\r\n") || strings.ContainsAny(key, " \t") {
		return "", "", fmt.Errorf("header_file: %s must hold one header, its name and its value, as Authorization: Bearer and the token", path)
	}
	return key, value, nil
}
