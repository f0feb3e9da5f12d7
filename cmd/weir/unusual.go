package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/pdns/privacy"
	"github.com/weirdns/weir/unusual"
	"github.com/weirdns/weir/web"
	"go.uber.org/zap"
)

// openUnusual makes the ranking of what goes on, with the state in dir; nil: off.
func openUnusual(cfg *config, dir string, guard *privacy.Guard, d *detect.Detector, log *zap.Logger, reg prometheus.Registerer) (*unusual.Tracker, error) {
	if !cfg.Unusual.Enabled {
		return nil, nil
	}
	t, err := unusual.New(cfg.Unusual, unusual.Deps{Dir: dir, Registry: reg, Privacy: guard, Standing: d.Standing})
	if err != nil {
		return nil, err
	}
	if err := t.Restored(); err != nil && !errors.Is(err, fs.ErrNotExist) {
		log.Warn("what is usual is learned anew", zap.Error(err))
	}
	return t, nil
}

// unusualOf makes the ranking of a capture: nothing is kept, and the same capture
// gives the same.
func unusualOf(cfg *config, guard *privacy.Guard, d *detect.Detector) (*unusual.Tracker, error) {
	return unusual.New(cfg.Unusual, unusual.Deps{Registry: prometheus.NewRegistry(), Privacy: guard, Standing: d.Standing, Seed: 1})
}

// rankedOutput is a Tracker among the watchers, who wait for no disk: what it
// knows is written by tendUnusual.
type rankedOutput struct{ *unusual.Tracker }

func (rankedOutput) Tend() error { return nil }

// tendUnusual writes what t knows from time to time. At the end its output does.
func tendUnusual(t *unusual.Tracker, log *zap.Logger) task {
	return task{"unusual", func(ctx context.Context) error {
		tick := time.NewTicker(time.Minute)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-tick.C:
				if err := t.Tend(); err != nil {
					log.Warn("what is usual was not written", zap.Error(err))
				}
			}
		}
	}}
}

// rankings are those of all days of a capture, the earliest first.
func rankings(t *unusual.Tracker, limit int) (out []unusual.Ranking, err error) {
	latest, err := t.Ranking(unusual.Query{Limit: limit})
	for i := len(latest.Days) - 1; i >= 0 && err == nil; i-- {
		var one unusual.Ranking
		one, err = t.Ranking(unusual.Query{Day: latest.Days[i], Limit: limit})
		out = append(out, one)
	}
	return out, err
}

// writeRankings writes one JSON object for each day. lost is how many were not
// written.
func writeRankings(w io.Writer, t *unusual.Tracker) (lost uint64, err error) {
	all, err := rankings(t, 0)
	if err != nil {
		return 0, err
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	for i := range all {
		if err := enc.Encode(&all[i]); err != nil {
			return uint64(len(all) - i), err
		}
	}
	return 0, nil
}

// unusualRoutes are the operations on the ranking and on what analysts say of it.
func (s *service) unusualRoutes() []web.Route {
	if s.unusual == nil {
		return nil
	}
	token := ""
	if s.history != nil {
		token = s.history.token
	}
	return []web.Route{
		{Pattern: "GET /api/v1/unusual", Handler: web.Answer(s.ranking), Token: token},
		{Pattern: "GET /api/v1/feedback", Handler: web.Answer(s.listFeedback), Token: token},
		{Pattern: "POST /api/v1/feedback", Handler: web.Answer(s.addFeedback)},
		{Pattern: "DELETE /api/v1/feedback", Handler: web.Answer(s.removeFeedback)},
		{Pattern: "POST /api/v1/feedback/remove", Handler: web.Answer(s.removeFeedback)}, // the dashboard only posts
	}
}

// maxRanking is how many entries one answer has.
const maxRanking = 20_000

// ranking is GET /api/v1/unusual?day=&limit=&benign=.
func (s *service) ranking(r *http.Request) (any, error) {
	v := r.URL.Query()
	q := unusual.Query{Day: v.Get("day"), Limit: 100, Benign: v.Get("benign") == "true"}
	if text := v.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > maxRanking {
			return nil, web.BadRequest("limit: must be 1 to %d, got %q", maxRanking, text)
		}
		q.Limit = n
	}
	out, err := s.unusual.Ranking(q)
	if err != nil {
		return nil, web.BadRequest("%w", err)
	}
	return out, nil
}

