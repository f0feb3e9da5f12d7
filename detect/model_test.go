package detect_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/detect/feature"
	"github.com/weirdns/weir/internal/dnsname"
)

func splitName(t testing.TB, s string) dnsname.Split {
	t.Helper()
	n, err := dnsname.Parse(s)
	if err != nil {
		t.Fatalf("%q: %v", s, err)
	}
	return dnsname.DefaultSuffixes().Split(n)
}

func embeddedModel(t testing.TB) *detect.Model {
	t.Helper()
	m, err := detect.EmbeddedModel()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestEmbeddedModelSaysWhatItIs(t *testing.T) {
	m := embeddedModel(t)
	info := m.Info()
	if info.Name == "" || info.Version == "" || len(info.SHA256) != 64 || info.Created.IsZero() || info.Trees == 0 {
		t.Errorf("incomplete: %+v", info)
	}
	if info.FeatureSet != feature.Version {
		t.Errorf("feature set %q, want %q", info.FeatureSet, feature.Version)
	}
	if got := len(m.FeatureNames()); got != feature.Count {
		t.Errorf("%d feature names, want %d", got, feature.Count)
	}
}

// TestCardIsOfTheEmbeddedModel: model, thresholds and card change together.
func TestCardIsOfTheEmbeddedModel(t *testing.T) {
	card, err := os.ReadFile("../docs/model-card.md")
	if err != nil {
		t.Fatal(err)
	}
	info := embeddedModel(t).Info()
	for _, want := range []string{
		fmt.Sprintf("# Model card: %s %s\n", info.Name, info.Version),
		fmt.Sprintf("| low | 1 %% | %.4f |", info.Thresholds[0].Score),
		fmt.Sprintf("| medium | 0.1 %% | %.4f |", info.Thresholds[1].Score),
		fmt.Sprintf("| high | 0.01 %% | %.4f |", info.Thresholds[2].Score),
	} {
		if !bytes.Contains(card, []byte(want)) {
			t.Errorf("the card lacks %q", want)
		}
	}
}

func TestScoresOrderNamesAsAnyoneWould(t *testing.T) {
	m := embeddedModel(t)
	for _, c := range []struct {
		name     string
		min, max detect.Level
	}{
		{"google.com", detect.LevelNone, detect.LevelNone},
		{"www.wikipedia.org", detect.LevelNone, detect.LevelNone},
		{"news.bbc.co.uk", detect.LevelNone, detect.LevelNone},
		{"kernel.org", detect.LevelNone, detect.LevelNone},
		{"qgzrvxwkptbnmqhdlxcf.com", detect.LevelMedium, detect.LevelHigh},
		{"a.b.xkqv3zt9wpl1hmd7rcg5.net", detect.LevelMedium, detect.LevelHigh},
	} {
		score, err := m.Score(splitName(t, c.name))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got := m.Level(score); got < c.min || got > c.max {
			t.Errorf("%s: score %.4f is level %v, want %v to %v", c.name, score, got, c.min, c.max)
		}
	}
}

func TestScoreIsOfTheRegisteredDomainAlone(t *testing.T) {
	m := embeddedModel(t)
	want, err := m.Score(splitName(t, "kqvxzt.com"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"www.kqvxzt.com", "3f9a2c.cdn.kqvxzt.com", "kqvxzt.co.uk", "kqvxzt.duckdns.org"} {
		if got, err := m.Score(splitName(t, name)); err != nil || got != want {
			t.Errorf("%s: got %v, %v, want %v", name, got, err, want)
		}
	}
}

func TestLevelsBeginAtTheirThresholds(t *testing.T) {
	m := embeddedModel(t)
	last := detect.LevelNone
	for _, at := range m.Info().Thresholds {
		if got := m.Level(at.Score - 1e-9); got != last {
			t.Errorf("just below %v: level %v, want %v", at.Score, got, last)
		}
		if got := m.Level(at.Score); got != at.Level {
			t.Errorf("at %v: level %v, want %v", at.Score, got, at.Level)
		}
		last = at.Level
	}
	if got := m.Level(0); got != detect.LevelNone {
		t.Errorf("level of 0: %v, want none", got)
	}
	if got := m.Level(1); got != detect.LevelHigh {
		t.Errorf("level of 1: %v, want high", got)
	}
}

func TestNamesWithoutAVectorAreErrorsNotScores(t *testing.T) {
	m := embeddedModel(t)
	for _, name := range []string{".", "com", "co.uk", "github.io", "xn--bcher-kva.example"} {
		if score, err := m.Score(splitName(t, name)); !errors.Is(err, detect.ErrNoVector) {
			t.Errorf("%s: got %v and error %v, want ErrNoVector", name, score, err)
		}
	}
}

func TestPanicIsAnErrorNotAScore(t *testing.T) {
	m := embeddedModel(t)
	cut := dnsname.Split{Registered: dnsname.Name{9, 'a', 'b'}} // no caller makes such a name
	if score, err := m.Score(cut); err == nil || !strings.Contains(err.Error(), "panic") {
		t.Errorf("got %v and error %v, want the panic as an error", score, err)
	}
	if _, err := m.Score(splitName(t, "google.com")); err != nil {
		t.Errorf("after a panic: %v", err)
	}
}

func TestScoreDoesNotAllocate(t *testing.T) {
	m := embeddedModel(t)
	for _, name := range []string{"google.com", "kq3v9xw1lmzt.com", strings.Repeat("ab1-", 15) + ".example"} {
		s := splitName(t, name)
		if got := testing.AllocsPerRun(200, func() { _, _ = m.Score(s) }); got != 0 {
			t.Errorf("%s: %v allocations, want 0", name, got)
		}
	}
}

func TestOneModelScoresForManyGoroutines(t *testing.T) {
	m := embeddedModel(t)
	names := []string{"google.com", "kq3v9xw1lmzt.com", "rivergardentable.net", "asdklgb.cf", "0123456789.org"}
	want := make([]float64, len(names))
	for i, name := range names {
		var err error
		if want[i], err = m.Score(splitName(t, name)); err != nil {
			t.Fatal(err)
		}
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 50 {
				for i, name := range names {
					if got, err := m.Score(splitName(t, name)); err != nil || got != want[i] {
						t.Errorf("%s: got %v, %v, want %v", name, got, err, want[i])
					}
				}
			}
		})
	}
	wg.Wait()
}

