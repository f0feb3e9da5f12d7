package replay

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/weirdns/weir/detect"
)

// Difference holds two detections against each other on the same queries.
type Difference struct {
	// Queries counts them by both outcomes: first, then second.
	Queries map[string]map[string]uint64 `json:"queries"`
	// Levels counts them by the levels of both models; those that are not scored
	// are at none.
	Levels   map[string]map[string]uint64 `json:"levels"`
	Changed  uint64                       `json:"changed"`
	Names    []ChangedName                `json:"names"`
	Overflow uint64                       `json:"overflow"` // queries whose names are not among Names since there were too many

	names map[string]*ChangedName
}

// ChangedName is a name with another outcome.
type ChangedName struct {
	Name    string `json:"name"`
	Queries uint64 `json:"queries"`
	First   string `json:"first"`
	Second  string `json:"second"`
	// What decided, as of TopName; "" for what passes because nothing was said.
	FirstWhy  string `json:"first_why"`
	SecondWhy string `json:"second_why"`
}

// NewDifference begins one.
func NewDifference() *Difference {
	d := &Difference{Queries: map[string]map[string]uint64{}, Levels: map[string]map[string]uint64{}, names: map[string]*ChangedName{}}
	for _, a := range outcomeNames {
		d.Queries[a] = map[string]uint64{}
		for _, b := range outcomeNames {
			d.Queries[a][b] = 0
		}
	}
	for a := detect.LevelNone; a <= detect.LevelHigh; a++ {
		d.Levels[a.String()] = map[string]uint64{}
		for b := detect.LevelNone; b <= detect.LevelHigh; b++ {
			d.Levels[a.String()][b.String()] = 0
		}
	}
	return d
}

// Add adds a query with both verdicts.
func (d *Difference) Add(q *detect.Query, first, second *detect.Verdict) {
	a, b := OutcomeOf(first), OutcomeOf(second)
	d.Queries[a.String()][b.String()]++
	d.Levels[first.Level.String()][second.Level.String()]++
	if a == b {
		return
	}
	d.Changed++
	whyFirst, whySecond := why(first), why(second)
	key := string(q.Name) + string([]byte{byte(a), byte(b)}) + whyFirst + "\x00" + whySecond
	n := d.names[key]
	if n == nil {
		if len(d.names) >= maxHit {
			d.Overflow++
			return
		}
		n = &ChangedName{Name: q.Name.String(), First: a.String(), Second: b.String(), FirstWhy: whyFirst, SecondWhy: whySecond}
		d.names[key] = n
	}
	n.Queries++
}

// Finish sorts the names and keeps the first top of them.
func (d *Difference) Finish(top int) {
	d.Names = []ChangedName{}
	for _, n := range d.names {
		d.Names = append(d.Names, *n)
	}
	slices.SortFunc(d.Names, func(a, b ChangedName) int {
		return cmp.Or(cmp.Compare(b.Queries, a.Queries), strings.Compare(a.Name, b.Name), strings.Compare(a.First+a.Second, b.First+b.Second), strings.Compare(a.FirstWhy, b.FirstWhy), strings.Compare(a.SecondWhy, b.SecondWhy))
	})
	d.Names = d.Names[:min(top, len(d.Names))]
}

// Text writes the difference for people.
func (d *Difference) Text(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "changed\t%d\tqueries\n\nfirst\tsecond: pass\talert\tblock\n", d.Changed)
	for _, a := range outcomeNames {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\n", a, d.Queries[a]["pass"], d.Queries[a]["alert"], d.Queries[a]["block"])
	}
	if d.levelsDiffer() {
		fmt.Fprintf(w, "\nmodel's level\tsecond: none\tlow\tmedium\thigh\n")
		for a := detect.LevelNone; a <= detect.LevelHigh; a++ {
			row := d.Levels[a.String()]
			fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\n", a, row["none"], row["low"], row["medium"], row["high"])
		}
	}
	if len(d.Names) > 0 {
		fmt.Fprintf(w, "\nname\tqueries\tfirst\tsecond\n")
		for _, n := range d.Names {
			fmt.Fprintf(w, "%s\t%d\t%s\t%s\n", n.Name, n.Queries, because(n.First, n.FirstWhy), because(n.Second, n.SecondWhy))
		}
	}
	return w.Flush()
}

func because(outcome, why string) string {
	if why == "" {
		return outcome
	}
	return outcome + " (" + why + ")"
}

// levelsDiffer says whether any query is at another level.
func (d *Difference) levelsDiffer() bool {
	for a, row := range d.Levels {
		for b, n := range row {
			if a != b && n > 0 {
				return true
			}
		}
	}
	return false
}
