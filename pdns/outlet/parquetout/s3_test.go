package parquetout_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/minio/minio-go/v7/pkg/signer"
	"github.com/weirdns/weir/internal/outlettest"
	"github.com/weirdns/weir/pdns/outlet"
	"github.com/weirdns/weir/pdns/outlet/parquetout"
	"github.com/weirdns/weir/pdns/privacy"
)

const secret = "a-secret-that-nobody-sees"

// store is a service that keeps objects, after these troubles.
type store struct {
	trouble []func(w http.ResponseWriter, r *http.Request)

	mu      sync.Mutex
	objects map[string][]byte
	puts    int
	bad     []string
}

func (s *store) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.puts
	s.puts++
	if n < len(s.trouble) {
		s.trouble[n](w, r)
		return
	}
	body, err := io.ReadAll(r.Body)
	sum := sha256.Sum256(body)
	switch {
	case err != nil, r.Method != http.MethodPut, r.ContentLength != int64(len(body)):
		s.bad = append(s.bad, fmt.Sprintf("%s of %d octets: %v", r.Method, r.ContentLength, err))
	case r.Header.Get("X-Amz-Content-Sha256") != hex.EncodeToString(sum[:]):
		s.bad = append(s.bad, "the digest is not that of the object")
	case !strings.HasPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 Credential=weir/") || !strings.Contains(r.Header.Get("Authorization"), "/eu-test-1/s3/aws4_request"):
		s.bad = append(s.bad, "signed as "+r.Header.Get("Authorization"))
	case r.Header.Get("X-Amz-Security-Token") != "":
		s.bad = append(s.bad, "a token that was not given")
	}
	s.objects[strings.TrimPrefix(r.URL.Path, "/lake/dns/x/")] = body
}

// stop ends the service and returns what it kept.
func (s *store) stop(server *httptest.Server) map[string][]byte {
	server.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.objects
}

// says answers with an error of S3.
func says(status int, code string, headers ...string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
		fmt.Fprintf(w, "<?xml version=\"1.0\"?><Error><Code>%s</Code><Message>%s</Message></Error>", code, secret)
	}
}

// cut reads some of the object and hangs up.
func cut(w http.ResponseWriter, r *http.Request) {
	_, _ = io.CopyN(io.Discard, r.Body, 1000)
	c, _, err := w.(http.Hijacker).Hijack()
	if err == nil {
		_ = c.(*net.TCPConn).SetLinger(0)
		c.Close()
	}
}

