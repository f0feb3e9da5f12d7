package unusual_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/pdns/privacy"
	"github.com/weirdns/weir/unusual"
)

var full = privacy.Plain(privacy.Full)

func say(tb testing.TB, b *unusual.Book, target string, s unusual.Severity, day string) {
	tb.Helper()
	if _, err := b.Add(unusual.Feedback{Time: monday, Day: day, Target: target, Severity: s, Note: "because"}, full); err != nil {
		tb.Fatal(err)
	}
}

// Feedback changes the list at once: what is benign is left out, what is confirmed
// comes first, also of other clients; a reset of the day takes it back, and all of it
// is there after a restart.
func TestFeedbackChangesTheListAtOnce(t *testing.T) {
	dir := t.TempDir()
	odd, _ := planted(t, monday, 1)
	tr := tracker(t, unusual.DefaultConfig(), unusual.Deps{Dir: dir, Privacy: full, Seed: 1})
	feed(tr, office(t, monday, 1)[:3000], odd, []*detect.Transaction{query(t, monday, "192.0.2.77", "www.ordinary.example", dns.TypeA, 0, 50), query(t, monday, "192.0.2.78", "www.ordinary.example", dns.TypeA, 0, 50)})
	before := ranking(t, tr, unusual.Query{})
	if rankOf(before, "tunnel.example") == 0 || rankOf(before, "ordinary.example") < 10 {
		t.Fatalf("ranks before: %d and %d", rankOf(before, "tunnel.example"), rankOf(before, "ordinary.example"))
	}
	say(t, tr.Feedback(), "Tunnel.Example.", unusual.Benign, "2026-03-02")
	say(t, tr.Feedback(), "ordinary.example", unusual.High, "2026-03-02")
	say(t, tr.Feedback(), "odd.example", unusual.Low, "2026-03-02")
	check := func(tr *unusual.Tracker) {
		t.Helper()
		r := ranking(t, tr, unusual.Query{})
		if rankOf(r, "tunnel.example") != 0 || r.Hidden != 1 {
			t.Errorf("what is benign has rank %d, %d hidden", rankOf(r, "tunnel.example"), r.Hidden)
		}
		if r.Entries[0].Domain != "ordinary.example" || r.Entries[1].Domain != "ordinary.example" || r.Entries[2].Domain != "odd.example" || r.Entries[0].Note != "because" {
			t.Errorf("the first are %s, %s, %s", r.Entries[0].Domain, r.Entries[1].Domain, r.Entries[2].Domain)
		}
		// Three entries were moved before it; it does not go to the end, where nobody
		// would find it to take that back.
		all := ranking(t, tr, unusual.Query{Benign: true})
		if got, was := rankOf(all, "tunnel.example"), rankOf(before, "tunnel.example"); got == 0 || got > was+3 {
			t.Errorf("where it is asked for, what is benign has rank %d; without feedback %d", got, was)
		}
	}
	check(tr)
	if err := tr.Close(); err != nil {
		t.Fatal(err)
	}
	tr = tracker(t, unusual.DefaultConfig(), unusual.Deps{Dir: dir, Privacy: full})
	check(tr)
	if n, err := tr.Feedback().Remove("2026-03-01", "", full, monday); n != 0 || err != nil {
		t.Errorf("of another day: %d, %v", n, err)
	}
	if n, err := tr.Feedback().Remove("2026-03-02", "", full, monday); n != 3 || err != nil {
		t.Errorf("reset: %d, %v, want 3", n, err)
	}
	if r := ranking(t, tr, unusual.Query{}); rankOf(r, "tunnel.example") == 0 || rankOf(r, "ordinary.example") < 10 {
		t.Error("after the reset the list is not as it was")
	}
	tr = tracker(t, unusual.DefaultConfig(), unusual.Deps{Dir: dir, Privacy: full})
	if got := tr.Feedback().List(""); len(got) != 0 {
		t.Errorf("after the reset and a restart: %+v", got)
	}
}

