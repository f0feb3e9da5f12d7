package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/zap"
)

// watchedIn reads what a sniffer wrote, once it is what ok wants.
func watchedIn(t *testing.T, dir string, ok func(watched) bool) watched {
	t.Helper()
	var w watched
	untilTrue(t, watchedFileName, func() bool {
		w = watched{}
		data, err := os.ReadFile(filepath.Join(dir, watchedFileName))
		return err == nil && json.Unmarshal(data, &w) == nil && ok(w)
	})
	return w
}

// Each time in which a sniffer did not run is on record with its beginning and its
// end, and whether it was asked to end.
func TestSnifferTellsWhenItDidNotWatch(t *testing.T) {
	dir := t.TempDir()
	sniff := func() *process {
		p, _ := startSniffer(t, "--dnstap", "unix:"+filepath.Join(dir, "tap"), "--admin", "", "--state", dir)
		return p
	}
	p := sniff()
	watchedIn(t, dir, func(w watched) bool { return !w.Ended && len(w.Gaps) == 0 })
	p.stop()
	first := watchedIn(t, dir, func(w watched) bool { return w.Ended })

	p = sniff()
	second := watchedIn(t, dir, func(w watched) bool { return !w.Ended && len(w.Gaps) == 1 })
	if g := second.Gaps[0]; g.Killed || !g.Start.Equal(first.Until) || !g.End.After(g.Start) {
		t.Errorf("after an end in order %+v, want from %v", g, first.Until)
	}
	if _, errs := weir(t, exitFailure, "status", "--state", dir); !strings.Contains(errs, "is a sniffer: it can be asked for its history") {
		t.Errorf("weir status of a sniffer says %q", errs)
	}
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-p.done
	second = watchedIn(t, dir, func(watched) bool { return true })

	p = sniff()
	third := watchedIn(t, dir, func(w watched) bool { return len(w.Gaps) == 2 })
	if g := third.Gaps[1]; !g.Killed || !g.Start.Equal(second.Until) || !g.End.After(g.Start) {
		t.Errorf("after a kill %+v, want from %v", g, second.Until)
	}
	if log := p.log(); !strings.Contains(log, `"killed":true`) {
		t.Errorf("the log does not say that it was killed:\n%s", log)
	}
	p.stop()
	if _, errs := weir(t, exitFailure, "status", "--state", dir); !strings.Contains(errs, "no weir is running") {
		t.Errorf("weir status after its end says %q", errs)
	}
}

// The file is bounded, a damaged one is put aside, and a clock that was set back
// makes no gap of a negative length.
func TestWatchedFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, watchedFileName)
	open := func() (*watchedKeeper, float64) {
		reg := prometheus.NewRegistry()
		k := newWatchedKeeper(dir, zap.NewNop(), reg)
		all, err := reg.Gather()
		if err != nil {
			t.Fatal(err)
		}
		if got := testutil.ToFloat64(k.failures); got != 0 {
			t.Errorf("%v failures", got)
		}
		for _, f := range all {
			if f.GetName() == "weir_capture_gap_seconds" {
				return k, f.GetMetric()[0].GetGauge().GetValue()
			}
		}
		t.Fatal("no gauge of the gap")
		return nil, 0
	}
	put := func(w watched) {
		data, err := json.Marshal(&w)
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, path, string(data))
	}
	if k, length := open(); k.before != nil || length != 0 {
		t.Errorf("the first run has a gap %+v of %v s", k.before, length)
	}
	put(watched{Until: time.Now().Add(-time.Hour), Gaps: make([]gap, maxGaps)})
	k, length := open()
	if len(k.gaps) != maxGaps || k.gaps[maxGaps-1] != *k.before || !k.before.Killed || length < 3599 || length > 7200 {
		t.Errorf("%d gaps, the last %+v, of %v s", len(k.gaps), k.before, length)
	}
	put(watched{Until: time.Now().Add(time.Hour), Ended: true})
	if k, length := open(); length != 0 || k.before.Killed || len(k.gaps) != 1 {
		t.Errorf("with a clock that was set back %+v of %v s", k.before, length)
	}
	for _, bad := range []string{"", "{", `{"gaps":[]}`, `{"until":"yesterday"}`} {
		writeFile(t, path, bad)
		if k, _ := open(); k.before != nil || k.restored == nil || !strings.Contains(k.restored.Error(), watchedFileName) {
			t.Errorf("%q: gap %+v, error %v", bad, k.before, k.restored)
		}
		if aside, err := os.ReadFile(path + ".bad"); err != nil || string(aside) != bad {
			t.Errorf("%q put aside as %q, %v", bad, aside, err)
		}
	}
}
