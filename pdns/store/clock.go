package store

import "time"

// A clock that jumps must not empty the store: a jump is believed when it has
// stood for a day. Smaller steps are taken as they are.
const (
	jumpSize  = time.Hour
	jumpTrust = 24 * time.Hour
)

// sources are the two clocks of a machine, apart so that a test can move one.
type sources struct {
	wall func() time.Time     // may be set by anybody
	mono func() time.Duration // only goes on
}

func systemClocks() sources {
	start := time.Now()
	return sources{
		wall: func() time.Time { return time.Now().Round(0) },
		mono: func() time.Duration { return time.Since(start) },
	}
}

// steadyClock is the time by which records grow old.
type steadyClock struct {
	sources
	wallAt time.Time     // believed
	monoAt time.Duration // when it was
	jumped time.Duration // since when the wall clock says something else; 0: it does not
}

func newSteadyClock(s sources) *steadyClock {
	return &steadyClock{sources: s, wallAt: s.wall(), monoAt: s.mono()}
}

// now is the believed time.
func (c *steadyClock) now() time.Time {
	wall, mono := c.wall(), c.mono()
	expected := c.wallAt.Add(mono - c.monoAt)
	if diff := wall.Sub(expected).Abs(); diff < jumpSize {
		c.wallAt, c.monoAt, c.jumped = wall, mono, 0
		return wall
	}
	if c.jumped == 0 {
		c.jumped = max(mono, 1)
	}
	if mono-c.jumped >= jumpTrust {
		c.wallAt, c.monoAt, c.jumped = wall, mono, 0
		return wall
	}
	return expected
}

// longOff is for how long a machine may have been off without its clock being in
// doubt when it is on again.
const longOff = 30 * 24 * time.Hour

// resume tells the clock when the store was last written to: a clock that is
// behind that, or far ahead of it, has jumped.
func (c *steadyClock) resume(last time.Time) {
	if c.wallAt.Before(last) || c.wallAt.Sub(last) > longOff {
		c.wallAt = last
	}
}
