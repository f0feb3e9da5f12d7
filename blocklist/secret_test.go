package blocklist_test

import (
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weirdns/weir/blocklist"
)

const secret = "s3cr3t/key+0123456789"

// withKey gives a feed its key, and says that the URL has it if inURL.
func withKey(t *testing.T, inURL bool) func(*feed) {
	return func(f *feed) {
		f.cfg.AuthKeyFile = filepath.Join(t.TempDir(), "key")
		write(t, f.cfg.AuthKeyFile, secret+"\n")
		if inURL {
			f.cfg.URL += "/{key}/recent.csv"
		}
	}
}

func TestKeyReachesTheFeedOneWayOnly(t *testing.T) {
	for _, inURL := range []bool{false, true} {
		var header, path string
		f := newFeed(t, func(w http.ResponseWriter, r *http.Request) {
			header, path = r.Header.Get("Auth-Key"), r.URL.Path
			fmt.Fprint(w, names(10))
		}, withKey(t, inURL))
		if err := f.Refresh(t.Context(), "feed"); err != nil {
			t.Fatal(err)
		}
		wantHeader, wantPath := secret, "/list"
		if inURL {
			wantHeader, wantPath = "", "/list/"+secret+"/recent.csv"
		}
		if header != wantHeader || path != wantPath {
			t.Errorf("in URL %v: header %q, path %q, want %q and %q", inURL, header, path, wantHeader, wantPath)
		}
	}
}

// Whatever a server does, the key shows up nowhere.
func TestKeyShowsUpNowhere(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"good": text(names(10)),
		"404":  http.NotFound,
		"redirect to itself": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, r.URL.String(), http.StatusFound)
		},
		"redirect nowhere": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", "http://127.0.0.1:1/"+secret)
			w.WriteHeader(http.StatusFound)
		},
		"redirect to another scheme": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", "ftp://"+r.Host+r.URL.Path+"?k="+r.Header.Get("Auth-Key"))
			w.WriteHeader(http.StatusFound)
		},
		"echoed encoding": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", secret)
			fmt.Fprint(w, "x")
		},
		"closed": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		for how, change := range map[string]func(*feed){
			"in the header": withKey(t, false), "in the URL": withKey(t, true),
			"typed into the URL": func(f *feed) { f.cfg.URL += "/" + secret },
		} {
			f := newFeed(t, h, change)
			err := f.Refresh(t.Context(), "feed")
			if (err == nil) != (name == "good") {
				t.Errorf("%s: Refresh = %v", name, err)
			}
			var seen strings.Builder
			fmt.Fprintln(&seen, err, list(t, f.Lists, "feed").Err)
			for _, e := range f.logs.All() {
				fmt.Fprintln(&seen, e.Message, e.ContextMap())
			}
			families, _ := f.registry.Gather()
			fmt.Fprintln(&seen, families)
			filepath.WalkDir(f.deps.Dir, func(path string, d fs.DirEntry, err error) error {
				if err == nil && d.Type().IsRegular() {
					b, _ := os.ReadFile(path)
					fmt.Fprintln(&seen, path, string(b))
				}
				return nil
			})
			for _, form := range []string{secret, "s3cr3t"} {
				if strings.Contains(seen.String(), form) {
					t.Errorf("%s, %s: the key shows up:\n%s", name, how, seen.String())
				}
			}
		}
	}
}

func TestKeyDoesNotFollowARedirectToAnotherHost(t *testing.T) {
	var got http.Header
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r.Header
		fmt.Fprint(w, names(10))
	}))
	defer other.Close()
	for _, inURL := range []bool{false, true} {
		f := newFeed(t, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, other.URL+"/moved", http.StatusFound)
		}, withKey(t, inURL))
		if err := f.Refresh(t.Context(), "feed"); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(fmt.Sprint(got), "s3cr3t") {
			t.Errorf("in URL %v: the other host got %v", inURL, got)
		}
	}
}

func TestMissingKeyIsAStatusNotACrash(t *testing.T) {
	asked := 0
	f := newFeed(t, func(http.ResponseWriter, *http.Request) { asked++ }, func(f *feed) {
		f.cfg.AuthKeyFile = filepath.Join(t.TempDir(), "none")
	})
	if err := f.Refresh(t.Context(), "feed"); err == nil {
		t.Error("a refresh without its key went well")
	}
	if v := list(t, f.Lists, "feed"); !strings.Contains(v.Err, "auth_key_file") {
		t.Errorf("status %q, want it to name auth_key_file", v.Err)
	}
	if got := f.count(t, "no_key"); got != 1 || asked != 0 {
		t.Errorf("counted %v, asked %d times, want 1 and 0", got, asked)
	}
	for _, bad := range []string{"", "\n", "two words", strings.Repeat("x", 300), "line\nline"} {
		write(t, f.cfg.AuthKeyFile, bad)
		if err := f.Refresh(t.Context(), "feed"); err == nil || asked != 0 {
			t.Errorf("key %q: %v, asked %d times", bad, err, asked)
		}
	}
}

