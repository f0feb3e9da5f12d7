package blocklist_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/weirdns/weir/blocklist"
)

// restart makes lists on a state folder, loads them, and says what was logged
// of compiled files.
func restart(t *testing.T, dir string, cfgs ...blocklist.Config) (*blocklist.Lists, []string) {
	t.Helper()
	core, logs := observer.New(zap.InfoLevel)
	l, err := blocklist.New(cfgs, blocklist.Deps{Log: zap.New(core), Registry: prometheus.NewRegistry(), Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Load(); err != nil {
		t.Fatal(err)
	}
	var why []string
	for _, e := range logs.FilterMessageSnippet("compiled list").All() {
		why = append(why, fmt.Sprint(e.ContextMap()["why"]))
	}
	return l, why
}

func compiled(t *testing.T, dir string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.set"))
	if err != nil || len(files) != 1 {
		t.Fatalf("compiled files %q, %v; want one", files, err)
	}
	return files[0]
}

// old makes a file look as if it had been written a while ago, as lists are.
func old(t *testing.T, path string) {
	t.Helper()
	then := time.Now().Add(-time.Hour)
	if err := os.Chtimes(path, then, then); err != nil {
		t.Fatal(err)
	}
}

func TestARestartOpensTheCompiledFile(t *testing.T) {
	names := synthetic(40_000)
	path := file(t, append(names, "||rule^", "192.0.2.9")...)
	old(t, path)
	dir := filepath.Join(t.TempDir(), "lists")
	cfg := blocklist.Config{Name: "big", File: path}
	first, _ := restart(t, dir, cfg)
	made, err := os.Stat(compiled(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	second, why := restart(t, dir, cfg)
	if now, err := os.Stat(compiled(t, dir)); err != nil || !os.SameFile(made, now) || len(why) > 0 {
		t.Fatalf("the compiled file was made anew: %v, %q", err, why)
	}
	a, b := list(t, first, "big"), list(t, second, "big")
	if a.Entries != len(names) || b.Entries != a.Entries || b.Addresses != 1 || a.SHA256 != b.SHA256 || a.Rejected != b.Rejected ||
		a.Format != b.Format || !a.Loaded.Equal(b.Loaded) || b.Checked.Before(a.Checked) {
		t.Errorf("opened: %+v\nbuilt: %+v", b, a)
	}
	for _, n := range names[:2000] {
		wantHits(t, second, n, "big "+n)
		wantHits(t, second, "no-"+n)
	}
	wantAddrHits(t, second, "192.0.2.9", "big 192.0.2.9")

	// Whatever the set depends on makes a new one.
	write(t, path, strings.Join(names[:30_000], "\n"))
	old(t, path)
	third, _ := restart(t, dir, cfg)
	if got := list(t, third, "big").Entries; got != 30_000 {
		t.Errorf("%d entries after the text changed, want 30000", got)
	}
	wantHits(t, third, names[35_000])
	cfg.Match = blocklist.MatchExact
	fourth, _ := restart(t, dir, cfg)
	wantHits(t, fourth, "x."+names[0])
	wantHits(t, first, names[35_000], "big "+names[35_000]) // the old lists were left alone
}

func TestADamagedCompiledFileIsMadeAnew(t *testing.T) {
	names := synthetic(40_000)
	path := file(t, names...)
	old(t, path)
	dir := t.TempDir()
	cfg := blocklist.Config{Name: "big", File: path}
	restart(t, dir, cfg)
	good, err := os.ReadFile(compiled(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	spoil := func(at int) []byte {
		b := bytes.Clone(good)
		b[at] ^= 1
		return b
	}
	for what, bad := range map[string][]byte{
		"empty":         {},
		"cut":           good[:len(good)/2],
		"longer":        append(bytes.Clone(good), make([]byte, 8)...),
		"other version": bytes.Replace(good, []byte("weir-set-4"), []byte("weir-set-0"), 1),
		"no header":     spoil(0),
		"depths":        spoil(bytes.Index(good, []byte(`"depths":`)) + len(`"depths":`)),
		"data":          spoil(5000),
		"the end":       spoil(len(good) - 100),
		"zeros":         make([]byte, len(good)),
	} {
		t.Run(what, func(t *testing.T) {
			if err := os.WriteFile(compiled(t, dir), bad, 0o600); err != nil {
				t.Fatal(err)
			}
			l, why := restart(t, dir, cfg)
			if len(why) != 1 {
				t.Errorf("logged %q, want why it was not taken", why)
			}
			wantHits(t, l, names[7], "big "+names[7])
			if _, why := restart(t, dir, cfg); len(why) != 0 {
				t.Errorf("not made anew: %q", why)
			}
		})
	}
}

func TestAFileThatJustChangedIsReadAgain(t *testing.T) {
	names := synthetic(40_000)
	path := file(t, names...)
	dir := t.TempDir()
	cfg := blocklist.Config{Name: "big", File: path}
	restart(t, dir, cfg)
	stamp, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	// The same size, and by a coarse clock the same time.
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.Replace(string(text), names[5], strings.Repeat("y", len(names[5])-4)+".com", 1)
	write(t, path, changed)
	if err := os.Chtimes(path, stamp.ModTime(), stamp.ModTime()); err != nil {
		t.Fatal(err)
	}
	l, _ := restart(t, dir, cfg)
	wantHits(t, l, names[5])
}

func TestAURLListStartsFromItsCompiledFile(t *testing.T) {
	names := synthetic(40_000)
	var asked atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		fmt.Fprintln(w, strings.Join(names, "\n"))
	}))
	defer srv.Close()
	dir := t.TempDir()
	cfg := blocklist.Config{Name: "feed", URL: srv.URL, AllowPrivate: true}
	first, _ := restart(t, dir, cfg)
	if err := first.Refresh(t.Context(), "feed"); err != nil {
		t.Fatal(err)
	}
	second, why := restart(t, dir, cfg)
	if len(why) > 0 || asked.Load() != 1 {
		t.Fatalf("made anew: %q; the feed was asked %d times, want 1", why, asked.Load())
	}
	wantHits(t, second, names[7], "feed "+names[7])
	a, b := list(t, first, "feed"), list(t, second, "feed")
	if a.SHA256 != b.SHA256 || b.Entries != len(names) {
		t.Errorf("opened %+v, built %+v", b, a)
	}
	// Without its text a compiled file is nobody's.
	texts, _ := filepath.Glob(filepath.Join(dir, "*.list"))
	if err := os.Remove(texts[0]); err != nil {
		t.Fatal(err)
	}
	third, _ := restart(t, dir, cfg)
	wantHits(t, third, names[7])
}

func TestFilesOfListsThatAreGoneAreRemoved(t *testing.T) {
	path := file(t, synthetic(40_000)...)
	dir := t.TempDir()
	restart(t, dir, blocklist.Config{Name: "big", File: path})
	compiled(t, dir)
	left := filepath.Join(dir, "set-1.tmp")
	write(t, left, "x")
	old(t, left)
	busy := filepath.Join(dir, "set-2.tmp")
	write(t, busy, "x")
	restart(t, dir, blocklist.Config{Name: "other", Inline: []string{"a.example"}})
	files, _ := filepath.Glob(filepath.Join(dir, "*.*"))
	for i := range files {
		files[i] = filepath.Base(files[i])
	}
	if got := strings.Join(files, " "); got != "hash.seed set-2.tmp" {
		t.Errorf("left in the folder: %s; want the seed and what somebody may be writing", got)
	}
}

// One edit of the user's own rules must not cost a build of the large lists.
func TestOwnRulesAreALayerOfTheirOwn(t *testing.T) {
	path := file(t, synthetic(40_000)...)
	cfgs := []blocklist.Config{{Name: "big", File: path}, {Name: "own", Inline: []string{"a.example"}}}
	l := load(t, cfgs...)
	big := list(t, l, "big")
	cfgs[1].Inline = []string{"b.example"}
	if err := l.Reconfigure(cfgs); err != nil {
		t.Fatal(err)
	}
	if list(t, l, "big") != big {
		t.Error("the large list was replaced")
	}
	wantHits(t, l, "b.example", "own b.example")
	wantHits(t, l, "a.example")
}

// What has nowhere to write builds in memory and serves the same.
func TestAFolderThatCannotBeWrittenCostsNothing(t *testing.T) {
	names := synthetic(120_000)
	blocked := filepath.Join(t.TempDir(), "a file")
	write(t, blocked, "")
	l, _ := restart(t, filepath.Join(blocked, "below"), blocklist.Config{Name: "big", File: file(t, names...)})
	wantHits(t, l, names[100_000], "big "+names[100_000])
	if got := list(t, l, "big").Entries; got != len(names) {
		t.Errorf("%d entries, want %d", got, len(names))
	}
}
