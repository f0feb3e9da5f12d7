package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"text/tabwriter"
	"time"

	"github.com/weirdns/weir/blocklist"
	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/web"
)

// refreshTimeout is for one list: what its timeout may be at most, and the time
// to read it.
const refreshTimeout = 12 * time.Minute

func (s *service) listRoutes() []web.Route {
	return []web.Route{
		{Pattern: "GET /api/v1/lists", Handler: web.Answer(s.listsStatus), Public: true},
		{Pattern: "POST /api/v1/lists/{list}/refresh", Handler: web.Answer(s.refreshList), Timeout: refreshTimeout},
	}
}

// listStatus is one list in the answer of GET /api/v1/lists.
type listStatus struct {
	Name      string         `json:"name"`
	Kind      string         `json:"kind"`
	Mode      string         `json:"mode"`     // of a block list; "" for others
	Schedule  string         `json:"schedule"` // "": always
	Format    string         `json:"format"`
	Source    string         `json:"source"` // of a URL, scheme and host
	Entries   int            `json:"entries"`
	Addresses int            `json:"addresses"`
	Bytes     int64          `json:"bytes"`
	Loaded    *time.Time     `json:"loaded"`  // when the data that serve were read; null: there are none
	Checked   *time.Time     `json:"checked"` // when the source last confirmed them
	Next      *time.Time     `json:"next"`    // when the URL is asked next; null for other sources
	SHA256    string         `json:"sha256"`
	Error     string         `json:"error"` // why the newest data were refused; "": they were not
	Failed    *time.Time     `json:"failed"`
	Rejected  map[string]int `json:"rejected"` // lines, by reason
	Hits      hitCounts      `json:"hits"`
}

// hitCounts are detect.Hits in JSON.
type hitCounts struct {
	Enforced  uint64     `json:"enforce"`
	Monitored uint64     `json:"monitor"`
	Passed    uint64     `json:"pass"`
	Observed  uint64     `json:"observe"`
	Overruled uint64     `json:"overruled"`
	Last      *time.Time `json:"last"`
}

func countsOf(h detect.Hits) hitCounts {
	return hitCounts{h.Enforced, h.Monitored, h.Passed, h.Observed, h.Overruled, instant(h.Last)}
}

// total is every query that met the list.
func (h *hitCounts) total() uint64 {
	return h.Enforced + h.Monitored + h.Passed + h.Observed + h.Overruled
}

// instant is t for JSON, nil for the zero time.
func instant(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// listsStatus is GET /api/v1/lists.
func (s *service) listsStatus(*http.Request) (any, error) {
	policies := s.cfg.Load().policies()
	out := []listStatus{}
	for _, l := range s.detection.lists.Status() {
		p := policies[l.Name]
		st := listStatus{
			Name: l.Name, Kind: string(l.Kind), Schedule: p.Schedule, Format: string(l.Format), Source: l.Source,
			Entries: l.Entries, Addresses: l.Addresses, Bytes: l.Memory,
			Loaded: instant(l.Loaded), Checked: instant(l.Checked), Next: instant(l.Next), SHA256: l.SHA256,
			Error: l.Err, Failed: instant(l.Failed), Rejected: map[string]int{}, Hits: countsOf(s.detection.detector.Hits(l.Name)),
		}
		if l.Kind == blocklist.Block {
			st.Mode = p.Mode
		}
		for reason, n := range l.Rejected {
			if n > 0 {
				st.Rejected[blocklist.Reason(reason).String()] = n
			}
		}
		out = append(out, st)
	}
	return out, nil
}

// refreshResult is the answer of POST /api/v1/lists/{list}/refresh.
type refreshResult struct {
	Name    string `json:"name"`
	Changed bool   `json:"changed"` // the data that serve are new
	Before  int    `json:"before"`  // names and addresses
	Entries int    `json:"entries"`
	Error   string `json:"error"` // why what the source has was refused; "": it was not
}

// refreshList is POST /api/v1/lists/{list}/refresh. That the source has nothing
// good is a result and no error.
func (s *service) refreshList(r *http.Request) (any, error) {
	name := r.PathValue("list")
	before := findList(s.detection.lists, name)
	if before == nil {
		return nil, web.NotFound("no list is named %q", name)
	}
	err := s.detection.lists.Refresh(r.Context(), name)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	out := refreshResult{Name: name, Before: before.Entries + before.Addresses}
	if err != nil {
		out.Error = err.Error()
	}
	if now := findList(s.detection.lists, name); now != nil {
		out.Changed, out.Entries = now.SHA256 != before.SHA256, now.Entries+now.Addresses
	}
	return out, nil
}

func findList(lists *blocklist.Lists, name string) *blocklist.List {
	for _, l := range lists.Snapshot().Lists() {
		if l.Name == name {
			return l
		}
	}
	return nil
}

type listsStatusCmd struct {
	controlFlags
	JSON bool `name:"json" help:"Print the answer as it comes, one JSON array."`
}

// Run prints what the running weir says of its lists.
func (c *listsStatusCmd) Run(std stdio) error {
	client, err := c.connect()
	if err != nil {
		return err
	}
	var lists []listStatus
	if err := client.call(context.Background(), http.MethodGet, "/api/v1/lists", nil, &lists); err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(std.out).Encode(lists)
	}
	if err := printLists(std, lists, time.Now()); err != nil {
		return err
	}
	return printRefused(client, std.out)
}

