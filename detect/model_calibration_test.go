package detect_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/weirdns/weir/detect"
)

// calibrated is the default bundle with this calibration.json.
func calibrated(t testing.TB, text string) fstest.MapFS {
	b := bundle(t)
	b[detect.CalibrationFile] = &fstest.MapFile{Data: []byte(text)}
	editManifest(t, b, func(m map[string]any) {
		m["files"].(map[string]any)[detect.CalibrationFile] = fmt.Sprintf("%x", sha256.Sum256([]byte(text)))
	})
	return b
}

func TestProbabilityFollowsTheCalibration(t *testing.T) {
	m, err := detect.LoadModel(calibrated(t, `{"x":[0.25,0.5,0.75],"y":[0.1,0.1,0.9]}`))
	if err != nil {
		t.Fatal(err)
	}
	for score, want := range map[float64]float64{0: 0.1, 0.25: 0.1, 0.4: 0.1, 0.5: 0.1, 0.625: 0.5, 0.75: 0.9, 1: 0.9} {
		if got := m.Probability(score); math.Abs(got-want) > 1e-12 {
			t.Errorf("probability of score %v is %v, want %v", score, got, want)
		}
	}
}

func TestWithoutACalibrationThereIsNoProbability(t *testing.T) {
	b := bundle(t)
	delete(b, detect.CalibrationFile)
	editManifest(t, b, func(m map[string]any) { delete(m["files"].(map[string]any), detect.CalibrationFile) })
	m, err := detect.LoadModel(b)
	if err != nil {
		t.Fatal(err)
	}
	if got := m.Probability(0.5); !math.IsNaN(got) {
		t.Errorf("probability %v, want none", got)
	}
}

func TestBadCalibrationsAreRefused(t *testing.T) {
	for text, want := range map[string]string{
		``:                                  "EOF",
		`{}`:                                "0 values of x",
		`{"x":[0.5],"y":[0.5]}`:             "2 to 64",
		`{"x":[0,1],"y":[0]}`:               "2 values of x and 1 of y",
		`{"x":[0,0],"y":[0,1]}`:             "does not rise",
		`{"x":[0,1],"y":[1,0]}`:             "falls",
		`{"x":[-1,1],"y":[0,1]}`:            "0 to 1",
		`{"x":[0,1],"y":[0,1.5]}`:           "0 to 1",
		`{"x":[0,1e400],"y":[0,1]}`:         "number",
		`{"x":[0,1],"y":[0,1],"z":1}`:       "unknown field",
		`{"x":[0,1],"y":[0,1]}{"x":[0,1]}`:  "follows",
		`{"x":[` + strings.Repeat("0,", 64): "EOF",
	} {
		m, err := detect.LoadModel(calibrated(t, text))
		if m != nil || !errors.Is(err, detect.ErrModelIntegrity) || !strings.Contains(err.Error(), detect.CalibrationFile) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40s: error %v, want ErrModelIntegrity with %q", text, err, want)
		}
	}
}
