package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/weirdns/weir/detect/allow"
	"github.com/weirdns/weir/pdns/query"
	"github.com/weirdns/weir/pdns/tally"
	"github.com/weirdns/weir/top"
)

type topCmd struct {
	controlFlags
	Once  bool          `help:"Print how things stand, once. So it is where standard output is no terminal."`
	Every time.Duration `default:"2s" placeholder:"TIME" help:"How often numbers are asked for."`
}

// Validate checks the flags, for kong.
func (c *topCmd) Validate() error {
	if c.Every < 500*time.Millisecond || c.Every > time.Minute {
		return fmt.Errorf("--every: must be 500ms to 1m, got %v", c.Every)
	}
	return nil
}

const (
	// topAllow is how long a key lets a name through.
	topAllow = 10 * time.Minute
	// topRefresh is how often the screen is looked at: what is new, how large it is.
	topRefresh = 250 * time.Millisecond
	// topKnown is how often the database is asked for what was detected.
	topKnown = 15 * time.Second
	// topTimeout is what one answer may take.
	topTimeout = 10 * time.Second
	// topOnce is between the two looks that rates take.
	topOnce = time.Second
)

// Run shows what passes until q or SIGTERM.
func (c *topCmd) Run(std stdio) error {
	client, err := c.connect()
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	defer stop()
	w := &topWatch{client: client, screen: top.New("weir at " + client.path), changes: make(chan func(), 64)}
	if c.Once {
		return w.once(ctx, std)
	}
	terminal, err := top.Open(std.out)
	if errors.Is(err, top.ErrNoTerminal) {
		return w.once(ctx, std)
	} else if err != nil {
		return err
	}
	err = w.run(ctx, terminal, c.Every)
	return errors.Join(err, terminal.Close())
}

// topWatch asks a running weir and keeps the screen.
type topWatch struct {
	client  *controlClient
	screen  *top.Screen // run's goroutine's alone
	changes chan func() // what others want done with it
}

// tell has f called by run, unless that is over.
func (w *topWatch) tell(ctx context.Context, f func()) {
	select {
	case w.changes <- f:
	case <-ctx.Done():
	}
}

// once prints how things stand.
func (w *topWatch) once(ctx context.Context, std stdio) error {
	for i := range 2 {
		if i > 0 {
			wait(ctx, topOnce)
		}
		sample, err := w.sample(ctx)
		if err != nil {
			return err
		}
		w.screen.Sample(sample)
	}
	known, err := w.known(ctx)
	if err != nil && ctx.Err() == nil {
		fmt.Fprintln(std.err, "weir: detections:", err)
	}
	w.screen.Detected(known...)
	return w.screen.Print(std.out, time.Now())
}

// run draws until ctx ends or somebody wants to leave.
func (w *topWatch) run(ctx context.Context, terminal *top.Terminal, every time.Duration) error {
	ctx, cancel := context.WithCancel(ctx)
	var all sync.WaitGroup
	defer all.Wait()
	defer cancel()
	all.Go(func() { w.poll(ctx, every) })
	all.Go(func() { w.follow(ctx, every) })
	all.Go(func() { w.remember(ctx) })
	keys := make(chan top.Key)
	gone := make(chan struct{})
	// It ends with the terminal, which is closed after this.
	go func() {
		defer close(gone)
		terminal.Read(func(k top.Key) {
			select {
			case keys <- k:
			case <-ctx.Done():
			}
		})
	}()
	tick := time.NewTicker(topRefresh)
	defer tick.Stop()
	for {
		width, height := terminal.Size()
		now := time.Now()
		if err := terminal.Draw(width, height, w.screen.Draw(width, height, now)); err != nil {
			return fmt.Errorf("terminal: %w", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-gone:
			return nil
		case k := <-keys:
			asked, name := w.screen.Press(k)
			switch asked {
			case top.Quit:
				return nil
			case top.Allow:
				all.Go(func() { w.allow(ctx, name) })
			case top.Deny:
				all.Go(func() { w.deny(ctx, name) })
			}
			continue // at once
		case <-tick.C:
		}
		for more := true; more; {
			select {
			case f := <-w.changes:
				f()
			default:
				more = false
			}
		}
	}
}

// poll asks for the numbers.
func (w *topWatch) poll(ctx context.Context, every time.Duration) {
	for ctx.Err() == nil {
		sample, err := w.sample(ctx)
		w.tell(ctx, func() {
			if err != nil {
				w.screen.Trouble(err, time.Now())
			} else {
				w.screen.Sample(sample)
			}
		})
		wait(ctx, every)
	}
}

// remember asks the database for what was detected: what was before, and what
// passed while the feed was cut off.
func (w *topWatch) remember(ctx context.Context) {
	for ctx.Err() == nil {
		if known, err := w.known(ctx); err == nil { // poll says what is wrong
			w.tell(ctx, func() { w.screen.Detected(known...) })
		}
		wait(ctx, topKnown)
	}
}

// follow reads the live feed, again whenever it ends.
func (w *topWatch) follow(ctx context.Context, every time.Duration) {
	for ctx.Err() == nil {
		_ = w.feed(ctx) // poll says what is wrong; without a dashboard there is none
		wait(ctx, every)
	}
}

// wait is a pause that ctx ends.
func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// ask is one operation, in bounded time.
func (w *topWatch) ask(ctx context.Context, method, path string, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, topTimeout)
	defer cancel()
	return w.client.call(ctx, method, path, in, out)
}

