package query

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/internal/dnswire"
	"github.com/weirdns/weir/pdns/store"
)

// The formats of records.
const (
	FormatCOF  = "cof"  // the passive DNS Common Output Format, a line each
	FormatJSON = "json" // all that is known, a line each
	FormatCSV  = "csv"  // with a header
	FormatText = "text" // for reading
)

// formats are the media types.
var formats = map[string]string{
	FormatCOF:  "application/x-ndjson",
	FormatJSON: "application/x-ndjson",
	FormatCSV:  "text/csv; charset=utf-8",
	FormatText: "text/plain; charset=utf-8",
}

// Record is a record in the format json.
type Record struct {
	RRName    string   `json:"rrname"`
	RRType    string   `json:"rrtype"`
	Rdata     string   `json:"rdata"`
	Bailiwick string   `json:"bailiwick,omitempty"`
	Sections  []string `json:"sections"`
	TimeFirst int64    `json:"time_first"`
	TimeLast  int64    `json:"time_last"`
	Count     uint64   `json:"count"`
	Folded    bool     `json:"folded,omitempty"`
}

// cof is a record in the Common Output Format.
type cof struct {
	RRName    string   `json:"rrname"`
	RRType    string   `json:"rrtype"`
	Rdata     []string `json:"rdata"`
	TimeFirst int64    `json:"time_first"`
	TimeLast  int64    `json:"time_last"`
	Count     uint64   `json:"count"`
	Bailiwick string   `json:"bailiwick,omitempty"`
	SensorID  string   `json:"sensor_id,omitempty"`
}

// fqdn is a name with its final dot, the root as a dot alone.
func fqdn(n dnsname.Name) string {
	if n.IsRoot() {
		return "."
	}
	return n.String() + "."
}

var sectionNames = []struct {
	in   store.Sections
	name string
}{{store.InAnswer, "answer"}, {store.InAuthority, "authority"}, {store.InAdditional, "additional"}}

// NewRecord is r in the format json.
func NewRecord(r *store.Record) Record {
	out := Record{
		RRName: fqdn(r.Name), RRType: dnswire.TypeString(r.Type), Rdata: r.Rdata, Sections: []string{},
		TimeFirst: r.First, TimeLast: r.Last, Count: r.Count, Folded: r.Folded,
	}
	if r.Folded {
		out.RRName = "*." + strings.TrimPrefix(out.RRName, ".")
	}
	if r.Bailiwick != nil {
		out.Bailiwick = fqdn(r.Bailiwick)
	}
	for _, s := range sectionNames {
		if r.Sections&s.in != 0 {
			out.Sections = append(out.Sections, s.name)
		}
	}
	return out
}

// Writer writes records in one format.
type Writer interface {
	Write(r *store.Record) error
	// Flush writes what is gathered, and a CSV header where no record came.
	Flush() error
}

// NewWriter writes to w; of the format's name Compile has made sure.
func NewWriter(w io.Writer, format, sensorID string) Writer {
	switch format {
	case FormatJSON:
		return &jsonWriter{json.NewEncoder(w)}
	case FormatCSV:
		return &csvWriter{w: csv.NewWriter(w)}
	case FormatText:
		return &textWriter{w}
	}
	return &cofWriter{json.NewEncoder(w), sensorID}
}

type cofWriter struct {
	enc    *json.Encoder
	sensor string
}

func (w *cofWriter) Write(r *store.Record) error {
	rec := NewRecord(r)
	c := cof{
		RRName: rec.RRName, RRType: rec.RRType, Rdata: []string{}, TimeFirst: rec.TimeFirst, TimeLast: rec.TimeLast,
		Count: rec.Count, Bailiwick: rec.Bailiwick, SensorID: w.sensor,
	}
	if !r.Folded {
		c.Rdata = append(c.Rdata, rec.Rdata)
	}
	return w.enc.Encode(c)
}

func (w *cofWriter) Flush() error { return nil }

type jsonWriter struct{ enc *json.Encoder }

func (w *jsonWriter) Write(r *store.Record) error { return w.enc.Encode(NewRecord(r)) }
func (w *jsonWriter) Flush() error                { return nil }

type csvWriter struct {
	w     *csv.Writer
	begun bool
}

func (w *csvWriter) header() error {
	if w.begun {
		return nil
	}
	w.begun = true
	return w.w.Write([]string{"rrname", "rrtype", "rdata", "time_first", "time_last", "count", "bailiwick", "sections", "folded"})
}

func (w *csvWriter) Write(r *store.Record) error {
	if err := w.header(); err != nil {
		return err
	}
	rec := NewRecord(r)
	return w.w.Write([]string{
		rec.RRName, rec.RRType, rec.Rdata, strconv.FormatInt(rec.TimeFirst, 10), strconv.FormatInt(rec.TimeLast, 10),
		strconv.FormatUint(rec.Count, 10), rec.Bailiwick, strings.Join(rec.Sections, " "), strconv.FormatBool(rec.Folded),
	})
}

func (w *csvWriter) Flush() error {
	if err := w.header(); err != nil {
		return err
	}
	w.w.Flush()
	return w.w.Error()
}

type textWriter struct{ w io.Writer }

func (w *textWriter) Write(r *store.Record) error {
	rec := NewRecord(r)
	rdata := rec.Rdata
	if rec.Folded {
		rdata = "(many names, only counted)"
	}
	_, err := fmt.Fprintf(w.w, "%s  %s %8d  %s %s %s\n", stamp(rec.TimeFirst), stamp(rec.TimeLast), rec.Count, rec.RRName, rec.RRType, rdata)
	return err
}

func (w *textWriter) Flush() error { return nil }

func stamp(unix int64) string { return time.Unix(unix, 0).UTC().Format("2006-01-02T15:04:05Z") }
