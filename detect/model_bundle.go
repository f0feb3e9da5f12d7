package detect

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/weirdns/weir/detect/feature"
	"github.com/weirdns/weir/detect/gbm"
)

// The files of a bundle. The manifest names the others with their SHA-256.
const (
	ManifestFile   = "manifest.json"
	TreesFile      = "model.txt"   // LightGBM text
	AlexaTableFile = "alexa.grams" // n-grams of popular names
	WordsTableFile = "words.grams" // n-grams of English words
	SelfTestFile   = "selftest.tsv"
	// Language models of popular labels and of those that algorithms made.
	PopularFile     = "popular.lm"
	AlgorithmicFile = "algorithmic.lm"
	SuffixesFile    = "suffixes.tsv" // public suffixes of popular names
	// CalibrationFile may be missing: there is then no probability.
	CalibrationFile = "calibration.json"
)

// maxManifest and maxBundleFile bound what is read of a bundle, in bytes.
const (
	maxManifest   = 1 << 20
	maxBundleFile = 16 << 20
)

// What a manifest is recognised by.
const (
	manifestMagic  = "weir-model"
	manifestFormat = 1
)

// manifest is manifest.json; docs/formats-model.md describes it.
type manifest struct {
	Magic      string                     `json:"magic"`
	Format     int                        `json:"format"`
	Name       string                     `json:"name"`
	Version    string                     `json:"version"`
	Created    time.Time                  `json:"created"`
	FeatureSet string                     `json:"feature_set"`
	Files      map[string]string          `json:"files"`
	Thresholds map[string]manifestLevel   `json:"thresholds"`
	Training   map[string]json.RawMessage `json:"training"` // for people
}

type manifestLevel struct {
	Score float64 `json:"score"`
	FPR   float64 `json:"fpr"`
}

// LoadModel loads a bundle from the root of fsys and checks all of it: sums,
// feature set, tables, trees, thresholds, and at last that it gives the vectors
// and scores that its training gave. Whatever is wrong with the bundle is an
// error that wraps ErrModelIntegrity; a file that cannot be read is not.
func LoadModel(fsys fs.FS) (*Model, error) {
	text, err := readBounded(fsys, ManifestFile, maxManifest)
	if err != nil {
		return nil, err
	}
	mf, err := parseManifest(text)
	if err != nil {
		return nil, integrity(ManifestFile, err)
	}
	files := make(map[string][]byte)
	for file, sum := range mf.Files {
		if files[file], err = readBounded(fsys, file, maxBundleFile); err != nil {
			return nil, err
		}
		if got := sha256.Sum256(files[file]); hex.EncodeToString(got[:]) != strings.ToLower(sum) {
			return nil, integrity(file, fmt.Errorf("SHA-256 is %x, the manifest says %s", got, sum))
		}
	}
	tables, err := parseTables(files)
	if err != nil {
		return nil, err
	}
	trees, err := gbm.Load(bytes.NewReader(files[TreesFile]), feature.Names())
	if err != nil {
		return nil, integrity(TreesFile, err)
	}
	var cal *calibration
	if data, ok := files[CalibrationFile]; ok {
		if cal, err = parseCalibration(data); err != nil {
			return nil, integrity(CalibrationFile, err)
		}
	}
	sum := sha256.Sum256(text)
	m := &Model{
		extractor:   feature.New(tables),
		trees:       trees,
		calibration: cal,
		manifest:    sum,
		info: ModelInfo{
			Name: mf.Name, Version: mf.Version, SHA256: hex.EncodeToString(sum[:]),
			Created: mf.Created, FeatureSet: mf.FeatureSet, Trees: trees.Trees(),
		},
	}
	for i, l := range modelLevels {
		at := mf.Thresholds[l.String()]
		m.thresholds[l] = at.Score
		m.info.Thresholds[i] = Threshold{Level: l, Score: at.Score, FPR: at.FPR}
	}
	if err := m.selfTest(files[SelfTestFile]); err != nil {
		return nil, integrity(SelfTestFile, err)
	}
	return m, nil
}

// tableFiles are the files of a bundle that features are computed with.
var tableFiles = []string{AlexaTableFile, WordsTableFile, PopularFile, AlgorithmicFile, SuffixesFile}

