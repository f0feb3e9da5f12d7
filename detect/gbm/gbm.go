// Package gbm evaluates gradient-boosted trees that LightGBM trained for a
// binary objective. It has two evaluators: github.com/dmitryikh/leaves, which
// is the reference, and one of its own (blocks.go), which takes a fraction of the
// time and which every new name is asked of. Load lets both answer the same vectors
// and refuses a model on which they differ in a single bit.
//
// leaves trusts its file: it takes indices unchecked, loops on a cycle, panics on
// what it did not expect and answers 0.0 where the number of features is wrong.
// So a model is parsed and checked here first, and leaves is given a text that
// this package wrote from what it checked: no difference between two parsers is
// left for a bad file to use. It refuses everything that it has no use for
// (categorical splits, linear trees, missing values, several classes, random
// forests) instead of guessing, and knows nothing of names or thresholds.
package gbm

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/dmitryikh/leaves"
)

// Bounds of a model. The default model has a few hundred trees of 31 leaves in
// about one megabyte; these leave room for models several times that.
const (
	MaxBytes  = 8 << 20
	maxTrees  = 10_000
	maxLeaves = 4096 // of one tree
	maxDepth  = 64   // splits from the root to a leaf
)

// Errors. Those of Load wrap ErrModel.
var (
	ErrModel = errors.New("bad model")
	// ErrInput is a feature vector that the model cannot judge.
	ErrInput = errors.New("bad feature vector")
	// ErrOutput is a model that added up to something that is no number.
	ErrOutput = errors.New("model output is not finite")
)

// Model is a checked ensemble. It is immutable and safe for concurrent use.
type Model struct {
	trees     blocks
	count     int // of trees
	features  int
	explainer *explainer
}

// Load reads LightGBM's text form, header version v2, v3 or v4, and checks that
// it is a plain binary classifier over exactly features, by name and in order.
func Load(r io.Reader, features []string) (m *Model, err error) {
	text, err := io.ReadAll(io.LimitReader(r, MaxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("model: %w", err)
	}
	if len(text) > MaxBytes {
		return nil, fmt.Errorf("%w: larger than %d bytes", ErrModel, MaxBytes)
	}
	e, err := parse(text)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrModel, err)
	}
	if !slices.Equal(e.features, features) {
		return nil, fmt.Errorf("%w: %s", ErrModel, featureDifference(e.features, features))
	}
	// Nothing below should fail for an ensemble that passed; but leaves reports
	// some of what it does not like by panicking.
	defer func() {
		if p := recover(); p != nil {
			m, err = nil, fmt.Errorf("%w: leaves: %v", ErrModel, p)
		}
	}()
	ensemble, err := leaves.LGEnsembleFromReader(bufio.NewReader(bytes.NewReader(e.appendText(nil))), false)
	if err != nil {
		return nil, fmt.Errorf("%w: leaves: %w", ErrModel, err)
	}
	if ensemble.NEstimators() != len(e.trees) || ensemble.NOutputGroups() != 1 {
		return nil, fmt.Errorf("%w: leaves read %d trees for %d outputs, want %d for 1",
			ErrModel, ensemble.NEstimators(), ensemble.NOutputGroups(), len(e.trees))
	}
	m = &Model{trees: newBlocks(e), count: len(e.trees), features: len(features), explainer: newExplainer(e.trees)}
	if err := m.compare(ensemble, e); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrModel, err)
	}
	return m, nil
}

// comparisons is how many vectors compare asks about.
const comparisons = 64

// compare lets leaves and the evaluator here answer the same vectors, whose
// values are thresholds of the model, where the two branches part, and the
// numbers just above them.
func (m *Model) compare(reference *leaves.Ensemble, e *ensemble) error {
	cuts := make([][]float64, m.features)
	for _, t := range e.trees {
		for i, f := range t.feature {
			cuts[f] = append(cuts[f], t.threshold[i])
		}
	}
	vector, want := make([]float64, m.features), make([]float64, 1)
	random := rand.New(rand.NewPCG(1, 2))
	for range comparisons {
		for i, c := range cuts {
			vector[i] = 0
			if len(c) > 0 {
				vector[i] = c[random.IntN(len(c))]
				if random.IntN(2) == 1 {
					vector[i] = math.Nextafter(vector[i], math.MaxFloat64)
				}
			}
		}
		if err := reference.Predict(vector, 0, want); err != nil {
			return fmt.Errorf("leaves: %w", err)
		}
		if got := m.trees.sum(vector); math.Float64bits(got) != math.Float64bits(want[0]) {
			return fmt.Errorf("vector %v adds up to %v, and to %v by leaves", vector, got, want[0])
		}
	}
	return nil
}

// featureDifference says where two lists part.
func featureDifference(got, want []string) string {
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			return fmt.Sprintf("feature %d is %q, want %q", i, got[i], want[i])
		}
	}
	return fmt.Sprintf("%d features, want %d", len(got), len(want))
}

// Trees is the number of trees.
func (m *Model) Trees() int { return m.count }

// Score is the model's estimate, 0 to 1, that vector belongs to the positive
// class: the logistic function of the sum over the trees. A vector of another
// length than the model's, or with a value that is not finite, is an error and
// never a score. It does not allocate.
func (m *Model) Score(vector []float64) (float64, error) {
	if err := m.check(vector); err != nil {
		return 0, err
	}
	sum := m.trees.sum(vector)
	if sum-sum != 0 {
		return 0, ErrOutput
	}
	return 1 / (1 + math.Exp(-sum)), nil
}

// check says what is wrong with a vector.
func (m *Model) check(vector []float64) error {
	if len(vector) != m.features {
		return fmt.Errorf("%w: %d values, want %d", ErrInput, len(vector), m.features)
	}
	for i, v := range vector {
		if v-v != 0 { // NaN or infinite
			return fmt.Errorf("%w: value %d is %v", ErrInput, i, v)
		}
	}
	return nil
}
