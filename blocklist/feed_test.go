package blocklist_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/weirdns/weir/blocklist"
)

// feed is a real HTTP server whose answer can be changed, and a list that reads it.
type feed struct {
	*blocklist.Lists
	cfg      blocklist.Config
	deps     blocklist.Deps
	registry *prometheus.Registry
	logs     *observer.ObservedLogs
	handler  http.HandlerFunc
}

// newFeed makes a list "feed" that reads a server on loopback, and refreshes it once.
func newFeed(t *testing.T, first http.HandlerFunc, change ...func(*feed)) *feed {
	t.Helper()
	f := &feed{registry: prometheus.NewRegistry(), handler: first}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { f.handler(w, r) }))
	t.Cleanup(server.Close)
	core, logs := observer.New(zapcore.DebugLevel)
	f.logs = logs
	f.deps = blocklist.Deps{Log: zap.New(core), Registry: f.registry, Dir: t.TempDir()}
	f.cfg = blocklist.Config{Name: "feed", URL: server.URL + "/list", AllowPrivate: true, MaxBytes: 4 << 20}
	for _, c := range change {
		c(f)
	}
	var err error
	if f.Lists, err = blocklist.New([]blocklist.Config{f.cfg}, f.deps); err != nil {
		t.Fatal(err)
	}
	if err := f.Load(); err != nil {
		t.Fatal(err)
	}
	return f
}

// restart is what a new process finds: same folder, nothing else.
func (f *feed) restart(t *testing.T) *blocklist.Lists {
	t.Helper()
	d := f.deps
	d.Registry = prometheus.NewRegistry()
	l, err := blocklist.New([]blocklist.Config{f.cfg}, d)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Load(); err != nil {
		t.Fatal(err)
	}
	return l
}

func (f *feed) count(t *testing.T, result string) float64 {
	t.Helper()
	return counter(t, f.registry, "weir_list_reload_total", "list", "feed", "result", result)
}

// counter is the value of the series with exactly these labels, 0 for none.
func counter(t *testing.T, r *prometheus.Registry, name string, labels ...string) float64 {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			var got []string
			for _, l := range m.GetLabel() {
				got = append(got, l.GetName(), l.GetValue())
			}
			if fmt.Sprint(got) == fmt.Sprint(labels) {
				return m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return 0
}

// names is n lines of a plain list, with bad.example among them.
func names(n int) string {
	var b strings.Builder
	b.WriteString("# a list\nbad.example\n192.0.2.66\n")
	for i := range n - 2 {
		fmt.Fprintf(&b, "n%d.example.net\n", i)
	}
	return b.String()
}

func text(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, body) }
}

