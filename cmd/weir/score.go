package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"strconv"
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
	Name string `json:"name"`
	// ASCII and Unicode are the name with A-labels, which is what DNS asks for,
	// and with U-labels, where these differ.
	ASCII       string          `json:"a_labels,omitempty"`
	Unicode     string          `json:"u_labels,omitempty"`
	Registered  string          `json:"registered_domain"`
	Scored      bool            `json:"scored"`
	Reason      string          `json:"reason"`
	Error       string          `json:"error,omitempty"`
	Score       *float64        `json:"score"`
	Probability *float64        `json:"probability"`
	Level       string          `json:"level"`
	Origin      string          `json:"origin"`
	Action      string          `json:"action"`
	Enforced    bool            `json:"enforced"`
	Matches     []scoredMatch   `json:"matches,omitempty"`
	Features    json.RawMessage `json:"features,omitempty"`
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
	d, err := newDetection(cfg, zap.NewNop(), newRegistry(), nil)
	if err != nil {
		return err
	}
	if err := d.load(); err != nil {
		return err
	}
	out := bufio.NewWriterSize(std.out, 64<<10)
	return errors.Join(c.judge(d, std.in, out), out.Flush())
}

// judge writes a line for each name of the arguments, and of in for "-".
func (c *scoreCmd) judge(d *detection, in io.Reader, out io.Writer) error {
	for _, name := range c.Names {
		if name == "-" {
			if err := c.judgeAll(d, in, out); err != nil {
				return err
			}
			continue
		}
		s := c.newScorer(d)
		if err := s.judge(name); err != nil {
			return err
		}
		if _, err := out.Write(s.out.Bytes()); err != nil {
			return err
		}
	}
	return nil
}

// scorer judges names one after the other and keeps the lines.
type scorer struct {
	detection *detection
	out       bytes.Buffer
	lines     *json.Encoder // into out
	features  []string      // names of what is printed beside the score
	verdict   detect.Verdict
	vector    []float64
	object    []byte
}

func (c *scoreCmd) newScorer(d *detection) *scorer {
	s := &scorer{detection: d}
	if c.Features && d.models.live != nil {
		s.features = d.models.live.FeatureNames()
	}
	s.lines = json.NewEncoder(&s.out)
	s.lines.SetEscapeHTML(false)
	return s
}

func (s *scorer) judge(text string) error {
	name, err := parseName(text)
	if err != nil {
		return s.lines.Encode(notAName(text, err))
	}
	v := &s.verdict
	q := detect.Query{Time: time.Now(), Name: name, Type: dnswire.TypeA, Class: dnswire.ClassIN}
	s.detection.detector.Inspect(&q, v)
	line := newScored(text, name, v)
	if line.Scored && s.features != nil {
		line.Features = s.vectorOf(name)
	}
	return s.lines.Encode(line)
}

// parseName is the name that somebody means who types text, which may be in any
// script.
func parseName(text string) (dnsname.Name, error) {
	ascii, err := dnsname.ToASCII(text)
	if err != nil {
		return nil, err
	}
	return dnsname.Parse(ascii)
}

// notAName is a line for what has no verdict; err says why not.
func notAName(text string, err error) *scored {
	s := &scored{
		Name: text, Reason: "not_a_name",
		Level: detect.LevelNone.String(), Action: detect.Pass.String(), Origin: detect.OriginNone.String(),
	}
	if err != nil {
		s.Error = err.Error()
	}
	return s
}

// newScored is a verdict on name as a line of output. It points into v.
func newScored(text string, name dnsname.Name, v *detect.Verdict) *scored {
	line := &scored{
		Name: text, Registered: v.Registered.String(), Scored: v.Unscored == detect.Scored, Reason: v.Unscored.String(),
		Origin: v.Origin.String(), Level: v.Level.String(), Action: v.Action.String(), Enforced: v.Enforced,
	}
	if line.Unicode = name.Unicode(); line.Unicode != "" {
		line.ASCII = name.String()
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

// vectorOf is the vector of a name as a JSON object, in the order of the
// features. It is good until the next one.
func (s *scorer) vectorOf(name dnsname.Name) json.RawMessage {
	model := s.detection.models.live
	s.vector = model.Features(s.vector[:0], dnsname.DefaultSuffixes().Split(name))
	s.object = append(s.object[:0], '{')
	for i, f := range s.features {
		if i > 0 {
			s.object = append(s.object, ',')
		}
		s.object = strconv.AppendQuote(s.object, f)
		s.object = strconv.AppendFloat(append(s.object, ':'), s.vector[i], 'g', -1, 64)
	}
	return append(s.object, '}')
}
