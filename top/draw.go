package top

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// Smallest screen that something can be read on.
const (
	minWidth  = 30
	minHeight = 6
)

// look is how a piece of a line looks.
type look string

const (
	plain  look = ""
	strong look = "\x1b[1m"
	soft   look = "\x1b[2m"
	red    look = "\x1b[31m"
	yellow look = "\x1b[33m"
	marked look = "\x1b[7m"
	reset       = "\x1b[0m"
)

// Line is one line of the screen, without its end, of printable ASCII, and how
// it looks as a whole.
type Line struct {
	Text string
	look look
}

// Draw is the screen, at most height lines of at most width columns.
func (s *Screen) Draw(width, height int, now time.Time) []Line {
	if width < minWidth || height < minHeight {
		return []Line{clip(Line{Text: "weir: too small"}, width)}
	}
	var out []Line
	add := func(l look, format string, args ...any) {
		out = append(out, clip(Line{fmt.Sprintf(format, args...), l}, width))
	}
	s.head(add, now)
	room := height - len(out) - 1 // the last line is for keys
	if busy := s.busiest(width, room/3); len(busy) > 1 {
		out = append(out, busy...)
		room -= len(busy)
	}
	// The two lists share what is left, and what one does not need the other gets.
	need := [paneCount]int{recent: len(s.recent), highest: len(s.scores)}
	lower := min(need[highest]+1, max(room/3, 2))
	upper := room - lower
	if upper < 2 {
		upper, lower = room, 0
	} else if need[recent]+1 < upper {
		upper = max(need[recent]+1, 2)
		lower = min(need[highest]+1, room-upper)
	}
	if s.at == highest && lower < 2 {
		upper, lower = 0, room
	}
	out = append(out, s.pane(recent, "DETECTIONS", width, upper)...)
	out = append(out, s.pane(highest, "HIGHEST SCORES OF DETECTIONS", width, lower)...)
	for len(out) < height-1 {
		out = append(out, Line{})
	}
	return append(out[:height-1], clip(s.foot(), width))
}

// Print writes what there is, once, for who is no terminal.
func (s *Screen) Print(w io.Writer, now time.Time) error {
	const width, height = 120, 48
	lines := s.Draw(width, height, now)
	for i, l := range lines[:len(lines)-1] { // without the keys
		if l.Text == "" {
			break
		}
		if i > 0 && l.look == strong {
			fmt.Fprintln(w)
		}
		if _, err := fmt.Fprintln(w, strings.TrimRight(strings.TrimPrefix(l.Text, "> "), " ")); err != nil {
			return err
		}
	}
	return nil
}

// head says how it goes, in numbers.
func (s *Screen) head(add func(l look, format string, args ...any), now time.Time) {
	title := s.title
	if s.paused {
		title += "  [paused]"
	}
	last := s.last()
	if last != nil {
		title += "  up " + last.Time.Sub(last.Started).Round(time.Second).String()
	}
	add(strong, "%s", title)
	switch {
	case s.trouble != "":
		add(red, "no answer for %s: %s", now.Sub(s.since).Round(time.Second), s.trouble)
	case last == nil:
		add(soft, "asking ...")
	case len(last.Missing) > 0:
		add(red, "not ready: %s", clean(strings.Join(last.Missing, "; ")))
	}
	if last == nil {
		return
	}
	r, ok := s.rates()
	if !ok {
		add(plain, "Queries ...  (%.0f since the start)", last.Answers)
		return
	}
	median := "-"
	if last.Median != nil {
		median = fmt.Sprintf("%.1f ms", *last.Median*1000)
	}
	add(plain, "Queries %s/s  NXDOMAIN %s  cache %s  upstream %s", number(r.answers), percent(r.nx, r.answers), percent(r.hits, r.hits+r.misses), median)
	add(plain, "Blocked %s/s (%s)  would be %s/s  since the start: %.0f blocked, %.0f would be", number(r.blocked), percent(r.blocked, r.answers), number(r.watched), last.Blocked, last.Watched)
}

