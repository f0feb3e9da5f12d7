package httpout_test

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/pdns/encode"
	"github.com/weirdns/weir/pdns/outlet"
	"github.com/weirdns/weir/pdns/outlet/httpout"
	"github.com/weirdns/weir/pdns/privacy"
	"go.uber.org/goleak"
	"go.uber.org/zap"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func row(i int) *detect.Transaction {
	return &detect.Transaction{
		Query:   detect.Query{Time: time.Unix(1772366400, int64(i)), Client: netip.MustParseAddr("192.0.2.77"), Name: dnsname.MustParse(fmt.Sprintf(`n%d\".example`, i)), Type: 1, Class: 1},
		Verdict: detect.Verdict{Unscored: detect.NotAsked},
	}
}

func config(url string) httpout.Config {
	c := httpout.DefaultConfig()
	c.Name, c.URL, c.BatchInterval, c.BatchRows = "test", url, 10*time.Millisecond, 50
	return c
}

// send brings n rows to the service of cfg and returns the outlet when all are
// delivered or given up.
func send(t *testing.T, cfg httpout.Config, n int) *outlet.Outlet {
	t.Helper()
	p := privacy.DefaultConfig()
	sink, err := httpout.New(cfg, privacy.Kept(p))
	if err != nil {
		t.Fatal(err)
	}
	guard := privacy.Plain(p.ClientAddress)
	o, err := outlet.New(cfg.Config, sink, outlet.Deps{Dir: t.TempDir(), Log: zap.NewNop(), Registry: prometheus.NewRegistry(), Privacy: guard})
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		o.Consume(row(i))
	}
	if err := o.Tend(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- o.Run(ctx) }()
	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(time.Millisecond) {
		s := o.Stats()
		if s.Sent+s.Dropped["refused"] == uint64(n) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("after a minute %+v of %d rows", s, n)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	return o
}

// server keeps what it is sent.
type server struct {
	*httptest.Server
	mu     sync.Mutex
	bodies []string
	header http.Header
}

func serve(t *testing.T, answer func(w http.ResponseWriter, r *http.Request, body string) bool) *server {
	t.Helper()
	s := &server{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in io.Reader = r.Body
		if r.Header.Get("Content-Encoding") == "gzip" {
			z, err := gzip.NewReader(r.Body)
			if err != nil {
				t.Error(err)
				return
			}
			in = z
		}
		body, err := io.ReadAll(in)
		if err != nil {
			t.Errorf("a body that cannot be read: %v", err)
			return
		}
		if answer != nil && !answer(w, r, string(body)) {
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.bodies, s.header = append(s.bodies, string(body)), r.Header
	}))
	t.Cleanup(s.Close)
	return s
}

