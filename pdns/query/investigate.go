package query

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"

	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/pdns/store"
)

// Bounds of an investigation: a tree that nobody can read helps nobody.
const (
	maxNames      = 500 // of a client
	maxPerName    = 50  // records and clients of a name
	maxNeighbours = 100 // names that share an address
)

// Seen is who or what was seen, and when.
type Seen struct {
	Client string `json:"client,omitempty"`
	Name   string `json:"name,omitempty"`
	First  int64  `json:"time_first"` // Unix seconds
	Last   int64  `json:"time_last"`
	Count  uint64 `json:"count"`
}

// NameReport is a name, its records, and who else asked for it.
type NameReport struct {
	Seen
	Records []Record `json:"records"`
	Clients []Seen   `json:"clients"` // other than the one that is asked about
}

// ClientReport is what a client asked for.
type ClientReport struct {
	Client    string       `json:"client"`
	Names     []NameReport `json:"names"`
	Truncated bool         `json:"truncated"` // there are more names than shown
}

// AddressReport is an address of a name and the other names that had it.
type AddressReport struct {
	Address string   `json:"address"`
	Names   []Record `json:"names"`
}

// Report is all that is known of a name.
type Report struct {
	Name      string          `json:"name"`
	Domain    *Seen           `json:"registered_domain"` // null: never seen to exist
	Records   []Record        `json:"records"`
	Pointing  []Record        `json:"pointing_here"` // records with this name as their rdata
	Addresses []AddressReport `json:"addresses"`
	// Clients is null where the store keeps none.
	Clients []Seen `json:"clients"`
}

// ErrNoClients says that the store knows no client.
var ErrNoClients = errors.New("no client is kept: set store.clients (and privacy.client_address) to keep who asks for what")

// Client finds what a client asked for, written as the store writes clients.
func Client(ctx context.Context, r *store.Reader, client string) (*ClientReport, error) {
	kept, err := r.KeepsClients(ctx)
	if err != nil {
		return nil, err
	}
	if !kept {
		return nil, ErrNoClients
	}
	out := &ClientReport{Client: client, Names: []NameReport{}}
	for a, err := range r.NamesOf(ctx, client) {
		if err != nil {
			return nil, err
		}
		if len(out.Names) == maxNames {
			out.Truncated = true
			break
		}
		n := NameReport{Seen: Seen{Name: fqdn(a.Name), First: a.First, Last: a.Last, Count: a.Count}}
		if n.Records, err = records(r.Records(ctx, store.Query{Name: a.Name}), maxPerName); err != nil {
			return nil, err
		}
		if n.Clients, err = clients(r.ClientsOf(ctx, a.Name, false), client); err != nil {
			return nil, err
		}
		out.Names = append(out.Names, n)
	}
	return out, nil
}

// Name finds all that is known of a name. registered is its registered domain,
// nil if it has none.
func Name(ctx context.Context, r *store.Reader, name, registered dnsname.Name) (*Report, error) {
	out := &Report{Name: fqdn(name), Addresses: []AddressReport{}}
	if registered != nil {
		d, ok, err := r.Domain(registered)
		if err != nil {
			return nil, err
		}
		if ok {
			out.Domain = &Seen{Name: fqdn(registered), First: d.First, Last: d.Last, Count: d.Count}
		}
	}
	var err error
	if out.Records, err = records(r.Records(ctx, store.Query{Name: name}), maxPerName); err != nil {
		return nil, err
	}
	if out.Pointing, err = records(r.Records(ctx, store.Query{Rdata: fqdn(name)}), maxPerName); err != nil {
		return nil, err
	}
	for _, rec := range out.Records {
		prefix, ok := parseNet(rec.Rdata)
		if !ok || rec.RRType != "A" && rec.RRType != "AAAA" {
			continue
		}
		names, err := records(r.Records(ctx, store.Query{Prefix: prefix}), maxNeighbours)
		if err != nil {
			return nil, err
		}
		out.Addresses = append(out.Addresses, AddressReport{rec.Rdata, names})
	}
	kept, err := r.KeepsClients(ctx)
	if err != nil || !kept {
		return out, err
	}
	out.Clients, err = clients(r.ClientsOf(ctx, name, false), "")
	return out, err
}

func records(all iter.Seq2[store.Record, error], limit int) ([]Record, error) {
	out := []Record{}
	for rec, err := range all {
		if err != nil {
			return nil, err
		}
		if out = append(out, NewRecord(&rec)); len(out) == limit {
			break
		}
	}
	return out, nil
}

func clients(all iter.Seq2[store.Asked, error], but string) ([]Seen, error) {
	out := []Seen{}
	for a, err := range all {
		if err != nil {
			return nil, err
		}
		if a.Client == but {
			continue
		}
		if out = append(out, Seen{Client: a.Client, First: a.First, Last: a.Last, Count: a.Count}); len(out) == maxPerName {
			break
		}
	}
	return out, nil
}

// Print writes the report as a tree.
func (c *ClientReport) Print(w io.Writer) {
	fmt.Fprintf(w, "%s asked for %d names\n", c.Client, len(c.Names))
	for i, n := range c.Names {
		branch, stem := limbs(i == len(c.Names)-1)
		fmt.Fprintf(w, "%s%s  %s\n", branch, n.Name, n.when())
		leaves(w, stem, n.Records, n.Clients, "also asked by ")
	}
	if c.Truncated {
		fmt.Fprintf(w, "and more: only %d are shown\n", maxNames)
	}
}

// Print writes the report as a tree.
func (r *Report) Print(w io.Writer) {
	fmt.Fprintln(w, r.Name)
	if r.Domain != nil {
		fmt.Fprintf(w, "registered domain %s  %s\n", r.Domain.Name, r.Domain.when())
	}
	fmt.Fprintf(w, "records: %d\n", len(r.Records))
	leaves(w, "", r.Records, nil, "")
	fmt.Fprintf(w, "pointing here: %d\n", len(r.Pointing))
	leaves(w, "", r.Pointing, nil, "")
	for _, a := range r.Addresses {
		fmt.Fprintf(w, "names at %s: %d\n", a.Address, len(a.Names))
		leaves(w, "", a.Names, nil, "")
	}
	if r.Clients == nil {
		fmt.Fprintln(w, "clients: not kept (store.clients)")
		return
	}
	fmt.Fprintf(w, "clients: %d\n", len(r.Clients))
	leaves(w, "", nil, r.Clients, "")
}

func (s *Seen) when() string {
	return fmt.Sprintf("%s to %s, %d times", stamp(s.First), stamp(s.Last), s.Count)
}

// limbs are what stands in front of an entry of a tree, and of what is below it.
func limbs(last bool) (branch, stem string) {
	if last {
		return "└─ ", "   "
	}
	return "├─ ", "│  "
}

func leaves(w io.Writer, stem string, records []Record, clients []Seen, label string) {
	var lines []string
	for _, r := range records {
		rdata := r.Rdata
		if r.Folded {
			rdata = "(many names, only counted)"
		}
		s := Seen{First: r.TimeFirst, Last: r.TimeLast, Count: r.Count}
		lines = append(lines, strings.Join([]string{r.RRName, r.RRType, rdata, "", s.when()}, " "))
	}
	for _, c := range clients {
		lines = append(lines, label+c.Client+"  "+c.when())
	}
	for i, l := range lines {
		branch, _ := limbs(i == len(lines)-1)
		fmt.Fprintf(w, "%s%s%s\n", stem, branch, l)
	}
}
