package blocklist_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirdns/weir/blocklist"
)

func TestReloadReadsFilesAgain(t *testing.T) {
	path := file(t, "bad.example")
	cfgs := []blocklist.Config{{Name: "f", File: path}, {Name: "i", Inline: []string{"inline.example"}}}
	l := load(t, cfgs...)
	write(t, path, "bad.example\nnew.example\n")
	if err := l.Reload(cfgs); err != nil {
		t.Fatal(err)
	}
	wantHits(t, l, "new.example", "f new.example")

	// Nothing changes if one file cannot be read, not even the other lists.
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	changed := []blocklist.Config{cfgs[0], {Name: "i", Inline: []string{"other.example"}}}
	if err := l.Reload(changed); err == nil {
		t.Error("a reload without a list's file was accepted")
	}
	wantHits(t, l, "new.example", "f new.example")
	wantHits(t, l, "inline.example", "i inline.example")
	wantHits(t, l, "other.example")
}

// A feed that failed is left alone for minutes; whoever reloads does not wait.
func TestReloadAsksFeedsAtOnce(t *testing.T) {
	var asked, broken atomic.Int64
	broken.Store(1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		if broken.Load() == 1 {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		_, _ = w.Write([]byte("bad.example\n"))
	}))
	defer server.Close()
	cfgs := []blocklist.Config{{Name: "u", URL: server.URL, AllowPrivate: true}}
	l := load(t, cfgs...)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	wait := func(what string, ok func() bool) {
		t.Helper()
		for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("waited in vain for %s", what)
			}
		}
	}
	wait("the first try", func() bool { return list(t, l, "u").Failed != time.Time{} })
	broken.Store(0)
	if err := l.Reload(cfgs); err != nil {
		t.Fatal(err)
	}
	wait("the feed's entries", func() bool { return list(t, l, "u").Entries == 1 })
	// A storm of reloads is none of requests.
	before := asked.Load()
	for range 20 {
		if err := l.Reload(cfgs); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if got := asked.Load() - before; got != 0 {
		t.Errorf("20 reloads right after a success asked %d times, want none", got)
	}
}
