package query

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/weirdns/weir/pdns/store"
)

const (
	// maxScanned bounds how many detections are looked at for one answer: it
	// takes about 100 ms.
	maxScanned = 50_000
	// maxDetections in an answer, and how many there are by default.
	maxDetections     = 1000
	defaultDetections = 200
	// maxHours is how far back a question may reach, in hours; store.max_age is
	// 90 days unless it is set.
	maxHours = 366 * 24

	hour = 3600
)

// DetectionParams are what detections are asked for.
type DetectionParams struct {
	Since, Until string // as Params.Since; Since is by default 24 hours before
	Search       string // part of a name, a list or a rule, in any case
	Name         string // exactly this name
	Origin       string // "": any
	Mode         string // "enforced", "watched"; "": both
	Limit        int    // 0: 200; 1000 at most
}

// DetectionsFromURL reads DetectionParams from a request's query.
func DetectionsFromURL(v url.Values) (DetectionParams, error) {
	p := DetectionParams{Since: "24h"}
	var errs []error
	for key, values := range v {
		value := values[len(values)-1]
		var err error
		switch key {
		case "since":
			p.Since = value
		case "until":
			p.Until = value
		case "q":
			p.Search = value
		case "name":
			p.Name = value
		case "origin":
			p.Origin = value
		case "mode":
			p.Mode = value
			if value != "" && value != "enforced" && value != "watched" {
				err = errors.New("must be enforced or watched")
			}
		case "limit":
			p.Limit, err = strconv.Atoi(value)
			if err == nil && (p.Limit < 1 || p.Limit > maxDetections) {
				err = fmt.Errorf("must be 1 to %d", maxDetections)
			}
		default:
			err = errors.New("no such parameter")
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %q: %w", key, value, unwrapNum(err)))
		}
	}
	return p, errors.Join(errs...)
}

// Detection is one name in one hour, in JSON.
type Detection struct {
	Name     string   `json:"name"`
	Origin   string   `json:"origin"`
	Action   string   `json:"action"`
	Enforced bool     `json:"enforced"`
	Score    *float64 `json:"score"` // null: not scored
	Level    string   `json:"level"`
	Lists    []string `json:"lists"`
	Rules    []string `json:"rules"`
	First    int64    `json:"time_first"` // Unix seconds
	Last     int64    `json:"time_last"`
	Count    uint64   `json:"count"`
}

// Day is what was detected on a day.
type Day struct {
	Day      string `json:"day"`      // as 2026-03-01, UTC
	Queries  uint64 `json:"queries"`  // for the names
	Enforced uint64 `json:"enforced"` // of them
	Rows     int    `json:"rows"`     // names by hour
}

// Detections are the answer: those of the latest hour first.
type Detections struct {
	Days []Day       `json:"days"` // the latest first; days without any are left out
	Rows []Detection `json:"rows"`
	More bool        `json:"more"` // there are more rows than shown
	// Reached is the hour, in Unix seconds, that was looked at last, where there
	// was too much to look at all; null: all was.
	Reached *int64 `json:"reached"`
}

// match is a question, compiled.
type match struct {
	search, name, origin, mode string
	since, until               int64
}

func (p *DetectionParams) compile(now time.Time) (m match, err error) {
	m = match{search: strings.ToLower(p.Search), name: strings.TrimSuffix(strings.ToLower(p.Name), "."), origin: p.Origin, mode: p.Mode}
	var sinceErr, untilErr error
	if m.since, sinceErr = parseTime(p.Since, now); sinceErr != nil {
		sinceErr = fmt.Errorf("since: %w", sinceErr)
	}
	if m.until, untilErr = parseTime(p.Until, now); untilErr != nil {
		untilErr = fmt.Errorf("until: %w", untilErr)
	}
	if m.until == 0 {
		m.until = now.Unix() + hour // data may be a little ahead of the clock
	}
	m.since = max(m.since, m.until-maxHours*hour)
	if p.Limit == 0 {
		p.Limit = defaultDetections
	}
	return m, errors.Join(sinceErr, untilErr)
}

func (m *match) has(d *store.Detection, name string) bool {
	switch {
	case d.Last < m.since || d.First > m.until,
		m.origin != "" && d.Origin.String() != m.origin,
		m.mode != "" && d.Enforced != (m.mode == "enforced"),
		m.name != "" && name != m.name:
		return false
	case m.search == "" || strings.Contains(name, m.search):
		return true
	}
	found := func(s string) bool { return strings.Contains(strings.ToLower(s), m.search) }
	return slices.ContainsFunc(d.Lists, found) || slices.ContainsFunc(d.Rules, found)
}

// Run finds detections, hour by hour backwards.
func (p *DetectionParams) Run(ctx context.Context, r *store.Reader, now time.Time) (*Detections, error) {
	m, err := p.compile(now)
	if err != nil {
		return nil, err
	}
	out := &Detections{Days: []Day{}, Rows: []Detection{}}
	scanned := 0
	for at := m.until / hour * hour; at >= m.since/hour*hour; at -= hour {
		if scanned >= maxScanned {
			reached := at + hour
			out.Reached = &reached
			break
		}
		rows, n, err := m.hour(ctx, r, at)
		if err != nil {
			return nil, err
		}
		scanned += n
		for i := range rows {
			out.count(at, &rows[i])
		}
		room := p.Limit - len(out.Rows)
		out.More = out.More || len(rows) > room
		out.Rows = append(out.Rows, rows[:min(room, len(rows))]...)
	}
	return out, nil
}

// hour finds those of one hour, the latest first, and says how many it looked at.
func (m *match) hour(ctx context.Context, r *store.Reader, at int64) (rows []Detection, scanned int, err error) {
	for d, err := range r.Detections(ctx, at, at+hour-1) {
		if err != nil {
			return nil, 0, err
		}
		if scanned++; scanned > maxScanned {
			break
		}
		name := d.Name.String()
		if !m.has(&d, name) {
			continue
		}
		rows = append(rows, Detection{
			Name: name, Origin: d.Origin.String(), Action: d.Action.String(), Enforced: d.Enforced, Score: d.Score, Level: d.Level.String(),
			Lists: append([]string{}, d.Lists...), Rules: append([]string{}, d.Rules...), First: d.First, Last: d.Last, Count: d.Count,
		})
	}
	slices.SortStableFunc(rows, func(a, b Detection) int { return int(b.Last - a.Last) })
	return rows, scanned, nil
}

func (d *Detections) count(at int64, row *Detection) {
	name := time.Unix(at, 0).UTC().Format(time.DateOnly)
	if n := len(d.Days); n == 0 || d.Days[n-1].Day != name {
		d.Days = append(d.Days, Day{Day: name})
	}
	day := &d.Days[len(d.Days)-1]
	day.Rows++
	day.Queries += row.Count
	if row.Enforced {
		day.Enforced += row.Count
	}
}
