package incident_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/weirdns/weir/incident"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func book(t *testing.T, dir string) *incident.Book {
	t.Helper()
	b, err := incident.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func event(minute int, name string) incident.Event {
	return incident.Event{Time: now.Add(time.Duration(minute) * time.Minute), Kind: "model", Name: name, Client: "192.0.2.0/24", Text: "blocked"}
}

func opened(t *testing.T, b *incident.Book, title string, events ...incident.Event) incident.Incident {
	t.Helper()
	i, err := b.Open(incident.Change{Title: &title, Add: events}, now)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func TestAnIncidentOutlivesARestart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "incidents")
	b := book(t, dir)
	i := opened(t, b, "  A case ", event(2, "b.example"), event(1, "a.example"), event(2, "b.example"))
	if i.Title != "A case" || len(i.Events) != 2 || i.Events[0].Name != "a.example" {
		t.Errorf("%+v, want two events in order, without the repeated one", i)
	}
	note := "seen by\nthe help desk"
	i, err := b.Change(i.ID, incident.Change{Note: &note, Remove: []int{0, 0}, Add: []incident.Event{event(3, "c.example")}}, now.Add(time.Hour))
	if err != nil || len(i.Events) != 2 || i.Events[0].Name != "b.example" || i.Note != note || !i.Updated.Equal(now.Add(time.Hour)) || !i.Created.Equal(now) {
		t.Errorf("%+v, %v", i, err)
	}
	other := opened(t, b, "Another")
	if got := b.List(); len(got) != 2 || got[0].ID != i.ID {
		t.Errorf("%+v, want the one that changed last first", got)
	}
	again, err := book(t, dir).Get(i.ID)
	if err != nil || !reflect.DeepEqual(again, i) {
		t.Errorf("after a restart:\n%+v, %v\nwant\n%+v", again, err, i)
	}
	if err := b.Remove(other.ID); err != nil {
		t.Error(err)
	}
	if _, err := book(t, dir).Get(other.ID); !errors.Is(err, incident.ErrUnknown) {
		t.Errorf("a removed one: %v", err)
	}
	info, err := os.Stat(filepath.Join(dir, i.ID+".json"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v; want 0600", info.Mode(), err)
	}
}

func TestBadChangesAreRefusedAndChangeNothing(t *testing.T) {
	b := book(t, t.TempDir())
	i := opened(t, b, "A case", event(1, "a.example"))
	s := func(s string) *string { return &s }
	for what, c := range map[string]incident.Change{
		"title":            {Title: s(" ")},
		"title: at most":   {Title: s(strings.Repeat("x", 201))},
		"title: control":   {Title: s("a\nb")},
		"note: at most":    {Note: s(strings.Repeat("x", 16<<10+1))},
		"note: control":    {Note: s("a\x00b")},
		"remove: there is": {Remove: []int{1}},
		"events[0].time":   {Add: []incident.Event{{Name: "a"}}},
		"says nothing":     {Add: []incident.Event{{Time: now}}},
		"name: at most":    {Add: []incident.Event{{Time: now, Name: strings.Repeat("x", 1101)}}},
		"text: control":    {Add: []incident.Event{{Time: now, Text: "a\x1b[1m"}}},
	} {
		if _, err := b.Change(i.ID, c, now); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if got, _ := b.Get(i.ID); !reflect.DeepEqual(got, i) {
		t.Errorf("%+v, want %+v", got, i)
	}
	if _, err := b.Change("nothing", incident.Change{}, now); !errors.Is(err, incident.ErrUnknown) {
		t.Errorf("an unknown one: %v", err)
	}
	if err := b.Remove("../x"); !errors.Is(err, incident.ErrUnknown) {
		t.Errorf("a path: %v", err)
	}
}

func TestIncidentsAreBounded(t *testing.T) {
	b := book(t, t.TempDir())
	var many []incident.Event
	for n := range incident.MaxEvents {
		many = append(many, event(n, fmt.Sprintf("x%d.example", n)))
	}
	i := opened(t, b, "A case", many...)
	if _, err := b.Change(i.ID, incident.Change{Add: []incident.Event{event(-1, "one.more")}}, now); err == nil || !strings.Contains(err.Error(), "at most 500") {
		t.Errorf("501 events: %v", err)
	}
	for n := range incident.MaxIncidents - 1 {
		opened(t, b, fmt.Sprint("case ", n))
	}
	title := "one more"
	if _, err := b.Open(incident.Change{Title: &title}, now); !errors.Is(err, incident.ErrFull) {
		t.Errorf("one more than may be: %v", err)
	}
}

func TestWhatCannotBeKeptIsNotChanged(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	b, err := incident.Load(dir)
	if err == nil {
		t.Error("a file is no folder, and nothing is said")
	}
	title := "A case"
	if _, err := b.Open(incident.Change{Title: &title}, now); !errors.Is(err, incident.ErrNotKept) || len(b.List()) != 0 {
		t.Errorf("%v, %d incidents; want ErrNotKept and none", err, len(b.List()))
	}
}

func TestADamagedFileCostsOneIncident(t *testing.T) {
	dir := t.TempDir()
	b := book(t, dir)
	good := opened(t, b, "A case")
	for name, text := range map[string]string{"a.json": "{", "b.json": `{"format":"weir-incident-2"}`, "c.json": `{"format":"weir-incident-1","id":"d","title":"x"}`, "note.txt": "x"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b, err := incident.Load(dir)
	if err == nil || strings.Count(err.Error(), "\n") != 2 || len(b.List()) != 1 || b.List()[0].ID != good.ID {
		t.Errorf("%v, %+v; want three errors, and the good one", err, b.List())
	}
}

func TestMarkdownShowsWhatItIsGiven(t *testing.T) {
	b := book(t, t.TempDir())
	note := "```\n# not a heading\n````"
	title := "A `case`"
	i, err := b.Open(incident.Change{Title: &title, Note: &note, Add: []incident.Event{
		{Time: now, Kind: "model", Name: "![x](http://x)`.example", Client: "192.0.2.7", Text: "<script>alert(1)</script>"},
	}}, now)
	if err != nil {
		t.Fatal(err)
	}
	want := "# `` A `case` ``\n\nIncident " + i.ID + ", opened 2026-03-01T12:00:00Z, changed 2026-03-01T12:00:00Z.\n\n## Note\n\n`````text\n```\n# not a heading\n````\n`````\n" +
		"\n## Events (1)\n\n- 2026-03-01T12:00:00Z, `model`, name ``![x](http://x)`.example``, client `192.0.2.7`, `<script>alert(1)</script>`\n"
	if got := i.Markdown(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func FuzzLoad(f *testing.F) {
	f.Add([]byte(`{"format":"weir-incident-1","id":"a","title":"x","events":[{"time":"2026-03-01T12:00:00Z","name":"a.example"}]}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "a.json"), data, 0o600); err != nil {
			t.Fatal(err)
		}
		b, err := incident.Load(dir)
		all := b.List()
		if (err == nil) != (len(all) == 1) {
			t.Fatalf("%v and %d incidents", err, len(all))
		}
		if len(all) == 1 {
			_ = all[0].Markdown()
		}
	})
}
