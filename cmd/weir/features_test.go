package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/detect/feature"
	"github.com/weirdns/weir/internal/dnsname"
)

func featureVector(t *testing.T) vectorFunc {
	t.Helper()
	v, err := (&featuresCmd{Tables: "embedded"}).vectors()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

const labelledNames = "fqdn\tlabel\tfamily\tsource\trank\n" +
	"google.com\tlegit\t\tmade\t1\n" +
	"com\tlegit\t\tmade\t\n" +
	"\n" +
	"bad..name\tdga\tx\tmade\t\n" +
	"xn--bcher-kva.example\tlegit\t\tmade\t\n" +
	"www.kq3v9xw1lmzt.co.uk\tdga\tx\tmade\t\n"

// TestFeatureTableIsWhatTheModelSees: a row a name, in the order of the input,
// with the bits that the model is asked about.
func TestFeatureTableIsWhatTheModelSees(t *testing.T) {
	var out bytes.Buffer
	rows, without, err := writeFeatures(&out, strings.NewReader(labelledNames), featureVector(t))
	if err != nil || rows != 5 || without != 3 {
		t.Errorf("got %d rows, %d without a vector, error %v, want 5, 3, none", rows, without, err)
	}
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	if want := "name\tregistered_domain\t" + strings.Join(feature.Names(), "\t"); lines[0] != want {
		t.Errorf("header is %q, want %q", lines[0], want)
	}
	m, err := detect.EmbeddedModel()
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []struct{ name, registered string }{
		{"google.com", "google.com"}, {"com", ""}, {"bad..name", ""},
		{"xn--bcher-kva.example", "xn--bcher-kva.example"}, {"www.kq3v9xw1lmzt.co.uk", "kq3v9xw1lmzt.co.uk"},
	} {
		fields := strings.Split(lines[i+1], "\t")
		if len(fields) != 2+feature.Count || fields[0] != want.name || fields[1] != want.registered {
			t.Fatalf("row %d is %q, want %d columns that begin with %v", i, lines[i+1], 2+feature.Count, want)
		}
		var vector []float64
		if name, err := dnsname.Parse(want.name); err == nil {
			vector = m.Features(nil, dnsname.DefaultSuffixes().Split(name))
		}
		for k, field := range fields[2:] {
			if len(vector) == 0 {
				if field != "" {
					t.Errorf("%s has no vector and %s is %q", want.name, feature.Names()[k], field)
				}
				continue
			}
			if got, err := strconv.ParseFloat(field, 32); err != nil || got != vector[k] {
				t.Errorf("%s: %s is %q, the model sees %v", want.name, feature.Names()[k], field, vector[k])
			}
		}
	}
}

func TestFeatureArrayIsTheTable(t *testing.T) {
	dir := t.TempDir()
	npy, err := os.Create(filepath.Join(dir, "x.npy"))
	if err != nil {
		t.Fatal(err)
	}
	defer npy.Close()
	var names bytes.Buffer
	vector := featureVector(t)
	rows, without, err := writeNPY(&names, npy, strings.NewReader(labelledNames), vector)
	if err != nil || rows != 5 || without != 3 {
		t.Errorf("got %d rows, %d without a vector, error %v, want 5, 3, none", rows, without, err)
	}
	if got, want := strings.Count(names.String(), "\n"), 6; got != want {
		t.Errorf("%d lines of names, want %d", got, want)
	}
	data, err := os.ReadFile(npy.Name())
	if err != nil {
		t.Fatal(err)
	}
	// NumPy's format 1.0: magic, version, length of the dictionary, which ends
	// in a newline at a multiple of 64.
	if !bytes.HasPrefix(data, []byte("\x93NUMPY\x01\x00")) || binary.LittleEndian.Uint16(data[8:]) != npyHeader-10 || data[npyHeader-1] != '\n' {
		t.Errorf("header is %q", data[:npyHeader])
	}
	if want := fmt.Sprintf("{'descr': '<f4', 'fortran_order': False, 'shape': (5, %d), }", feature.Count); !bytes.Contains(data[:npyHeader], []byte(want)) {
		t.Errorf("header is %q, want %q in it", data[:npyHeader], want)
	}
	if got, want := len(data), npyHeader+5*4*feature.Count; got != want {
		t.Fatalf("%d bytes, want %d", got, want)
	}
	google := vector(nil, dnsname.DefaultSuffixes().Split(dnsname.MustParse("google.com")))
	for i := range feature.Count {
		at := func(row int) float32 {
			return math.Float32frombits(binary.LittleEndian.Uint32(data[npyHeader+4*(row*feature.Count+i):]))
		}
		if float64(at(0)) != google[i] {
			t.Errorf("%s of google.com: got %v, want %v", feature.Names()[i], at(0), google[i])
		}
		if !math.IsNaN(float64(at(1))) {
			t.Errorf("%s of com: got %v, want NaN", feature.Names()[i], at(1))
		}
	}
}

func TestFittedTablesAreReadBack(t *testing.T) {
	dir := t.TempDir()
	names := "www.river.com\nriver.org\nriverside.net\nriverbed.com\nxn--river.com\n"
	words := "River\nriver's\nrivers\nbed\nrivers\n"
	in := tableInputs{
		alexa: strings.NewReader(names), words: strings.NewReader(words),
		popular: strings.NewReader(names), algorithmic: strings.NewReader("qxzvk.com\nqxzvj.com\nxn--a.com\n"),
	}
	if err := fitTables(dir, in); err != nil {
		t.Fatal(err)
	}
	tables, err := detect.LoadTables(os.DirFS(dir))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := tables.Alexa.Documents(), 3; got != want { // river, riverside, riverbed
		t.Errorf("%d labels, want %d", got, want)
	}
	if got, want := tables.Words.Documents(), 3; got != want { // river, rivers, bed
		t.Errorf("%d words, want %d", got, want)
	}
	if got, want := tables.Popular.Documents(), 3; got != want {
		t.Errorf("%d popular labels, want %d", got, want)
	}
	if got, want := tables.Algorithmic.Documents(), 2; got != want {
		t.Errorf("%d labels of algorithms, want %d", got, want)
	}
	vector, err := (&featuresCmd{Tables: dir}).vectors()
	if err != nil {
		t.Fatal(err)
	}
	v := vector(nil, dnsname.DefaultSuffixes().Split(dnsname.MustParse("rive.com")))
	// riv, ive, rive: three times each in both lists of labels, twice in words.
	for name, want := range map[string]float64{"alexa_grams": 3 * math.Log10(3), "word_grams": 3 * math.Log10(2)} {
		for i, n := range feature.Names() {
			if n == name && math.Abs(v[i]-want) > 1e-6 {
				t.Errorf("%s of rive: got %v, want %v", name, v[i], want)
			}
		}
	}
}

func TestTablesOfNothingAreNotWritten(t *testing.T) {
	river := "river.com\nriver.org\nriverside.net\nriverbed.com\n"
	for _, c := range []struct{ names, words, popular, algorithmic string }{
		{"com\n", "river\nrivers\n", river, river},
		{river, "river's\n", river, river},
		{river, "river\nrivers\n", "com\n", river},
		{river, "river\nrivers\n", river, "xn--a.com\n"},
	} {
		in := tableInputs{
			alexa: strings.NewReader(c.names), words: strings.NewReader(c.words),
			popular: strings.NewReader(c.popular), algorithmic: strings.NewReader(c.algorithmic),
		}
		if err := fitTables(t.TempDir(), in); err == nil {
			t.Errorf("tables of %q were written", c)
		}
	}
}

func TestRegisteredDomainsNeedNoTables(t *testing.T) {
	var out bytes.Buffer
	if err := writeRegistered(&out, strings.NewReader("www.a.co.uk\ncom\nbad..name\n")); err != nil {
		t.Fatal(err)
	}
	if got, want := out.String(), "name\tregistered_domain\nwww.a.co.uk\ta.co.uk\ncom\t\nbad..name\t\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestOverlongLineIsAnError(t *testing.T) {
	_, _, err := writeFeatures(&bytes.Buffer{}, strings.NewReader(strings.Repeat("a", 1<<20)), featureVector(t))
	if err == nil {
		t.Error("a line of a megabyte passed")
	}
}
