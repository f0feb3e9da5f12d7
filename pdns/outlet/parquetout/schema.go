package parquetout

import (
	"math"
	"slices"

	"github.com/parquet-go/parquet-go"
	"github.com/weirdns/weir/pdns/encode"
)

// ordered is a group whose fields stay in this order: the library's are sorted.
type ordered struct {
	parquet.Group
	names []string
}

func (o *ordered) add(name string, n parquet.Node) {
	o.Group[name] = n
	o.names = append(o.names, name)
}

// Fields are the columns.
func (o *ordered) Fields() []parquet.Field {
	fields := o.Group.Fields()
	slices.SortFunc(fields, func(a, b parquet.Field) int {
		return slices.Index(o.names, a.Name()) - slices.Index(o.names, b.Name())
	})
	return fields
}

// unlike are text columns whose values are no fit for a dictionary. Of others that
// have many values, such as names, a row group still has each many times, since it
// is sorted.
var unlike = map[string]bool{"weir_id": true}

func schema(columns []encode.Column) *parquet.Schema {
	root := &ordered{Group: parquet.Group{}}
	for _, c := range columns {
		var n parquet.Node
		switch c.Type {
		case encode.Text:
			n = text()
			if unlike[c.Name] {
				n = parquet.String()
			}
		case encode.Int:
			n = parquet.Encoded(parquet.Int(64), &parquet.DeltaBinaryPacked)
		case encode.Float:
			n = parquet.Leaf(parquet.DoubleType)
		case encode.Bool:
			n = parquet.Leaf(parquet.BooleanType)
		case encode.Time:
			n = parquet.Encoded(parquet.Timestamp(parquet.Microsecond), &parquet.DeltaBinaryPacked)
		case encode.Texts:
			n = parquet.List(text())
		case encode.Answers:
			one := &ordered{Group: parquet.Group{}}
			one.add("rrname", text())
			one.add("rrtype", text())
			one.add("ttl", parquet.Encoded(parquet.Int(64), &parquet.DeltaBinaryPacked))
			one.add("rdata", text())
			n = parquet.List(one)
		}
		if c.Null {
			n = parquet.Optional(n)
		}
		root.add(c.Name, n)
	}
	return parquet.NewSchema("weir", root)
}

func text() parquet.Node { return parquet.Encoded(parquet.String(), &parquet.RLEDictionary) }

// answerLeaves is how many columns of the file an answer is.
const answerLeaves = 4

// values makes rows of the file. Its memory is used again for each.
type values struct {
	columns []encode.Column
	row     parquet.Row
	text    []byte
}

// of are the values of r, in order of the file's columns, good until the next row.
func (v *values) of(r *encode.Row) parquet.Row {
	v.row, v.text = v.row[:0], v.text[:0]
	leaf := 0
	for i := range v.columns {
		c := &v.columns[i]
		switch c.Type {
		case encode.Text:
			s := c.Text(r)
			v.put(v.string(s), c.Null, s == "", leaf)
		case encode.Int:
			n := c.Int(r)
			v.put(parquet.Int64Value(n), c.Null, n < 0, leaf)
		case encode.Float:
			f := c.Float(r)
			v.put(parquet.DoubleValue(f), c.Null, math.IsNaN(f), leaf)
		case encode.Bool:
			v.put(parquet.BooleanValue(c.Bool(r)), c.Null, false, leaf)
		case encode.Time:
			v.put(parquet.Int64Value(c.Time(r).UnixMicro()), c.Null, false, leaf)
		case encode.Texts:
			all := c.Texts(r)
			v.list(len(all), leaf, func(i int) parquet.Value { return v.string(all[i]) })
		case encode.Answers:
			all := c.Answers(r)
			v.list(len(all), leaf, func(i int) parquet.Value { return v.string(all[i].Name) })
			v.list(len(all), leaf+1, func(i int) parquet.Value { return v.string(all[i].Type) })
			v.list(len(all), leaf+2, func(i int) parquet.Value { return parquet.Int64Value(int64(all[i].TTL)) })
			v.list(len(all), leaf+3, func(i int) parquet.Value { return v.string(all[i].Rdata) })
			leaf += answerLeaves - 1
		}
		leaf++
	}
	return v.row
}

// put adds a value that may be missing where the column is optional.
func (v *values) put(x parquet.Value, optional, missing bool, leaf int) {
	switch {
	case optional && missing:
		x = parquet.NullValue().Level(0, 0, leaf)
	case optional:
		x = x.Level(0, 1, leaf)
	default:
		x = x.Level(0, 0, leaf)
	}
	v.row = append(v.row, x)
}

// list adds n values of a list; an empty one is its level alone.
func (v *values) list(n, leaf int, at func(int) parquet.Value) {
	if n == 0 {
		v.row = append(v.row, parquet.NullValue().Level(0, 0, leaf))
	}
	for i := range n {
		v.row = append(v.row, at(i).Level(min(i, 1), 1, leaf))
	}
}

// string is s in memory of v. What came before stays where it is, also when the
// memory grows.
func (v *values) string(s string) parquet.Value {
	at := len(v.text)
	v.text = append(v.text, s...)
	return parquet.ByteArrayValue(v.text[at:len(v.text):len(v.text)])
}
