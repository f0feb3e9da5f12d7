package main

import (
	"bytes"
	"encoding"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// document is a configuration file being read into Go values. It is stricter
// than the library's own decoding in three ways that users pay for otherwise:
// every problem is reported and not only the first, each with its line and the
// path of its field, and a key that no field knows is a problem.
type document struct {
	file  string
	lines map[string]int // by field path, where it stands
	errs  []error
}

// defaulter fills in an element of a list before the file's keys are applied.
type defaulter interface{ setDefaults() }

// decodeYAML reads data into v, a pointer to a struct that holds the defaults.
func decodeYAML(file string, data []byte, v any) *document {
	d := &document{file: file, lines: map[string]int{}}
	var root, second yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(data))
	if err := dec.Decode(&root); err != nil && !errors.Is(err, io.EOF) {
		d.errs = append(d.errs, fmt.Errorf("%s: %s", file, strings.TrimPrefix(err.Error(), "yaml: ")))
		return d
	}
	if err := dec.Decode(&second); !errors.Is(err, io.EOF) {
		d.fail(second.Line, "", "a second document: everything has to be in the first")
	}
	if len(root.Content) > 0 {
		d.decode(root.Content[0], reflect.ValueOf(v).Elem(), "")
	}
	return d
}

// err is everything that is wrong, in the order of the file.
func (d *document) err() error {
	slices.SortStableFunc(d.errs, func(a, b error) int { return d.position(a) - d.position(b) })
	return errors.Join(d.errs...)
}

// position is the line that an error names; errors without one come last.
func (d *document) position(err error) int {
	rest, ok := strings.CutPrefix(err.Error(), d.file+":")
	digits, _, _ := strings.Cut(rest, ":")
	if line, err := strconv.Atoi(digits); ok && err == nil {
		return line
	}
	return 1 << 30
}

// fail records a problem with the field at path.
func (d *document) fail(line int, path, format string, args ...any) {
	msg := fmt.Sprintf(format, args...)
	if path != "" {
		msg = path + ": " + msg
	}
	d.errs = append(d.errs, fmt.Errorf("%s:%d: %s", d.file, line, msg))
}

// add takes the errors of a Validate, each "path: what is wrong", and finds
// their lines. A field that the file does not name is at its nearest parent.
func (d *document) add(prefix string, err error) {
	for _, e := range split(err) {
		msg := e.Error()
		if prefix != "" {
			msg = prefix + "." + msg
		}
		path, _, _ := strings.Cut(msg, ": ")
		d.errs = append(d.errs, errors.New(d.at(path)+msg))
	}
}

// at is what stands in front of a problem with the field at path: file and line.
func (d *document) at(path string) string {
	if line := d.line(path); line > 0 {
		return fmt.Sprintf("%s:%d: ", d.file, line)
	}
	if d.file != "" {
		return d.file + ": "
	}
	return ""
}

func (d *document) line(path string) int {
	for path != "" {
		if line, ok := d.lines[path]; ok {
			return line
		}
		path = path[:max(strings.LastIndexAny(path, ".["), 0)]
	}
	return 0
}

// split takes apart what errors.Join joined, at any depth.
func split(err error) []error {
	if err == nil {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var out []error
	for _, e := range joined.Unwrap() {
		out = append(out, split(e)...)
	}
	return out
}

func (d *document) decode(n *yaml.Node, v reflect.Value, path string) {
	if path != "" {
		d.lines[path] = n.Line
	}
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Tag == "!!null" {
		return // a key without a value keeps the default
	}
	if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		if n.Kind != yaml.ScalarNode {
			d.fail(n.Line, path, "must be a single value")
		} else if err := u.UnmarshalText([]byte(n.Value)); err != nil {
			d.fail(n.Line, path, "%v", err)
		}
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		d.decodeStruct(n, v, path)
	case reflect.Slice:
		d.decodeSlice(n, v, path)
	default:
		d.decodeScalar(n, v, path)
	}
}

