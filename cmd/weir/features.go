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
	Tables    string `default:"embedded" placeholder:"DIR" help:"Directory with the n-gram tables alexa.grams and words.grams; embedded means those of the built-in model."`
	NPY       string `name:"npy" placeholder:"FILE" help:"Write the vectors to FILE as a NumPy array of float32, one row a name, NaN for a name without a vector; the table on standard output then has only name and registered_domain."`
	FitTables string `placeholder:"DIR" help:"Fit n-gram tables on the registered labels of the names and on --words, write them into DIR, and stop."`
	Words     string `default:"/usr/share/dict/words" help:"Word list for --fit-tables, one a line."`
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
		words, err := os.Open(c.Words)
		if err != nil {
			return err
		}
		defer words.Close()
		return fitTables(c.FitTables, in, words)
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

// fitTables fits both tables and writes them into dir. Words are taken as the
// notebooks took them that these features come from: lower case, letters only.
func fitTables(dir string, names, words io.Reader) error {
	alexa, dictionary := feature.NewFitter(), feature.NewFitter()
	err := eachName(names, func(_ string, s dnsname.Split) error {
		if feature.Scorable(s) {
			alexa.Add(string(s.Registered.Label()))
		}
		return nil
	})
	if err != nil {
		return err
	}
	lines := bufio.NewScanner(words)
	for lines.Scan() {
		if w := strings.ToLower(strings.TrimSpace(lines.Text())); letters(w) {
			dictionary.Add(w)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("words: %w", err)
	}
	for file, table := range map[string]*feature.Grams{
		detect.AlexaTableFile: alexa.Table(alexaMinDF),
		detect.WordsTableFile: dictionary.Table(wordsMinDF),
	} {
		if table.Len() == 0 {
			return fmt.Errorf("%s: %d strings leave no n-gram", file, table.Documents())
		}
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