// sample is the overview in the form of the screen.
func (w *topWatch) sample(ctx context.Context) (top.Sample, error) {
	var o overviewReport
	if err := w.ask(ctx, http.MethodGet, "/api/v1/overview", nil, &o); err != nil {
		return top.Sample{}, err
	}
	s := top.Sample{
		Time: o.Now, Started: o.Started, Missing: o.Missing, Hits: o.Cache["hits"], Misses: o.Cache["misses"],
		Clients: topCounts(o.Clients), Domains: topCounts(o.Domains),
	}
	for _, a := range o.Answers {
		s.Answers += a.Count
		if a.Rcode == "NXDOMAIN" {
			s.NX += a.Count
		}
	}
	for _, v := range o.Verdicts {
		switch {
		case v.Action == "pass":
		case v.Mode == "enforce":
			s.Blocked += v.Count
		default:
			s.Watched += v.Count
		}
	}
	for _, l := range o.Latency {
		if l.Source == "upstream" {
			s.Median = l.P50
		}
	}
	return s, nil
}

// topCounts keeps nil, which says that nothing is counted.
func topCounts(all []tally.Count) []top.Count {
	if all == nil {
		return nil
	}
	out := make([]top.Count, len(all))
	for i, c := range all {
		out[i] = top.Count{Name: c.Name, Count: c.Count}
	}
	return out
}

// known is what was detected in the last hour.
func (w *topWatch) known(ctx context.Context) ([]top.Detection, error) {
	var found struct{ Rows []query.Detection }
	if err := w.ask(ctx, http.MethodGet, "/api/v1/detections?"+url.Values{"since": {"1h"}, "limit": {"200"}}.Encode(), nil, &found); err != nil {
		return nil, err
	}
	var out []top.Detection
	for _, d := range found.Rows {
		out = append(out, top.Detection{
			Time: time.Unix(d.Last, 0), Name: d.Name, Verdict: verdictWords(d.Enforced, d.Origin), Blocked: d.Enforced, Score: d.Score, Level: d.Level,
		})
	}
	return out, nil
}

func verdictWords(enforced bool, origin string) string {
	if enforced {
		return "blocked: " + origin
	}
	return "would block: " + origin
}

// feed reads the live feed of detections until it ends.
func (w *topWatch) feed(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://weir/api/v1/live?only=detections", nil)
	if err != nil {
		return err
	}
	resp, err := w.client.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return w.client.refusal(resp)
	}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(make([]byte, 0, 64<<10), maxFeedLine)
	event := ""
	for lines.Scan() {
		if name, ok := bytes.CutPrefix(lines.Bytes(), []byte("event: ")); ok {
			event = string(name)
		}
		data, ok := bytes.CutPrefix(lines.Bytes(), []byte("data: "))
		if !ok || event != "transaction" {
			continue
		}
		var t liveDetection
		if err := json.Unmarshal(data, &t); err != nil {
			return err
		}
		w.tell(ctx, func() { w.screen.Detected(t.detection()) })
	}
	return cmp.Or(lines.Err(), io.EOF)
}

// maxFeedLine bounds a line of the live feed, octets.
const maxFeedLine = 1 << 20

// liveDetection is what the screen shows of a transaction.
type liveDetection struct {
	Time    time.Time `json:"time"`
	Client  string    `json:"client"`
	Qname   string    `json:"qname"`
	Verdict struct {
		Origin   string   `json:"origin"`
		Enforced bool     `json:"enforced"`
		Score    *float64 `json:"score"`
		Level    string   `json:"level"`
	} `json:"verdict"`
}

func (t *liveDetection) detection() top.Detection {
	return top.Detection{
		Time: t.Time, Name: cmp.Or(strings.TrimSuffix(t.Qname, "."), "."), Client: t.Client, Verdict: verdictWords(t.Verdict.Enforced, t.Verdict.Origin), Blocked: t.Verdict.Enforced,
		Score: t.Verdict.Score, Level: t.Verdict.Level,
	}
}

// allow lets a name through for a while, and says so.
func (w *topWatch) allow(ctx context.Context, name string) {
	var e allow.Entry
	err := w.ask(ctx, http.MethodPost, "/api/v1/allow", &allowRequest{Name: name, For: topAllow.String(), Reason: "weir top"}, &e)
	w.tell(ctx, func() {
		if err != nil {
			w.screen.Say(true, "%s is not let through: %v", name, err)
		} else {
			w.screen.Say(false, "%s and all below it is let through until %s; u ends it", e.Name, e.Until.Local().Format(time.TimeOnly))
		}
	})
}

// deny takes that back.
func (w *topWatch) deny(ctx context.Context, name string) {
	err := w.ask(ctx, http.MethodDelete, "/api/v1/allow", &allowRequest{Name: name}, &removed{})
	w.tell(ctx, func() {
		if err != nil {
			w.screen.Say(true, "%s: %v", name, err)
		} else {
			w.screen.Say(false, "%s is no longer let through", name)
		}
	})
}
