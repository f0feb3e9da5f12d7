package parquetout

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/minio/minio-go/v7/pkg/signer"
	"github.com/weirdns/weir/pdns/outlet"
)

// bucket is a lake in S3. Objects appear as a whole, when their PUT has ended, and one
// of the same name takes the place of the other: no more of the protocol is needed.
type bucket struct {
	cfg           S3Config
	base          url.URL
	secret, token string
	work          string // folder for the object on its way
	client        *http.Client
}

func newBucket(cfg S3Config, work string) (*bucket, error) {
	b := &bucket{cfg: cfg, work: work}
	u, err := url.Parse(cfg.Endpoint)
	if err != nil {
		return nil, err
	}
	b.base = *u
	b.base.Path = ""
	if !cfg.PathStyle {
		b.base.Host = cfg.Bucket + "." + b.base.Host
	}
	if b.secret, err = outlet.ReadSecret("s3.secret_key_file", cfg.SecretKeyFile); err != nil {
		return nil, err
	}
	if b.token, err = outlet.ReadSecret("s3.session_token_file", cfg.SessionTokenFile); err != nil {
		return nil, err
	}
	tlsConfig, err := cfg.TLS.Load()
	if err != nil {
		return nil, fmt.Errorf("s3.tls.%w", err)
	}
	b.client = &http.Client{
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, TLSClientConfig: tlsConfig,
			MaxIdleConns: 1, MaxConnsPerHost: 1, IdleConnTimeout: time.Minute, TLSHandshakeTimeout: 10 * time.Second,
			// A service that is short of everything says so ahead of the object.
			ExpectContinueTimeout: time.Second,
		},
		// A redirect's target would need a signature of its own.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return b, nil
}

func (b *bucket) close() { b.client.CloseIdleConnections() }

// tend does nothing: how long objects stay is a rule of the bucket.
func (b *bucket) tend(time.Time) error { return nil }

// put writes a file, since its length and digest go ahead of it, and sends that.
func (b *bucket) put(ctx context.Context, name string, write func(io.Writer) error) (err error) {
	if err := os.MkdirAll(b.work, 0o700); err != nil {
		return err
	}
	tmp := filepath.Join(b.work, "object.tmp") // one at a time: what a kill left is written over
	f, err := os.OpenFile(tmp, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(tmp)) }()
	digest := sha256.New()
	if err := write(io.MultiWriter(f, digest)); err != nil {
		return err
	}
	size, err := f.Seek(0, io.SeekCurrent)
	if err != nil {
		return err
	}
	return b.send(ctx, name, f, size, hex.EncodeToString(digest.Sum(nil)))
}

func (b *bucket) send(ctx context.Context, name string, f *os.File, size int64, digest string) error {
	u := b.base
	u.Path = path.Join("/", b.cfg.Prefix, name)
	if b.cfg.PathStyle {
		u.Path = path.Join("/", b.cfg.Bucket, b.cfg.Prefix, name)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, u.String(), io.NewSectionReader(f, 0, size))
	if err != nil {
		return err
	}
	req.ContentLength = size
	req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(io.NewSectionReader(f, 0, size)), nil }
	req.Header.Set("Content-Type", "application/vnd.apache.parquet")
	req.Header.Set("X-Amz-Content-Sha256", digest)
	req = signer.SignV4(*req, b.cfg.AccessKey, b.secret, b.token, b.cfg.Region)
	req.Header.Set("Expect", "100-continue")
	resp, err := b.client.Do(req)
	if err != nil {
		var e *url.Error
		if errors.As(err, &e) {
			err = e.Err // without the name of the object
		}
		return err
	}
	defer resp.Body.Close()
	reply, err := io.ReadAll(io.LimitReader(resp.Body, maxReply))
	if resp.StatusCode == http.StatusOK {
		return err // a reply that breaks off may be one of anything
	}
	return refusal(resp, reply)
}

// maxReply bounds how much of an answer is read, octets.
const maxReply = 64 << 10

var codeForm = regexp.MustCompile(`^[A-Za-z]{1,64}$`)

// refusal is the service's own word for what is wrong. Whatever it is may be mended
// on the other side (a key, the bucket, its quota), so the batch is tried again.
func refusal(resp *http.Response, reply []byte) error {
	var said struct {
		Code string `xml:"Code"`
	}
	err := fmt.Errorf("the service answers %d", resp.StatusCode)
	if xml.NewDecoder(bytes.NewReader(reply)).Decode(&said) == nil && codeForm.MatchString(said.Code) {
		err = fmt.Errorf("%w, %s", err, said.Code)
	}
	switch resp.StatusCode {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		after, _ := strconv.Atoi(strings.TrimSpace(resp.Header.Get("Retry-After"))) // 0: at weir's own pace
		return &outlet.Later{After: time.Duration(min(max(after, 0), 86400)) * time.Second, Err: err}
	}
	return err
}
