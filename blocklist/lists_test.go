package blocklist_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/weirdns/weir/blocklist"
	"github.com/weirdns/weir/internal/dnsname"
)

func TestSnapshotIsThereBeforeLoad(t *testing.T) {
	l, err := blocklist.New([]blocklist.Config{{Name: "a", Inline: []string{"bad.example"}}}, deps(t))
	if err != nil {
		t.Fatal(err)
	}
	wantHits(t, l, "bad.example")
	if v := list(t, l, "a"); v.Entries != 0 || v.Err == "" {
		t.Errorf("%d entries, error %q, want none and a reason", v.Entries, v.Err)
	}
	var zero blocklist.Snapshot
	if got := zero.Match(nil, dnsname.MustParse("bad.example")); got != nil {
		t.Errorf("the zero Snapshot has hits %q", show(got))
	}
}

func TestUnreadableFileNamesListFileAndLine(t *testing.T) {
	dir := t.TempDir()
	web, gone, bad := filepath.Join(dir, "web"), filepath.Join(dir, "gone"), filepath.Join(dir, "bad")
	write(t, web, "<html>")
	write(t, bad, "# words\ngood.example\nthese are words\nand more words\n")
	l, err := blocklist.New([]blocklist.Config{
		{Name: "w", File: web}, {Name: "g", File: gone}, {Name: "b", File: bad}, {Name: "dir", File: dir},
		{Name: "fine", Inline: []string{"bad.example"}}}, deps(t))
	if err != nil {
		t.Fatal(err)
	}
	err = l.Load()
	if err == nil {
		t.Fatal("Load is content with files that are no lists")
	}
	got := strings.Split(err.Error(), "\n")
	want := []string{
		"list w: file " + web + ": line 1: a web page, not a list",
		"list g: file " + gone + ": no such file or directory",
		"list b: file " + bad + ": line 3: not an entry of format domains, and 2 of 3 items are like it",
		"list dir: file " + dir + ": not a regular file",
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("Load =\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	wantHits(t, l, "bad.example", "fine bad.example") // the others serve all the same
}

func TestFileThatBreaksLaterKeepsServing(t *testing.T) {
	path := file(t, "bad.example", "worse.example")
	l := load(t, blocklist.Config{Name: "f", File: path})
	for _, broken := range []string{"", "<html>", "\x00\x01", "these are words\n"} {
		write(t, path, broken)
		if err := l.Refresh(t.Context(), "f"); err == nil {
			t.Errorf("%q was taken for a list", broken)
		}
		wantHits(t, l, "bad.example", "f bad.example")
	}
	os.Remove(path)
	if err := l.Refresh(t.Context(), "f"); err == nil {
		t.Error("a file that is gone was taken for a list")
	}
	wantHits(t, l, "bad.example", "f bad.example")
	write(t, path, "# emptied on purpose\n")
	if err := l.Refresh(t.Context(), "f"); err != nil {
		t.Error(err)
	}
	wantHits(t, l, "bad.example")
}

func TestOldSnapshotStaysAsItWas(t *testing.T) {
	path := file(t, "bad.example")
	l := load(t, blocklist.Config{Name: "f", File: path})
	old := l.Snapshot()
	write(t, path, "other.example\n")
	if err := l.Refresh(t.Context(), "f"); err != nil {
		t.Fatal(err)
	}
	if got := show(old.Match(nil, dnsname.MustParse("bad.example"))); len(got) != 1 {
		t.Errorf("the old snapshot has hits %q, want its own", got)
	}
	wantHits(t, l, "bad.example")
	wantHits(t, l, "other.example", "f other.example")
}

func TestReconfigureIsAllOrNothing(t *testing.T) {
	registry := prometheus.NewRegistry()
	d := deps(t)
	d.Registry = registry
	stays, goes := blocklist.Config{Name: "stays", File: file(t, "stays.example")}, blocklist.Config{Name: "goes", Inline: []string{"goes.example"}}
	l, err := blocklist.New([]blocklist.Config{stays, goes}, d)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Load(); err != nil {
		t.Fatal(err)
	}
	before := l.Snapshot()
	for _, bad := range [][]blocklist.Config{
		{{Name: "new", Inline: []string{"new.example"}}, {Name: "new", Inline: []string{"new.example"}}},
		{{Name: "new", Inline: []string{"new.example"}}, {Name: "missing", File: "/nonexistent"}},
		{{Name: "bad name"}},
	} {
		if err := l.Reconfigure(bad); err == nil {
			t.Errorf("%+v was taken", bad)
		}
		if l.Snapshot() != before {
			t.Error("a refused configuration changed what serves")
		}
		if n := series(t, registry, "new") + series(t, registry, "missing"); n != 0 {
			t.Errorf("a refused configuration left %d series", n)
		}
	}
	os.Remove(stays.File) // a list that did not change is not even read
	if err := l.Reconfigure([]blocklist.Config{{Name: "new", Inline: []string{"new.example"}}, stays}); err != nil {
		t.Fatal(err)
	}
	wantHits(t, l, "stays.example", "stays stays.example")
	wantHits(t, l, "new.example", "new new.example")
	wantHits(t, l, "goes.example")
	if n := series(t, registry, "goes"); n != 0 {
		t.Errorf("a list that is gone has %d series", n)
	}
	if n := series(t, registry, "new"); n == 0 {
		t.Error("a new list has no series")
	}
	stays.Disabled = true
	if err := l.Reconfigure([]blocklist.Config{stays}); err != nil {
		t.Fatal(err)
	}
	wantHits(t, l, "stays.example")
	if got := l.Snapshot().Lists(); len(got) != 0 {
		t.Errorf("%d lists serve, want none", len(got))
	}
}

// series counts the series with that list as their label.
func series(t *testing.T, r *prometheus.Registry, list string) (n int) {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetName() == "list" && l.GetValue() == list {
					n++
				}
			}
		}
	}
	return n
}

