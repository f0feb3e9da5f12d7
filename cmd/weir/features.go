package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/detect/feature"
	"github.com/weirdns/weir/internal/dnsname"
)

// featuresCmd writes the feature vectors of names, for training: the numbers
// that a model is trained on come out of the code that will ask it.
type featuresCmd struct {
	File      string `arg:"" optional:"" default:"-" help:"Names, one a line, or a table with tabs whose first column is the name (a first line that begins with fqdn or name is its header). - is standard input."`
	Tables    string `default:"embedded" placeholder:"DIR" help:"Directory with the tables of a model's bundle; embedded means those of the built-in model."`
	NPY       string `name:"npy" placeholder:"FILE" help:"Write the vectors to FILE as a NumPy array of float32, one row a name, NaN for a name without a vector; the table on standard output then has only name and registered_domain."`
	OnlyNames bool   `help:"Write only name and registered_domain; no tables are needed."`
	FitTables string `placeholder:"DIR" help:"Fit tables, write them into DIR, and stop: n-grams on the registered labels of the names and on --words, language models on --popular and --algorithmic, suffixes on --popular. Names that are in none of them are what a model may be trained on."`
	Words     string `default:"/usr/share/dict/words" help:"Word list for --fit-tables, one a line."`
	Popular   string `placeholder:"FILE" help:"Popular names for --fit-tables, one a line."`
	Generated string `name:"algorithmic" placeholder:"FILE" help:"Names that algorithms made, for --fit-tables, one a line."`
}

// The shares of strings that an n-gram must occur in to be in a table.
const (
	alexaMinDF = 1e-4
	wordsMinDF = 1e-5
)