func secret(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// rows are the names and identities in the lines that a service got.
func rows(t *testing.T, lines []string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, line := range lines {
		var one struct {
			ID     string `json:"weir_id"`
			Qname  string `json:"qname"`
			Client string `json:"client"`
		}
		if err := json.Unmarshal([]byte(line), &one); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if len(one.ID) != 32 || one.Client != "192.0.2.0/24" {
			t.Errorf("identity %q and client %q in %s", one.ID, one.Client, line)
		}
		if old := out[one.Qname]; old != "" && old != one.ID {
			t.Errorf("%s came as %s and as %s", one.Qname, old, one.ID)
		}
		out[one.Qname] = one.ID
	}
	return out
}

func lines(bodies []string) (out []string) {
	for _, b := range bodies {
		out = append(out, strings.Split(strings.TrimSuffix(b, "\n"), "\n")...)
	}
	return out
}

func TestLinesArriveWithTokenAndHeaders(t *testing.T) {
	s := serve(t, nil)
	cfg := config(s.URL)
	cfg.TokenFile, cfg.Headers = secret(t, "s3cret"), []string{"X-Scope-OrgID: dns"}
	send(t, cfg, 120)
	if got := rows(t, lines(s.bodies)); len(got) != 120 {
		t.Errorf("%d rows arrived, want 120", len(got))
	}
	if s.header.Get("Authorization") != "Bearer s3cret" || s.header.Get("X-Scope-OrgID") != "dns" {
		t.Errorf("headers %v", s.header)
	}
}

func TestEnvelopesAreThoseOfTheServices(t *testing.T) {
	for _, c := range []struct {
		preset httpout.Preset
		auth   string
		read   func(t *testing.T, body string) (lines []string)
	}{
		{httpout.Loki, "Bearer key", func(t *testing.T, body string) (out []string) {
			var push struct {
				Streams []struct {
					Stream map[string]string `json:"stream"`
					Values [][2]string       `json:"values"`
				} `json:"streams"`
			}
			if err := json.Unmarshal([]byte(body), &push); err != nil || len(push.Streams) != 1 || push.Streams[0].Stream["site"] != `a"b` {
				t.Fatalf("%v: %s", err, body)
			}
			for i, v := range push.Streams[0].Values {
				if want := fmt.Sprint(1772366400_000000000 + i); v[0] != want {
					t.Errorf("time %s, want %s", v[0], want)
				}
				out = append(out, v[1])
			}
			return out
		}},
		{httpout.SplunkHEC, "Splunk key", func(t *testing.T, body string) (out []string) {
			for dec := json.NewDecoder(strings.NewReader(body)); dec.More(); {
				var one struct {
					Time       json.Number     `json:"time"`
					Index      string          `json:"index"`
					Sourcetype string          `json:"sourcetype"`
					Event      json.RawMessage `json:"event"`
				}
				if err := dec.Decode(&one); err != nil || one.Index != "dns" || one.Sourcetype != "weir:dns:native" || !strings.HasPrefix(one.Time.String(), "1772366400.0000000") {
					t.Fatalf("%v: %+v", err, one)
				}
				out = append(out, string(one.Event))
			}
			return out
		}},
		{httpout.ElasticBulk, "ApiKey key", func(t *testing.T, body string) (out []string) {
			all := lines([]string{body})
			for i := 0; i < len(all); i += 2 {
				var action struct {
					Create struct {
						ID    string `json:"_id"`
						Index string `json:"_index"`
					} `json:"create"`
				}
				if err := json.Unmarshal([]byte(all[i]), &action); err != nil || action.Create.Index != "dns" || !strings.Contains(all[i+1], action.Create.ID) {
					t.Fatalf("%v: %s", err, all[i])
				}
				out = append(out, all[i+1])
			}
			return out
		}},
	} {
		s := serve(t, func(w http.ResponseWriter, _ *http.Request, _ string) bool {
			fmt.Fprint(w, `{"errors":false,"items":[]}`)
			return true
		})
		cfg := config(s.URL)
		cfg.Preset, cfg.TokenFile, cfg.Index, cfg.Labels = c.preset, secret(t, "key"), "dns", []string{`site=a"b`}
		send(t, cfg, 30)
		if len(s.bodies) != 1 {
			t.Fatalf("%v: %d batches", c.preset, len(s.bodies))
		}
		if got := rows(t, c.read(t, s.bodies[0])); len(got) != 30 {
			t.Errorf("%v: %d rows arrived, want 30", c.preset, len(got))
		}
		if got := s.header.Get("Authorization"); got != c.auth {
			t.Errorf("%v: Authorization %q, want %q", c.preset, got, c.auth)
		}
	}
}

// Every way in which a server fails, over real sockets: all rows arrive, each with
// one identity.
func TestRowsSurviveEveryFailureOfTheServer(t *testing.T) {
	var mu sync.Mutex
	try := 0
	hung := make(chan struct{})
	defer close(hung)
	s := serve(t, func(w http.ResponseWriter, r *http.Request, _ string) bool {
		mu.Lock()
		try++
		now := try
		mu.Unlock()
		switch now {
		case 1:
			w.Header().Set("Retry-After", "0")
			w.WriteHeader(http.StatusTooManyRequests)
		case 2:
			w.WriteHeader(http.StatusInternalServerError)
		case 3:
			panic(http.ErrAbortHandler) // cut
		case 4: // taken, and the answer is lost
			defer panic(http.ErrAbortHandler)
			return true
		case 5:
			select {
			case <-r.Context().Done():
			case <-hung:
			}
		case 6:
			http.Redirect(w, r, "http://192.0.2.1/", http.StatusFound)
		default:
			return true
		}
		return false
	})
	cfg := config(s.URL)
	cfg.Timeout, cfg.RetryMax = time.Second, 500*time.Millisecond
	o := send(t, cfg, 120)
	if got := rows(t, lines(s.bodies)); len(got) != 120 {
		t.Errorf("%d rows arrived, want 120", len(got))
	}
	if st := o.Stats(); st.Failed < 6 || st.Sent != 120 {
		t.Errorf("%+v, want 120 sent and 6 failures", st)
	}
}

func TestRefusedRowsOfABulkAreCountedAndTheRestIsTaken(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request, body string) bool {
		var items []string
		for i := range strings.Count(body, `{"create"`) {
			code := map[int]int{3: 400, 4: 409}[i]
			if code == 0 {
				code = 201
			}
			items = append(items, fmt.Sprintf(`{"create":{"status":%d}}`, code))
		}
		fmt.Fprintf(w, `{"errors":true,"items":[%s]}`, strings.Join(items, ","))
		return true
	})
	cfg := config(s.URL)
	cfg.Preset = httpout.ElasticBulk
	if st := send(t, cfg, 50).Stats(); st.Sent != 49 || st.Dropped["refused"] != 1 {
		t.Errorf("%+v, want 49 sent and 1 refused", st)
	}
}