func bucketConfig(t *testing.T, endpoint, key string) parquetout.Config {
	t.Helper()
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte(key+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := config("")
	c.S3.Endpoint, c.S3.Region, c.S3.Bucket, c.S3.Prefix, c.S3.AccessKey, c.S3.SecretKeyFile = endpoint, "eu-test-1", "lake", "dns/x", "weir", file
	c.RetryMax = 500 * time.Millisecond
	return c
}

// heard keeps what a sink says of its troubles.
type heard struct {
	*parquetout.Sink
	mu   sync.Mutex
	errs []error
}

func (h *heard) Send(ctx context.Context, b *outlet.Batch) error {
	err := h.Sink.Send(ctx, b)
	h.mu.Lock()
	defer h.mu.Unlock()
	if err != nil {
		h.errs = append(h.errs, err)
	}
	return err
}

// Whatever a service says meanwhile, each row is there once in the end, and what is
// wrong is said without secrets.
func TestRowsAreObjectsAfterEveryTrouble(t *testing.T) {
	s := &store{objects: map[string][]byte{}, trouble: []func(http.ResponseWriter, *http.Request){
		says(503, "SlowDown", "Retry-After", "0"), cut, says(403, "SignatureDoesNotMatch"), says(500, "InternalError"),
		says(301, "PermanentRedirect", "Location", "http://192.0.2.1/"), says(404, "NoSuchBucket"), says(400, "<b>"), says(429, "TooManyRequests"),
	}}
	server := httptest.NewServer(s)
	defer server.Close()
	cfg := bucketConfig(t, server.URL, secret)
	h := &heard{Sink: sink(t, cfg)}
	deliver(t, cfg.Config, h, 2000)
	check(t, s.stop(server), 2000)
	for _, bad := range s.bad {
		t.Error(bad)
	}
	if len(s.objects) != 2 || s.puts != 2+len(s.trouble) {
		t.Errorf("%d objects by %d requests, want 2 by %d", len(s.objects), s.puts, 2+len(s.trouble))
	}
	if len(h.errs) != len(s.trouble) {
		t.Fatalf("%d troubles are told, want %d: %v", len(h.errs), len(s.trouble), h.errs)
	}
	for i, want := range []string{
		"503, SlowDown", "", "403, SignatureDoesNotMatch", "500, InternalError", "301, PermanentRedirect", "404, NoSuchBucket", "answers 400", "429, TooManyRequests",
	} {
		text := h.errs[i].Error()
		if !strings.Contains(text, want) || strings.Contains(text, secret) || strings.Contains(text, "dt=") || strings.Contains(text, "<b>") {
			t.Errorf("trouble %d is told as %q, want %q in it and no secret", i, text, want)
		}
		var later *outlet.Later
		if is := errors.As(h.errs[i], &later); is != (i == 0 || i == 7) {
			t.Errorf("trouble %d: the service is to be left alone: %v", i, is)
		}
		var refused *outlet.Refused
		if errors.As(h.errs[i], &refused) {
			t.Errorf("trouble %d drops rows", i)
		}
	}
}

// The second hour's object fails: the first one's is not sent again.
func TestObjectsThatAreThereAreNotSentAgain(t *testing.T) {
	s := &store{objects: map[string][]byte{}}
	s.trouble = append(s.trouble, func(w http.ResponseWriter, r *http.Request) {
		s.objects[strings.TrimPrefix(r.URL.Path, "/lake/dns/x/")], _ = io.ReadAll(r.Body)
	}, says(500, "InternalError"))
	server := httptest.NewServer(s)
	defer server.Close()
	cfg := bucketConfig(t, server.URL, secret)
	deliver(t, cfg.Config, sink(t, cfg), 2000)
	check(t, s.stop(server), 2000)
	if s.puts != 3 {
		t.Errorf("%d requests, want 3: an object, one that failed, and that again", s.puts)
	}
}

func TestSecretsAreRead(t *testing.T) {
	cfg := bucketConfig(t, "https://s3.example", secret)
	cfg.S3.SecretKeyFile = filepath.Join(t.TempDir(), "none")
	if _, err := parquetout.New(cfg, privacy.Plain(privacy.None), parquetout.Deps{}); err == nil || !strings.Contains(err.Error(), "s3.secret_key_file") {
		t.Errorf("a file that is missing: %v", err)
	}
}

// With a real service: testdata/integration/s3.sh starts one, and a proxy in front of
// it that cuts connections.
func TestRealS3(t *testing.T) {
	endpoint := os.Getenv("WEIR_S3")
	if endpoint == "" {
		t.Skip("no S3: set WEIR_S3 to a service's URL with user weir and key weir-secret, or run testdata/integration/s3.sh")
	}
	bucket := fmt.Sprintf("lake%d", time.Now().UnixNano())
	request(t, http.MethodPut, endpoint+"/"+bucket, "weir-secret")
	cfg := bucketConfig(t, endpoint, "weir-secret")
	cfg.S3.Bucket, cfg.S3.Region = bucket, "us-east-1"
	cfg.BatchRows, cfg.RowGroupRows = 5000, 2000
	begin := time.Now()
	st := deliver(t, cfg.Config, sink(t, cfg), 50000)
	t.Logf("50,000 rows in %v, %d tries failed", time.Since(begin), st.Failed)
	all := map[string][]byte{}
	for _, key := range list(t, endpoint+"/"+bucket) {
		all[strings.TrimPrefix(key, "dns/x/")] = request(t, http.MethodGet, endpoint+"/"+bucket+"/"+key, "weir-secret")
	}
	check(t, all, 50000)
	if dir := os.Getenv("WEIR_S3_FILES"); dir != "" { // for other readers
		for path, data := range all {
			path = filepath.Join(dir, filepath.FromSlash(path))
			if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, data, 0o600)); err != nil {
				t.Fatal(err)
			}
		}
	}

	// A wrong key, and a bucket that is not there: said, and nothing is lost.
	for _, c := range []struct{ key, bucket, want string }{{"wrong", bucket, "403, SignatureDoesNotMatch"}, {"weir-secret", bucket + "x", "404, NoSuchBucket"}} {
		cfg := bucketConfig(t, endpoint, c.key)
		cfg.S3.Bucket, cfg.S3.Region = c.bucket, "us-east-1"
		h := &heard{Sink: sink(t, cfg)}
		o := outlettest.Start(t, cfg.Config, h, 10)
		for deadline := time.Now().Add(outlettest.Limit); ; time.Sleep(time.Millisecond) {
			h.mu.Lock()
			said := fmt.Sprint(h.errs)
			h.mu.Unlock()
			if strings.Contains(said, c.want) {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("got %s, want %q", said, c.want)
			}
		}
		if st := o.Stats(); st.Sent != 0 || st.Dropped["refused"] != 0 || !st.Failing {
			t.Errorf("%s: %+v, want rows that wait", c.want, st)
		}
	}
}

// request asks the service and wants a 200, also of a proxy that cuts.
func request(t *testing.T, method, u, key string) []byte {
	t.Helper()
	for try := 0; ; try++ {
		req, err := http.NewRequestWithContext(t.Context(), method, u, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Amz-Content-Sha256", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
		client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		resp, err := client.Do(signer.SignV4(*req, "weir", key, "", "us-east-1"))
		var body []byte
		if err == nil {
			body, err = io.ReadAll(resp.Body)
			resp.Body.Close()
			if err == nil && resp.StatusCode == http.StatusOK {
				return body
			}
			err = fmt.Errorf("%d %s, %v", resp.StatusCode, body, err)
		}
		if try == 50 {
			t.Fatalf("%s %s: %v", method, u, err)
		}
	}
}

// list are the keys of a bucket's objects.
func list(t *testing.T, bucket string) (keys []string) {
	t.Helper()
	token := ""
	for {
		q := url.Values{"list-type": {"2"}}
		if token != "" {
			q.Set("continuation-token", token)
		}
		var page struct {
			Contents []struct{ Key string }
			Next     string `xml:"NextContinuationToken"`
		}
		if err := xml.Unmarshal(request(t, http.MethodGet, bucket+"?"+q.Encode(), "weir-secret"), &page); err != nil {
			t.Fatal(err)
		}
		for _, c := range page.Contents {
			keys = append(keys, c.Key)
		}
		if token = page.Next; token == "" {
			return keys
		}
	}
}
