package detect

import (
	"crypto/sha256"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/weirdns/weir/detect/feature"
	"github.com/weirdns/weir/detect/gbm"
	"github.com/weirdns/weir/internal/dnsname"
)

// ErrModelIntegrity is wrapped by every error of a model bundle that can be
// read and is not what it says it is: a wrong checksum, another feature set,
// trees that point nowhere, a self-test that comes out otherwise.
var ErrModelIntegrity = errors.New("model integrity")

// ErrNoVector is a name that the model has no numbers for: without a registered
// domain, or punycode.
var ErrNoVector = errors.New("name has no feature vector")

// Model judges registered domains: a bundle of n-gram tables, trees and
// thresholds. It is immutable and safe for concurrent use.
type Model struct {
	info       ModelInfo
	manifest   [sha256.Size]byte // info.SHA256
	extractor  *feature.Extractor
	trees      *gbm.Model
	thresholds [LevelHigh + 1]float64
	// calibration is nil in a bundle without one.
	calibration *calibration
}

// ModelInfo says which model it is.
type ModelInfo struct {
	Name       string    // what kind of model
	Version    string    // of this training
	SHA256     string    // of the manifest, which holds those of all other files, in hex
	Created    time.Time // when it was trained
	FeatureSet string    // feature.Version that it was trained on
	Trees      int
	// Thresholds are the least scores of the levels low, medium and high.
	Thresholds [3]Threshold
}

// Threshold is where a level begins.
type Threshold struct {
	Level Level
	Score float64
	// FPR is the share of benign registered domains, held out from training,
	// that scored so high. It is nominal: other traffic has other benign names.
	FPR float64
}

// embedded is the default model. A tree without one still builds, so that the
// first model, and one for a new feature set, can be trained with it.
//
//go:embed model
var embedded embed.FS

// EmbeddedModel loads the model that the program was built with.
func EmbeddedModel() (*Model, error) {
	dir, err := fs.Sub(embedded, "model")
	if err != nil {
		return nil, err
	}
	return LoadModel(dir)
}

// Score is the estimate, 0 to 1, that the registered domain was made by an
// algorithm. It is neither calibrated nor a probability for your traffic, where
// such names are rarer than in training: Level says what it means. A name
// without a vector is an error, and so is whatever goes wrong; an error is never
// a score. It does not allocate.
func (m *Model) Score(split dnsname.Split) (score float64, err error) {
	// The trees were checked when they were loaded. Should one panic all the
	// same, this name is not judged; the query that it came with goes on.
	defer func() {
		if p := recover(); p != nil {
			score, err = 0, fmt.Errorf("model %s: panic: %v", m.info.Version, p)
		}
	}()
	var buf [feature.Count]float64
	vector := m.extractor.Append(buf[:0], split)
	if len(vector) == 0 {
		return 0, ErrNoVector
	}
	return m.trees.Score(vector)
}

// Probability is how often, among the names that the model was calibrated on,
// one with this score was made by an algorithm. Generated names were far more
// frequent there than they are in traffic, so it is for ordering and for
// reading, not for counting. NaN: the bundle has no calibration.
func (m *Model) Probability(score float64) float64 { return m.calibration.probability(score) }

// Calibration are the points, of score and probability, that Probability has
// lines between; nil: there are none.
func (m *Model) Calibration() [][2]float64 {
	if m.calibration == nil {
		return nil
	}
	out := make([][2]float64, len(m.calibration.x))
	for i := range out {
		out[i] = [2]float64{m.calibration.x[i], m.calibration.y[i]}
	}
	return out
}

// Level is the score in words.
func (m *Model) Level(score float64) Level {
	for l := LevelHigh; l > LevelNone; l-- {
		if score >= m.thresholds[l] {
			return l
		}
	}
	return LevelNone
}

// Features appends the vector of the name to dst; nothing for a name that has
// none. Values are in the order of FeatureNames.
func (m *Model) Features(dst []float64, split dnsname.Split) []float64 {
	return m.extractor.Append(dst, split)
}

// FeatureNames are the names of the features, in order.
func (m *Model) FeatureNames() []string { return feature.Names() }

// Info says which model it is.
func (m *Model) Info() ModelInfo { return m.info }