// Run is called by kong.
func (c *featuresCmd) Run() error {
	in := io.Reader(os.Stdin)
	if c.File != "-" {
		f, err := os.Open(c.File)
		if err != nil {
			return err
		}
		defer f.Close()
		in = f
	}
	if c.FitTables != "" {
		var files [3]*os.File
		for i, file := range []string{c.Words, c.Popular, c.Generated} {
			var err error
			if files[i], err = os.Open(file); err != nil {
				return err
			}
			defer files[i].Close()
		}
		return fitTables(c.FitTables, tableInputs{alexa: in, words: files[0], popular: files[1], algorithmic: files[2]})
	}
	if c.OnlyNames {
		return writeRegistered(os.Stdout, in)
	}
	vector, err := c.vectors()
	if err != nil {
		return err
	}
	rows, without, err := 0, 0, error(nil)
	if c.NPY == "" {
		rows, without, err = writeFeatures(os.Stdout, in, vector)
	} else {
		f, err := os.Create(c.NPY)
		if err != nil {
			return err
		}
		rows, without, err = writeNPY(os.Stdout, f, in, vector)
		if err = errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	if err == nil && without > 0 {
		fmt.Fprintf(os.Stderr, "%d of %d names have no vector: bad, without a registered domain, or punycode\n", without, rows)
	}
	return err
}

// vectorFunc appends the vector of a name to dst, nothing if it has none.
type vectorFunc func(dst []float64, s dnsname.Split) []float64

func (c *featuresCmd) vectors() (vectorFunc, error) {
	if c.Tables == "embedded" {
		m, err := detect.EmbeddedModel()
		if err != nil {
			return nil, fmt.Errorf("built-in model: %w (give --tables a directory)", err)
		}
		return m.Features, nil
	}
	t, err := detect.LoadTables(os.DirFS(c.Tables))
	if err != nil {
		return nil, fmt.Errorf("tables of %s: %w", c.Tables, err)
	}
	return feature.New(t).Append, nil
}

// eachName calls f with every name of r, and what it splits into; the zero
// Split for what is no name.
func eachName(r io.Reader, f func(text string, s dnsname.Split) error) error {
	suffixes := dnsname.DefaultSuffixes()
	lines := bufio.NewScanner(r)
	var wire []byte
	for number := 1; lines.Scan(); number++ {
		text, _, _ := strings.Cut(lines.Text(), "\t")
		if text == "" || number == 1 && (text == "fqdn" || text == "name") {
			continue
		}
		var s dnsname.Split
		if name, err := dnsname.AppendParse(wire[:0], text); err == nil {
			wire = name
			s = suffixes.Split(name)
		}
		if err := f(text, s); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("names: %w", err)
	}
	return nil
}

// writeRegistered writes the name and registered domain of each row.
func writeRegistered(w io.Writer, r io.Reader) error {
	out := bufio.NewWriter(w)
	_, _ = out.WriteString("name\tregistered_domain\n") // its error shows at Flush
	var line []byte
	err := eachName(r, func(text string, s dnsname.Split) error {
		line = append(append(line[:0], text...), '\t')
		line = append(s.Registered.AppendText(line), '\n')
		_, err := out.Write(line)
		return err
	})
	return errors.Join(err, out.Flush())
}

// writeFeatures writes a table: name, registered domain, one column a feature.
// Values are written so that they read back as the same float32. A name without
// a vector has empty columns, so that the rows stay those of the input. It says
// how many rows there are and how many have no vector.
func writeFeatures(w io.Writer, r io.Reader, vector vectorFunc) (rows, without int, err error) {
	out := bufio.NewWriter(w)
	names := feature.Names()
	fmt.Fprintf(out, "name\tregistered_domain\t%s\n", strings.Join(names, "\t"))
	var line []byte
	values := make([]float64, 0, len(names))
	err = eachName(r, func(text string, s dnsname.Split) error {
		values = vector(values[:0], s)
		rows++
		line = append(append(line[:0], text...), '\t')
		line = s.Registered.AppendText(line)
		if len(values) == 0 {
			without++
			line = append(line, strings.Repeat("\t", len(names))...)
		}
		for _, v := range values {
			line = strconv.AppendFloat(append(line, '\t'), v, 'g', -1, 32)
		}
		_, err := out.Write(append(line, '\n'))
		return err
	})
	return rows, without, errors.Join(err, out.Flush())
}

// npyHeader is the length of what stands before the numbers: a multiple of 64,
// with room for any number of rows.
const npyHeader = 128

// writeNPY writes a NumPy array (format 1.0) of float32 to npy, one row a name,
// NaN where a name has no vector, and the name and registered domain of each row
// to w. The number of rows is put into the array's header at the end, when it is
// known.
func writeNPY(w io.Writer, npy io.WriteSeeker, r io.Reader, vector vectorFunc) (rows, without int, err error) {
	table, out := bufio.NewWriter(w), bufio.NewWriter(npy)
	_, _ = table.WriteString("name\tregistered_domain\n") // errors of both show at Flush
	_, _ = out.Write(make([]byte, npyHeader))
	var line []byte
	row := make([]byte, 0, 4*feature.Count)
	values := make([]float64, 0, feature.Count)
	err = eachName(r, func(text string, s dnsname.Split) error {
		values = vector(values[:0], s)
		rows++
		if len(values) == 0 {
			without++
			for range feature.Count {
				values = append(values, math.NaN())
			}
		}
		row = row[:0]
		for _, v := range values {
			row = binary.LittleEndian.AppendUint32(row, math.Float32bits(float32(v)))
		}
		line = append(append(line[:0], text...), '\t')
		line = append(s.Registered.AppendText(line), '\n')
		_, err := table.Write(line)
		_, err2 := out.Write(row)
		return errors.Join(err, err2)
	})
	if err = errors.Join(err, table.Flush(), out.Flush()); err != nil {
		return rows, without, err
	}
	if _, err = npy.Seek(0, io.SeekStart); err != nil {
		return rows, without, err
	}
	dict := fmt.Sprintf("{'descr': '<f4', 'fortran_order': False, 'shape': (%d, %d), }", rows, feature.Count)
	head := fmt.Appendf(nil, "\x93NUMPY\x01\x00%c\x00%-*s\n", npyHeader-10, npyHeader-11, dict)
	_, err = npy.Write(head)
	return rows, without, err
}

// tableInputs are what tables are fitted on, one name or word a line.
type tableInputs struct{ alexa, words, popular, algorithmic io.Reader }

// Labels that an n-gram of 1 to 5 bytes must occur in to be in a language model.
var languageLeast = [...]int{0, 1, 1, 2, 3, 4}

// fitTables fits all tables and writes them into dir. Words are taken as the
// notebooks took them that these features come from: lower case, letters only.
func fitTables(dir string, in tableInputs) error {
	alexa, dictionary := feature.NewFitter(), feature.NewFitter()
	popular, algorithmic := feature.NewLanguageFitter(), feature.NewLanguageFitter()
	suffixes := make(map[string]uint64)
	each := func(r io.Reader, f func(label string, s dnsname.Split)) error {
		return eachName(r, func(_ string, s dnsname.Split) error {
			if feature.Scorable(s) {
				f(string(s.Registered.Label()), s)
			}
			return nil
		})
	}
	err := errors.Join(
		each(in.alexa, func(label string, _ dnsname.Split) { alexa.Add(label) }),
		each(in.popular, func(label string, s dnsname.Split) {
			popular.Add(label)
			suffixes[string(s.Suffix)]++
		}),
		each(in.algorithmic, func(label string, _ dnsname.Split) { algorithmic.Add(label) }),
	)
	if err != nil {
		return err
	}
	lines := bufio.NewScanner(in.words)
	for lines.Scan() {
		if w := strings.ToLower(strings.TrimSpace(lines.Text())); letters(w) {
			dictionary.Add(w)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("words: %w", err)
	}
	words, errWords := dictionary.Table(wordsMinDF)
	labels, errLabels := alexa.Table(alexaMinDF)
	known, errKnown := popular.Language(languageLeast)
	made, errMade := algorithmic.Language(languageLeast)
	if err := errors.Join(errWords, errLabels, errKnown, errMade); err != nil {
		return err
	}
	for what, n := range map[string]int{
		"words": words.Len(), "names": labels.Len(), "--popular": known.Documents(), "--algorithmic": made.Documents(),
	} {
		if n == 0 {
			return fmt.Errorf("%s: nothing is left to fit a table on", what)
		}
	}
	for file, table := range map[string]interface{ Append([]byte) []byte }{
		detect.AlexaTableFile:  labels,
		detect.WordsTableFile:  words,
		detect.PopularFile:     known,
		detect.AlgorithmicFile: made,
		detect.SuffixesFile:    feature.NewSuffixes(suffixes),
	} {
		if err := os.WriteFile(filepath.Join(dir, file), table.Append(nil), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func letters(s string) bool {
	for _, c := range s {
		if c < 'a' || c > 'z' {
			return false
		}
	}
	return s != ""
}