func gz(t *testing.T, body []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write(body)
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// The eleven ways in which feeds go wrong: none may change what is blocked, and
// each is counted and alarmed about.
func TestBadFeedLeavesTheOldListServing(t *testing.T) {
	const size = 2000
	hang := make(chan struct{})
	bomb := gz(t, bytes.Repeat([]byte("bad.example\n"), 1<<18))
	for _, c := range []struct {
		name    string
		result  string
		handler http.HandlerFunc
	}{
		{"404", "http_status", func(w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) }},
		{"500 with a body", "http_status", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(500)
			fmt.Fprint(w, names(size))
		}},
		{"empty", "empty", text("")},
		{"only comments", "empty", text("# nothing\n\n")},
		{"HTML", "html", text("\n<!DOCTYPE html><html><body>Please log in</body></html>")},
		{"JSON", "malformed", text(`{"query_status": "unknown_auth_key"}`)},
		{"binary", "binary", func(w http.ResponseWriter, _ *http.Request) {
			b := make([]byte, 1<<16)
			for i := range b {
				b[i] = byte(i * 7)
			}
			w.Write(b)
		}},
		{"cut short, by its length", "truncated", func(w http.ResponseWriter, _ *http.Request) {
			body := names(size)
			w.Header().Set("Content-Length", fmt.Sprint(len(body)))
			fmt.Fprint(w, body[:len(body)-20])
		}},
		{"cut short, in chunks", "truncated", func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, names(size))
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}},
		{"cut short, compressed", "truncated", func(w http.ResponseWriter, _ *http.Request) {
			b := gz(t, []byte(names(size)))
			w.Header().Set("Content-Encoding", "gzip")
			w.Write(b[:len(b)-10])
		}},
		{"hang", "network_error", func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, names(size))
			w.(http.Flusher).Flush()
			select {
			case <-hang:
			case <-r.Context().Done():
			}
		}},
		{"one endless line", "malformed", text(strings.Repeat("bad.example ", 80_000))},
		{"gzip bomb", "too_large", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			w.Write(bomb)
		}},
		{"gzip bomb as a file", "too_large", func(w http.ResponseWriter, _ *http.Request) { w.Write(bomb) }},
		{"larger than allowed", "too_large", text(names(250_000))},
		{"shrunk", "shrunk", text(names(size/2 - 2))},
		{"another format", "malformed", text(strings.Repeat("bad.example,IOC\n", size))},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFeed(t, text(names(size)))
			if err := f.Refresh(t.Context(), "feed"); err != nil {
				t.Fatal(err)
			}
			if c.name == "hang" {
				hurried := f.cfg
				hurried.Timeout = time.Second
				if err := f.Reconfigure([]blocklist.Config{hurried}); err != nil {
					t.Fatal(err)
				}
			}
			before := *list(t, f.Lists, "feed")
			f.handler = c.handler
			memory := heap()
			err := f.Refresh(t.Context(), "feed")
			if grown := heap() - memory; grown > 64<<20 {
				t.Errorf("memory grew by %d octets", grown)
			}
			if err == nil {
				t.Fatal("the refresh was taken")
			}
			for _, l := range []*blocklist.Lists{f.Lists, f.restart(t)} {
				wantHits(t, l, "www.bad.example", "feed bad.example")
				wantHits(t, l, fmt.Sprintf("n%d.example.net", size-3), fmt.Sprintf("feed n%d.example.net", size-3))
				wantAddrHits(t, l, "192.0.2.66", "feed 192.0.2.66")
			}
			after := list(t, f.Lists, "feed")
			if after.Entries != before.Entries || after.SHA256 != before.SHA256 || after.Loaded != before.Loaded {
				t.Errorf("the list is now %+v, want %+v", after, before)
			}
			if after.Err == "" || after.Failed.IsZero() {
				t.Error("the list's status does not say that a refresh failed")
			}
			if got := f.count(t, c.result); got != 1 {
				t.Errorf("weir_list_reload_total{result=%q} = %v, want 1 (error: %v)", c.result, got, err)
			}
			if f.logs.FilterLevelExact(zapcore.ErrorLevel).Len() != 1 {
				t.Errorf("%d errors logged, want 1", f.logs.FilterLevelExact(zapcore.ErrorLevel).Len())
			}
			if err := f.Reconfigure([]blocklist.Config{f.cfg}); err != nil {
				t.Fatal(err)
			}
			f.handler = text(names(size + 1))
			if err := f.Refresh(t.Context(), "feed"); err != nil {
				t.Errorf("the next good refresh: %v", err)
			}
			if got := list(t, f.Lists, "feed"); got.Entries != before.Entries+1 || got.Err != "" {
				t.Errorf("after a good refresh %d entries and error %q, want %d and none", got.Entries, got.Err, before.Entries+1)
			}
		})
	}
	close(hang)
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// The eleventh: the line is refused, and the rest taken.
func TestFeedCannotBlockATopLevelDomain(t *testing.T) {
	f := newFeed(t, text(names(500)))
	if err := f.Refresh(t.Context(), "feed"); err != nil {
		t.Fatal(err)
	}
	f.handler = text("com\n*.info\nco.uk\n" + names(500))
	if err := f.Refresh(t.Context(), "feed"); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"com", "www.innocent.com", "x.info", "x.co.uk"} {
		wantHits(t, f.Lists, name)
	}
	wantHits(t, f.Lists, "www.bad.example", "feed bad.example")
	if got := counter(t, f.registry, "weir_list_rejected_lines_total", "list", "feed", "reason", "public_suffix"); got != 3 {
		t.Errorf("weir_list_rejected_lines_total{reason=public_suffix} = %v, want 3", got)
	}
}