// busiest are clients and domains beside each other.
func (s *Screen) busiest(width, most int) []Line {
	last := s.last()
	if last == nil || most < 2 {
		return nil
	}
	column := (width - 2) / 2
	list := func(title, none string, all []Count) []string {
		out := []string{fmt.Sprintf("%-*s", column-8, title) + "  COUNT"}
		for _, c := range all {
			out = append(out, fmt.Sprintf("%-*s %7d", column-8, fit(clean(c.Name), column-8), c.Count))
		}
		if len(all) == 0 {
			out = append(out, none)
		}
		return out[:min(len(out), most)]
	}
	none := "none yet"
	if last.Clients == nil {
		none = "not kept (store.clients)"
	}
	left, right := list("CLIENTS, of late", none, last.Clients), list("DOMAINS, of late", "none yet", last.Domains)
	var out []Line
	for i := range max(len(left), len(right)) {
		at := func(l []string) string {
			if i < len(l) {
				return l[i]
			}
			return ""
		}
		line := Line{Text: fmt.Sprintf("%-*s  %s", column, fit(at(left), column), at(right))}
		if i == 0 {
			line.look = strong
		}
		out = append(out, clip(line, width))
	}
	return out
}

// pane is a list with its title, rows lines at most.
func (s *Screen) pane(p pane, title string, width, rows int) []Line {
	if rows < 2 {
		return nil
	}
	list := s.list(p)
	mark := "  "
	if p == s.at {
		mark = "> "
	}
	out := []Line{clip(Line{mark + title, strong}, width)}
	chosen := s.place(p)
	first := max(chosen-(rows-1)+1, 0)
	for i := first; i < len(list) && len(out) < rows; i++ {
		l := Line{Text: row(&list[i], width)}
		switch {
		case p == s.at && i == chosen:
			l.look = marked
		case list[i].Blocked:
			l.look = red
		default:
			l.look = yellow
		}
		out = append(out, clip(l, width))
	}
	if len(list) == 0 {
		out = append(out, clip(Line{"  none yet", soft}, width))
	}
	return out
}

// row is a detection: time, score, name, verdict, client. Names have what the
// others leave.
func row(d *Detection, width int) string {
	score := "     "
	if d.Score != nil {
		score = fmt.Sprintf("%.3f", *d.Score)
	}
	verdict := clean(d.Verdict)
	if d.Level != "" && d.Level != "none" {
		verdict += ", " + clean(d.Level)
	}
	client := clean(d.Client)
	room := width - len("  15:04:05 0.000 ")
	if rest := room - 2 - 26 - 2 - 18; rest >= 12 {
		return fmt.Sprintf("  %s %s %-*s  %-26s  %s", d.Time.Local().Format(time.TimeOnly), score, rest, fit(clean(d.Name), rest), fit(verdict, 26), fit(client, 18))
	}
	return fmt.Sprintf("  %s %s %s", d.Time.Local().Format(time.TimeOnly), score, fit(clean(d.Name), room))
}

// foot is what was said last, or the keys.
func (s *Screen) foot() Line {
	switch {
	case s.said != "" && s.bad:
		return Line{s.said, red}
	case s.said != "":
		return Line{s.said, strong}
	}
	return Line{"up/down choose  tab other list  a let through for 10 min  u no longer  p pause  q quit", soft}
}

// fit cuts s, which is ASCII, to n columns.
func fit(s string, n int) string {
	if len(s) <= n {
		return s
	}
	if n <= 0 {
		return ""
	}
	return s[:n-1] + "~"
}

func clip(l Line, width int) Line {
	l.Text = fit(l.Text, width)
	return l
}

// clean is s in printable ASCII, whatever is in it.
func clean(s string) string {
	ok := func(r rune) bool { return r >= ' ' && r <= '~' }
	if !strings.ContainsFunc(s, func(r rune) bool { return !ok(r) }) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if ok(r) {
			b.WriteRune(r)
		} else {
			fmt.Fprintf(&b, `\u{%x}`, r)
		}
	}
	return b.String()
}

func percent(part, all float64) string {
	if all <= 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f %%", 100*part/all)
}

func number(n float64) string {
	if n >= 100 {
		return fmt.Sprintf("%.0f", n)
	}
	return fmt.Sprintf("%.1f", n)
}