// A batch that is too large, or a row that is never taken, holds up nothing else.
func TestRefusedBatchIsTakenApart(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request, body string) bool {
		switch {
		case strings.Count(body, "\n") > 20:
			w.WriteHeader(http.StatusRequestEntityTooLarge)
		case strings.Contains(body, `n7\\\"`):
			w.WriteHeader(http.StatusBadRequest)
		default:
			return true
		}
		return false
	})
	if st := send(t, config(s.URL), 100).Stats(); st.Sent != 99 || st.Dropped["refused"] != 1 {
		t.Errorf("%+v, want 99 sent and 1 refused", st)
	}
	if got := rows(t, lines(s.bodies)); len(got) != 99 {
		t.Errorf("%d rows arrived, want 99", len(got))
	}
}

// No error shows what may be a secret.
func TestErrorsHoldNoSecret(t *testing.T) {
	cfg := config("http://127.0.0.1:1/?token=s3cret")
	sink, err := httpout.New(cfg, privacy.Plain(privacy.None))
	if err != nil {
		t.Fatal(err)
	}
	defer sink.Close()
	if err := sink.Send(t.Context(), &outlet.Batch{}); err == nil || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("error %v, want one without the address", err)
	}
	cfg.TokenFile = secret(t, "s3cret\nmore")
	if _, err := httpout.New(cfg, privacy.Plain(privacy.None)); err == nil || strings.Contains(err.Error(), "s3cret") || !strings.HasPrefix(err.Error(), "token_file: ") {
		t.Errorf("error %v, want one that names the file only", err)
	}
	bad := httpout.Config{URL: "https://u:s3cret@host/", Preset: 9, Format: encode.CSV, TokenFile: "x", User: "y", Headers: []string{"Authorization: s3cret"}, Labels: []string{"a-b=c"}, TLS: outlet.TLSConfig{CertFile: "x"}}
	err = bad.Validate()
	for _, want := range []string{"name: ", "url: ", "preset: ", "format: ", "token_file: ", "user: ", "headers[0]: ", "labels[0]: ", "tls.cert_file: "} {
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%v, want %q in it and no secret", err, want)
		}
	}
}
