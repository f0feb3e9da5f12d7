package unusual

import (
	"cmp"
	"slices"
	"time"

	"github.com/weirdns/weir/internal/dnswire"
)

// Ranking is the list of one day.
type Ranking struct {
	Day     string   `json:"day"`     // UTC
	Days    []string `json:"days"`    // those that there are, the latest first
	Queries uint64   `json:"queries"` // of the day
	Hidden  int      `json:"hidden"`  // entries that feedback calls benign
	Entries []Ranked `json:"entries"`
}

// Ranked is a client and a registered domain, and the least usual of what the one
// asked about the other.
type Ranked struct {
	Rank     int       `json:"rank"`
	Score    float64   `json:"score"`  // −log2 of its probability, bits
	Client   string    `json:"client"` // as far as it may be kept; "" for none
	Domain   string    `json:"domain"`
	Name     string    `json:"name"`
	QType    string    `json:"qtype"`
	Rcode    string    `json:"rcode"` // "" without a response
	Queries  uint64    `json:"queries"`
	First    time.Time `json:"first"`
	Last     time.Time `json:"last"`
	Reasons  []Part    `json:"reasons"`
	Severity Severity  `json:"severity"` // "" without feedback
	Note     string    `json:"note"`
}

// Query says which part of a ranking is wanted.
type Query struct {
	Day    string // as 2006-01-02; "": the latest
	Limit  int    // 0: all
	Benign bool   // also what feedback calls benign
}

// Ranking is a day's list. What feedback has confirmed comes first, the most severe
// before the rest, and what it calls benign is left out, or with Query.Benign has
// the place that its score gives it.
func (t *Tracker) Ranking(q Query) (Ranking, error) {
	out := Ranking{Day: q.Day, Days: []string{}, Entries: []Ranked{}}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, d := range slices.Backward(t.days) {
		out.Days = append(out.Days, dayText(d.number))
	}
	if q.Day == "" {
		if len(t.days) == 0 {
			return out, nil
		}
		q.Day = out.Days[0]
		out.Day = q.Day
	}
	number, err := ParseDay(q.Day)
	if err != nil {
		return out, err
	}
	i := slices.IndexFunc(t.days, func(d *day) bool { return d.number == number })
	if i < 0 {
		return out, nil
	}
	d := t.days[i]
	out.Queries = d.queries
	ranked := d.rank(t.profile)
	ranked = ranked[:min(len(ranked), t.cfg.Top)]
	marks := make(map[*entry]Feedback, len(ranked))
	for _, e := range ranked {
		marks[e] = t.book.of(e)
	}
	// Where it is shown, what was called benign stands where it would without
	// feedback: at the end nobody who wants to take it back would find it.
	place := func(e *entry) int {
		if q.Benign {
			return max(marks[e].Severity.order(), 0)
		}
		return marks[e].Severity.order()
	}
	slices.SortStableFunc(ranked, func(a, b *entry) int { return cmp.Compare(place(b), place(a)) })
	for rank, e := range ranked {
		mark := marks[e]
		if mark.Severity == Benign {
			out.Hidden++
			if !q.Benign {
				continue
			}
		}
		if q.Limit > 0 && len(out.Entries) == q.Limit {
			continue // Hidden is of the day
		}
		out.Entries = append(out.Entries, t.show(e, mark, rank+1))
	}
	return out, nil
}

func (t *Tracker) show(e *entry, mark Feedback, rank int) Ranked {
	rcode := ""
	if e.word.rcode != noRcode {
		rcode = dnswire.RcodeString(e.word.rcode)
	}
	reasons := e.reasons
	if reasons == nil {
		reasons = t.profile.reasons(&e.word, e.seen)
	}
	return Ranked{
		Rank: rank, Score: round1(e.score), Client: string(t.guard.AppendKept(nil, e.client)), Domain: text(e.domain), Name: text(e.name),
		QType: dnswire.TypeString(e.word.qtype), Rcode: rcode, Queries: e.queries,
		First: time.Unix(e.first, 0).UTC(), Last: time.Unix(e.last, 0).UTC(),
		Reasons: reasons, Severity: mark.Severity, Note: mark.Note,
	}
}