func TestFeedbackOfClientsAndHosts(t *testing.T) {
	tr := tracker(t, unusual.DefaultConfig(), unusual.Deps{})
	for _, client := range []string{"192.0.2.7", "198.51.100.7"} {
		tr.Record(query(t, monday, client, "www.example.com", dns.TypeA, 0, 50))
	}
	tr.Record(query(t, monday, "203.0.113.7", "mail.example.com", dns.TypeA, 0, 50))
	tr.Record(query(t, monday, "203.0.113.8", "www.example.com", dns.TypeA, 0, 50))
	say(t, tr.Feedback(), "192.0.2.0/24", unusual.Benign, "2026-03-02")
	say(t, tr.Feedback(), "198.51.100.7", unusual.Medium, "2026-03-02")
	say(t, tr.Feedback(), "mail.example.com", unusual.Benign, "2026-03-02")
	r := ranking(t, tr, unusual.Query{})
	var got []string
	for _, e := range r.Entries {
		got = append(got, e.Client+" "+string(e.Severity))
	}
	if want := []string{"198.51.100.7 medium", "203.0.113.8 "}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	// Of a client no more is written than is kept.
	f, err := tr.Feedback().Add(unusual.Feedback{Day: "2026-03-02", Target: "192.0.2.99", Severity: unusual.Low}, privacy.Plain(privacy.Truncated))
	if err != nil || f.Target != "192.0.2.0/24" {
		t.Errorf("got %q, %v", f.Target, err)
	}
	if _, err := tr.Feedback().Add(unusual.Feedback{Day: "2026-03-02", Target: "192.0.2.99", Severity: unusual.Low}, privacy.Plain(privacy.None)); err == nil {
		t.Error("a client is taken where none is kept")
	}
}

func TestFeedbackThatMakesNoSenseIsRefused(t *testing.T) {
	b := tracker(t, unusual.DefaultConfig(), unusual.Deps{}).Feedback()
	for want, f := range map[string]unusual.Feedback{
		"severity: ": {Day: "2026-03-02", Target: "example.com", Severity: "bad"},
		"day: ":      {Day: "monday", Target: "example.com", Severity: unusual.Low},
		"target: ":   {Day: "2026-03-02", Target: "..", Severity: unusual.Low},
		"note: ":     {Day: "2026-03-02", Target: "example.com", Severity: unusual.Low, Note: "two\nlines"},
	} {
		if _, err := b.Add(f, full); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want %s...", err, want)
		}
	}
	if _, err := b.Remove("monday", "", full, monday); err == nil {
		t.Error("monday is a day")
	}
}

// Half a line is what a crash left; it is no reason to lose the rest, and nothing is
// written behind it.
func TestFeedbackSurvivesACrash(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "feedback.jsonl")
	open := func() *unusual.Book {
		return tracker(t, unusual.DefaultConfig(), unusual.Deps{Dir: dir, Privacy: full}).Feedback()
	}
	say(t, open(), "a.example", unusual.High, "2026-03-02")
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, writeErr := f.WriteString(`{"day":"2026-03-02","target":"half.exa`)
	if err := errors.Join(writeErr, f.Close()); err != nil {
		t.Fatal(err)
	}
	say(t, open(), "b.example", unusual.Low, "2026-03-02")
	var got []string
	for _, f := range open().List("2026-03-02") {
		got = append(got, f.Target)
	}
	if !slices.Equal(got, []string{"a.example", "b.example"}) {
		t.Errorf("got %q", got)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, append([]byte("nonsense\n"), data...), 0o600); err != nil {
		t.Fatal(err)
	}
	tr := tracker(t, unusual.DefaultConfig(), unusual.Deps{Dir: dir, Privacy: full})
	if err := tr.Restored(); err == nil || !strings.Contains(err.Error(), "feedback.jsonl: line 1: ") || len(tr.Feedback().List("")) != 2 {
		t.Errorf("a bad line: %v, %d entries", err, len(tr.Feedback().List("")))
	}
}