// listFeedback is GET /api/v1/feedback?day=.
func (s *service) listFeedback(r *http.Request) (any, error) {
	return s.unusual.Feedback().List(r.URL.Query().Get("day")), nil
}

// feedbackRequest is the body of POST and DELETE /api/v1/feedback, and of POST
// /api/v1/feedback/remove.
type feedbackRequest struct {
	Target string `json:"target"` // a name, an address or a network
	// Severity and Note are for POST only.
	Severity unusual.Severity `json:"severity,omitempty"`
	Note     string           `json:"note,omitempty"`
	Day      string           `json:"day"` // "": today, UTC
}

func (r *feedbackRequest) feedback(now time.Time) unusual.Feedback {
	day := cmp.Or(r.Day, now.UTC().Format(time.DateOnly))
	return unusual.Feedback{Time: now.UTC(), Day: day, Target: r.Target, Severity: r.Severity, Note: r.Note}
}

// addFeedback is POST /api/v1/feedback.
func (s *service) addFeedback(r *http.Request) (any, error) {
	var req feedbackRequest
	if err := web.Decode(r, &req); err != nil {
		return nil, err
	}
	f, err := s.unusual.Feedback().Add(req.feedback(time.Now()), s.privacy)
	switch {
	case errors.Is(err, unusual.ErrFeedbackFull):
		return nil, &web.Error{Status: http.StatusConflict, Err: err}
	case errors.Is(err, unusual.ErrNotKept):
		return nil, err
	case err != nil:
		return nil, web.BadRequest("%w", err)
	}
	return f, nil
}

// removeFeedback is DELETE /api/v1/feedback and POST /api/v1/feedback/remove; without a target it takes back all of a
// day.
func (s *service) removeFeedback(r *http.Request) (any, error) {
	var req feedbackRequest
	if err := web.Decode(r, &req); err != nil {
		return nil, err
	}
	if req.Day == "" {
		return nil, web.BadRequest("day: which one? Like 2006-01-02")
	}
	n, err := s.unusual.Feedback().Remove(req.Day, req.Target, s.privacy, time.Now().UTC())
	switch {
	case errors.Is(err, unusual.ErrNotKept):
		return nil, err
	case err != nil:
		return nil, web.BadRequest("%w", err)
	case n == 0:
		return nil, web.NotFound("there is no such feedback of %s", req.Day)
	}
	return removed{n}, nil
}

// unusualState is the ranking in a state folder that no resolver has: that of a
// sniffer, or of the last run.
func (f *controlFlags) unusualState() (*unusual.Tracker, *privacy.Guard, error) {
	paths, err := f.paths()
	if err != nil {
		return nil, nil, err
	}
	cfg, err := loadConfig(f.Conf)
	if err != nil {
		return nil, nil, err
	}
	for _, socket := range paths {
		dir := filepath.Dir(socket)
		if _, err := os.Stat(filepath.Join(dir, unusual.StateFile)); err != nil {
			continue
		}
		// Addresses in the state are as they are kept already, so no key is needed.
		guard := privacy.Kept(cfg.Privacy)
		t, err := unusual.New(cfg.Unusual, unusual.Deps{Dir: dir, Registry: prometheus.NewRegistry(), Privacy: guard})
		if err == nil {
			err = t.Restored()
		}
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", dir, err)
		}
		return t, guard, nil
	}
	return nil, nil, fmt.Errorf("%w, and no ranking is kept in %s", errNoDaemon, strings.Join(paths, " or "))
}

