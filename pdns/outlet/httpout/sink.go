package httpout

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/weirdns/weir/pdns"
	"github.com/weirdns/weir/pdns/outlet"
	"github.com/weirdns/weir/pdns/privacy"
)

// Sink posts batches.
type Sink struct {
	cfg    Config
	lines  *pdns.Lines
	client *http.Client
	header http.Header
	target []byte
	labels []byte

	body, line []byte       // scratch
	zipped     bytes.Buffer // scratch
	zip        *gzip.Writer // nil until it is needed
}

// New reads the files that the configuration names. It connects to nobody.
func New(cfg Config, client *privacy.Guard) (*Sink, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	tlsConfig, err := cfg.TLS.Load()
	if err != nil {
		return nil, fmt.Errorf("tls.%w", err)
	}
	s := &Sink{cfg: cfg, lines: pdns.NewLines(cfg.Format, client, nil), target: []byte(cfg.target()), labels: []byte(cfg.stream()), header: http.Header{}}
	for _, h := range cfg.Headers {
		name, value, _ := strings.Cut(h, ":")
		s.header.Add(name, strings.TrimSpace(value))
	}
	s.header.Set("Content-Type", cfg.Preset.contentType())
	s.header.Set("User-Agent", "weir")
	if cfg.Gzip {
		s.header.Set("Content-Encoding", "gzip")
	}
	if err := s.authorize(); err != nil {
		return nil, err
	}
	s.client = &http.Client{
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, TLSClientConfig: tlsConfig, ForceAttemptHTTP2: true,
			MaxIdleConns: 1, MaxConnsPerHost: 1, IdleConnTimeout: time.Minute, TLSHandshakeTimeout: 10 * time.Second,
		},
		// Where a batch goes is configured; it is not sent on with its token.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return s, nil
}

func (p Preset) contentType() string {
	if p == NDJSON || p == ElasticBulk {
		return "application/x-ndjson"
	}
	return "application/json"
}

func (s *Sink) authorize() error {
	token, err := outlet.ReadSecret("token_file", s.cfg.TokenFile)
	if err != nil {
		return err
	}
	password, err := outlet.ReadSecret("password_file", s.cfg.PasswordFile)
	if err != nil {
		return err
	}
	if s.cfg.User != "" {
		r := http.Request{Header: s.header}
		r.SetBasicAuth(s.cfg.User, password)
	}
	if token != "" {
		scheme := map[Preset]string{SplunkHEC: "Splunk", ElasticBulk: "ApiKey"}[s.cfg.Preset]
		if scheme == "" {
			scheme = "Bearer"
		}
		s.header.Set("Authorization", scheme+" "+token)
	}
	return nil
}

// maxReply bounds how much of an answer is read, octets: that of elastic_bulk has
// something to say of each row.
const maxReply = 16 << 20

// Send posts b.
func (s *Sink) Send(ctx context.Context, b *outlet.Batch) error {
	defer s.shrink()
	if err := s.writeBody(b); err != nil {
		return err
	}
	body := s.body
	if s.cfg.Gzip {
		var err error
		if body, err = s.compress(); err != nil {
			return err
		}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.cfg.URL, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header = s.header.Clone()
	resp, err := s.client.Do(req)
	if err != nil {
		return withoutURL(err)
	}
	defer resp.Body.Close()
	reply, err := io.ReadAll(io.LimitReader(resp.Body, maxReply))
	if err := outlet.CheckStatus(resp); err != nil {
		return err
	}
	if err != nil {
		return err
	}
	if s.cfg.Preset == ElasticBulk {
		return bulkReply(reply)
	}
	return nil
}

// keepBytes is how much memory stays for the next batch.
const keepBytes = 2 << 20

func (s *Sink) shrink() {
	if cap(s.body) > keepBytes {
		s.body = nil
	}
	if s.zipped.Cap() > keepBytes {
		s.zipped = bytes.Buffer{}
	}
}

func (s *Sink) compress() ([]byte, error) {
	s.zipped.Reset()
	if s.zip == nil {
		s.zip, _ = gzip.NewWriterLevel(nil, gzip.BestSpeed) // a level that there is
	}
	s.zip.Reset(&s.zipped)
	_, err := s.zip.Write(s.body)
	err = errors.Join(err, s.zip.Close())
	return s.zipped.Bytes(), err
}

// withoutURL leaves the address out of an error: its query may hold a secret.
func withoutURL(err error) error {
	var e *url.Error
	if errors.As(err, &e) {
		return e.Err
	}
	return err
}

// bulkReply reads what the bulk interface says of each row. A row that is there
// already (409) is one that came twice.
func bulkReply(reply []byte) error {
	var said struct {
		Errors bool `json:"errors"`
		Items  []map[string]struct {
			Status int `json:"status"`
		} `json:"items"`
	}
	if err := json.Unmarshal(reply, &said); err != nil {
		return errors.New("the service does not answer as a bulk interface does")
	}
	no, last := 0, 0
	for _, item := range said.Items {
		for _, one := range item {
			switch c := one.Status; {
			case c >= 200 && c <= 299, c == http.StatusConflict:
			case c == http.StatusTooManyRequests, c >= 500:
				return &outlet.Later{Err: fmt.Errorf("the service answers %d for a row", c)}
			default:
				no, last = no+1, c
			}
		}
	}
	if no > 0 {
		return &outlet.Refused{Rows: no, Err: fmt.Errorf("the service answers %d", last)}
	}
	return nil
}

// Close lets go of the connection.
func (s *Sink) Close() error {
	s.client.CloseIdleConnections()
	return nil
}
