package replay

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/weirdns/weir/detect"
)

// maxShownRows bounds each part of a report for people, but for the names, of
// which the caller says how many there are.
const maxShownRows = 50

// Text writes the report for people.
func (r *Report) Text(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "queries\t%d\tof %d names, %d scored domains, from %d clients\n", r.Queries, r.Names, r.Domains, r.ClientsSeen)
	if r.FirstQuery != nil {
		fmt.Fprintf(w, "from\t%s\tto %s\n", r.FirstQuery.Format(time.RFC3339), r.LastQuery.Format(time.RFC3339))
	}
	fmt.Fprintf(w, "blocked\t%d\tof %d names\n", r.Blocked, r.BlockedNames)
	fmt.Fprintf(w, "alerted\t%d\tof %d names: policy has an action, and only watches\n", r.Alerted, r.AlertedNames)
	if r.Allowed > 0 {
		fmt.Fprintf(w, "allowed\t%d\tan allow list let them pass\n", r.Allowed)
	}
	if r.NoClient.Queries > 0 {
		fmt.Fprintf(w, "no client\t%d\tthe log does not say who asked: %d blocked, %d alerted, by the policy for all; what clients do over time is not seen of them\n",
			r.NoClient.Queries, r.NoClient.Blocked, r.NoClient.Alerted)
	}
	if r.Overflow > 0 {
		fmt.Fprintf(w, "overflow\t%d\tthings were not told apart: figures by name, domain or client are too low\n", r.Overflow)
	}
	rows(w, "list\tblocked\talerted\thits", r.Lists, func(c *ListCount) string { return fmt.Sprintf("%d\t%d\t%d", c.Blocked, c.Alerted, c.Hits) }, func(c *ListCount) uint64 { return c.Hits })
	rows(w, "origin\tblocked\talerted", r.Origins, (*Count).text, nil)
	rows(w, "day\tblocked\talerted\tqueries", r.Days, func(c *DayCount) string { return fmt.Sprintf("%d\t%d\t%d", c.Blocked, c.Alerted, c.Queries) }, nil)
	rows(w, "client\tblocked\talerted", r.Clients, (*Count).text, (*Count).sum)
	r.levels(w)
	if len(r.Top) > 0 {
		fmt.Fprintf(w, "\nname\tqueries\toutcome\twhy\n")
		for _, n := range r.Top {
			fmt.Fprintf(w, "%s\t%d\t%s\t%s\n", n.Name, n.Queries, n.Outcome, n.Why)
		}
		if more := r.BlockedNames + r.AlertedNames - uint64(len(r.Top)); more > 0 {
			fmt.Fprintf(w, "... and %d more\n", more)
		}
	}
	r.findings(w)
	return w.Flush()
}

func (c *Count) text() string { return fmt.Sprintf("%d\t%d", c.Blocked, c.Alerted) }
func (c *Count) sum() uint64  { return c.Blocked + c.Alerted }

// rows writes a part of a report, by key or, where there is a weight, the
// heaviest first.
func rows[C any](w io.Writer, title string, of map[string]*C, text func(*C) string, weight func(*C) uint64) {
	if len(of) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%s\n", title)
	keys := slices.Sorted(maps.Keys(of))
	if weight != nil {
		slices.SortStableFunc(keys, func(a, b string) int { return cmp.Compare(weight(of[b]), weight(of[a])) })
	}
	for i, key := range keys {
		if i == maxShownRows {
			fmt.Fprintf(w, "... and %d more\n", len(keys)-i)
			break
		}
		fmt.Fprintf(w, "%s\t%s\n", key, text(of[key]))
	}
}

// levels writes what reached which level of the model, and how much of that is
// to be expected without any malware.
func (r *Report) levels(w io.Writer) {
	if len(r.Levels) == 0 {
		return
	}
	fmt.Fprintf(w, "\nmodel, level or above\tqueries\tdomains\tfalse alarms to expect, if all were benign\n")
	for l := detect.LevelLow; l <= detect.LevelHigh; l++ {
		c := r.Levels[l.String()]
		if c == nil {
			continue
		}
		expected := "unknown"
		if c.ExpectedFalse != nil {
			expected = fmt.Sprintf("%s domains: %s of %d", twoDigits(*c.ExpectedFalse), twoDigits(*c.Rate), r.Domains)
		}
		fmt.Fprintf(w, "%s\t%d\t%d\t%s\n", l, c.Queries, c.Domains, expected)
	}
}

// twoDigits is a figure for people: what is large is whole, of what is small two
// digits say enough.
func twoDigits(f float64) string {
	if f >= 10 {
		return strconv.FormatFloat(f, 'f', 0, 64)
	}
	return strconv.FormatFloat(f, 'g', 2, 64)
}
