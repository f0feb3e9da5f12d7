package replay

import (
	"cmp"
	"hash/maphash"
	"math"
	"net/netip"
	"slices"
	"strings"
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

// ListCount is what a list did: Blocked and Alerted count the queries that it
// decided, Hits those with an entry of it, whatever came of it. So a list that
// others are quicker than, and one that lets pass, show what they are good for.
type ListCount struct {
	Count
	Hits uint64 `json:"hits"`
}

// DayCount is a day's.
type DayCount struct {
	Count
	Queries uint64 `json:"queries"`
}

// LevelCount is what of the traffic reached a level of the model.
type LevelCount struct {
	Queries uint64 `json:"queries"`
	Domains uint64 `json:"domains"` // registered domains, each once
	// Rate is the share of benign domains that score so high, as the model's card
	// has it; null where the model states none.
	Rate *float64 `json:"rate"`
	// ExpectedFalse is how many of all scored domains would be at this level or
	// above if all of them were benign: Rate times their number.
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
	Allowed      uint64                 `json:"allowed"` // that an allow list, or a timed allow, let pass
	Lists        map[string]*ListCount  `json:"lists"`
	Origins      map[string]*Count      `json:"origins"` // by whose judgement it was
	Levels       map[string]*LevelCount `json:"levels"`
	ClientsSeen  uint64                 `json:"clients_seen"`   // each once
	Clients      map[string]*Count      `json:"clients"`        // that anything would have happened to
	NoClient     DayCount               `json:"without_client"` // queries of which it is not known who asked
	Days         map[string]*DayCount   `json:"days"`           // UTC
	Top          []TopName              `json:"names_hit"`
	Findings     []Found                `json:"findings"` // in the order of the data
	FirstQuery   *time.Time             `json:"first_query"`
	LastQuery    *time.Time             `json:"last_query"`
	Overflow     uint64                 `json:"overflow"` // things not told apart since there were too many; 0: all figures are exact

	names, domains map[uint64]struct{}
	clients        map[uint64]struct{}
	levelDomains   [detect.LevelHigh + 1]map[uint64]struct{}
	hit            map[string]*TopName
	show           func(netip.Addr) string // "" where clients are not shown
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

// NewReport begins a report; client says how a client's address is shown, "" if
// not at all.
func NewReport(client func(netip.Addr) string) *Report {
	r := &Report{
		Lists: map[string]*ListCount{}, Origins: map[string]*Count{}, Levels: map[string]*LevelCount{}, Clients: map[string]*Count{}, Days: map[string]*DayCount{}, Findings: []Found{},
		names: map[uint64]struct{}{}, domains: map[uint64]struct{}{}, clients: map[uint64]struct{}{}, hit: map[string]*TopName{}, show: client, seed: maphash.MakeSeed(),
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

// counter is the counter of key, made if it is new; nil if there are too many.
func counter[C any](r *Report, m map[string]*C, key string, most int) *C {
	c := m[key]
	if c == nil {
		if len(m) >= most {
			r.Overflow++
			return nil
		}
		c = new(C)
		m[key] = c
	}
	return c
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
	if day := counter(r, r.Days, q.Time.UTC().Format(time.DateOnly), maxDays); day != nil {
		day.Queries++
		day.add(o)
	}
	r.client(q, o)
	r.lists(v, o)
	if v.Origin == detect.OriginAllowList {
		r.Allowed++
	}
	if o == Passed {
		return
	}
	counter(r, r.Origins, v.Origin.String(), math.MaxInt).add(o)
	if o == Blocked {
		r.Blocked++
	} else {
		r.Alerted++
	}
	why := why(v)
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

// client counts by who asked.
func (r *Report) client(q *detect.Query, o Outcome) {
	if !q.Client.IsValid() {
		r.NoClient.Queries++
		r.NoClient.add(o)
		return
	}
	addr := q.Client.As16()
	r.distinct(r.clients, addr[:])
	if shown := r.show(q.Client); o != Passed && shown != "" {
		if c := counter(r, r.Clients, shown, maxClients); c != nil {
			c.add(o)
		}
	}
}

// lists counts by list.
func (r *Report) lists(v *detect.Verdict, o Outcome) {
	for i := range v.Matches {
		list := v.Matches[i].List
		if slices.ContainsFunc(v.Matches[:i], func(m detect.Match) bool { return m.List == list }) {
			continue // another entry of it
		}
		c := counter(r, r.Lists, list, math.MaxInt)
		c.Hits++
		if decider(v) == list {
			c.add(o)
		}
	}
}

// decider is the list that decided, or what findings stand as in the place of one;
// "" if none did.
func decider(v *detect.Verdict) string {
	if (v.Origin == detect.OriginBlockList || v.Origin == detect.OriginBehaviour) && v.Decider < len(v.Matches) {
		return v.Matches[v.Decider].List
	}
	return ""
}

// why is what decided: the list, the model's level, or whose judgement it was.
func why(v *detect.Verdict) string {
	switch {
	case v.Origin == detect.OriginBlockList && v.Decider < len(v.Matches):
		return decider(v)
	case v.Origin == detect.OriginModel && v.Action != detect.Pass:
		return "model, " + v.Level.String()
	case v.Origin == detect.OriginModel || v.Origin == detect.OriginNone:
		return ""
	}
	return v.Origin.String()
}

// Finish works out what is known at the end only, with the rates of a model's
// levels; top bounds the names that are shown.
func (r *Report) Finish(thresholds []detect.Threshold, top int) {
	r.Names, r.Domains, r.ClientsSeen = uint64(len(r.names)), uint64(len(r.domains)), uint64(len(r.clients))
	for _, t := range thresholds {
		c := r.Levels[t.Level.String()]
		if c == nil {
			c = new(LevelCount)
			r.Levels[t.Level.String()] = c
		}
		c.Domains = uint64(len(r.levelDomains[t.Level]))
		if rate := t.FPR; !math.IsNaN(rate) {
			expected := rate * float64(r.Domains)
			c.Rate, c.ExpectedFalse = &rate, &expected
		}
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
