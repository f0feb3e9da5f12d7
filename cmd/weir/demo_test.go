package main

import (
	"bufio"
	"net/http/cookiejar"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/weirdns/weir/demo"
	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/internal/dnswire"
	"github.com/weirdns/weir/pdns/privacy"
	"github.com/weirdns/weir/unusual"
)

// A newcomer sees what is bad on the dashboard, and afterwards nothing is left.
func TestADemoShowsADayAndLeavesNothing(t *testing.T) {
	bin, err := buildOnce()
	if err != nil {
		t.Fatal(err)
	}
	tmp := t.TempDir()
	cmd := exec.Command(bin, "demo")
	cmd.Env = append(os.Environ(), "TMPDIR="+tmp)
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() }) // no harm if it has ended
	lines := bufio.NewScanner(stdout)
	var link string
	for link == "" && lines.Scan() {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(lines.Text()), "dashboard "); ok {
			link = strings.TrimSpace(rest)
		}
	}
	base, code, ok := strings.Cut(link, "#/login?code=")
	if !ok {
		t.Fatalf("the link is %q, %v", link, lines.Err())
	}
	ended := make(chan string, 1)
	go func() {
		var rest []string
		for lines.Scan() {
			rest = append(rest, lines.Text())
		}
		ended <- strings.Join(rest, "\n")
	}()
	v := &visitor{t: t, base: base}
	if v.http.Jar, err = cookiejar.New(nil); err != nil {
		t.Fatal(err)
	}
	v.post("api/v1/login", map[string]string{"code": code}, nil)
	for _, want := range []struct{ q, origin string }{{demo.Generated(24), "model"}, {demo.Payload, "blocklist"}, {demo.Squat, "lookalike"}} {
		var found struct{ Rows []struct{ Origin string } }
		untilTrue(t, want.q, func() bool {
			v.get("api/v1/detections?q="+want.q, &found)
			return len(found.Rows) > 0
		})
		if found.Rows[0].Origin != want.origin {
			t.Errorf("%s: by %s, want %s", want.q, found.Rows[0].Origin, want.origin)
		}
	}
	// What was judged was answered: the day that was played and what goes on.
	var o overviewReport
	v.get("api/v1/overview", &o)
	var answers, judged float64
	for _, a := range o.Answers {
		answers += a.Count
	}
	for _, c := range o.Verdicts {
		judged += c.Count
	}
	if judged < 1000 || answers < judged*9/10 || answers > judged*11/10 {
		t.Errorf("the overview has %v answers for %v queries that were judged", answers, judged)
	}
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	select {
	case rest := <-ended:
		if !strings.Contains(rest, "nothing stays behind") {
			t.Errorf("at the end: %q", rest)
		}
	case <-time.After(time.Minute):
		t.Fatal("the demo does not end")
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	if left, _ := filepath.Glob(filepath.Join(tmp, "*")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

// What leads the day's list is the file that goes out in names, and not what any
// network does.
func TestTheUnusualOfADemoIsItsStory(t *testing.T) {
	now := time.Date(2026, 3, 1, 20, 0, 0, 0, time.UTC)
	network, up := demo.NewNetwork(demoSeed, now, now.Add(-demoInfected)), demo.NewUpstream()
	kept := privacy.DefaultConfig()
	kept.ClientAddress = privacy.Full
	guard, err := privacy.New(kept, privacy.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	ranked, err := unusual.New(unusual.DefaultConfig(), unusual.Deps{Registry: prometheus.NewRegistry(), Privacy: guard, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	for at := now.Add(-demoPast); at.Before(now); at = at.Add(time.Minute) {
		for _, e := range network.Minute(at) {
			one := detect.Transaction{
				Query:  detect.Query{Time: e.At, Client: e.Client, Name: e.Name, Type: e.Type, Class: dnswire.ClassIN},
				Source: detect.FromUpstream, Response: up.Answer(demo.Query(&e, 0)),
			}
			h, _ := dnswire.ReadHeader(one.Response)
			one.Rcode = h.Rcode()
			ranked.Record(&one)
		}
	}
	day, err := ranked.Ranking(unusual.Query{Limit: 10})
	if err != nil || len(day.Entries) < 10 {
		t.Fatalf("%d entries, %v", len(day.Entries), err)
	}
	if first := day.Entries[0]; !strings.HasSuffix(first.Name, demo.TunnelZone) {
		t.Errorf("the list begins with %s of %s", first.Name, first.Client)
	}
	reverse := 0
	for _, e := range day.Entries {
		if e.QType == "PTR" {
			reverse++
		}
	}
	if reverse > 1 {
		t.Errorf("%d of the first 10 are reverse lookups", reverse)
	}
}
