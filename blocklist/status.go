package blocklist

import (
	"net/url"
	"strings"
	"time"
)

// Status is a list as it serves, and where it comes from.
type Status struct {
	*List
	// Source is "inline", "file PATH", or a URL's scheme and host: the rest of a
	// URL may hold a key.
	Source string
	// Next is when a URL is asked next; zero for other sources.
	Next time.Time
}

// Status is every list, in configuration order.
func (l *Lists) Status() []Status {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]Status, len(l.sources))
	for i, s := range l.sources {
		out[i] = Status{List: s.list, Source: s.cfg.origin(), Next: s.next}
		if s.cfg.URL == "" {
			out[i].Next = time.Time{}
		}
	}
	return out
}

// origin says where a list comes from, without what may be secret.
func (c *Config) origin() string {
	switch {
	case c.URL != "":
		u, err := url.Parse(strings.ReplaceAll(c.URL, keyPlaceholder, "key"))
		if err != nil {
			return "url" // Validate has refused it
		}
		return u.Scheme + "://" + u.Host
	case c.File != "":
		return "file " + c.File
	}
	return "inline"
}
