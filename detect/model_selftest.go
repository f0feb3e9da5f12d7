package detect

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/weirdns/weir/detect/feature"
	"github.com/weirdns/weir/internal/dnsname"
)

const (
	minSelfTests = 20
	// maxScoreError is how far a score may be from the trainer's: some last
	// bits of the exponential function, which differ by library and processor.
	// A wrong branch in one tree is a thousand times that at least.
	maxScoreError = 1e-9
)

// selfTest computes what training computed for some names: the same bits of
// every feature, the same score. It fails if the bundle's parts do not belong
// together, or if this build of the program computes anything differently.
//
// A line has a registered domain, the label's score by the trainer's own
// library, and the vector as the bits of float32 in hexadecimal; the first line
// names the columns.
func (m *Model) selfTest(text []byte) error {
	lines := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	if want := "name\tscore\t" + strings.Join(feature.Names(), "\t"); lines[0] != want {
		return fmt.Errorf("starts with %.60q, want %.60q", lines[0], want)
	}
	if n := len(lines) - 1; n < minSelfTests {
		return fmt.Errorf("%d names, want at least %d", n, minSelfTests)
	}
	for i, line := range lines[1:] {
		if err := m.selfTestLine(line); err != nil {
			return fmt.Errorf("line %d: %w", i+2, err)
		}
	}
	return nil
}

func (m *Model) selfTestLine(line string) error {
	fields := strings.Split(line, "\t")
	if len(fields) != feature.Count+2 {
		return fmt.Errorf("%d columns, want %d", len(fields), feature.Count+2)
	}
	name, err := dnsname.Parse(fields[0])
	if err != nil {
		return fmt.Errorf("%q: %w", fields[0], err)
	}
	want, err := strconv.ParseFloat(fields[1], 64)
	if err != nil {
		return fmt.Errorf("%s: score %q: %w", fields[0], fields[1], err)
	}
	// The list of suffixes has no say here: it is newer with every build, and
	// these names must stay what they were.
	split := dnsname.Split{Registered: name, Suffix: name.Parent(), Known: true}
	vector := m.Features(nil, split)
	if len(vector) == 0 {
		return fmt.Errorf("%s: %w", fields[0], ErrNoVector)
	}
	for i, field := range fields[2:] {
		bits, err := strconv.ParseUint(field, 16, 32)
		if err != nil {
			return fmt.Errorf("%s: %s %q: %w", fields[0], feature.Names()[i], field, err)
		}
		if got := math.Float32bits(float32(vector[i])); got != uint32(bits) {
			return fmt.Errorf("%s: %s is %v, training had %v", fields[0], feature.Names()[i],
				vector[i], math.Float32frombits(uint32(bits)))
		}
	}
	score, err := m.Score(split)
	if err != nil {
		return fmt.Errorf("%s: %w", fields[0], err)
	}
	if !(math.Abs(score-want) <= maxScoreError) {
		return fmt.Errorf("%s scores %v, in training %v", fields[0], score, want)
	}
	return nil
}