// bundle is a copy of the default bundle that a test may change.
func bundle(t testing.TB) fstest.MapFS {
	t.Helper()
	out := make(fstest.MapFS)
	files, err := os.ReadDir("model")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile("model/" + file.Name())
		if err != nil {
			t.Fatal(err)
		}
		out[file.Name()] = &fstest.MapFile{Data: data}
	}
	return out
}

// editManifest changes the manifest, by key.
func editManifest(t testing.TB, b fstest.MapFS, edit func(map[string]any)) {
	t.Helper()
	m := make(map[string]any)
	if err := json.Unmarshal(b[detect.ManifestFile].Data, &m); err != nil {
		t.Fatal(err)
	}
	edit(m)
	data, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	b[detect.ManifestFile].Data = data
}

// sign puts the right sums into the manifest, so that the checks behind them
// are reached.
func sign(t testing.TB, b fstest.MapFS) {
	t.Helper()
	editManifest(t, b, func(m map[string]any) {
		for file := range m["files"].(map[string]any) {
			m["files"].(map[string]any)[file] = fmt.Sprintf("%x", sha256.Sum256(b[file].Data))
		}
	})
}

func threshold(m map[string]any, level string) map[string]any {
	return m["thresholds"].(map[string]any)[level].(map[string]any)
}

