package detect

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// ScheduleConfig is times of the week, for lists and groups to refer to.
type ScheduleConfig struct {
	// Name is what lists and groups refer to.
	Name string `yaml:"name"`
	// Days of the week, of mon, tue, wed, thu, fri, sat, sun. Empty: every day.
	Days []string `yaml:"days"`
	// Hours are spans of the day, "HH:MM-HH:MM", the end not included. One that
	// ends before it begins goes on past midnight and belongs to the day on
	// which it began. Empty: the whole day.
	Hours []string `yaml:"hours"`
	// TimeZone is a name of the IANA time zone database, like Europe/Berlin; Local is
	// the machine's own. Default UTC.
	TimeZone string `yaml:"time_zone"`
}

const (
	maxSchedules  = 256
	maxSpans      = 64 // of one schedule
	minutesOfADay = 24 * 60
)

// schedule is a ScheduleConfig made ready to use. A nil schedule is always.
type schedule struct {
	name  string
	zone  *time.Location
	days  [7]bool // by time.Weekday
	spans []span
}

// span is minutes of a day; an end past the day's goes into the next.
type span struct{ from, to int }

var dayNames = [...]string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"} // by time.Weekday

// active says whether t is within the schedule, by the clocks on the walls of
// its zone.
func (s *schedule) active(t time.Time) bool {
	if s == nil {
		return true
	}
	local := t.In(s.zone)
	hour, minute, _ := local.Clock()
	now := hour*60 + minute
	today := local.Weekday()
	yesterday := (today + 6) % 7
	for _, p := range s.spans {
		if s.days[today] && now >= p.from && now < p.to || s.days[yesterday] && now+minutesOfADay < p.to {
			return true
		}
	}
	return false
}

// newSchedules reads all schedules by name; errors begin with the field.
func newSchedules(errs *[]error, configs []ScheduleConfig) map[string]*schedule {
	if len(configs) > maxSchedules {
		*errs = append(*errs, fmt.Errorf("schedules: at most %d, got %d", maxSchedules, len(configs)))
		return nil
	}
	out := make(map[string]*schedule, len(configs))
	for i := range configs {
		c, at := &configs[i], fmt.Sprintf("schedules[%d]", i)
		s, err := newSchedule(c)
		for _, e := range err {
			*errs = append(*errs, fmt.Errorf("%s.%w", at, e))
		}
		if out[c.Name] != nil {
			*errs = append(*errs, fmt.Errorf("%s.name: %q is used by an earlier schedule", at, c.Name))
		}
		out[c.Name] = s
	}
	return out
}

func newSchedule(c *ScheduleConfig) (*schedule, []error) {
	var errs []error
	s := &schedule{name: c.Name, zone: time.UTC}
	if c.Name == "" {
		errs = append(errs, errors.New("name: must not be empty"))
	}
	if c.TimeZone != "" {
		zone, err := time.LoadLocation(c.TimeZone)
		if err != nil {
			errs = append(errs, fmt.Errorf("time_zone: %q is not in the time zone database; want a name like Europe/Berlin", c.TimeZone))
		} else {
			s.zone = zone
		}
	}
	for i, day := range c.Days {
		at := slices.Index(dayNames[:], day)
		if at < 0 {
			errs = append(errs, fmt.Errorf("days[%d]: must be one of %q, got %q", i, dayNames, day))
			continue
		}
		s.days[at] = true
	}
	if len(c.Days) == 0 {
		s.days = [7]bool{true, true, true, true, true, true, true}
	}
	if len(c.Hours) > maxSpans {
		errs = append(errs, fmt.Errorf("hours: at most %d, got %d", maxSpans, len(c.Hours)))
		return s, errs
	}
	for i, text := range c.Hours {
		p, err := parseSpan(text)
		if err != nil {
			errs = append(errs, fmt.Errorf("hours[%d]: %w", i, err))
		}
		s.spans = append(s.spans, p)
	}
	if len(c.Hours) == 0 {
		s.spans = []span{{0, minutesOfADay}}
	}
	return s, errs
}

func parseSpan(text string) (span, error) {
	from, to, ok := strings.Cut(text, "-")
	a, errA := parseMinute(from)
	b, errB := parseMinute(to)
	if !ok || errA != nil || errB != nil || a == minutesOfADay || a == b {
		return span{}, fmt.Errorf("must be like 08:00-17:30, got %q", text)
	}
	if b < a {
		b += minutesOfADay
	}
	return span{a, b}, nil
}

// parseMinute reads HH:MM, up to 24:00.
func parseMinute(text string) (int, error) {
	if text == "24:00" {
		return minutesOfADay, nil
	}
	t, err := time.Parse("15:04", text)
	return t.Hour()*60 + t.Minute(), err
}
