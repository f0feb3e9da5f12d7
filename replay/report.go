package replay

import (
	"cmp"
	"fmt"
	"hash/maphash"
	"io"
	"maps"
	"math"
	"net/netip"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/weirdns/weir/detect"
)

// Outcome is what a verdict would have meant for the client.
type Outcome uint8

// Outcomes.
const (
	Passed  Outcome = iota
	Alerted         // policy has an action for it that is only watched
	Blocked
)

var outcomeNames = [...]string{Passed: "pass", Alerted: "alert", Blocked: "block"}

func (o Outcome) String() string { return outcomeNames[o] }

// OutcomeOf reads a verdict.
func OutcomeOf(v *detect.Verdict) Outcome {
	switch {
	case v.Action == detect.Pass:
		return Passed
	case v.Enforced:
		return Blocked
	}
	return Alerted
}

// Count is how many queries were blocked or would have been an alert.
type Count struct {
	Blocked uint64 `json:"blocked"`
	Alerted uint64 `json:"alerted"`
}

func (c *Count) add(o Outcome) {
	switch o {
	case Blocked:
		c.Blocked++
	case Alerted:
		c.Alerted++
	}
}

// LevelCount is what of the traffic reached a level of the model.
type LevelCount struct {
	Queries uint64 `json:"queries"`
	Domains uint64 `json:"domains"` // registered domains, each once
	// ExpectedFalse is how many of all scored domains would be at this level or
	// above if all of them were benign: the rate of the model's card times their
	// number. NaN, written null, where the model states none.
	ExpectedFalse *float64 `json:"expected_false"`
}

// Report adds up one detection's verdicts.
type Report struct {
	Queries      uint64                 `json:"queries"`
	Names        uint64                 `json:"names"` // each once
	Domains      uint64                 `json:"scored_domains"`
	Blocked      uint64                 `json:"blocked"`
	Alerted      uint64                 `json:"alerted"`
	BlockedNames uint64                 `json:"blocked_names"`
	AlertedNames uint64                 `json:"alerted_names"`
	Lists        map[string]*Count      `json:"lists"`   // by the list that decided
	Origins      map[string]*Count      `json:"origins"` // by whose judgement it was
	Levels       map[string]*LevelCount `json:"levels"`
	Clients      map[string]*Count      `json:"clients"`
	Days         map[string]*Count      `json:"days"` // UTC
	Top          []TopName              `json:"names_hit"`
	Findings     []Found                `json:"findings"` // in the order of the data
	FirstQuery   *time.Time             `json:"first_query"`
	LastQuery    *time.Time             `json:"last_query"`
	Overflow     uint64                 `json:"overflow"` // things not told apart since there were too many; 0: all figures are exact

	names, domains map[uint64]struct{}
	levelDomains   [detect.LevelHigh + 1]map[uint64]struct{}
	hit            map[string]*TopName
	client         func(netip.Addr) string
	seed           maphash.Seed
}

// TopName is a name that was hit.
type TopName struct {
	Name    string `json:"name"`
	Queries uint64 `json:"queries"`
	Outcome string `json:"outcome"` // the most severe
	Why     string `json:"why"`     // the list, or the model's level

	outcome Outcome
}

// Bounds of what a report tells apart.
const (
	maxDistinct = 4 << 20 // names and domains: by hash, some 200 MB at most
	maxHit      = 1 << 18
	maxClients  = 1 << 16
	maxDays     = 1 << 12
)

// NewReport begins a report; client says how a client's address is shown.
func NewReport(client func(netip.Addr) string) *Report {
	r := &Report{
		Lists: map[string]*Count{}, Origins: map[string]*Count{}, Levels: map[string]*LevelCount{}, Clients: map[string]*Count{}, Days: map[string]*Count{},
		names: map[uint64]struct{}{}, domains: map[uint64]struct{}{}, hit: map[string]*TopName{}, client: client, seed: maphash.MakeSeed(),
	}
	for i := range r.levelDomains {
		r.levelDomains[i] = map[uint64]struct{}{}
	}
	return r
}

func (r *Report) distinct(set map[uint64]struct{}, wire []byte) {
	hash := maphash.Bytes(r.seed, wire)
	if _, ok := set[hash]; ok {
		return
	}
	if len(set) >= maxDistinct {
		r.Overflow++
		return
	}
	set[hash] = struct{}{}
}

func counted(r *Report, m map[string]*Count, key string, most int, o Outcome) {
	c := m[key]
	if c == nil {
		if len(m) >= most {
			r.Overflow++
			return
		}
		c = new(Count)
		m[key] = c
	}
	c.add(o)
}

