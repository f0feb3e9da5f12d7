package blocklist

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"aead.dev/minisign"

	"github.com/weirdns/weir/internal/xfr"
)

const (
	maxKey  = 256
	keyMask = "***"
)

// fetched is the outcome of asking a URL: data and their copy, or that there is
// nothing new.
type fetched struct {
	*data // nil: not modified
	spool *spool
	soa   *xfr.SOA // of a zone
}

// request is what fetch needs of a source, copied out of it under the lock.
type request struct {
	cfg                *Config
	path               string
	etag, lastModified string
	had                int // entries that serve now
	soa                *xfr.SOA
	shop               workshop
	guard              *guard
}

// fetch asks the URL once and compiles what it gets. Nothing of what serves is
// touched. Its errors hold neither the URL nor the key. The caller closes the
// spool of a success.
func fetch(ctx context.Context, t http.RoundTripper, q *request) (*fetched, error) {
	ctx, cancel := context.WithTimeout(ctx, q.cfg.Timeout)
	defer cancel()
	key, err := readKey(q.cfg.AuthKeyFile)
	if err != nil {
		return nil, &refusal{resultNoKey, fmt.Errorf("list %s: auth_key_file: %w", q.cfg.Name, err)}
	}
	f, err := fetchKeyed(ctx, t, q, key)
	if err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			err = refuse(resultNetwork, "not done within %v", q.cfg.Timeout)
		}
		return nil, &refusal{resultOf(err, resultNetwork), fmt.Errorf("list %s: %w", q.cfg.Name, hide(err, key))}
	}
	return f, nil
}

func fetchKeyed(ctx context.Context, t http.RoundTripper, q *request, key string) (*fetched, error) {
	req, err := newRequest(ctx, q, key)
	if err != nil {
		return nil, err
	}
	resp, err := newClient(t).Do(req)
	if err != nil {
		return nil, withoutURL(err)
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusNotModified && (q.etag != "" || q.lastModified != ""):
		return &fetched{}, nil
	case resp.StatusCode != http.StatusOK:
		return nil, refuse(resultStatus, "HTTP status %d", resp.StatusCode)
	}
	return receive(ctx, t, resp, q, key)
}

func newRequest(ctx context.Context, q *request, key string) (*http.Request, error) {
	raw := strings.ReplaceAll(q.cfg.URL, keyPlaceholder, url.PathEscape(key))
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, raw, nil)
	if err != nil {
		return nil, withoutURL(err)
	}
	req.Header.Set("User-Agent", clientUserAgent)
	req.Header.Set("Accept-Encoding", "gzip")
	if key != "" && raw == q.cfg.URL {
		req.Header.Set(authKeyHeader, key)
	}
	if q.etag != "" {
		req.Header.Set("If-None-Match", q.etag)
	}
	if q.lastModified != "" {
		req.Header.Set("If-Modified-Since", q.lastModified)
	}
	return req, nil
}

// receive reads, parses, judges and spools a body in one pass.
func receive(ctx context.Context, t http.RoundTripper, resp *http.Response, q *request, key string) (*fetched, error) {
	body, err := unpack(resp.Body, strings.ToLower(resp.Header.Get("Content-Encoding")), q.cfg.MaxBytes)
	if err != nil {
		return nil, err
	}
	f := &fetched{spool: newSpool(q.path)}
	var seal *minisign.Reader
	if q.cfg.MinisignKey != "" {
		seal = minisign.NewReader(body)
		body = seal
	}
	if f.data, err = compile(io.TeeReader(body, f.spool), q.cfg, q.guard, q.shop); err == nil {
		err = plausible(f.data, q)
	}
	if err == nil {
		err = verify(ctx, t, q, key, f.spool.sum(), seal)
	}
	if err != nil {
		f.release()
		f.spool.close()
		return nil, err
	}
	f.loaded = time.Now().UTC().Truncate(time.Second)
	f.checked = f.loaded
	f.etag, f.lastModified = keepTag(resp.Header.Get("ETag")), keepTag(resp.Header.Get("Last-Modified"))
	f.sha256 = f.spool.sum()
	f.spool.finish(storeHeader{
		List: q.cfg.Name, URLHash: urlHash(q.cfg),
		Fetched: f.loaded, ETag: f.etag, LastModified: f.lastModified,
	})
	return f, nil
}

// plausible refuses data that have too little in them.
func plausible(d *data, q *request) error {
	now := d.set.names + d.set.addrs + d.set.expressions()
	switch {
	case now == 0:
		return refuse(resultEmpty, "no entries")
	case q.had >= growFrom && now > growTimes*q.had && !q.cfg.AllowGrow:
		return refuse(resultGrown, "%d entries, more than %d times the %d before; set allow_grow if that is meant", now, growTimes, q.had)
	case now*2 < q.had && !q.cfg.AllowShrink:
		return refuse(resultShrunk, "%d entries, fewer than half of the %d before; set allow_shrink if that is meant", now, q.had)
	}
	return nil
}

// A list that is suddenly much longer is not the list that it was: feeds have
// shipped the whole of a top-million list by mistake.
const (
	growTimes = 5
	growFrom  = 1000 // below, a list may well be just beginning
)

// keepTag is a validator of the response, if it is one that can be kept.
func keepTag(s string) string {
	if len(s) > maxTagHeader {
		return ""
	}
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < ' ' || c >= 0x7f || c == '<' || c == '>' || c == '&' {
			return ""
		}
	}
	return s
}

// readKey reads the key in a file; "" if there is none.
func readKey(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b := make([]byte, maxKey+2)
	n, err := f.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	if n == 0 {
		return "", fmt.Errorf("%s: empty", path)
	}
	key := bytes.TrimSpace(b[:n])
	if len(key) == 0 || len(key) > maxKey {
		return "", fmt.Errorf("%s: want a key of 1 to %d octets on one line", path, maxKey)
	}
	for _, ch := range key {
		if ch <= ' ' || ch >= 0x7f {
			return "", fmt.Errorf("%s: want a key of printable ASCII on one line", path)
		}
	}
	return string(key), nil
}

// hide masks the key in an error, which a server could have put there.
func hide(err error, key string) error {
	if key == "" {
		return err
	}
	text := err.Error()
	masked := strings.NewReplacer(key, keyMask, url.PathEscape(key), keyMask, url.QueryEscape(key), keyMask).Replace(text)
	if masked == text {
		return err
	}
	return &refusal{resultOf(err, resultNetwork), errors.New(masked)}
}
