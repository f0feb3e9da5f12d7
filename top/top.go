// Package top is the screen of weir top: what passes a running weir, in a
// terminal. It is told what there is to show, turns it into lines, and says what
// a key asks for. It asks nobody itself, and reads no clock: times come with
// what it is told.
//
// Whatever comes from a network is shown in printable ASCII: no name can move
// the cursor, change a title or look like another.
package top

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// Bounds of what is remembered.
const (
	maxDetections = 200
	maxScores     = 50
	// scoreAge is how long a score is among the highest.
	scoreAge = time.Hour
	// rateSpan is over how long rates are averaged.
	rateSpan = 10 * time.Second
)

// Sample is what weir says of itself at one moment. Counts are since its start.
type Sample struct {
	Time    time.Time // of the sample
	Started time.Time
	Missing []string // what keeps it from being ready
	Answers float64
	NX      float64 // of them NXDOMAIN
	Blocked float64 // queries
	Watched float64 // would have been blocked
	Hits    float64 // of the cache
	Misses  float64
	Median  *float64 // of upstream answers, seconds; nil: none yet
	// Clients and Domains are the busiest of late. Clients is nil where none are
	// counted.
	Clients, Domains []Count
}

// Count is how often something was asked.
type Count struct {
	Name  string
	Count uint64
}

// Detection is a name that policy had something to say of.
type Detection struct {
	Time   time.Time
	Name   string
	Client string // "": not kept, or not known
	// Verdict is in words, as "blocked: model".
	Verdict string
	Blocked bool
	Score   *float64 // nil: not scored
	Level   string
}

// pane is a list that lines are chosen in.
type pane int

const (
	recent pane = iota // detections
	highest
	paneCount
)

// Screen is what is shown. It is one goroutine's.
type Screen struct {
	title   string
	samples []Sample // the newest last
	recent  []Detection
	scores  []Detection // of recent ones, the highest first
	chosen  [paneCount]string
	at      pane
	paused  bool
	trouble string    // why nothing new comes
	since   time.Time // of trouble
	said    string
	bad     bool        // what is said went wrong
	waiting []Detection // while paused
}

// New is an empty screen of the weir that title names.
func New(title string) *Screen { return &Screen{title: clean(title)} }

// Sample shows s as the newest numbers.
func (s *Screen) Sample(n Sample) {
	s.trouble = ""
	if last := s.last(); last != nil && !last.Started.Equal(n.Started) {
		s.samples = nil // another weir: its counts began anew
	}
	s.samples = append(s.samples, n)
	for len(s.samples) > 2 && n.Time.Sub(s.samples[1].Time) >= rateSpan {
		s.samples = s.samples[1:]
	}
	s.scores = slices.DeleteFunc(s.scores, func(d Detection) bool { return n.Time.Sub(d.Time) > scoreAge })
}

func (s *Screen) last() *Sample {
	if len(s.samples) == 0 {
		return nil
	}
	return &s.samples[len(s.samples)-1]
}

// Detected shows detections, in whatever order they come.
func (s *Screen) Detected(all ...Detection) {
	for _, d := range all {
		s.scored(d)
		if s.paused {
			s.waiting = append(s.waiting, d)
			s.waiting = s.waiting[max(len(s.waiting)-maxDetections, 0):]
			continue
		}
		s.passed(d)
	}
}

// passed puts a name where its time belongs, once.
func (s *Screen) passed(d Detection) {
	if i := slices.IndexFunc(s.recent, func(o Detection) bool { return o.Name == d.Name }); i >= 0 {
		if d.Time.Before(s.recent[i].Time) {
			return
		}
		if d.Client == "" {
			d.Client = s.recent[i].Client
		}
		s.recent = slices.Delete(s.recent, i, i+1)
	}
	i, _ := slices.BinarySearchFunc(s.recent, d, func(a, b Detection) int { return b.Time.Compare(a.Time) })
	s.recent = slices.Insert(s.recent, i, d)
	s.recent = s.recent[:min(len(s.recent), maxDetections)]
}

// scored puts a name among the highest scores, once.
func (s *Screen) scored(d Detection) {
	if d.Score == nil {
		return
	}
	s.scores = slices.DeleteFunc(s.scores, func(o Detection) bool { return o.Name == d.Name })
	i, _ := slices.BinarySearchFunc(s.scores, d, func(a, b Detection) int {
		return cmp.Or(cmp.Compare(*b.Score, *a.Score), b.Time.Compare(a.Time), cmp.Compare(a.Name, b.Name))
	})
	s.scores = slices.Insert(s.scores, i, d)
	s.scores = s.scores[:min(len(s.scores), maxScores)]
}

// Trouble says that weir cannot be asked, since a moment.
func (s *Screen) Trouble(err error, now time.Time) {
	if s.trouble == "" {
		s.since = now
	}
	s.trouble = clean(err.Error())
}

// Say shows how something went that was asked for.
func (s *Screen) Say(bad bool, format string, args ...any) {
	s.said, s.bad = clean(fmt.Sprintf(format, args...)), bad
}

// lines of the pane that keys go to.
func (s *Screen) list(p pane) []Detection {
	if p == highest {
		return s.scores
	}
	return s.recent
}

// place is where the chosen name is in its list now: what moves takes the choice
// along, and what is gone leaves it to the first.
func (s *Screen) place(p pane) int {
	return max(slices.IndexFunc(s.list(p), func(d Detection) bool { return d.Name == s.chosen[p] }), 0)
}

func (s *Screen) move(by int) {
	list := s.list(s.at)
	if len(list) > 0 {
		s.chosen[s.at] = list[min(max(s.place(s.at)+by, 0), len(list)-1)].Name
	}
}

// Asked is what a key asks for.
type Asked int

// What keys ask for.
const (
	Nothing Asked = iota
	Quit
	Allow // the name is to be let through for a while
	Deny  // no longer
)

// Press does what a key says, or says what is to be done by others, and about
// which name.
func (s *Screen) Press(k Key) (Asked, string) {
	s.said = ""
	switch k {
	case KeyQuit:
		return Quit, ""
	case KeyUp:
		s.move(-1)
	case KeyDown:
		s.move(1)
	case KeyPageUp:
		s.move(-10)
	case KeyPageDown:
		s.move(10)
	case KeyTab:
		s.at = (s.at + 1) % paneCount
	case KeyPause:
		s.paused = !s.paused
		if !s.paused {
			s.Detected(s.waiting...)
			s.waiting = nil
		}
	case KeyAllow, KeyDeny:
		list := s.list(s.at)
		if len(list) == 0 {
			s.Say(true, "there is no name to choose yet")
			return Nothing, ""
		}
		name := list[s.place(s.at)].Name
		s.chosen[s.at] = name // it may have been the first by chance
		if k == KeyAllow {
			return Allow, name
		}
		return Deny, name
	}
	return Nothing, ""
}

// rates are what passes in a second.
type rates struct {
	answers, nx, blocked, watched, hits, misses float64
}

// rates are averaged over the samples that are remembered; false: there is only
// one.
func (s *Screen) rates() (rates, bool) {
	if len(s.samples) < 2 {
		return rates{}, false
	}
	a, b := &s.samples[0], s.last()
	span := b.Time.Sub(a.Time).Seconds()
	if span <= 0 {
		return rates{}, false
	}
	per := func(from, to float64) float64 { return max(to-from, 0) / span }
	return rates{
		per(a.Answers, b.Answers), per(a.NX, b.NX), per(a.Blocked, b.Blocked), per(a.Watched, b.Watched), per(a.Hits, b.Hits), per(a.Misses, b.Misses),
	}, true
}
