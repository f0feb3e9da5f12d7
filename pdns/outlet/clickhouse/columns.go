package clickhouse

import (
	"math"
	"time"

	"github.com/ClickHouse/ch-go/proto"
	"github.com/weirdns/weir/pdns/encode"
	"github.com/weirdns/weir/pdns/outlet"
)

// column is one of the table, and its values of a batch.
type column struct {
	name, kind, codec string
	data              proto.ColInput
	add               func(outlet.ID, *encode.Row)
}

// identity is the column that tells a row from its repetition.
const identity = "weir_id"

// newColumns are those of the flat row, empty. A text that is missing is empty, as
// ClickHouse likes it; of numbers 0 would be a value, so those may be NULL.
func newColumns() (out []column) {
	for _, c := range encode.Columns() {
		out = append(out, columnsOf(c)...)
	}
	return out
}

func columnsOf(c encode.Column) []column {
	one := func(kind, codec string, data proto.ColInput, add func(outlet.ID, *encode.Row)) []column {
		return []column{{c.Name, kind, codec, data, add}}
	}
	switch c.Type {
	case encode.Text:
		if c.Name == identity {
			data := new(proto.ColUUID)
			return one("UUID", "ZSTD(1)", data, func(id outlet.ID, _ *encode.Row) { data.Append([16]byte(id)) })
		}
		if c.Few {
			data := new(proto.ColStr).LowCardinality()
			return one("LowCardinality(String)", "", data, func(_ outlet.ID, r *encode.Row) { data.Append(c.Text(r)) })
		}
		data := new(proto.ColStr)
		return one("String", "ZSTD(1)", data, func(_ outlet.ID, r *encode.Row) { data.Append(c.Text(r)) })
	case encode.Int:
		if c.Null {
			data := new(proto.ColInt64).Nullable()
			return one("Nullable(Int64)", "T64, ZSTD(1)", data, func(_ outlet.ID, r *encode.Row) {
				v := c.Int(r)
				data.Append(proto.Nullable[int64]{Set: v >= 0, Value: max(v, 0)})
			})
		}
		data := new(proto.ColInt64)
		return one("Int64", "T64, ZSTD(1)", data, func(_ outlet.ID, r *encode.Row) { data.Append(c.Int(r)) })
	case encode.Float:
		data := new(proto.ColFloat64).Nullable()
		return one("Nullable(Float64)", "Gorilla, ZSTD(1)", data, func(_ outlet.ID, r *encode.Row) {
			v := c.Float(r)
			if math.IsNaN(v) {
				data.Append(proto.Null[float64]())
			} else {
				data.Append(proto.NewNullable(v))
			}
		})
	case encode.Bool:
		data := new(proto.ColBool)
		return one("Bool", "", data, func(_ outlet.ID, r *encode.Row) { data.Append(c.Bool(r)) })
	case encode.Time:
		data := new(proto.ColDateTime64).WithPrecision(proto.PrecisionMicro).WithLocation(time.UTC)
		return one("DateTime64(6, 'UTC')", "Delta, ZSTD(1)", data, func(_ outlet.ID, r *encode.Row) { data.Append(c.Time(r)) })
	case encode.Texts:
		if c.Few {
			data := proto.NewArray(new(proto.ColStr).LowCardinality())
			return one("Array(LowCardinality(String))", "", data, func(_ outlet.ID, r *encode.Row) { data.Append(c.Texts(r)) })
		}
		data := new(proto.ColStr).Array()
		return one("Array(String)", "ZSTD(1)", data, func(_ outlet.ID, r *encode.Row) { data.Append(c.Texts(r)) })
	case encode.Answers:
		return answersOf(c)
	}
	return nil
}

// answersOf are a record's fields, each an array, as ClickHouse has lists of
// structures.
func answersOf(c encode.Column) []column {
	names, kinds, data := new(proto.ColStr).Array(), proto.NewArray(new(proto.ColStr).LowCardinality()), new(proto.ColStr).Array()
	ttls := proto.NewArray(new(proto.ColUInt32))
	field := func(name, kind, codec string, data proto.ColInput, add func([]encode.Answer)) column {
		return column{c.Name + "." + name, "Array(" + kind + ")", codec, data, func(_ outlet.ID, r *encode.Row) { add(c.Answers(r)) }}
	}
	return []column{
		field("rrname", "String", "ZSTD(1)", names, func(list []encode.Answer) {
			names.Append(pick(list, func(a encode.Answer) string { return a.Name }))
		}),
		field("rrtype", "LowCardinality(String)", "", kinds, func(list []encode.Answer) {
			kinds.Append(pick(list, func(a encode.Answer) string { return a.Type }))
		}),
		field("ttl", "UInt32", "T64, ZSTD(1)", ttls, func(list []encode.Answer) {
			ttls.Append(pick(list, func(a encode.Answer) uint32 { return a.TTL }))
		}),
		field("rdata", "String", "ZSTD(1)", data, func(list []encode.Answer) {
			data.Append(pick(list, func(a encode.Answer) string { return a.Rdata }))
		}),
	}
}

func pick[T any](list []encode.Answer, field func(encode.Answer) T) []T {
	out := make([]T, len(list))
	for i, a := range list {
		out[i] = field(a)
	}
	return out
}