// LoadTables reads the tables of a bundle from the root of fsys, for training:
// there is no model yet that could vouch for them.
func LoadTables(fsys fs.FS) (feature.Tables, error) {
	files := make(map[string][]byte)
	for _, file := range tableFiles {
		var err error
		if files[file], err = readBounded(fsys, file, maxBundleFile); err != nil {
			return feature.Tables{}, err
		}
	}
	return parseTables(files)
}

func parseTables(files map[string][]byte) (t feature.Tables, err error) {
	if t.Alexa, err = parseTable(files, AlexaTableFile, feature.ReadGrams); err != nil {
		return t, err
	}
	if t.Words, err = parseTable(files, WordsTableFile, feature.ReadGrams); err != nil {
		return t, err
	}
	if t.Popular, err = parseTable(files, PopularFile, feature.ReadLanguage); err != nil {
		return t, err
	}
	if t.Algorithmic, err = parseTable(files, AlgorithmicFile, feature.ReadLanguage); err != nil {
		return t, err
	}
	t.Suffixes, err = parseTable(files, SuffixesFile, feature.ReadSuffixes)
	return t, err
}

func parseTable[T any](files map[string][]byte, file string, read func(io.Reader) (T, error)) (T, error) {
	t, err := read(bytes.NewReader(files[file]))
	if err != nil {
		return t, integrity(file, err)
	}
	return t, nil
}

func integrity(file string, err error) error {
	return fmt.Errorf("%w: %s: %w", ErrModelIntegrity, file, err)
}

// readBounded reads a file of at most limit bytes.
func readBounded(fsys fs.FS, file string, limit int64) ([]byte, error) {
	f, err := fsys.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if int64(len(data)) > limit {
		return nil, integrity(file, fmt.Errorf("larger than %d bytes", limit))
	}
	return data, nil
}

// modelLevels are the levels that a manifest has thresholds for, rising.
var modelLevels = [...]Level{LevelLow, LevelMedium, LevelHigh}

// parseManifest reads and checks what the manifest can say wrongly by itself.
func parseManifest(text []byte) (mf manifest, err error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&mf); err != nil {
		return mf, err
	}
	if _, err := d.Token(); err != io.EOF {
		return mf, errors.New("something follows the manifest")
	}
	if mf.Magic != manifestMagic {
		return mf, fmt.Errorf("magic %.20q, want %q: not a model's manifest", mf.Magic, manifestMagic)
	}
	if mf.Format != manifestFormat {
		return mf, fmt.Errorf("format %d, want %d", mf.Format, manifestFormat)
	}
	if mf.FeatureSet != feature.Version {
		return mf, fmt.Errorf("feature set %q, this program computes %q", mf.FeatureSet, feature.Version)
	}
	if mf.Name == "" || mf.Version == "" || mf.Created.IsZero() {
		return mf, errors.New("name, version and created are needed")
	}
	want := slices.Sorted(slices.Values(append([]string{TreesFile, SelfTestFile}, tableFiles...)))
	got := slices.DeleteFunc(slices.Sorted(maps.Keys(mf.Files)), func(file string) bool { return file == CalibrationFile })
	if !slices.Equal(got, want) {
		return mf, fmt.Errorf("files are %q, want %q and perhaps %q", got, want, CalibrationFile)
	}
	return mf, mf.checkThresholds()
}

func (mf *manifest) checkThresholds() error {
	if len(mf.Thresholds) != len(modelLevels) {
		return fmt.Errorf("%d thresholds, want %v", len(mf.Thresholds), modelLevels)
	}
	last := manifestLevel{Score: 0, FPR: 1}
	for _, l := range modelLevels {
		at, ok := mf.Thresholds[l.String()]
		switch {
		case !ok:
			return fmt.Errorf("no threshold %q", l)
		case !(at.Score > last.Score && at.Score <= 1):
			return fmt.Errorf("threshold %s: score %v must be above %v and at most 1", l, at.Score, last.Score)
		case !(at.FPR > 0 && at.FPR < last.FPR):
			return fmt.Errorf("threshold %s: fpr %v must be above 0 and below %v", l, at.FPR, last.FPR)
		}
		last = at
	}
	return nil
}