// The file does not grow for ever where the same is said again and again, and the
// disk refusing is told.
func TestFeedbackStaysSmall(t *testing.T) {
	dir := t.TempDir()
	tr := tracker(t, unusual.DefaultConfig(), unusual.Deps{Dir: dir, Privacy: full})
	for range 150 {
		say(t, tr.Feedback(), "a.example", unusual.High, "2026-03-02")
	}
	tracker(t, unusual.DefaultConfig(), unusual.Deps{Dir: dir, Privacy: full})
	data, err := os.ReadFile(filepath.Join(dir, "feedback.jsonl"))
	if err != nil || strings.Count(string(data), "\n") != 1 {
		t.Errorf("%d lines after the restart, want 1; %v", strings.Count(string(data), "\n"), err)
	}
	gone := tracker(t, unusual.DefaultConfig(), unusual.Deps{Dir: filepath.Join(dir, "gone"), Privacy: full})
	_, err = gone.Feedback().Add(unusual.Feedback{Day: "2026-03-02", Target: "a.example", Severity: unusual.Low}, full)
	if !errors.Is(err, unusual.ErrNotKept) || len(gone.Feedback().List("")) != 0 {
		t.Errorf("where nothing can be written: %v, %d hold", err, len(gone.Feedback().List("")))
	}
}

// The rows are those that training reads, by its own documentation.
func TestExportHasTheColumnsOfTraining(t *testing.T) {
	at := func(target string, s unusual.Severity, minute int) unusual.Feedback {
		return unusual.Feedback{Time: monday.Add(time.Duration(minute) * time.Minute), Day: "2026-03-02", Target: target, Severity: s}
	}
	var out strings.Builder
	err := unusual.Export(&out, []unusual.Feedback{
		at("www.good.example.co.uk", unusual.Benign, 0), at("bad.com", unusual.High, 1), at("x.worse.com", unusual.Medium, 2), at("unsure.com", unusual.Low, 3),
		at("192.0.2.0/24", unusual.High, 4), at("changed.com", unusual.High, 5), at("www.changed.com", unusual.Benign, 6), at("co.uk", unusual.High, 7),
	}, nil)
	want := "fqdn\tlabel\tfamily\tsource\trank\nbad.com\tdga\tfeedback\tfeedback2026\t\nchanged.com\tlegit\t\tfeedback2026\t\n" +
		"example.co.uk\tlegit\t\tfeedback2026\t\nworse.com\tdga\tfeedback\tfeedback2026\t\n"
	if err != nil || out.String() != want {
		t.Errorf("got %v\n%swant\n%s", err, out.String(), want)
	}
	doc, err := os.ReadFile("../training/README.md")
	if err != nil {
		t.Fatal(err)
	}
	if columns := "fqdn, label (legit or dga), family, source (tags joined by +), rank"; !strings.Contains(string(doc), columns) {
		t.Errorf("training/README.md does not have the columns %s", columns)
	}
}

func FuzzFeedback(f *testing.F) {
	f.Add(`{"time":"2026-03-02T00:00:00Z","day":"2026-03-02","target":"example.com","severity":"benign"}` + "\n")
	f.Add(`{"day":"2026-03-02","removed":true}` + "\n" + `{"day":"2026-03-02","target":"192.0.2.0/24","severity":"high"}` + "\nhalf")
	f.Fuzz(func(t *testing.T, text string) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "feedback.jsonl"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		tr := tracker(t, unusual.DefaultConfig(), unusual.Deps{Dir: dir, Privacy: full})
		n := len(tr.Feedback().List(""))
		say(t, tr.Feedback(), "new.example", unusual.Low, "2026-03-02")
		if got := len(tr.Feedback().List("")); got != n && got != n+1 {
			t.Errorf("%d entries after one more than %d", got, n)
		}
	})
}
