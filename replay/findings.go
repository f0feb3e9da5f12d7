package replay

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/weirdns/weir/detect"
)

// Found is a finding as a report shows it.
type Found struct {
	Time     time.Time         `json:"time"`
	Kind     string            `json:"kind"`
	Level    string            `json:"level"`
	Client   string            `json:"client,omitempty"`
	Name     string            `json:"name,omitempty"`
	Evidence map[string]string `json:"evidence,omitempty"`

	facts []detect.Fact
}

// maxFound bounds the findings of a report.
const maxFound = 1 << 14

// Find adds a finding.
func (r *Report) Find(f *detect.Finding) {
	if len(r.Findings) >= maxFound {
		r.Overflow++
		return
	}
	found := Found{Time: f.Time.UTC(), Kind: f.Kind.String(), Level: f.Level.String(), Evidence: map[string]string{}}
	if f.Client.IsValid() {
		found.Client = r.show(f.Client)
	}
	if f.Name != nil {
		found.Name = f.Name.String()
	}
	for _, fact := range f.Evidence {
		found.Evidence[fact.Key] = fact.Value
		found.facts = append(found.facts, fact)
	}
	r.Findings = append(r.Findings, found)
}

// findings writes what was found for people.
func (r *Report) findings(w io.Writer) {
	if len(r.Findings) == 0 {
		return
	}
	fmt.Fprintf(w, "\nfinding\tlevel\tfirst told\tclient\tname\twhy\n")
	for i, f := range r.Findings {
		if i == maxShownRows {
			fmt.Fprintf(w, "... and %d more\n", len(r.Findings)-i)
			break
		}
		var why []string
		for _, fact := range f.facts {
			why = append(why, fact.Key+" "+fact.Value)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", f.Kind, f.Level, f.Time.Format(time.RFC3339), f.Client, f.Name, strings.Join(why, ", "))
	}
}
