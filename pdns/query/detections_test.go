package query_test

import (
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/pdns/query"
	"github.com/weirdns/weir/pdns/store"
	"go.uber.org/zap"
)

// noon is in the middle of an hour, and of the day before this one: the store
// forgets what is old by the clock.
var noon = time.Now().UTC().Truncate(24 * time.Hour).Add(-11*time.Hour - 30*time.Minute)

func day(ago int) string { return noon.AddDate(0, 0, -ago).Format(time.DateOnly) }

// detected is a store with three days of detections.
func detected(t *testing.T, more func(find func(at time.Time, name string, o detect.Origin, enforced bool))) *store.Store {
	t.Helper()
	cfg := store.DefaultConfig()
	cfg.Dir = filepath.Join(t.TempDir(), "pdns")
	s, err := store.New(cfg, store.Deps{Log: zap.NewNop(), Registry: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if err := s.Tend(); err != nil {
		t.Fatal(err)
	}
	more(func(at time.Time, name string, o detect.Origin, enforced bool) {
		v := detect.Verdict{Origin: o, Action: detect.ZeroIP, Enforced: enforced, Unscored: detect.NoModel}
		if o == detect.OriginModel {
			v.Unscored, v.Score, v.Level = detect.Scored, 0.99, detect.LevelHigh
		} else {
			v.Matches = []detect.Match{{List: "Ours", Rule: "evil.example"}}
		}
		s.Consume(&detect.Transaction{Query: detect.Query{Time: at, Name: dnsname.MustParse(name), Type: 1, Class: 1}, Verdict: v})
	})
	if err := s.Tend(); err != nil {
		t.Fatal(err)
	}
	return s
}

func threeDays(t *testing.T) *store.Store {
	return detected(t, func(find func(at time.Time, name string, o detect.Origin, enforced bool)) {
		find(noon.Add(-48*time.Hour), "xkqjzvwpqbtr.info", detect.OriginModel, false)
		find(noon.Add(-47*time.Hour), "xkqjzvwpqbtr.info", detect.OriginModel, false)
		find(noon.Add(-24*time.Hour), "a.evil.example", detect.OriginBlockList, true)
		find(noon.Add(-2*time.Minute), "a.evil.example", detect.OriginBlockList, true)
		find(noon.Add(-time.Minute), "xkqjzvwpqbtr.info", detect.OriginModel, false)
		find(noon.Add(-time.Minute), "xkqjzvwpqbtr.info", detect.OriginModel, false)
		find(noon.Add(-90*time.Minute), "b.evil.example", detect.OriginBlockList, true)
	})
}

func findIn(t *testing.T, s *store.Store, params string) *query.Detections {
	t.Helper()
	v, err := url.ParseQuery(params)
	if err != nil {
		t.Fatal(err)
	}
	p, err := query.DetectionsFromURL(v)
	if err != nil {
		t.Fatal(err)
	}
	var out *query.Detections
	err = s.View(func(r *store.Reader) error {
		out, err = p.Run(t.Context(), r, noon)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestDetectionsAreFoundTheLatestFirst(t *testing.T) {
	s := threeDays(t)
	for _, q := range []struct {
		params string
		want   []string // names
	}{
		{"", []string{"xkqjzvwpqbtr.info", "a.evil.example", "b.evil.example", "a.evil.example"}},
		{"since=1h", []string{"xkqjzvwpqbtr.info", "a.evil.example"}},
		{"since=7d", []string{"xkqjzvwpqbtr.info", "a.evil.example", "b.evil.example", "a.evil.example", "xkqjzvwpqbtr.info", "xkqjzvwpqbtr.info"}},
		{"since=7d&until=" + day(1), []string{"xkqjzvwpqbtr.info", "xkqjzvwpqbtr.info"}},
		{"q=EVIL", []string{"a.evil.example", "b.evil.example", "a.evil.example"}},
		{"q=ours&mode=enforced", []string{"a.evil.example", "b.evil.example", "a.evil.example"}},
		{"q=wpq", []string{"xkqjzvwpqbtr.info"}},
		{"name=A.evil.example.", []string{"a.evil.example", "a.evil.example"}},
		{"name=evil.example", []string{}},
		{"origin=model", []string{"xkqjzvwpqbtr.info"}},
		{"mode=watched", []string{"xkqjzvwpqbtr.info"}},
		{"q=nothing", []string{}},
	} {
		got := []string{}
		found := findIn(t, s, q.params)
		for _, d := range found.Rows {
			got = append(got, d.Name)
		}
		if !slices.Equal(got, q.want) || found.More || found.Reached != nil {
			t.Errorf("%q: %q, more %v, reached %v; want %q", q.params, got, found.More, found.Reached, q.want)
		}
	}
}

func TestDetectionsAreCountedByDayBeyondWhatIsListed(t *testing.T) {
	found := findIn(t, threeDays(t), "since=7d&limit=1")
	want := []query.Day{{Day: day(0), Queries: 4, Enforced: 2, Rows: 3}, {Day: day(1), Queries: 1, Enforced: 1, Rows: 1}, {Day: day(2), Queries: 2, Rows: 2}}
	if !slices.Equal(found.Days, want) {
		t.Errorf("days %+v, want %+v", found.Days, want)
	}
	if len(found.Rows) != 1 || !found.More {
		t.Errorf("%d rows, more %v; want 1, true", len(found.Rows), found.More)
	}
	if d := found.Rows[0]; d.Score == nil || *d.Score != 0.99 || d.Level != "high" || d.Count != 2 || d.Enforced {
		t.Errorf("row %+v", d)
	}
}

func TestLookingThroughDetectionsIsBounded(t *testing.T) {
	s := detected(t, func(find func(at time.Time, name string, o detect.Origin, enforced bool)) {
		for i := range 50_001 {
			find(noon.Add(-3*time.Hour), fmt.Sprintf("x%d.evil%d.example", i, i%10), detect.OriginBlockList, true)
		}
		find(noon.Add(-20*time.Hour), "old.evil.example", detect.OriginBlockList, true)
	})
	found := findIn(t, s, "q=old")
	if len(found.Rows) != 0 || found.Reached == nil || *found.Reached != noon.Add(-3*time.Hour).Unix()/3600*3600 {
		t.Errorf("%d rows, reached %v; want none, and the hour that was looked at last", len(found.Rows), found.Reached)
	}
}

func TestBadQuestionsAboutDetectionsAreRefused(t *testing.T) {
	_, err := query.DetectionsFromURL(url.Values{"limit": {"1001"}, "mode": {"x"}, "since": {"7d"}, "color": {"red"}})
	if err == nil || strings.Count(err.Error(), "\n") != 2 {
		t.Errorf("%v, want three problems", err)
	}
	p, err := query.DetectionsFromURL(url.Values{"since": {"yesterday"}, "until": {"x"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Run(t.Context(), nil, noon); err == nil || !strings.Contains(err.Error(), "since: ") || !strings.Contains(err.Error(), "until: ") {
		t.Errorf("%v, want both times refused", err)
	}
}
