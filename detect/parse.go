package detect

import (
	"errors"
	"net/netip"
	"slices"
	"time"
)

// ParseOrigin is the origin of that name.
func ParseOrigin(s string) (Origin, bool) {
	i := slices.Index(originNames[:], s)
	return Origin(max(i, 0)), i >= 0
}

// ParseAction is the action of that name.
func ParseAction(s string) (Action, bool) {
	i := slices.Index(actionNames[:], s)
	return Action(max(i, 0)), i >= 0
}

// ParseLevel is the level of that name.
func ParseLevel(s string) (Level, bool) {
	i := slices.Index(levelNames[:], s)
	return Level(max(i, 0)), i >= 0
}

// Schedule is times of the week, for who else goes by them. Nil is never.
type Schedule struct{ when *schedule }

// ParseSchedules reads schedules by name. Errors begin with schedules[i].
func ParseSchedules(configs []ScheduleConfig) (map[string]*Schedule, error) {
	var errs []error
	out := make(map[string]*Schedule, len(configs))
	for name, s := range newSchedules(&errs, configs) {
		out[name] = &Schedule{s}
	}
	return out, errors.Join(errs...)
}

// Active says whether t is within the schedule.
func (s *Schedule) Active(t time.Time) bool { return s != nil && s.when.active(t) }

// Group is the name of the group that a client belongs to at a moment, "" for
// none.
func (d *Detector) Group(client netip.Addr, t time.Time) string {
	return d.state.Load().policy.viewOf(client, t).group
}
