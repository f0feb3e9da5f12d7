package detect_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/weirdns/weir/detect"
)

// TestMutatedBundlesAreRefusedOrScoreTheSame damages a good bundle as disks,
// editors and copies do. Each is refused, or scores every name as before; none
// panics. One in fifty has its sums put right again, so that what stands behind
// them is reached: then the trainer's vectors at least come out the same.
// WEIR_MUTATIONS says how many; make mutations takes 10,000.
func TestMutatedBundlesAreRefusedOrScoreTheSame(t *testing.T) {
	rounds := 500
	if s := os.Getenv("WEIR_MUTATIONS"); s != "" {
		var err error
		if rounds, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	good := bundle(t)
	// What people read of the manifest is most of it, and not what is tested.
	editManifest(t, good, func(m map[string]any) { delete(m, "training") })
	var lines bytes.Buffer
	if err := json.Indent(&lines, good[detect.ManifestFile].Data, "", " "); err != nil {
		t.Fatal(err)
	}
	good[detect.ManifestFile].Data = lines.Bytes()
	model, err := detect.LoadModel(good)
	if err != nil {
		t.Fatal(err)
	}
	probes := names(30)
	for line := range strings.Lines(string(good[detect.SelfTestFile].Data)) {
		if name, _, _ := strings.Cut(line, "\t"); name != "name" {
			probes = append(probes, name)
		}
	}
	files := slices.Sorted(maps.Keys(good))
	rng := rand.New(rand.NewPCG(11, 12))
	refused, same, reached := 0, 0, 0
	for i := range rounds {
		b := maps.Clone(good)
		file := detect.ManifestFile // half of them: no sum guards it
		if rng.IntN(2) == 0 {
			file = files[rng.IntN(len(files))]
		}
		bad := mutate(rng, good[file].Data)
		for bytes.Equal(bad, good[file].Data) {
			bad = mutate(rng, good[file].Data)
		}
		b[file] = &fstest.MapFile{Data: bad}
		signed := i%50 == 0 && file != detect.ManifestFile
		if signed {
			b[detect.ManifestFile] = &fstest.MapFile{Data: good[detect.ManifestFile].Data}
			sign(t, b)
			reached++
		}
		m, err := detect.LoadModel(b)
		if err != nil {
			if !errors.Is(err, detect.ErrModelIntegrity) && !errors.Is(err, fs.ErrNotExist) {
				t.Fatalf("%d, %s: error %v is of no kind", i, file, err)
			}
			refused++
			continue
		}
		same++
		for _, name := range probes {
			s := splitName(t, name)
			got, err := m.Score(s)
			want, _ := model.Score(s)
			if err != nil || !signed && got != want {
				t.Fatalf("%d, %s: %s scores %v, %v; want %v", i, file, name, got, err, want)
			}
		}
	}
	t.Logf("%d refused, %d score the same; %d were signed again", refused, same, reached)
	if refused < rounds*8/10 || same == 0 {
		t.Errorf("%d refused and %d the same: the mutations no longer reach both sides", refused, same)
	}
}

// mutate damages a copy of data: a bit, the end, a piece lost or doubled, a
// line lost, two lines changed for each other, another number.
func mutate(rng *rand.Rand, data []byte) []byte {
	at := func() int { return rng.IntN(len(data)) }
	switch rng.IntN(7) {
	case 0:
		out := bytes.Clone(data)
		out[at()] ^= 1 << rng.IntN(8)
		return out
	case 1:
		return bytes.Clone(data[:at()])
	case 2:
		i := at()
		return slices.Concat(data[:i], data[min(len(data), i+1+rng.IntN(50)):])
	case 3:
		i := at()
		return slices.Concat(data[:min(len(data), i+1+rng.IntN(50))], data[i:])
	case 4:
		lines := bytes.SplitAfter(data, []byte("\n"))
		i := rng.IntN(len(lines))
		return slices.Concat(slices.Concat(lines[:i]...), slices.Concat(lines[i+1:]...))
	case 5:
		lines := slices.Clone(bytes.SplitAfter(data, []byte("\n")))
		i, j := rng.IntN(len(lines)), rng.IntN(len(lines))
		lines[i], lines[j] = lines[j], lines[i]
		return slices.Concat(lines...)
	}
	i := at()
	for i > 0 && !strings.ContainsRune(" =\n\t:,", rune(data[i-1])) {
		i--
	}
	j := i
	for j < len(data) && !strings.ContainsRune(" =\n\t:,}", rune(data[j])) {
		j++
	}
	values := []string{"", "0", "1", "-1", "2", "4294967296", "NaN", "1e309", "0.5", "null", `"x"`}
	return slices.Concat(data[:i], []byte(values[rng.IntN(len(values))]), data[j:])
}
