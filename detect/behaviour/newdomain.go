package behaviour

import (
	"strconv"

	"github.com/weirdns/weir/detect"
)

// newDomain tells of a registered domain that resolves and that nobody here has
// asked for before, once the site has been watched for long enough to know, and
// so many a day at most.
func (w *Watcher) newDomain(e *event) {
	c := &w.cfg.NewDomains
	if !e.first || !e.said.exists || w.days < int64(c.LearnDays) || w.deps.Popular(e.registered) {
		return
	}
	if w.newToday++; w.newToday > c.PerDay {
		w.newUntold++
		return
	}
	level := detect.LevelLow
	if e.Verdict.Unscored == detect.Scored && e.Verdict.Level >= detect.LevelMedium {
		level = detect.LevelMedium
	}
	facts := append([]detect.Fact{{Key: "days_watched", Value: strconv.FormatInt(w.days, 10)}}, e.marks()...)
	w.tell(detect.NewDomain, level, e.Query.Time, e.client, e.registered, facts...)
}

// upstreamBlock tells that an upstream answers by a policy of its own: what it
// says then is not what the DNS says.
func (w *Watcher) upstreamBlock(e *event) {
	if e.said.blockedBy == "" || e.registered == nil {
		return
	}
	w.tell(detect.UpstreamBlock, detect.LevelLow, e.Query.Time, e.client, e.registered,
		detect.Fact{Key: "by", Value: e.said.blockedBy}, detect.Fact{Key: "upstream", Value: e.Upstream})
}
