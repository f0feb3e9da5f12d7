package detect_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/weirdns/weir/detect"
)

// restored are suspects that were found by s and outlived a restart.
func restored(t testing.TB, s *detect.Suspects, at time.Time) (*detect.Suspects, []byte) {
	t.Helper()
	data, err := s.AppendState(nil, at)
	if err != nil {
		t.Fatal(err)
	}
	next, _ := newSuspects(t)
	if err := next.RestoreState(data, at); err != nil {
		t.Fatal(err)
	}
	return next, data
}

func TestSuspectsOutliveARestart(t *testing.T) {
	first, _ := newSuspects(t)
	const tunneler, other = "127.0.0.1", "192.0.2.9"
	first.Find(found(detect.Tunnel, "tunnel.com", true))
	first.Find(found(detect.Beacon, "tunnel.com", false))
	first.Find(found(detect.FastFlux, "flux.com", true))
	short := found(detect.NewDomain, "over.com", true)
	short.Until = time.Unix(60, 0)
	first.Find(short)
	at := time.Unix(100, 0)
	suspects, data := restored(t, first, at)
	if bytes.Contains(data, []byte(tunneler)) {
		t.Errorf("a client's address is on the disk: %s", data)
	}
	d := newDetector(t, setup{suspects: suspects, change: func(c *detect.Config) { c.Block.Action = "nxdomain" }})
	for _, c := range []struct {
		say, name, client string
		after             time.Duration
		want              string
	}{
		{"its client", "x.tunnel.com", tunneler, 0, "behaviour nxdomain enforce behaviour finding/tunnel/qname behaviour finding/beacon/qname"},
		{"another client", "x.tunnel.com", other, 0, "model pass monitor"},
		{"everybody's", "www.flux.com", other, 0, "behaviour nxdomain enforce behaviour finding/fast_flux/qname"},
		{"what was over at the restart", "over.com", tunneler, -time.Minute, "model pass monitor"},
		{"when it is over", "x.tunnel.com", tunneler, time.Hour, "model pass monitor"},
	} {
		q := query(c.name)
		q.Time, q.Client = at.Add(c.after), netip.MustParseAddr(c.client)
		var v detect.Verdict
		if d.Inspect(q, &v); brief(&v) != c.want {
			t.Errorf("%s: %s, want %s", c.say, brief(&v), c.want)
		}
	}
	if got := suspects.At(at); len(got) != 3 || got[0].Client.IsValid() {
		t.Errorf("listed: %+v", got)
	}
	// What is found again takes its own place, and its client is known again.
	again := found(detect.Tunnel, "tunnel.com", true)
	again.Time, again.Until = at, at.Add(time.Hour)
	suspects.Find(again)
	known := 0
	all := suspects.At(at)
	for _, s := range all {
		if s.Kind == detect.Tunnel && s.Client == again.Client && s.Until.Equal(again.Until) {
			known++
		}
	}
	if len(all) != 3 || known != 1 {
		t.Errorf("found again: %+v", all)
	}
	// And once more, by the same key.
	third, _ := restored(t, suspects, at)
	if got := third.At(at); len(got) != 3 {
		t.Errorf("after a second restart: %+v", got)
	}
}