func TestPrivateAddressesAreNotDialled(t *testing.T) {
	asked := 0
	count := func(w http.ResponseWriter, _ *http.Request) { asked++; fmt.Fprint(w, names(10)) }
	f := newFeed(t, count, func(f *feed) {
		// A name passes Validate; what it resolves to is checked when it is dialled.
		f.cfg.URL = strings.Replace(f.cfg.URL, "127.0.0.1", "localhost", 1)
		f.cfg.AllowPrivate = false
	})
	err := f.Refresh(t.Context(), "feed")
	if err == nil || !strings.Contains(err.Error(), "allow_private") || asked != 0 {
		t.Errorf("Refresh = %v and the server was asked %d times, want a refusal that names allow_private", err, asked)
	}
}

func TestRedirectsAreFew(t *testing.T) {
	for hops, ok := range map[int]bool{3: true, 4: false} {
		n := 0
		f := newFeed(t, func(w http.ResponseWriter, r *http.Request) {
			if n++; n <= hops {
				http.Redirect(w, r, fmt.Sprintf("/%d", n), http.StatusFound)
				return
			}
			fmt.Fprint(w, names(10))
		})
		if err := f.Refresh(t.Context(), "feed"); (err == nil) != ok {
			t.Errorf("%d redirects: %v", hops, err)
		}
	}
}

func TestDamagedCopyIsRefused(t *testing.T) {
	f := newFeed(t, text(names(100)))
	if err := f.Refresh(t.Context(), "feed"); err != nil {
		t.Fatal(err)
	}
	files, _ := filepath.Glob(filepath.Join(f.deps.Dir, "*"))
	if len(files) != 1 || !strings.HasPrefix(filepath.Base(files[0]), "feed-") {
		t.Fatalf("the state folder has %q, want one copy of feed and no temporary file", files)
	}
	good, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	wantHits(t, f.restart(t), "bad.example", "feed bad.example")
	for name, damaged := range map[string]string{
		"cut short":       string(good[:len(good)-1]),
		"one octet":       strings.Replace(string(good), "bad.example", "bax.example", 1),
		"longer":          string(good) + "com.example\n",
		"only the header": string(good[:1024]),
		"short header":    string(good[:100]),
		"empty":           "",
		"zeros":           string(make([]byte, len(good))),
		"another list's":  strings.Replace(string(good), `"list":"feed"`, `"list":"food"`, 1),
		"another version": strings.Replace(string(good), "weir-list-1", "weir-list-2", 1),
	} {
		write(t, files[0], damaged)
		l := f.restart(t)
		wantHits(t, l, "bad.example")
		if v := list(t, l, "feed"); v.Entries != 0 || v.Err == "" {
			t.Errorf("%s: %d entries, error %q, want none and a reason", name, v.Entries, v.Err)
		}
	}
	if err := f.restart(t).Refresh(t.Context(), "feed"); err != nil {
		t.Fatal(err)
	}
	wantHits(t, f.restart(t), "bad.example", "feed bad.example")
}

func TestCopyOfAnotherURLIsNotUsed(t *testing.T) {
	f := newFeed(t, text(names(100)))
	if err := f.Refresh(t.Context(), "feed"); err != nil {
		t.Fatal(err)
	}
	f.cfg.URL += "-moved"
	wantHits(t, f.restart(t), "bad.example")
}

func TestFullDiskDoesNotKeepAListFromServing(t *testing.T) {
	f := newFeed(t, text(names(100)), func(f *feed) {
		f.deps.Dir = filepath.Join(t.TempDir(), "file", "below")
		write(t, filepath.Dir(f.deps.Dir), "a file where the folder should be")
	})
	if err := f.Refresh(t.Context(), "feed"); err != nil {
		t.Fatal(err)
	}
	wantHits(t, f.Lists, "bad.example", "feed bad.example")
	if got := f.count(t, "store_error"); got != 1 {
		t.Errorf("weir_list_reload_total{result=store_error} = %v, want 1", got)
	}
}

func TestWithoutAFolderNothingIsKept(t *testing.T) {
	f := newFeed(t, text(names(100)), func(f *feed) { f.deps.Dir = "" })
	if err := f.Refresh(t.Context(), "feed"); err != nil {
		t.Fatal(err)
	}
	if err := f.Load(); err != nil { // as a reload without changes does
		t.Fatal(err)
	}
	wantHits(t, f.Lists, "bad.example", "feed bad.example")
	wantHits(t, f.restart(t), "bad.example")
}

func TestSecondRegistrationIsAnError(t *testing.T) {
	d := deps(t)
	d.Registry = prometheus.NewRegistry()
	if _, err := blocklist.New(nil, d); err != nil {
		t.Fatal(err)
	}
	if l, err := blocklist.New(nil, d); err == nil || l != nil {
		t.Errorf("New = %v, %v on a registry that has the metrics, want an error", l, err)
	}
}