func TestShrinkingIsAcceptedWhereAllowed(t *testing.T) {
	f := newFeed(t, text(names(100)), func(f *feed) { f.cfg.AllowShrink = true })
	if err := f.Refresh(t.Context(), "feed"); err != nil {
		t.Fatal(err)
	}
	f.handler = text("bad.example\n")
	if err := f.Refresh(t.Context(), "feed"); err != nil {
		t.Error(err)
	}
	if got := list(t, f.Lists, "feed").Entries; got != 1 {
		t.Errorf("%d entries, want 1", got)
	}
}

func TestCompressedFeedsAreRead(t *testing.T) {
	body := gz(t, []byte(names(100)))
	for name, h := range map[string]http.HandlerFunc{
		"by encoding": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			w.Write(body)
		},
		"as a file": func(w http.ResponseWriter, _ *http.Request) { w.Write(body) },
	} {
		f := newFeed(t, h)
		if err := f.Refresh(t.Context(), "feed"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		wantHits(t, f.Lists, "bad.example", "feed bad.example")
		wantHits(t, f.restart(t), "bad.example", "feed bad.example")
	}
}

func TestUnchangedFeedIsNotSentAgain(t *testing.T) {
	sent := 0
	conditional := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"v1"`)
		w.Header().Set("Last-Modified", "Wed, 01 Jan 2025 00:00:00 GMT")
		if r.Header.Get("If-None-Match") == `"v1"` && r.Header.Get("If-Modified-Since") != "" {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		sent++
		fmt.Fprint(w, names(100))
	}
	f := newFeed(t, conditional)
	for range 3 {
		if err := f.Refresh(t.Context(), "feed"); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.restart(t).Refresh(t.Context(), "feed"); err != nil {
		t.Fatal(err)
	}
	if sent != 1 {
		t.Errorf("the body was sent %d times, want once: also a restart remembers it", sent)
	}
	if got := f.count(t, "not_modified"); got != 2 {
		t.Errorf("weir_list_reload_total{result=not_modified} = %v, want 2", got)
	}
	v := list(t, f.Lists, "feed")
	if !v.Checked.After(v.Loaded) {
		t.Errorf("loaded %v, checked %v: a confirmation must count as a success", v.Loaded, v.Checked)
	}
}

func TestNotModifiedWithoutAConditionIsAnError(t *testing.T) {
	f := newFeed(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotModified) })
	if err := f.Refresh(t.Context(), "feed"); err == nil {
		t.Error("a list without data took 304 for an answer")
	}
}

func TestMetricsShowEntriesAndSuccess(t *testing.T) {
	f := newFeed(t, text(names(100)))
	if got := counter(t, f.registry, "weir_list_last_success_timestamp_seconds", "list", "feed"); got != 0 {
		t.Errorf("a list that was never loaded has its last success at %v, want 0", got)
	}
	before := time.Now().Add(-2 * time.Second)
	if err := f.Refresh(t.Context(), "feed"); err != nil {
		t.Fatal(err)
	}
	if got := counter(t, f.registry, "weir_list_last_success_timestamp_seconds", "list", "feed"); got < float64(before.Unix()) {
		t.Errorf("last success at %v, want about now", got)
	}
	if got := counter(t, f.registry, "weir_list_entries", "list", "feed"); got != 100 {
		t.Errorf("weir_list_entries = %v, want 100", got)
	}
	if problems, err := testutil.GatherAndLint(f.registry); err != nil || len(problems) > 0 {
		t.Errorf("lint: %v, %v", problems, err)
	}
}
