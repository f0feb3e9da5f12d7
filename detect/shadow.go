package detect

import "github.com/weirdns/weir/internal/dnsname"

// shadow is a model on trial, with scores of its own.
type shadow struct {
	model  *Model
	scores *scores
}

// SetShadow puts a model on trial beside the one in use, or ends the trial with
// nil. It is asked for every name that the other one scores; what it says is
// recorded and counted, and nothing follows from it. Calls of SetShadow and
// Swap must not overlap.
func (d *Detector) SetShadow(m *Model) {
	next := *d.state.Load()
	switch {
	case m == nil:
		next.shadow = nil
	case next.shadow.which() != m:
		next.shadow = &shadow{model: m, scores: newScores(next.policy.cacheEntries)}
	}
	d.state.Store(&next)
	d.metrics.setModels(next.model, m)
}

// ShadowModel is the model on trial, nil if there is none.
func (d *Detector) ShadowModel() *Model { return d.state.Load().shadow.which() }

// which is the model on trial, nil if there is none.
func (s *shadow) which() *Model {
	if s == nil {
		return nil
	}
	return s.model
}

// resized keeps the trial and its scores, unless there is more room for them
// now.
func (s *shadow) resized(entries int) *shadow {
	if s == nil || entries <= len(s.scores.sets)*ways {
		return s
	}
	return &shadow{model: s.model, scores: newScores(entries)}
}

// askShadow adds to v what the model on trial says. It counts each domain
// once, by both levels; a failure is counted and leaves v as it was.
func (d *Detector) askShadow(s *shadow, name dnsname.Name, v *Verdict) {
	score, ok := s.scores.load(v.Registered)
	if !ok {
		raw, err := s.model.Score(d.deps.Suffixes.Split(name))
		if err != nil {
			d.metrics.shadowFailed.Add(1)
			return
		}
		score = quantize(raw)
		s.scores.store(v.Registered, score)
		d.metrics.compared[v.Level][s.model.Level(unquantize(score))].Add(1)
	}
	v.Shadow = Shadow{Model: s.model.info.Version, Score: unquantize(score), Level: s.model.Level(unquantize(score))}
}