func TestBundleFromDirectoryIsTheEmbeddedOne(t *testing.T) {
	m, err := detect.LoadModel(os.DirFS("model"))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := m.Info(), embeddedModel(t).Info(); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestDamagedBundlesAreRefused(t *testing.T) {
	for _, c := range []struct {
		why  string
		edit func(t *testing.T, b fstest.MapFS)
		want string
	}{
		{"one bit of the trees", func(t *testing.T, b fstest.MapFS) { b[detect.TreesFile].Data[5000] ^= 1 }, "SHA-256"},
		{"one bit of a table", func(t *testing.T, b fstest.MapFS) { b[detect.WordsTableFile].Data[5000] ^= 1 }, "SHA-256"},
		{"self-test emptied", func(t *testing.T, b fstest.MapFS) { b[detect.SelfTestFile].Data = nil }, "SHA-256"},
		{"manifest cut", func(t *testing.T, b fstest.MapFS) {
			b[detect.ManifestFile].Data = b[detect.ManifestFile].Data[:100]
		}, detect.ManifestFile},
		{"two manifests", func(t *testing.T, b fstest.MapFS) {
			b[detect.ManifestFile].Data = append(b[detect.ManifestFile].Data, "{}"...)
		}, "follows"},
		{"manifest too large", func(t *testing.T, b fstest.MapFS) {
			b[detect.ManifestFile].Data = bytes.Repeat([]byte(" "), 1<<20+1)
		}, "larger"},
		{"unknown key", func(t *testing.T, b fstest.MapFS) {
			editManifest(t, b, func(m map[string]any) { m["calibration"] = 1 })
		}, "calibration"},
		{"another kind of manifest", func(t *testing.T, b fstest.MapFS) {
			editManifest(t, b, func(m map[string]any) { delete(m, "magic") })
		}, "magic"},
		{"newer format", func(t *testing.T, b fstest.MapFS) {
			editManifest(t, b, func(m map[string]any) { m["format"] = 2 })
		}, "format 2"},
		{"no version", func(t *testing.T, b fstest.MapFS) {
			editManifest(t, b, func(m map[string]any) { m["version"] = "" })
		}, "version"},
		{"other feature set", func(t *testing.T, b fstest.MapFS) {
			editManifest(t, b, func(m map[string]any) { m["feature_set"] = "weir-label-0" })
		}, "weir-label-0"},
		{"a file outside", func(t *testing.T, b fstest.MapFS) {
			editManifest(t, b, func(m map[string]any) { m["files"].(map[string]any)["../../etc/passwd"] = "00" })
		}, "files are"},
		{"no threshold", func(t *testing.T, b fstest.MapFS) {
			editManifest(t, b, func(m map[string]any) { delete(m["thresholds"].(map[string]any), "high") })
		}, "2 thresholds"},
		{"thresholds out of order", func(t *testing.T, b fstest.MapFS) {
			editManifest(t, b, func(m map[string]any) { threshold(m, "medium")["score"] = 0.01 })
		}, "threshold medium"},
		{"threshold that flags all", func(t *testing.T, b fstest.MapFS) {
			editManifest(t, b, func(m map[string]any) { threshold(m, "low")["score"] = 0 })
		}, "threshold low"},
		{"threshold without a rate", func(t *testing.T, b fstest.MapFS) {
			editManifest(t, b, func(m map[string]any) { threshold(m, "high")["fpr"] = 0 })
		}, "threshold high: fpr"},
		{"trees that are none", func(t *testing.T, b fstest.MapFS) {
			b[detect.TreesFile].Data = []byte("tree\n")
			sign(t, b)
		}, detect.TreesFile},
		{"a leaf of the first tree", func(t *testing.T, b fstest.MapFS) {
			b[detect.TreesFile].Data = bytes.Replace(b[detect.TreesFile].Data, []byte("leaf_value=-"), []byte("leaf_value=-9"), 1)
			sign(t, b)
		}, "in training"},
		{"tables changed for each other", func(t *testing.T, b fstest.MapFS) {
			b[detect.AlexaTableFile], b[detect.WordsTableFile] = b[detect.WordsTableFile], b[detect.AlexaTableFile]
			sign(t, b)
		}, "training had"},
		{"a table that is none", func(t *testing.T, b fstest.MapFS) {
			b[detect.AlexaTableFile].Data = []byte("WEIRGRAM and nothing more of it")
			sign(t, b)
		}, detect.AlexaTableFile},
		{"self-test of few names", func(t *testing.T, b fstest.MapFS) {
			b[detect.SelfTestFile].Data = bytes.Join(bytes.SplitAfterN(b[detect.SelfTestFile].Data, []byte("\n"), 6)[:5], nil)
			sign(t, b)
		}, "at least"},
		{"self-test of other columns", func(t *testing.T, b fstest.MapFS) {
			b[detect.SelfTestFile].Data = bytes.Replace(b[detect.SelfTestFile].Data, []byte("entropy"), []byte("length"), 1)
			sign(t, b)
		}, "starts with"},
	} {
		b := bundle(t)
		c.edit(t, b)
		m, err := detect.LoadModel(b)
		if m != nil || !errors.Is(err, detect.ErrModelIntegrity) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got error %v, want ErrModelIntegrity with %q", c.why, err, c.want)
		}
	}
}

func TestMissingFileIsNotCalledDamage(t *testing.T) {
	for _, file := range []string{detect.ManifestFile, detect.TreesFile, detect.AlexaTableFile} {
		b := bundle(t)
		delete(b, file)
		if _, err := detect.LoadModel(b); !errors.Is(err, fs.ErrNotExist) || errors.Is(err, detect.ErrModelIntegrity) {
			t.Errorf("without %s: got error %v, want only fs.ErrNotExist in it", file, err)
		}
	}
}

func TestTablesOfABundleLoadWithoutAModel(t *testing.T) {
	b := bundle(t)
	delete(b, detect.ManifestFile)
	tables, err := detect.LoadTables(b)
	if err != nil {
		t.Fatal(err)
	}
	s := splitName(t, "google.com")
	got, want := feature.New(tables).Append(nil, s), embeddedModel(t).Features(nil, s)
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestBundleOfEnvironment is how training has its result checked.
func TestBundleOfEnvironment(t *testing.T) {
	dir := os.Getenv("WEIR_MODEL_DIR")
	if dir == "" {
		t.Skip("WEIR_MODEL_DIR is not set")
	}
	if _, err := detect.LoadModel(os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
}

func BenchmarkModelScore(b *testing.B) {
	m := embeddedModel(b)
	for _, name := range []string{"google.com", "kq3v9xw1lmzt.com", "internationalassociationofnetworks.org"} {
		s := splitName(b, name)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := m.Score(s); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkEmbeddedModel(b *testing.B) {
	for b.Loop() {
		embeddedModel(b)
	}
}