func TestADamagedStateOfSuspectsLeavesNothing(t *testing.T) {
	first, _ := newSuspects(t)
	first.Find(found(detect.Tunnel, "tunnel.com", true))
	at := time.Unix(100, 0)
	_, data := restored(t, first, at)
	type state struct {
		Version  int              `json:"version"`
		Key      []byte           `json:"key"`
		Suspects []map[string]any `json:"suspects"`
	}
	with := func(change func(*state)) []byte {
		var s state
		if err := json.Unmarshal(data, &s); err != nil {
			t.Fatal(err)
		}
		change(&s)
		out, err := json.Marshal(&s)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	for say, bad := range map[string][]byte{
		"empty":              {},
		"cut":                data[:len(data)-2],
		"another version":    with(func(s *state) { s.Version = 9 }),
		"a short key":        with(func(s *state) { s.Key = s.Key[1:] }),
		"no name":            with(func(s *state) { s.Suspects[0]["name"] = "a..b" }),
		"an unknown kind":    with(func(s *state) { s.Suspects[0]["kind"] = "nothing" }),
		"a kind of no name":  with(func(s *state) { s.Suspects[0]["kind"] = "infected_client" }),
		"an end before":      with(func(s *state) { s.Suspects[0]["until"] = "1970-01-01T00:00:01Z" }),
		"too many clients":   with(func(s *state) { s.Suspects = manyClients(s.Suspects[0]) }),
		"too many domains":   with(func(s *state) { s.Suspects = domains(s.Suspects[0], 1025) }),
		"good, and one more": with(func(s *state) { s.Suspects = append(s.Suspects, map[string]any{"name": "x.com", "kind": "?"}) }),
	} {
		s, _ := newSuspects(t)
		if err := s.RestoreState(bad, at); !errors.Is(err, detect.ErrSuspectState) {
			t.Errorf("%s: %v", say, err)
		}
		if got := s.At(at); len(got) != 0 {
			t.Errorf("%s: %+v is taken up", say, got)
		}
	}
	s, _ := newSuspects(t)
	if err := s.RestoreState(with(func(s *state) { s.Suspects[0]["name"] = "co.uk" }), at); err != nil || len(s.At(at)) != 0 {
		t.Errorf("what has become a public suffix: %v, %+v", err, s.At(at))
	}
	full, _ := newSuspects(t)
	if err := full.RestoreState(with(func(s *state) { s.Suspects = domains(s.Suspects[0], 1024) }), at); err != nil || len(full.At(at)) != 1024 {
		t.Errorf("as many as may be: %v, %d", err, len(full.At(at)))
	}
}

// manyClients are one more client of a domain than may be.
func manyClients(one map[string]any) (out []map[string]any) {
	for i := range 65 {
		out = append(out, map[string]any{"name": one["name"], "kind": one["kind"], "client": i + 1, "since": one["since"], "until": one["until"]})
	}
	return out
}

func domains(one map[string]any, n int) (out []map[string]any) {
	for i := range n {
		out = append(out, map[string]any{"name": fmt.Sprintf("d%d.com", i), "kind": one["kind"], "since": one["since"], "until": one["until"]})
	}
	return out
}

// A client that is known by its hash alone costs queries no allocation either.
func TestRestoredSuspectsDoNotAlloc(t *testing.T) {
	first, _ := newSuspects(t)
	first.Find(found(detect.Tunnel, "tunnel.com", true))
	suspects, _ := restored(t, first, time.Unix(100, 0))
	d := newDetector(t, setup{suspects: suspects})
	q := query("x.tunnel.com")
	q.Time = time.Unix(100, 0)
	var v detect.Verdict
	if d.Inspect(q, &v); v.Origin != detect.OriginBehaviour {
		t.Fatalf("not suspected: %s", brief(&v))
	}
	if got := testing.AllocsPerRun(200, func() { d.Inspect(q, &v) }); got != 0 {
		t.Errorf("%v allocations, want 0", got)
	}
}

func FuzzRestoreSuspects(f *testing.F) {
	at := time.Unix(100, 0)
	first, _ := newSuspects(f)
	first.Find(found(detect.Tunnel, "tunnel.com", true))
	first.Find(found(detect.FastFlux, "flux.com", false))
	_, data := restored(f, first, at)
	f.Add(data)
	f.Add([]byte(`{"version":1,"key":"AAAAAAAAAAAAAAAAAAAAAA==","suspects":[{"name":"x.com","kind":"tunnel","since":"1970-01-01T00:00:00Z","until":"2999-01-01T00:00:00Z"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, _ := newSuspects(t)
		if s.RestoreState(data, at) != nil {
			if got := s.At(at); len(got) > 0 {
				t.Fatalf("refused, and %+v is there", got)
			}
			return
		}
		next, _ := restored(t, s, at)
		if got, want := len(next.At(at)), len(s.At(at)); got != want {
			t.Fatalf("%d after a second restart, want %d", got, want)
		}
	})
}