// unusualCmd prints a day's list.
type unusualCmd struct {
	Day    string `placeholder:"YYYY-MM-DD" help:"Which day, UTC. Default: the latest."`
	Limit  int    `default:"20" help:"How many entries."`
	Format string `default:"text" enum:"text,json,csv" help:"text, json or csv."`
	Benign bool   `help:"Also those that feedback calls benign."`
	controlFlags
}

// Validate checks the flags, for kong.
func (c *unusualCmd) Validate() error {
	if c.Limit < 1 || c.Limit > maxRanking {
		return fmt.Errorf("--limit: must be 1 to %d, got %d", maxRanking, c.Limit)
	}
	if c.Day != "" {
		if _, err := unusual.ParseDay(c.Day); err != nil {
			return fmt.Errorf("--%w", err)
		}
	}
	return nil
}

func (c *unusualCmd) Run(std stdio) error {
	var out unusual.Ranking
	client, err := c.connect()
	switch {
	case err == nil:
		v := url.Values{"limit": {strconv.Itoa(c.Limit)}, "benign": {strconv.FormatBool(c.Benign)}}
		if c.Day != "" {
			v.Set("day", c.Day)
		}
		err = client.call(context.Background(), http.MethodGet, "/api/v1/unusual?"+v.Encode(), nil, &out)
	case errors.Is(err, errNoDaemon):
		var t *unusual.Tracker
		if t, _, err = c.unusualState(); err == nil {
			out, err = t.Ranking(unusual.Query{Day: c.Day, Limit: c.Limit, Benign: c.Benign})
		}
	}
	if err != nil {
		return err
	}
	switch c.Format {
	case "json":
		return json.NewEncoder(std.out).Encode(out)
	case "csv":
		return rankingCSV(std.out, &out)
	}
	b := bufio.NewWriter(std.out)
	return errors.Join(rankingText(b, &out), b.Flush())
}

func rankingText(w io.Writer, r *unusual.Ranking) error {
	if r.Day == "" {
		_, err := fmt.Fprintln(w, "nothing was seen yet")
		return err
	}
	fmt.Fprintf(w, "most unusual of %s, among %d queries", r.Day, r.Queries)
	if r.Hidden > 0 {
		fmt.Fprintf(w, "; %d left out as benign", r.Hidden)
	}
	fmt.Fprintln(w)
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tab, "RANK\tBITS\tCLIENT\tNAME\tTYPE\tQUERIES\tFEEDBACK\tWHY")
	for _, e := range r.Entries {
		why := make([]string, 0, 3)
		for _, p := range e.Reasons[:min(len(e.Reasons), 3)] {
			why = append(why, p.Text)
		}
		fmt.Fprintf(tab, "%d\t%.1f\t%s\t%s\t%s\t%d\t%s\t%s\n", e.Rank, e.Score, cmp.Or(e.Client, "-"), e.Name, e.QType, e.Queries, cmp.Or(string(e.Severity), "-"), strings.Join(why, "; "))
	}
	return tab.Flush()
}

func rankingCSV(w io.Writer, r *unusual.Ranking) error {
	out := csv.NewWriter(w)
	_ = out.Write([]string{"day", "rank", "score", "client", "domain", "name", "qtype", "rcode", "queries", "first", "last", "severity", "note", "why"}) // sticks in Error
	for _, e := range r.Entries {
		var why []string
		for _, p := range e.Reasons {
			why = append(why, p.Text)
		}
		_ = out.Write([]string{
			r.Day, strconv.Itoa(e.Rank), strconv.FormatFloat(e.Score, 'f', 1, 64), e.Client, e.Domain, e.Name, e.QType, e.Rcode,
			strconv.FormatUint(e.Queries, 10), e.First.Format(time.RFC3339), e.Last.Format(time.RFC3339), string(e.Severity), e.Note, strings.Join(why, "; "),
		})
	}
	out.Flush()
	return out.Error()
}
