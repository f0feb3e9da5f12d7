package clickhouse

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/ClickHouse/ch-go/proto"
	"github.com/weirdns/weir/pdns/encode"
	"github.com/weirdns/weir/pdns/outlet"
)

// given are the types, by name, of the columns of a table that weir has not made.
func (t tables) given(c *conn) (map[string]string, error) {
	names, kinds := new(proto.ColStr), new(proto.ColStr)
	err := c.read("SELECT name, type FROM system.columns WHERE database = '"+t.Database+"' AND table = '"+t.Table+"' AND default_kind NOT IN ('MATERIALIZED', 'ALIAS')",
		proto.Results{{Name: "name", Data: names}, {Name: "type", Data: kinds}})
	if err != nil {
		return nil, explained(err)
	}
	out := map[string]string{}
	for i := range names.Rows() {
		out[names.Row(i)] = kinds.Row(i)
	}
	switch {
	case len(out) == 0:
		return nil, fmt.Errorf("there is no table %s, or %s may not see it", t.full(""), t.User)
	case out[identity] == "":
		return nil, fmt.Errorf("the table %s has no column %s", t.full(""), identity)
	}
	return out, nil
}

// columnsFor are those of weir's columns that a table has, in the types that they
// have there; all of them, in weir's own types, where given is nil.
func columnsFor(given map[string]string) ([]column, error) {
	if given == nil {
		return newColumns(), nil
	}
	var out []column
	var errs []error
	for _, c := range encode.Columns() {
		for _, col := range columnsOf(c) {
			kind, ok := given[col.name]
			if !ok {
				continue
			}
			if kind != col.kind && !col.become(c, kind) {
				errs = append(errs, fmt.Errorf("the table's column %s is %s, and weir writes %s", col.name, kind, col.kind))
			}
			out = append(out, col)
		}
	}
	return out, errors.Join(errs...)
}

// become makes the column another type that can hold the same values: one that is
// simpler, or that servers had before.
func (col *column) become(c encode.Column, kind string) bool {
	switch {
	case c.Type == encode.Text && kind == "String":
		data := new(proto.ColStr)
		col.data, col.add = data, func(_ outlet.ID, r *encode.Row) { data.Append(c.Text(r)) }
	case c.Type == encode.Text && kind == "LowCardinality(String)":
		data := new(proto.ColStr).LowCardinality()
		col.data, col.add = data, func(_ outlet.ID, r *encode.Row) { data.Append(c.Text(r)) }
	case c.Type == encode.Bool && kind == "UInt8":
		data := new(proto.ColUInt8)
		col.data, col.add = data, func(_ outlet.ID, r *encode.Row) {
			var v uint8
			if c.Bool(r) {
				v = 1
			}
			data.Append(v)
		}
	case c.Type == encode.Time && (kind == "DateTime" || strings.HasPrefix(kind, "DateTime(")):
		data := new(proto.ColUInt32)
		col.data = named{data, proto.ColumnType(kind)}
		col.add = func(_ outlet.ID, r *encode.Row) {
			data.Append(uint32(min(max(c.Time(r).Unix(), 0), math.MaxUint32))) // what a DateTime has
		}
	case c.Type == encode.Time && strings.HasPrefix(kind, "DateTime64("):
		data := new(proto.ColDateTime64)
		if data.Infer(proto.ColumnType(kind)) != nil {
			return false
		}
		col.data, col.add = named{data, proto.ColumnType(kind)}, func(_ outlet.ID, r *encode.Row) { data.Append(c.Time(r).Truncate(time.Microsecond)) }
	case c.Type == encode.Texts && kind == "Array(String)":
		data := new(proto.ColStr).Array()
		col.data, col.add = data, func(_ outlet.ID, r *encode.Row) { data.Append(c.Texts(r)) }
	case c.Type == encode.Answers && kind == "Array(String)":
		data := new(proto.ColStr).Array() // of the types of records alone: all other columns are their own
		col.data, col.add = data, func(_ outlet.ID, r *encode.Row) {
			data.Append(pick(c.Answers(r), func(a encode.Answer) string { return a.Type }))
		}
	default:
		return false
	}
	col.kind = kind
	return true
}

// named is a column whose type is called as the table calls it: old servers compare
// names.
type named struct {
	proto.ColInput
	kind proto.ColumnType
}

// Type is the table's word for it.
func (n named) Type() proto.ColumnType { return n.kind }
