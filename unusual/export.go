package unusual

import (
	"fmt"
	"io"
	"slices"

	"github.com/weirdns/weir/internal/dnsname"
)

// exportHeader are the columns of training/README.md's domains.tsv.gz.
const exportHeader = "fqdn\tlabel\tfamily\tsource\trank\n"

// Export writes what was said of names as the rows that training reads: one for each
// registered domain, benign ones as legit, medium and high ones as dga. What is low
// is left out, being neither, and so are clients. Of what was said of a domain more
// than once the latest counts.
func Export(w io.Writer, all []Feedback, suffixes *dnsname.Suffixes) error {
	if suffixes == nil {
		suffixes = dnsname.DefaultSuffixes()
	}
	latest := map[string]Feedback{}
	for _, f := range all {
		if _, ok := parseClients(f.Target); ok {
			continue
		}
		n, err := dnsname.Parse(f.Target)
		if err != nil {
			continue
		}
		registered := suffixes.Split(n).Registered
		if registered == nil {
			continue
		}
		if old, ok := latest[registered.String()]; !ok || !f.Time.Before(old.Time) {
			latest[registered.String()] = f
		}
	}
	if _, err := io.WriteString(w, exportHeader); err != nil {
		return err
	}
	for _, name := range sortedKeys(latest) {
		label, family := "legit", ""
		switch latest[name].Severity {
		case Low:
			continue
		case Medium, High:
			label, family = "dga", "feedback"
		}
		if _, err := fmt.Fprintf(w, "%s\t%s\t%s\tfeedback%s\t\n", name, label, family, latest[name].Day[:4]); err != nil {
			return err
		}
	}
	return nil
}

func sortedKeys(m map[string]Feedback) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
