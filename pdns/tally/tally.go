// Package tally counts what passes now: transactions by minute, response codes,
// and the busiest names and clients of the last hour or so. It holds a bounded
// number of counters in memory and nothing on disk. Its minutes are those of the
// data.
package tally

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"sync"

	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/internal/dnswire"
)

const (
	minutes    = 60   // that are kept
	generation = 30   // minutes after which the busiest are counted anew
	counters   = 1024 // of names, and of clients: the busiest among them are exact enough
	shown      = 20
)

// Tally is an output of a pdns.Recorder.
type Tally struct {
	suffixes *dnsname.Suffixes
	client   func(dst []byte, client netip.Addr) []byte // nil: clients are not counted

	mu       sync.Mutex
	ring     [minutes]Minute
	rcodes   map[string]uint64
	born     int64 // minute in which the current generation began
	names    [2]*top
	clients  [2]*top
	recorded uint64
	scratch  []byte
}

// Minute is what passed in one minute.
type Minute struct {
	Time    int64  `json:"time"` // Unix seconds of its beginning
	Queries uint64 `json:"queries"`
	Blocked uint64 `json:"blocked"` // of them answered by policy
	Flagged uint64 `json:"flagged"` // of them with a verdict that only watches
}

// Count is a name, client or response code and how often it was counted. Of
// names and clients the number may be too high by as much as Over.
type Count struct {
	Name  string `json:"name"`
	Count uint64 `json:"count"`
	Over  uint64 `json:"over,omitempty"`
}

// Report is what passed of late.
type Report struct {
	Minutes []Minute `json:"minutes"` // the latest last; those without a query are left out
	Rcodes  []Count  `json:"rcodes"`  // since the start
	Domains []Count  `json:"domains"` // registered domains of the last 30 to 60 minutes
	Clients []Count  `json:"clients"` // null: clients are not counted
}

// New counts clients as client writes them, and none where it is nil.
func New(suffixes *dnsname.Suffixes, client func(dst []byte, client netip.Addr) []byte) *Tally {
	if suffixes == nil {
		suffixes = dnsname.DefaultSuffixes()
	}
	t := &Tally{suffixes: suffixes, client: client, rcodes: map[string]uint64{}}
	t.renew()
	t.renew()
	return t
}

// renew begins a generation; mu is held, or nobody else knows t.
func (t *Tally) renew() {
	t.names = [2]*top{newTop(), t.names[0]}
	t.clients = [2]*top{newTop(), t.clients[0]}
}

// Name is the output's name in metrics.
func (t *Tally) Name() string { return "tally" }

// Wants says that all is counted.
func (t *Tally) Wants(*detect.Transaction) bool { return true }

// Consume counts a transaction.
func (t *Tally) Consume(tx *detect.Transaction) {
	minute := tx.Query.Time.Unix() / 60
	t.mu.Lock()
	defer t.mu.Unlock()
	t.recorded++
	m := &t.ring[(minute%minutes+minutes)%minutes]
	if m.Time != minute*60 {
		if m.Time > minute*60 {
			return // older than all that is kept
		}
		*m = Minute{Time: minute * 60}
	}
	m.Queries++
	switch v := &tx.Verdict; {
	case v.Blocks():
		m.Blocked++
	case v.Action != detect.Pass:
		m.Flagged++
	}
	if len(tx.Response) > 0 {
		t.rcodes[dnswire.RcodeString(tx.Rcode)]++ // 4096 codes at most
	} else {
		t.rcodes["none"]++
	}
	if (minute - t.born) >= generation {
		t.born = minute
		t.renew()
	}
	name := tx.Verdict.Registered
	if name == nil {
		name = t.suffixes.Split(tx.Query.Name).Registered
	}
	if name == nil {
		name = tx.Query.Name
	}
	if len(name) > 0 {
		t.scratch = name.AppendText(t.scratch[:0])
		t.names[0].add(t.scratch)
	}
	if t.client == nil {
		return
	}
	if t.scratch = t.client(t.scratch[:0], tx.Query.Client); len(t.scratch) > 0 {
		t.clients[0].add(t.scratch)
	}
}

// Tend, Stopping and Close have nothing to do: nothing is kept.
func (t *Tally) Tend() error  { return nil }
func (t *Tally) Stopping()    {}
func (t *Tally) Close() error { return nil }

// Recorded counts transactions.
func (t *Tally) Recorded() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.recorded
}

// Dropped is 0: there is always room.
func (t *Tally) Dropped() uint64 { return 0 }

// Report is what passed until now.
func (t *Tally) Report() Report {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := Report{Minutes: []Minute{}, Rcodes: []Count{}, Domains: busiest(t.names)}
	for _, m := range t.ring {
		if m.Queries > 0 {
			r.Minutes = append(r.Minutes, m)
		}
	}
	slices.SortFunc(r.Minutes, func(a, b Minute) int { return cmp.Compare(a.Time, b.Time) })
	if n := len(r.Minutes); n > 0 {
		// What is left of an hour before that is not of the last hour.
		oldest := r.Minutes[n-1].Time - minutes*60
		r.Minutes = slices.DeleteFunc(r.Minutes, func(m Minute) bool { return m.Time <= oldest })
	}
	for _, code := range slices.Sorted(maps.Keys(t.rcodes)) {
		r.Rcodes = append(r.Rcodes, Count{Name: code, Count: t.rcodes[code]})
	}
	sortCounts(r.Rcodes)
	if t.client != nil {
		r.Clients = busiest(t.clients)
	}
	return r
}

func busiest(generations [2]*top) []Count {
	sum := map[string]Count{}
	for _, g := range generations {
		for key, c := range g.all {
			was := sum[key]
			sum[key] = Count{Name: key, Count: was.Count + c.count, Over: was.Over + c.over}
		}
	}
	out := slices.Collect(maps.Values(sum))
	slices.SortFunc(out, func(a, b Count) int { return cmp.Compare(a.Name, b.Name) })
	sortCounts(out)
	return slices.Clone(out[:min(len(out), shown)])
}

func sortCounts(c []Count) {
	slices.SortStableFunc(c, func(a, b Count) int { return cmp.Compare(b.Count, a.Count) })
}
