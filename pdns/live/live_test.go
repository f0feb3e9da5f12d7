package live_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/pdns"
	"github.com/weirdns/weir/pdns/live"
	"github.com/weirdns/weir/pdns/privacy"
	"go.uber.org/goleak"
)

var _ pdns.Output = (*live.Feed)(nil)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newFeed(mode privacy.Mode) (*live.Feed, *prometheus.Registry) {
	reg := prometheus.NewRegistry()
	return live.New(privacy.Plain(mode), reg), reg
}

func tx(name string) *detect.Transaction {
	return &detect.Transaction{Query: detect.Query{Time: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), Name: dnsname.MustParse(name), Client: netip.MustParseAddr("192.0.2.77"), Type: 1, Class: 1}}
}

func bad(name string) *detect.Transaction {
	t := tx(name)
	t.Verdict = detect.Verdict{Origin: detect.OriginBlockList, Action: detect.ZeroIP, Enforced: true, Matches: []detect.Match{{List: "ours", Rule: name}}}
	return t
}

func TestNothingIsWantedWhileNobodyWatches(t *testing.T) {
	f, _ := newFeed(privacy.Full)
	ordinary, found := tx("a.example"), bad("b.example")
	if f.Wants(ordinary) || f.Wants(found) {
		t.Error("nobody watches, and something is wanted")
	}
	some, err := f.Watch(true)
	if err != nil {
		t.Fatal(err)
	}
	if f.Wants(ordinary) || !f.Wants(found) {
		t.Errorf("a reader of detections: wants %v and %v, want false and true", f.Wants(ordinary), f.Wants(found))
	}
	all, err := f.Watch(false)
	if err != nil {
		t.Fatal(err)
	}
	if !f.Wants(ordinary) || !f.Wants(found) {
		t.Error("a reader of all does not get all")
	}
	all.Close()
	all.Close()
	if f.Wants(ordinary) || !f.Wants(found) {
		t.Error("who closed is still counted")
	}
	some.Close()
	if f.Wants(found) {
		t.Error("nobody watches any more, and something is wanted")
	}
}

