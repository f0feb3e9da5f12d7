package detect

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"sort"
)

// maxCalibration bounds the points of a calibration: an isotonic fit over some
// 100,000 names has a few dozen steps that mean anything.
const maxCalibration = 64

// calibration turns raw scores into probabilities, by lines between points. It
// is for people: thresholds and rates are about raw scores, which it never
// puts into another order. The nil calibration knows none.
type calibration struct {
	x []float64 // raw scores, strictly rising, in [0, 1]
	y []float64 // probabilities, never falling, in [0, 1]
}

// parseCalibration reads and checks calibration.json.
func parseCalibration(text []byte) (*calibration, error) {
	var file struct {
		X []float64 `json:"x"`
		Y []float64 `json:"y"`
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&file); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("something follows the calibration")
	}
	c := &calibration{x: file.X, y: file.Y}
	if n := len(c.x); n < 2 || n > maxCalibration || len(c.y) != n {
		return nil, fmt.Errorf("%d values of x and %d of y, want as many of each, 2 to %d", len(c.x), len(c.y), maxCalibration)
	}
	for i := range c.x {
		switch {
		case !(c.x[i] >= 0 && c.x[i] <= 1 && c.y[i] >= 0 && c.y[i] <= 1):
			return nil, fmt.Errorf("point %d is (%v, %v), want both in 0 to 1", i, c.x[i], c.y[i])
		case i > 0 && !(c.x[i] > c.x[i-1]):
			return nil, fmt.Errorf("point %d: x %v does not rise from %v", i, c.x[i], c.x[i-1])
		case i > 0 && !(c.y[i] >= c.y[i-1]):
			return nil, fmt.Errorf("point %d: y %v falls from %v", i, c.y[i], c.y[i-1])
		}
	}
	return c, nil
}

// probability is NaN where nobody calibrated. Beyond the first and the last
// point it is theirs.
func (c *calibration) probability(score float64) float64 {
	if c == nil {
		return math.NaN()
	}
	i := sort.SearchFloat64s(c.x, score)
	switch i {
	case 0:
		return c.y[0]
	case len(c.x):
		return c.y[i-1]
	}
	part := (score - c.x[i-1]) / (c.x[i] - c.x[i-1])
	return c.y[i-1] + part*(c.y[i]-c.y[i-1])
}
