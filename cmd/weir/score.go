package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/internal/dnswire"
	"go.uber.org/zap"
)

type scoreCmd struct {
	Names    []string `arg:"" name:"name" help:"Names to judge; \"-\" reads them from standard input, one a line."`
	Conf     string   `short:"c" name:"config" placeholder:"FILE" help:"Configuration whose lists, model and policy judge. Default: the built-in model, no lists."`
	Features bool     `default:"true" negatable:"" help:"Print the features that the score was made of."`
}

// scored is one line of output. Score is null, not 0, for a name without one,
// and so is the probability of a model without a calibration.
type scored struct {
	Name        string             `json:"name"`
	Registered  string             `json:"registered_domain"`
	Scored      bool               `json:"scored"`
	Reason      string             `json:"reason"`
	Error       string             `json:"error,omitempty"`
	Score       *float64           `json:"score"`
	Probability *float64           `json:"probability"`
	Level       string             `json:"level"`
	Origin      string             `json:"origin"`
	Action      string             `json:"action"`
	Enforced    bool               `json:"enforced"`
	Matches     []scoredMatch      `json:"matches,omitempty"`
	Features    map[string]float64 `json:"features,omitempty"`
}

type scoredMatch struct {
	List string `json:"list"`
	Rule string `json:"rule"`
	Info string `json:"info"`
	Kind string `json:"kind"`
	// Effect is what the entry does by itself: enforce, monitor and so on.
	Effect string `json:"effect"`
}

// Run judges names through the code that judges the resolver's queries.
func (c *scoreCmd) Run(std stdio) error {
	cfg, err := loadConfig(c.Conf)
	if err != nil {
		return err
	}
	d, err := newDetection(cfg, zap.NewNop(), newRegistry())
	if err != nil {
		return err
	}
	if err := d.load(); err != nil {
		return err
	}
	out := bufio.NewWriterSize(std.out, 64<<10)
	s := &scorer{detection: d, out: json.NewEncoder(out), features: c.Features}
	s.out.SetEscapeHTML(false)
	return errors.Join(s.judgeArgs(c.Names, std.in), out.Flush())
}

type scorer struct {
	detection *detection
	out       *json.Encoder
	features  bool
	verdict   detect.Verdict
	vector    []float64
}

func (s *scorer) judgeArgs(names []string, in io.Reader) error {
	for _, name := range names {
		judge := func() error { return s.judge(name) }
		if name == "-" {
			judge = func() error { return s.judgeAll(in) }
		}
		if err := judge(); err != nil {
			return err
		}
	}
	return nil
}

// maxLine bounds a line of input. Four octets of text can stand for one of a
// name, so every name fits.
const maxLine = 64 << 10

func (s *scorer) judgeAll(in io.Reader) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 0, 4096), maxLine)
	n := 0
	for lines.Scan() {
		n++
		if lines.Text() == "" {
			continue
		}
		if err := s.judge(lines.Text()); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("standard input, line %d: %w", n+1, err)
	}
	return nil
}

func (s *scorer) judge(text string) error {
	name, err := dnsname.Parse(text)
	if err != nil {
		return s.out.Encode(notAName(text, err))
	}
	v := &s.verdict
	q := detect.Query{Time: time.Now(), Name: name, Type: dnswire.TypeA, Class: dnswire.ClassIN}
	s.detection.detector.Inspect(&q, v)
	line := newScored(text, v)
	if line.Scored && s.features {
		line.Features = s.vectorOf(name)
	}
	return s.out.Encode(line)
}

func notAName(text string, err error) *scored {
	return &scored{
		Name: text, Reason: "not_a_name", Error: err.Error(),
		Level: detect.LevelNone.String(), Action: detect.Pass.String(), Origin: detect.OriginNone.String(),
	}
}

// newScored is a verdict as a line of output. It points into v.
func newScored(text string, v *detect.Verdict) *scored {
	line := &scored{
		Name: text, Registered: v.Registered.String(), Scored: v.Unscored == detect.Scored, Reason: v.Unscored.String(),
		Origin: v.Origin.String(), Level: v.Level.String(), Action: v.Action.String(), Enforced: v.Enforced,
	}
	for _, m := range v.Matches {
		line.Matches = append(line.Matches, scoredMatch{List: m.List, Rule: m.Rule, Info: m.Info, Kind: m.Kind.String(), Effect: m.Effect.String()})
	}
	if line.Scored {
		line.Score = &v.Score
		if !math.IsNaN(v.Probability) {
			line.Probability = &v.Probability
		}
	}
	return line
}

func (s *scorer) vectorOf(name dnsname.Name) map[string]float64 {
	model := s.detection.models.live
	s.vector = model.Features(s.vector[:0], dnsname.DefaultSuffixes().Split(name))
	out := make(map[string]float64, len(s.vector))
	for i, f := range model.FeatureNames() {
		out[f] = s.vector[i]
	}
	return out
}