func TestOwnHostsCannotBeBlocked(t *testing.T) {
	d := deps(t)
	d.Protected = []dnsname.Name{dnsname.MustParse("dns.upstream.example")}
	deny := blocklist.Config{Name: "deny", File: file(t,
		"upstream.example", "*.upstream.example", "feeds.example", "bad.example", "x.dns.upstream.example", "dns.upstream.example")}
	allow := blocklist.Config{Name: "allow", Kind: blocklist.Allow, Inline: []string{"upstream.example"}}
	l, err := blocklist.New([]blocklist.Config{deny, allow}, d)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Load(); err != nil {
		t.Fatal(err)
	}
	wantHits(t, l, "dns.upstream.example", "allow upstream.example")
	wantHits(t, l, "x.dns.upstream.example", "deny x.dns.upstream.example", "allow upstream.example")
	wantHits(t, l, "bad.example", "deny bad.example")
	wantRejected(t, l, "deny", map[blocklist.Reason]int{blocklist.OwnHost: 3})
	wantHits(t, l, "lists.feeds.example", "deny feeds.example")

	// A list from that host makes the host our own, for lists that are loaded already too.
	url := blocklist.Config{Name: "url", URL: "https://lists.feeds.example/x"}
	if err := l.Reconfigure([]blocklist.Config{deny, allow, url}); err != nil {
		t.Fatal(err)
	}
	wantHits(t, l, "lists.feeds.example")
	wantHits(t, l, "bad.example", "deny bad.example")
	wantHits(t, l, "x.dns.upstream.example", "deny x.dns.upstream.example", "allow upstream.example")
}

// A refresh may end when its list is configured away: then it must leave no trace.
func TestRefreshOfARemovedListIsDropped(t *testing.T) {
	asked, answer := make(chan struct{}), make(chan struct{})
	f := newFeed(t, func(w http.ResponseWriter, _ *http.Request) {
		close(asked)
		<-answer
		fmt.Fprint(w, names(10))
	})
	var wg sync.WaitGroup
	wg.Go(func() { f.Refresh(t.Context(), "feed") })
	<-asked
	if err := f.Reconfigure(nil); err != nil {
		t.Fatal(err)
	}
	close(answer)
	wg.Wait()
	wantHits(t, f.Lists, "bad.example")
	if n := series(t, f.registry, "feed"); n != 0 {
		t.Errorf("a list that is gone has %d series", n)
	}
}

// Lookups go on while everything else happens; the race detector watches.
func TestServingGoesOnWhileListsChange(t *testing.T) {
	f := newFeed(t, text(names(200)), func(f *feed) { f.deps.Log = zap.NewNop() })
	if err := f.Refresh(t.Context(), "feed"); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			name, dst := dnsname.MustParse("bad.example"), make([]blocklist.Hit, 0, 4)
			for {
				select {
				case <-stop:
					return
				default:
				}
				if dst = f.Snapshot().Match(dst[:0], name); len(dst) == 0 {
					t.Error("blocking lapsed")
					return
				}
			}
		})
	}
	extra := blocklist.Config{Name: "extra", Inline: []string{"x.example"}}
	for i := range 10 {
		f.Refresh(t.Context(), "feed")
		cfgs := []blocklist.Config{f.cfg}
		if i%2 == 0 {
			cfgs = append(cfgs, extra)
		}
		if err := f.Reconfigure(cfgs); err != nil {
			t.Error(err)
		}
		f.registry.Gather()
	}
	close(stop)
	wg.Wait()
}

func TestRefreshOfAnUnknownListIsAnError(t *testing.T) {
	l := load(t, blocklist.Config{Name: "a", Inline: []string{"x.example"}})
	if err := l.Refresh(t.Context(), "b"); err == nil {
		t.Error("Refresh of a list that is not there went well")
	}
	if err := l.Refresh(t.Context(), "a"); err != nil {
		t.Error(err)
	}
}