// Add adds a query and its verdict.
func (r *Report) Add(q *detect.Query, v *detect.Verdict) {
	r.Queries++
	if at := q.Time.UTC(); r.FirstQuery == nil || at.Before(*r.FirstQuery) {
		r.FirstQuery = &at
	}
	if at := q.Time.UTC(); r.LastQuery == nil || at.After(*r.LastQuery) {
		r.LastQuery = &at
	}
	r.distinct(r.names, q.Name)
	if v.Unscored == detect.Scored {
		r.distinct(r.domains, v.Registered)
		for l := detect.LevelLow; l <= v.Level; l++ {
			c := r.Levels[l.String()]
			if c == nil {
				c = new(LevelCount)
				r.Levels[l.String()] = c
			}
			c.Queries++
			r.distinct(r.levelDomains[l], v.Registered)
		}
	}
	o := OutcomeOf(v)
	if o == Passed {
		return
	}
	why := v.Origin.String()
	switch v.Origin {
	case detect.OriginBlockList:
		if v.Decider < len(v.Matches) {
			why = v.Matches[v.Decider].List
		}
		counted(r, r.Lists, why, math.MaxInt, o)
	case detect.OriginModel:
		why = "model, " + v.Level.String()
	}
	counted(r, r.Origins, v.Origin.String(), math.MaxInt, o)
	counted(r, r.Clients, r.client(q.Client), maxClients, o)
	counted(r, r.Days, q.Time.UTC().Format(time.DateOnly), maxDays, o)
	if o == Blocked {
		r.Blocked++
	} else {
		r.Alerted++
	}
	name := q.Name.String()
	h := r.hit[name]
	if h == nil {
		if len(r.hit) >= maxHit {
			r.Overflow++
			return
		}
		h = &TopName{Name: name}
		r.hit[name] = h
	}
	h.Queries++
	if o > h.outcome {
		h.outcome, h.Outcome, h.Why = o, o.String(), why
	}
}

// Finish works out what is known at the end only, with the rates of a model's
// levels; top bounds the names that are shown.
func (r *Report) Finish(thresholds []detect.Threshold, top int) {
	r.Names, r.Domains = uint64(len(r.names)), uint64(len(r.domains))
	for _, t := range thresholds {
		c := r.Levels[t.Level.String()]
		if c == nil {
			c = new(LevelCount)
			r.Levels[t.Level.String()] = c
		}
		c.Domains = uint64(len(r.levelDomains[t.Level]))
		expected := t.FPR * float64(r.Domains)
		c.ExpectedFalse = &expected
	}
	r.BlockedNames, r.AlertedNames, r.Top = 0, 0, []TopName{}
	for _, h := range r.hit {
		if h.outcome == Blocked {
			r.BlockedNames++
		} else {
			r.AlertedNames++
		}
		r.Top = append(r.Top, *h)
	}
	slices.SortFunc(r.Top, func(a, b TopName) int {
		return cmp.Or(cmp.Compare(b.Queries, a.Queries), strings.Compare(a.Name, b.Name))
	})
	r.Top = r.Top[:min(top, len(r.Top))]
}

// Text writes the report for people.
func (r *Report) Text(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "queries\t%d\tof %d names, %d scored domains\n", r.Queries, r.Names, r.Domains)
	if r.FirstQuery != nil {
		fmt.Fprintf(w, "from\t%s\tto %s\n", r.FirstQuery.Format(time.RFC3339), r.LastQuery.Format(time.RFC3339))
	}
	fmt.Fprintf(w, "blocked\t%d\tof %d names\n", r.Blocked, r.BlockedNames)
	fmt.Fprintf(w, "alerted\t%d\tof %d names: policy has an action, and only watches\n", r.Alerted, r.AlertedNames)
	if r.Overflow > 0 {
		fmt.Fprintf(w, "overflow\t%d\tthings were not told apart: figures by name, domain or client are too low\n", r.Overflow)
	}
	for _, part := range []struct {
		title string
		of    map[string]*Count
	}{{"list", r.Lists}, {"origin", r.Origins}, {"day", r.Days}, {"client", r.Clients}} {
		if len(part.of) == 0 {
			continue
		}
		fmt.Fprintf(w, "\n%s\tblocked\talerted\n", part.title)
		keys := slices.Sorted(maps.Keys(part.of))
		if part.title == "client" {
			slices.SortStableFunc(keys, func(a, b string) int {
				x, y := part.of[a], part.of[b]
				return cmp.Compare(y.Blocked+y.Alerted, x.Blocked+x.Alerted)
			})
		}
		for i, key := range keys {
			if i == maxShownRows {
				fmt.Fprintf(w, "... and %d more\n", len(keys)-i)
				break
			}
			fmt.Fprintf(w, "%s\t%d\t%d\n", key, part.of[key].Blocked, part.of[key].Alerted)
		}
	}
	if len(r.Levels) > 0 {
		fmt.Fprintf(w, "\nmodel, level or above\tqueries\tdomains\tfalse alarms to expect, if all were benign\n")
		for l := detect.LevelLow; l <= detect.LevelHigh; l++ {
			if c := r.Levels[l.String()]; c != nil {
				expected := "unknown"
				if c.ExpectedFalse != nil {
					expected = fmt.Sprintf("%.2g domains", *c.ExpectedFalse)
				}
				fmt.Fprintf(w, "%s\t%d\t%d\t%s\n", l, c.Queries, c.Domains, expected)
			}
		}
	}
	if len(r.Top) > 0 {
		fmt.Fprintf(w, "\nname\tqueries\toutcome\twhy\n")
		for _, n := range r.Top {
			fmt.Fprintf(w, "%s\t%d\t%s\t%s\n", n.Name, n.Queries, n.Outcome, n.Why)
		}
	}
	r.findings(w)
	return w.Flush()
}

const maxShownRows = 50