func TestAskingWhetherAnybodyWatchesDoesNotAllocate(t *testing.T) {
	f, _ := newFeed(privacy.Full)
	one := tx("a.example")
	if n := testing.AllocsPerRun(100, func() { f.Wants(one) }); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

func TestReadersGetWhatTheyWatch(t *testing.T) {
	f, _ := newFeed(privacy.Truncated)
	all, _ := f.Watch(false)
	some, _ := f.Watch(true)
	defer all.Close()
	defer some.Close()
	f.Consume(tx("a.example"))
	f.Consume(bad("b.example"))
	var got struct {
		QName, Client string
		Verdict       struct{ Origin string }
	}
	if len(all.Lines) != 2 || len(some.Lines) != 1 {
		t.Fatalf("%d and %d lines, want 2 and 1", len(all.Lines), len(some.Lines))
	}
	line := <-some.Lines
	if err := json.Unmarshal(line, &got); err != nil || got.QName != "b.example" || got.Verdict.Origin != "blocklist" {
		t.Errorf("%s: %v", line, err)
	}
	if got.Client != "192.0.2.0/24" {
		t.Errorf("client %q is shown, want only its network", got.Client)
	}
}

func TestASlowReaderIsCutOffAndNobodyWaits(t *testing.T) {
	f, reg := newFeed(privacy.Full)
	slow, _ := f.Watch(true)
	defer slow.Close()
	for range 512 {
		f.Consume(bad("b.example"))
	}
	quick, _ := f.Watch(true)
	defer quick.Close()
	f.Consume(bad("c.example")) // returns, though slow has no room
	if n := len(quick.Lines); n != 1 {
		t.Errorf("the other reader got %d, want 1", n)
	}
	n := 0
	for range slow.Lines { // ends: it was closed
		n++
	}
	if n != 512 {
		t.Errorf("the slow one could still read %d, want 512", n)
	}
	if err := testutil.GatherAndCompare(reg, strings.NewReader(`
# HELP weir_live_dropped_total Readers of the live feed that were cut off since they read too slowly.
# TYPE weir_live_dropped_total counter
weir_live_dropped_total 1
# HELP weir_live_readers Who watches the live feed now.
# TYPE weir_live_readers gauge
weir_live_readers 1
`), "weir_live_dropped_total", "weir_live_readers"); err != nil {
		t.Error(err)
	}
}

func TestReadersAreBounded(t *testing.T) {
	f, reg := newFeed(privacy.Full)
	for range 16 {
		r, err := f.Watch(false)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
	}
	if _, err := f.Watch(false); !errors.Is(err, live.ErrFull) {
		t.Errorf("the 17th reader: %v, want ErrFull", err)
	}
	w := httptest.NewRecorder()
	f.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if w.Code != http.StatusServiceUnavailable {
		t.Errorf("over HTTP: %d, want 503", w.Code)
	}
	if err := testutil.GatherAndCompare(reg, strings.NewReader(`
# HELP weir_live_refused_total Readers of the live feed that were refused since as many watched as may.
# TYPE weir_live_refused_total counter
weir_live_refused_total 2
`), "weir_live_refused_total"); err != nil {
		t.Error(err)
	}
}

func TestAFloodIsThinnedOutButDetectionsAreNot(t *testing.T) {
	f, _ := newFeed(privacy.Full)
	r, _ := f.Watch(false)
	defer r.Close()
	for range 150 {
		f.Consume(tx("a.example"))
	}
	f.Consume(bad("b.example"))
	if got := len(r.Lines); got != 101 {
		t.Errorf("%d lines, want 100 and the detection", got)
	}
	if got := r.Skipped.Load(); got != 50 {
		t.Errorf("%d skipped, want 50", got)
	}
	if err := f.Tend(); err != nil {
		t.Fatal(err)
	}
	f.Consume(tx("a.example"))
	if got := len(r.Lines); got != 102 {
		t.Errorf("%d lines after a while, want one more", got)
	}
}

func TestTheEndOfWeirEndsAllReaders(t *testing.T) {
	f, _ := newFeed(privacy.Full)
	r, _ := f.Watch(false)
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if _, ok := <-r.Lines; ok {
		t.Error("the reader goes on")
	}
	r.Close()
	if _, err := f.Watch(false); !errors.Is(err, live.ErrFull) {
		t.Errorf("a reader after the end: %v", err)
	}
}

// A stream outlives the time that the server has for reading a request.
func TestEventsComeAsTheyPass(t *testing.T) {
	f, _ := newFeed(privacy.Full)
	s := httptest.NewUnstartedServer(f.Handler())
	s.Config.ReadTimeout = 50 * time.Millisecond
	s.Start()
	defer s.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", s.URL+"/?only=detections", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := s.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if got := resp.Header.Get("Content-Type"); got != "text/event-stream" {
		t.Errorf("type %q", got)
	}
	lines := bufio.NewScanner(resp.Body)
	next := func() string {
		for lines.Scan() {
			if lines.Text() != "" && lines.Text()[0] != ':' {
				return lines.Text()
			}
		}
		t.Fatalf("the stream ended: %v", lines.Err())
		return ""
	}
	for !f.Wants(bad("x.example")) {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(100 * time.Millisecond)
	f.Consume(bad("b.example"))
	if got := next(); got != "event: transaction" {
		t.Errorf("event %q", got)
	}
	if got := next(); !strings.HasPrefix(got, `data: {"time":"2026-03-01T12:00:00`) || !strings.Contains(got, `"b.example"`) {
		t.Errorf("data %q", got)
	}
	cancel()
	for f.Wants(bad("x.example")) { // the handler takes the reader away
		time.Sleep(time.Millisecond)
	}
	w := httptest.NewRecorder()
	f.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/?only=x", nil))
	if w.Code != http.StatusBadRequest {
		t.Errorf("only=x: %d, want 400", w.Code)
	}
}
