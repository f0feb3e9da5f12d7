package main

import (
	"net/http"
	"time"

	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/web"
)

// modelsReport is the answer of GET /api/v1/models.
type modelsReport struct {
	Live   *modelCard `json:"live"`   // null: none
	Shadow *modelCard `json:"shadow"` // null: none is on trial
	Mode   string     `json:"mode"`
	Level  string     `json:"level"` // from which a score is a detection, where the site does not say
	// Compared counts registered domains by what both models said.
	Compared []levelPair `json:"compared"`
	Site     siteReport  `json:"site"`
}

// modelCard is a model in a few words. docs/model-card.md has all of them.
type modelCard struct {
	Name       string           `json:"name"`
	Version    string           `json:"version"`
	SHA256     string           `json:"sha256"`
	Created    time.Time        `json:"created"`
	Features   string           `json:"feature_set"`
	Trees      int              `json:"trees"`
	Thresholds []modelThreshold `json:"thresholds"`
	// Calibration are points of score and probability; null: there is none.
	Calibration [][2]float64 `json:"calibration"`
}

type modelThreshold struct {
	Level string  `json:"level"`
	Score float64 `json:"score"`
	FPR   float64 `json:"fpr"` // nominal: docs/model-card.md
	// SiteOneIn is how rare such a score is among this site's names; null: too
	// few were seen.
	SiteOneIn *uint32 `json:"site_one_in"`
}

type levelPair struct {
	Level  string  `json:"level"`
	Shadow string  `json:"shadow_level"`
	Names  float64 `json:"names"`
}

// siteReport is how this site's own names score.
type siteReport struct {
	Names  int         `json:"names"`
	Needed int         `json:"needed"` // from how many on it says how rare a score is
	Curve  []siteScore `json:"curve"`  // null while it does not
}

type siteScore struct {
	Score float64 `json:"score"`
	OneIn uint32  `json:"one_in"` // of the names scores as high
}

// siteScores are where the curve of the site has its points: even steps of the
// odds, since that is where scores lie.
var siteScores = [...]float64{.0001, .0003, .001, .003, .01, .03, .1, .25, .5, .75, .9, .95, .98, .99, .995, .999, .9995, .9999}

// models is GET /api/v1/models.
func (s *service) models(*http.Request) (any, error) {
	cfg := s.cfg.Load()
	r := &modelsReport{Mode: cfg.Detect.Model.Mode, Level: cfg.Detect.Model.Level, Compared: []levelPair{}}
	site := s.detection.detector.Site()
	r.Live, r.Shadow = cardOf(s.detection.detector.Model(), site), cardOf(s.detection.detector.ShadowModel(), nil)
	r.Site = siteReport{Names: site.Names(), Needed: detect.SiteNamesNeeded}
	for _, score := range siteScores {
		if n := site.OneIn(score); n > 0 {
			r.Site.Curve = append(r.Site.Curve, siteScore{score, n})
		}
	}
	families, err := s.registry.Gather()
	if err != nil {
		return nil, err
	}
	for _, f := range families {
		if f.GetName() != "weir_shadow_names_total" {
			continue
		}
		for _, m := range f.GetMetric() {
			p := levelPair{Names: m.GetCounter().GetValue()}
			for _, l := range m.GetLabel() {
				if l.GetName() == "level" {
					p.Level = l.GetValue()
				} else {
					p.Shadow = l.GetValue()
				}
			}
			r.Compared = append(r.Compared, p)
		}
	}
	return r, nil
}

func cardOf(m *detect.Model, site *detect.Site) *modelCard {
	if m == nil {
		return nil
	}
	info := m.Info()
	c := &modelCard{
		Name: info.Name, Version: info.Version, SHA256: info.SHA256, Created: info.Created.UTC(), Features: info.FeatureSet, Trees: info.Trees,
		Calibration: m.Calibration(),
	}
	for _, t := range info.Thresholds {
		th := modelThreshold{Level: t.Level.String(), Score: t.Score, FPR: t.FPR}
		if site != nil {
			if n := site.OneIn(t.Score); n > 0 {
				th.SiteOneIn = &n
			}
		}
		c.Thresholds = append(c.Thresholds, th)
	}
	return c
}

func (s *service) modelRoutes() []web.Route {
	return []web.Route{{Pattern: "GET /api/v1/models", Handler: web.Answer(s.models)}}
}