func printLists(std stdio, lists []listStatus, now time.Time) error {
	w := tabwriter.NewWriter(std.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "LIST\tMODE\tENTRIES\tAGE\tNEXT\tHITS\tWOULD BLOCK\tLAST HIT\tREFUSED\tSOURCE")
	for i := range lists {
		l := &lists[i]
		mode := l.Mode
		if mode == "" {
			mode = l.Kind
		}
		if l.Schedule != "" {
			mode += " (" + l.Schedule + ")"
		}
		refused := 0
		for _, n := range l.Rejected {
			refused += n
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\t%d\t%d\t%s\t%d\t%s\n", l.Name, mode, l.Entries+l.Addresses,
			ago(l.Checked, now), ago(l.Next, now), l.Hits.total(), l.Hits.Monitored, ago(l.Hits.Last, now), refused, l.Source)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for i := range lists {
		if l := &lists[i]; l.Error != "" {
			fmt.Fprintf(std.out, "%s: %s\n", l.Name, l.Error)
		}
	}
	return nil
}

// ago is how far a moment is from now, in words.
func ago(t *time.Time, now time.Time) string {
	switch {
	case t == nil:
		return "-"
	case t.After(now):
		return "in " + t.Sub(now).Round(time.Second).String()
	}
	return now.Sub(*t).Round(time.Second).String()
}

type listsRefreshCmd struct {
	Names []string `arg:"" optional:"" name:"list" help:"Lists to refresh. Default: all."`
	controlFlags
}

var errRefused = errors.New("not every list could be refreshed; what they had before keeps serving")

// Run has the running weir refresh lists, one after the other, and prints what
// came of each.
func (c *listsRefreshCmd) Run(std stdio) error {
	client, err := c.connect()
	if err != nil {
		return err
	}
	ctx := context.Background()
	if len(c.Names) == 0 {
		var lists []listStatus
		if err := client.call(ctx, http.MethodGet, "/api/v1/lists", nil, &lists); err != nil {
			return err
		}
		for _, l := range lists {
			c.Names = append(c.Names, l.Name)
		}
	}
	failed := false
	for _, name := range c.Names {
		var r refreshResult
		if err := client.call(ctx, http.MethodPost, "/api/v1/lists/"+url.PathEscape(name)+"/refresh", nil, &r); err != nil {
			r.Error = err.Error()
		}
		switch {
		case r.Error != "":
			failed = true
			fmt.Fprintf(std.out, "%s: refused: %s\n", name, r.Error)
		case r.Changed:
			fmt.Fprintf(std.out, "%s: %d entries, %d before\n", name, r.Entries, r.Before)
		default:
			fmt.Fprintf(std.out, "%s: unchanged, %d entries\n", name, r.Entries)
		}
	}
	if failed {
		return errRefused
	}
	return nil
}