func (d *document) decodeStruct(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind != yaml.MappingNode {
		d.fail(n.Line, path, "must be a group of settings")
		return
	}
	fields := fieldsOf(v)
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		at := key.Value
		if path != "" {
			at = path + "." + key.Value
		}
		field, ok := fields[key.Value]
		switch {
		case !ok:
			d.fail(key.Line, at, "unknown setting%s", suggest(key.Value, fields))
		case seen[key.Value]:
			d.fail(key.Line, at, "set twice")
		default:
			d.decode(value, field, at)
		}
		seen[key.Value] = true
	}
}

// fieldsOf maps the keys of a struct, inlined ones included, to its fields.
func fieldsOf(v reflect.Value) map[string]reflect.Value {
	out := map[string]reflect.Value{}
	for i := range v.NumField() {
		name, opts, _ := strings.Cut(v.Type().Field(i).Tag.Get("yaml"), ",")
		switch {
		case opts == "inline":
			for k, f := range fieldsOf(v.Field(i)) {
				out[k] = f
			}
		case name != "" && name != "-":
			out[name] = v.Field(i)
		}
	}
	return out
}

func (d *document) decodeSlice(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind != yaml.SequenceNode {
		d.fail(n.Line, path, "must be a list")
		return
	}
	out := reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content))
	for i, item := range n.Content {
		if def, ok := out.Index(i).Addr().Interface().(defaulter); ok {
			def.setDefaults()
		}
		d.decode(item, out.Index(i), fmt.Sprintf("%s[%d]", path, i))
	}
	v.Set(out)
}

var durationType = reflect.TypeFor[time.Duration]()

func (d *document) decodeScalar(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind != yaml.ScalarNode {
		d.fail(n.Line, path, "must be a single value")
		return
	}
	switch {
	case v.Type() == durationType:
		t, err := time.ParseDuration(n.Value)
		if err != nil {
			d.fail(n.Line, path, "must be a duration like 90s, 10m or 24h, got %q", n.Value)
			return
		}
		v.SetInt(int64(t))
	case v.Kind() == reflect.String:
		v.SetString(n.Value)
	case v.Kind() == reflect.Bool:
		b, err := strconv.ParseBool(n.Value)
		if err != nil || n.Tag != "!!bool" {
			d.fail(n.Line, path, "must be true or false, got %q", n.Value)
			return
		}
		v.SetBool(b)
	case v.CanInt():
		i, err := parseSize(n.Value)
		if err != nil || v.OverflowInt(i) {
			d.fail(n.Line, path, "must be a whole number, or a size like 64MiB, got %q", n.Value)
			return
		}
		v.SetInt(i)
	case v.CanUint():
		i, err := parseSize(n.Value)
		if err != nil || i < 0 || v.OverflowUint(uint64(i)) {
			d.fail(n.Line, path, "must be a whole number from 0, got %q", n.Value)
			return
		}
		v.SetUint(uint64(i))
	case v.CanFloat():
		f, err := strconv.ParseFloat(n.Value, 64)
		if err != nil {
			d.fail(n.Line, path, "must be a number, got %q", n.Value)
			return
		}
		v.SetFloat(f)
	default:
		d.fail(n.Line, path, "cannot be set from a file")
	}
}

// parseSize reads a whole number, with a binary unit if it counts octets.
func parseSize(s string) (int64, error) {
	shift := 0
	for unit, by := range map[string]int{"KiB": 10, "MiB": 20, "GiB": 30} {
		if rest, ok := strings.CutSuffix(s, unit); ok {
			s, shift = strings.TrimSpace(rest), by
		}
	}
	i, err := strconv.ParseInt(s, 10, 64)
	if err == nil && i != i<<shift>>shift {
		err = strconv.ErrRange
	}
	return i << shift, err
}

// suggest names the setting that the user may have meant.
func suggest(key string, fields map[string]reflect.Value) string {
	best, bestDistance := "", 3
	for name := range fields {
		if dist := distance(key, name); dist < bestDistance || dist == bestDistance && name < best {
			best, bestDistance = name, dist
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(" (did you mean %q?)", best)
}

// distance is the number of single letter edits between two short words.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
