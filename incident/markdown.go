package incident

import (
	"fmt"
	"strings"
	"time"
)

// Markdown is the incident for a report. What came from elsewhere (names,
// clients, texts) stands in code spans, so that it is shown as it is.
func (i *Incident) Markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\n", code(i.Title))
	fmt.Fprintf(&b, "Incident %s, opened %s, changed %s.\n", i.ID, i.Created.Format(time.RFC3339), i.Updated.Format(time.RFC3339))
	if i.Note != "" {
		fence := strings.Repeat("`", max(longest(i.Note)+1, 3))
		fmt.Fprintf(&b, "\n## Note\n\n%stext\n%s\n%s\n", fence, strings.TrimRight(i.Note, "\n"), fence)
	}
	fmt.Fprintf(&b, "\n## Events (%d)\n\n", len(i.Events))
	for _, e := range i.Events {
		fmt.Fprintf(&b, "- %s", e.Time.Format(time.RFC3339))
		for _, part := range [...]struct{ label, value string }{{"", e.Kind}, {"name", e.Name}, {"client", e.Client}, {"", e.Text}} {
			switch {
			case part.value == "":
			case part.label == "":
				b.WriteString(", " + code(part.value))
			default:
				b.WriteString(", " + part.label + " " + code(part.value))
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// code is s as a code span: behind more backquotes than it has in a row
// (CommonMark, section 6.1).
func code(s string) string {
	mark := strings.Repeat("`", longest(s)+1)
	if strings.HasPrefix(s, "`") || strings.HasSuffix(s, "`") || strings.TrimSpace(s) == "" {
		s = " " + s + " "
	}
	return mark + s + mark
}

// longest is how many backquotes stand in a row in s at most.
func longest(s string) int {
	most, now := 0, 0
	for i := range len(s) {
		if s[i] != '`' {
			now = 0
			continue
		}
		now++
		most = max(most, now)
	}
	return most
}
