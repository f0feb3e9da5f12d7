package blocklist_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weirdns/weir/blocklist"
)

// network stands in for one, so that hours pass in no time; the tests of feeds
// use a real server.
type network func(*http.Request) (*http.Response, error)

func (n network) RoundTrip(r *http.Request) (*http.Response, error) { return n(r) }

func reply(status int, body string) (*http.Response, error) {
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body))}, nil
}

// running starts Run and gives what stops it and waits for its end.
func running(t *testing.T, l *blocklist.Lists) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- l.Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
	}
}

func TestRunReadsChangedFilesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := file(t, "bad.example")
		registry := prometheus.NewRegistry()
		d := deps(t)
		d.Registry = registry
		l, err := blocklist.New([]blocklist.Config{{Name: "f", File: path}}, d)
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Load(); err != nil {
			t.Fatal(err)
		}
		defer running(t, l)()
		time.Sleep(5 * time.Minute)
		if got := counter(t, registry, "weir_list_reload_total", "list", "f", "result", "ok"); got != 1 {
			t.Errorf("a file that did not change was read %v times, want once", got)
		}
		write(t, path, "other.example\nbad.example\n")
		time.Sleep(time.Minute)
		wantHits(t, l, "other.example", "f other.example")
		os.Remove(path)
		time.Sleep(10 * time.Minute)
		wantHits(t, l, "other.example", "f other.example")
		if got := counter(t, registry, "weir_list_reload_total", "list", "f", "result", "file_error"); got != 1 {
			t.Errorf("a file that is gone was counted %v times, want once", got)
		}
		write(t, path, "back.example\n")
		time.Sleep(time.Minute)
		wantHits(t, l, "back.example", "f back.example")
	})
}

func TestRunAsksURLsWhenTheyAreDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked []time.Time
		d := deps(t)
		d.Transport = network(func(*http.Request) (*http.Response, error) {
			asked = append(asked, time.Now())
			return reply(200, names(10))
		})
		l, err := blocklist.New([]blocklist.Config{{Name: "u", URL: "https://feed.example/x"}}, d)
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Load(); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		stop := running(t, l)
		time.Sleep(24*time.Hour + 5*time.Minute)
		stop()
		wantHits(t, l, "bad.example", "u bad.example")
		if len(asked) < 4 || len(asked) > 6 || !asked[0].Equal(begin) {
			t.Fatalf("asked at %v in 24 hours from %v, want at once and then every 6 hours", asked, begin)
		}
		varied := false
		for i, at := range asked[1:] {
			gap := at.Sub(asked[i])
			if gap < 5*time.Hour+24*time.Minute || gap > 6*time.Hour+36*time.Minute {
				t.Errorf("%v between two refreshes, want 6h give or take a tenth", gap)
			}
			varied = varied || gap != 6*time.Hour
		}
		if !varied {
			t.Error("a fleet would ask as one: no refresh was moved")
		}

		// A new process that finds a fresh copy has no reason to ask before the
		// copy is as old as it may be.
		copies, _ := filepath.Glob(filepath.Join(d.Dir, "*"))
		for age, want := range map[time.Duration]int{0: 0, 4 * time.Hour: 1, 100 * time.Hour: 1} {
			d.Registry = prometheus.NewRegistry()
			asked = nil
			at := time.Now().Add(-age)
			if err := os.Chtimes(copies[0], at, at); err != nil {
				t.Fatal(err)
			}
			if l, err = blocklist.New([]blocklist.Config{{Name: "u", URL: "https://feed.example/x"}}, d); err != nil {
				t.Fatal(err)
			}
			if err := l.Load(); err != nil {
				t.Fatal(err)
			}
			stop = running(t, l)
			time.Sleep(5 * time.Hour)
			stop()
			if len(asked) != want {
				t.Errorf("with a copy %v old asked %d times in 5 hours, want %d", age, len(asked), want)
			}
		}
	})
}

func TestFailuresAreRetriedEverMoreSeldom(t *testing.T) {
	for name, c := range map[string]struct {
		answer      func() (*http.Response, error)
		first       time.Duration
		least, most int // requests in two days
	}{
		"no network":   {func() (*http.Response, error) { return nil, errors.New("unreachable") }, 30 * time.Second, 14, 20},
		"server error": {func() (*http.Response, error) { return reply(500, "") }, 5 * time.Minute, 12, 20},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var asked []time.Time
				d := deps(t)
				d.Transport = network(func(*http.Request) (*http.Response, error) {
					asked = append(asked, time.Now())
					return c.answer()
				})
				l, err := blocklist.New([]blocklist.Config{{Name: "u", URL: "https://feed.example/x"}}, d)
				if err != nil {
					t.Fatal(err)
				}
				if err := l.Load(); err != nil {
					t.Fatal(err)
				}
				stop := running(t, l)
				time.Sleep(48 * time.Hour)
				stop()
				if n := len(asked); n < c.least || n > c.most {
					t.Errorf("%d requests in two days, want %d to %d", n, c.least, c.most)
				}
				if gap := asked[1].Sub(asked[0]); gap < c.first*9/10 || gap > c.first*11/10 {
					t.Errorf("the first retry came after %v, want about %v", gap, c.first)
				}
				last := asked[len(asked)-1].Sub(asked[len(asked)-2])
				if last < 5*time.Hour || last > 7*time.Hour {
					t.Errorf("the last retry came after %v, want the refresh interval", last)
				}
			})
		})
	}
}

func TestRunTakesUpNewLists(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := deps(t)
		d.Transport = network(func(*http.Request) (*http.Response, error) { return reply(200, names(10)) })
		l, err := blocklist.New(nil, d)
		if err != nil {
			t.Fatal(err)
		}
		defer running(t, l)()
		time.Sleep(time.Hour)
		if err := l.Reconfigure([]blocklist.Config{{Name: "u", URL: "https://feed.example/x"}}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		wantHits(t, l, "bad.example", "u bad.example")
	})
}

// All feeds hang: what was kept serves at once, and the end does not wait.
func TestHangingFeedHoldsNothingUp(t *testing.T) {
	f := newFeed(t, text(names(10)))
	if err := f.Refresh(t.Context(), "feed"); err != nil {
		t.Fatal(err)
	}
	entered := make(chan struct{}, 1)
	f.handler = func(_ http.ResponseWriter, r *http.Request) {
		entered <- struct{}{}
		<-r.Context().Done()
	}
	l := f.restart(t)
	wantHits(t, l, "bad.example", "feed bad.example")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 2)
	go func() { done <- l.Refresh(ctx, "feed") }()
	<-entered
	go func() { done <- l.Refresh(ctx, "feed") }() // waits for its turn
	wantHits(t, l, "bad.example", "feed bad.example")
	cancel()
	for range 2 {
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Refresh = %v, want the context's end", err)
		}
	}
	if v := list(t, l, "feed"); v.Err != "" {
		t.Errorf("our own end is taken for the feed's failure: %q", v.Err)
	}
}

func TestUnreachableFeedIsAStatus(t *testing.T) {
	f := newFeed(t, text(""), func(f *feed) { f.cfg.URL = "http://127.0.0.1:1/x" })
	err := f.Refresh(t.Context(), "feed")
	if err == nil || list(t, f.Lists, "feed").Err != err.Error() || f.count(t, "network_error") != 1 {
		t.Errorf("Refresh = %v, status %q, want the same, counted once", err, list(t, f.Lists, "feed").Err)
	}
	if want := "list feed: "; !strings.HasPrefix(fmt.Sprint(err), want) {
		t.Errorf("error %q does not name the list", err)
	}
}
