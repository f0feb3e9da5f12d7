package reputation_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/reputation"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type nothing struct{}

func (nothing) Enrich(_ *detect.Transaction, _ netip.Prefix, into *detect.Context) {
	into.Reputations = into.Reputations[:0]
}

func detection(name string) *detect.Transaction {
	n := dnsname.MustParse(name)
	return &detect.Transaction{
		Query:   detect.Query{Name: n},
		Verdict: detect.Verdict{Origin: detect.OriginModel, Action: detect.NXDOMAIN, Level: detect.LevelHigh, Registered: n},
	}
}

func look(e *reputation.Enricher, t *detect.Transaction) []detect.Reputation {
	var c detect.Context
	e.Enrich(t, netip.Prefix{}, &c)
	return c.Reputations
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("no %s within a minute", what)
		}
	}
}

// running is an Enricher that asks.
func running(t *testing.T, cfg reputation.Config) *reputation.Enricher {
	t.Helper()
	e, err := reputation.New(cfg, nothing{}, prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- e.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return e
}

func TestHitsOfListsAreReputations(t *testing.T) {
	e, err := reputation.New(reputation.Config{Lists: []reputation.ListConfig{{List: "urlhaus", Level: "high"}, {List: "rpz", Level: "low"}}}, nothing{}, prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	tx := detection("bad.example")
	tx.Verdict.Matches = []detect.Match{
		{List: "other", Rule: "bad.example"}, {List: "urlhaus", Rule: "bad.example", Info: "malware_download AgentTesla"}, {List: "urlhaus", Rule: "again"},
		{List: "rpz", Rule: "192.0.2.0/24", Kind: detect.MatchClient}, {List: "rpz", Rule: "@@bad.example", Effect: detect.EffectPass},
	}
	want := []detect.Reputation{{Service: "urlhaus", Level: detect.ReputationHigh, Detail: "malware_download AgentTesla"}}
	if got := look(e, tx); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := want[0].String(); got != "urlhaus:HIGH:3" {
		t.Errorf("as in Spot's column: %q", got)
	}
}

// A service is asked once about each detection, with the header from its file, and
// never about anything else; what it says is on the one scale.
func TestAServiceIsAskedAboutDetectionsAlone(t *testing.T) {
	var mu sync.Mutex
	asked := map[string]int{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := r.URL.Query().Get("q")
		mu.Lock()
		asked[name]++
		mu.Unlock()
		if r.Header.Get("X-Key") != "secret" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		answers := map[string]string{
			"fifty.example": `{"data":[{"score":50,"tags":["botnet","x"]}]}`, "thirty.example": `{"data":[{"score":30.5}]}`, "fifteen.example": `{"data":[{"score":15}]}`,
			"zero.example": `{"data":[{"score":0}]}`, "word.example": `{"data":[{"score":"malicious","tags":"a\nb"}]}`, "odd.example": `{"data":[{"score":"so so"}]}`,
			"empty.example": `{"data":[]}`, "long.example": `{"x":"` + strings.Repeat("x", 2<<20) + `","data":[{"score":50}]}`,
			"redirect.example": "",
		}
		a, ok := answers[name]
		switch {
		case a == "" && ok:
			http.Redirect(w, r, "/?q=zero.example", http.StatusFound)
		case !ok:
			w.WriteHeader(http.StatusNotFound)
		default:
			_, _ = io.WriteString(w, a)
		}
	}))
	defer server.Close()
	header := filepath.Join(t.TempDir(), "header")
	if err := os.WriteFile(header, []byte("X-Key: secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := reputation.DefaultHTTPConfig()
	c.Name, c.URL, c.HeaderFile, c.Path, c.DetailPath = "svc", server.URL+"/?q={name}", header, "data.0.score", "data.0.tags"
	c.Values, c.From, c.PerMinute, c.Timeout = []reputation.ValueConfig{{Value: "malicious", Level: "high"}}, []reputation.FromConfig{{Number: 15, Level: "low"}, {Number: 30, Level: "medium"}, {Number: 50, Level: "high"}}, 6000, time.Minute
	e := running(t, reputation.Config{HTTP: []reputation.HTTPConfig{c}})
	for name, want := range map[string]detect.Reputation{
		"fifty.example": {Level: detect.ReputationHigh, Detail: "botnet x"}, "thirty.example": {Level: detect.ReputationMedium}, "fifteen.example": {Level: detect.ReputationLow},
		"zero.example": {Level: detect.ReputationNone}, "word.example": {Level: detect.ReputationHigh, Detail: "a b"},
		// What is no answer is never a good one.
		"odd.example": {Level: detect.ReputationUnverified}, "empty.example": {Level: detect.ReputationUnverified}, "long.example": {Level: detect.ReputationUnverified},
		"missing.example": {Level: detect.ReputationUnverified}, "redirect.example": {Level: detect.ReputationUnverified},
	} {
		want.Service = "svc"
		tx := detection(name)
		var got []detect.Reputation
		until(t, "reputation of "+name, func() bool {
			got = look(e, tx)
			return len(got) > 0
		})
		if len(got) != 1 || got[0] != want {
			t.Errorf("%s: got %+v, want %+v", name, got, want)
		}
		look(e, tx)
	}
	clean := detection("clean.example")
	clean.Verdict.Action, clean.Verdict.Level = detect.Pass, detect.LevelNone
	allowed := detection("allowed.example")
	allowed.Verdict.Origin = detect.OriginAllowList
	for _, tx := range []*detect.Transaction{clean, allowed} {
		if got := look(e, tx); len(got) > 0 {
			t.Errorf("%v: got %+v", tx.Query.Name, got)
		}
	}
	last := detection("fifty.example")
	look(e, last)
	mu.Lock()
	defer mu.Unlock()
	for name, n := range asked {
		if n != 1 || name == "clean.example" || name == "allowed.example" {
			t.Errorf("asked %d times about %s, want once and for detections", n, name)
		}
	}
}

// A service that never answers keeps nobody waiting, and what waits for it is
// bounded and counted.
func TestASilentServiceHoldsNobodyUp(t *testing.T) {
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer server.Close()
	defer close(release)
	c := reputation.DefaultHTTPConfig()
	c.Name, c.URL, c.Path, c.From, c.Timeout, c.CacheEntries = "slow", server.URL+"/{name}", "x", []reputation.FromConfig{{Number: 1, Level: "low"}}, time.Minute, 100
	reg := prometheus.NewRegistry()
	e, err := reputation.New(reputation.Config{HTTP: []reputation.HTTPConfig{c}}, nothing{}, reg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- e.Run(ctx) }()
	for i := range 1000 {
		if got := look(e, detection(fmt.Sprintf("n%d.example", i))); len(got) > 0 {
			t.Fatalf("got %+v of nobody", got)
		}
	}
	all, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	shed := 0.0
	for _, f := range all {
		if f.GetName() == "weir_reputation_shed_total" {
			shed = f.Metric[0].GetCounter().GetValue()
		}
	}
	if shed < 700 {
		t.Errorf("%v of 1000 names were shed, want what is over the queue", shed)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestConfigNamesAllThatIsWrong(t *testing.T) {
	good := reputation.DefaultHTTPConfig()
	good.Name, good.URL, good.Path, good.From = "a", "https://svc.example/{name}", "x", []reputation.FromConfig{{Number: 1, Level: "low"}}
	bad := good
	bad.URL, bad.Path, bad.Values, bad.From = "https://{name}/?key=SECRET", "", []reputation.ValueConfig{{Value: "x", Level: "worst"}}, []reputation.FromConfig{{Number: 1, Level: "none"}}
	bad.Timeout, bad.PerMinute, bad.TTL, bad.CacheEntries = 0, 0, 0, 0
	c := reputation.Config{
		Lists: []reputation.ListConfig{{List: "there", Level: "high"}, {List: "there", Level: "bad"}, {List: "gone", Level: "low"}},
		HTTP:  []reputation.HTTPConfig{good, good, bad, {Name: "b", URL: "ftp://x/SECRET"}},
	}
	err := c.Validate([]string{"there"})
	for _, want := range []string{
		`lists[1].list: "there" has a level already`, "lists[1].level: ", `lists[2].list: no list is named "gone"`, `http[1].name: "a" is used already`,
		"http[2].url: {name} must not be in the host", "http[2].path: ", "http[2].values[0].level: ", "http[2].from[0].level: ", "http[2].timeout: ", "http[2].per_minute: ", "http[2].ttl: ",
		"http[2].cache_entries: ", "http[3].url: must be http:// or https://", "http[3].values: without values and from",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v\nwant %q in it", err, want)
		}
	}
	if err != nil && strings.Contains(err.Error(), "SECRET") {
		t.Errorf("the error shows a secret: %v", err)
	}
	if err := (&reputation.Config{HTTP: []reputation.HTTPConfig{good}}).Validate(nil); err != nil {
		t.Errorf("a good one: %v", err)
	}
}

func TestAHeaderFileWithoutAHeaderIsRefused(t *testing.T) {
	c := reputation.DefaultHTTPConfig()
	c.Name, c.URL, c.Path, c.From = "a", "https://svc.example/{name}", "x", []reputation.FromConfig{{Number: 1, Level: "low"}}
	for _, text := range []string{"", "SECRET", "SECRET:\n", ": SECRET", "A: SECRET\nB: SECRET"} {
		c.HeaderFile = filepath.Join(t.TempDir(), "h")
		if err := os.WriteFile(c.HeaderFile, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := reputation.New(reputation.Config{HTTP: []reputation.HTTPConfig{c}}, nothing{}, prometheus.NewRegistry())
		if err == nil || !strings.HasPrefix(err.Error(), "http[0].header_file: ") || strings.Contains(err.Error(), "SECRET") {
			t.Errorf("%q: got %v", text, err)
		}
	}
	c.HeaderFile = "/does/not/exist"
	if _, err := reputation.New(reputation.Config{HTTP: []reputation.HTTPConfig{c}}, nothing{}, prometheus.NewRegistry()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
}
