package encode

import (
	"fmt"
	"time"

	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/internal/dnswire"
)

// Type is what a column holds.
type Type uint8

// Types of columns.
const (
	Text  Type = iota // UTF-8 without NUL; "" stands for no value where Null
	Int               // 64 bits; a negative one stands for no value where Null
	Float             // 64 bits; NaN stands for no value
	Bool
	Time    // microseconds, UTC
	Texts   // a list of Text
	Answers // a list of Answer
)

var typeNames = [...]string{Text: "text", Int: "int", Float: "float", Bool: "bool", Time: "time", Texts: "list of text", Answers: "list of answers"}

// String is the word of docs/formats.md.
func (t Type) String() string {
	if int(t) < len(typeNames) {
		return typeNames[t]
	}
	return fmt.Sprintf("Type(%d)", uint8(t))
}

// Column is one of a Row's.
type Column struct {
	Name string
	Type Type
	Null bool // a row may have no value here
	// Few says that the column has few different values: worth a dictionary.
	Few     bool
	Meaning string

	// The one of Type is set.
	Text    func(*Row) string
	Int     func(*Row) int64
	Float   func(*Row) float64
	Bool    func(*Row) bool
	Time    func(*Row) time.Time
	Texts   func(*Row) []string
	Answers func(*Row) []Answer
}

// ColumnsVersion is that of Columns. It is raised with each column; columns are only
// ever added, at the end, so a table of an older version lacks some and has no
// others.
const ColumnsVersion = 2

// Columns are all of a Row's, in order: the one schema of Parquet, ClickHouse and
// PostgreSQL. docs/formats.md has the same table.
func Columns() []Column {
	return []Column{
		{Name: "weir_id", Type: Text, Text: func(r *Row) string { return r.id }, Meaning: "identity of the row, 32 hexadecimal digits: the same whenever it is sent again"},
		{Name: "time", Type: Time, Time: func(r *Row) time.Time { return r.time }, Meaning: "when the query arrived or, without one, its response"},
		{Name: "sensor_id", Type: Text, Null: true, Few: true, Text: func(r *Row) string { return r.sensor }, Meaning: "`records.sensor_id`"},
		{Name: "client", Type: Text, Null: true, Text: func(r *Row) string { return r.client }, Meaning: "as `privacy.client_address` says: an address, a prefix, or none"},
		{Name: "transport", Type: Text, Few: true, Text: func(r *Row) string { return r.t.Query.Transport.String() }, Meaning: "as in native"},
		{Name: "qname", Type: Text, Null: true, Text: func(r *Row) string { return r.qname }, Meaning: "the name asked for"},
		{Name: "registered_domain", Type: Text, Null: true, Text: func(r *Row) string { return r.domain }, Meaning: "public suffix and one label"},
		{Name: "suffix", Type: Text, Null: true, Few: true, Text: func(r *Row) string { return r.suffix }, Meaning: "public suffix of the qname"},
		{Name: "qtype", Type: Text, Few: true, Text: func(r *Row) string { return dnswire.TypeString(r.t.Query.Type) }, Meaning: "mnemonic, or `TYPE123`"},
		{Name: "qclass", Type: Text, Few: true, Text: func(r *Row) string { return dnswire.ClassString(r.t.Query.Class) }, Meaning: "mnemonic, or `CLASS123`"},
		{Name: "rcode", Type: Text, Null: true, Few: true, Text: (*Row).rcode, Meaning: "mnemonic, or `RCODE123`; none without a response"},
		{Name: "source", Type: Text, Few: true, Text: func(r *Row) string { return r.t.Source.String() }, Meaning: "where the response is from, as in native"},
		{Name: "upstream", Type: Text, Null: true, Few: true, Text: func(r *Row) string { return clean(r.t.Upstream) }, Meaning: "who answered"},
		{Name: "latency_us", Type: Int, Int: func(r *Row) int64 { return r.t.Latency.Microseconds() }, Meaning: "from query to response, microseconds"},
		{Name: "flags", Type: Text, Null: true, Few: true, Text: func(r *Row) string { return r.flags }, Meaning: "the response's flags as dig writes them, with spaces between: `qr rd ra`"},
		{Name: "answers", Type: Answers, Answers: func(r *Row) []Answer { return r.answers }, Meaning: "the answer section: `rrname`, `rrtype`, `ttl` (int), `rdata`"},
		{Name: "answers_omitted", Type: Int, Int: func(r *Row) int64 { return r.omitted }, Meaning: "good records that are left out, as in native"},
		{Name: "origin", Type: Text, Few: true, Text: func(r *Row) string { return r.t.Verdict.Origin.String() }, Meaning: "whose judgement: `none` is not the same as harmless"},
		{Name: "action", Type: Text, Few: true, Text: func(r *Row) string { return r.t.Verdict.Action.String() }, Meaning: "what policy wants"},
		{Name: "enforced", Type: Bool, Bool: func(r *Row) bool { return r.t.Verdict.Enforced }, Meaning: "whether policy had it done"},
		{Name: "unscored_reason", Type: Text, Null: true, Few: true, Text: func(r *Row) string { return r.t.Verdict.Unscored.String() }, Meaning: "why there is no score"},
		{Name: "score", Type: Float, Null: true, Float: func(r *Row) float64 { return r.scored(r.t.Verdict.Score) }, Meaning: "0 to 1"},
		{Name: "probability", Type: Float, Null: true, Float: func(r *Row) float64 { return r.scored(r.t.Verdict.Probability) }, Meaning: "the score, calibrated"},
		{Name: "level", Type: Text, Few: true, Text: func(r *Row) string { return r.t.Verdict.Level.String() }, Meaning: "`none`, `low`, `medium`, `high`"},
		{Name: "one_in", Type: Int, Null: true, Int: (*Row).oneIn, Meaning: "1 in so many of this site's names scores as high"},
		{Name: "by_site", Type: Bool, Bool: func(r *Row) bool { return r.t.Verdict.BySite }, Meaning: "whether `one_in` decided instead of `level`"},
		{Name: "popular", Type: Bool, Bool: func(r *Row) bool { return r.t.Verdict.Popular }, Meaning: "a detection that is not enforced because the name is popular"},
		{Name: "why", Type: Texts, Texts: (*Row).why, Meaning: "what made a detection of the model, the strongest reason first"},
		{Name: "shadow_model", Type: Text, Null: true, Few: true, Text: func(r *Row) string { return r.shadow(r.t.Verdict.Shadow.Model) }, Meaning: "version of the model on trial"},
		{Name: "shadow_score", Type: Float, Null: true, Float: (*Row).shadowScore, Meaning: "what it said"},
		{Name: "shadow_level", Type: Text, Null: true, Few: true, Text: func(r *Row) string { return r.shadow(r.t.Verdict.Shadow.Level.String()) }, Meaning: "in words"},
		{Name: "lookalike_brand", Type: Text, Null: true, Few: true, Text: func(r *Row) string { return r.lookalike(r.t.Verdict.Lookalike.Brand) }, Meaning: "the brand that the name imitates"},
		{Name: "lookalike_kind", Type: Text, Null: true, Few: true, Text: func(r *Row) string { return r.lookalike(r.t.Verdict.Lookalike.Kind.String()) }, Meaning: "how, see [detections.md](detections.md)"},
		{Name: "lookalike_grade", Type: Text, Null: true, Few: true, Text: func(r *Row) string { return r.lookalike(r.t.Verdict.Lookalike.Grade.String()) }, Meaning: "how surely"},
		{Name: "lists", Type: Texts, Few: true, Texts: func(r *Row) []string { return r.matches(func(m *detect.Match) string { return m.List }) }, Meaning: "list of each entry that was hit"},
		{Name: "rules", Type: Texts, Texts: func(r *Row) []string { return r.matches(func(m *detect.Match) string { return m.Rule }) }, Meaning: "the entry, in the order of `lists`"},
		{Name: "list_infos", Type: Texts, Texts: func(r *Row) []string { return r.matches(func(m *detect.Match) string { return m.Info }) }, Meaning: "what the feed says of it, in the same order"},
		{Name: "list_kinds", Type: Texts, Few: true, Texts: func(r *Row) []string { return r.matches(func(m *detect.Match) string { return m.Kind.String() }) }, Meaning: "what stood in it, in the same order: `kind` in native"},
		{Name: "list_effects", Type: Texts, Few: true, Texts: func(r *Row) []string { return r.matches(func(m *detect.Match) string { return m.Effect.String() }) }, Meaning: "what it does, in the same order: `effect` in native"},
		{Name: "client_name", Type: Text, Null: true, Few: true, Text: func(r *Row) string { return clean(r.context().Client.Name) }, Meaning: "what the site calls the client or its network"},
		{Name: "client_own", Type: Bool, Bool: func(r *Row) bool { return r.context().Client.Own }, Meaning: "whether the client is in one of the site's own networks"},
		{Name: "client_country", Type: Text, Null: true, Few: true, Text: func(r *Row) string { return clean(r.context().Client.Country) }, Meaning: "of a client from outside: ISO 3166-1"},
		{Name: "client_asn", Type: Int, Null: true, Int: func(r *Row) int64 { return orNone(r.context().Client.ASN) }, Meaning: "of a client from outside: its autonomous system"},
		{Name: "answer_countries", Type: Texts, Few: true, Texts: func(r *Row) []string { return countries(r.t.Context) }, Meaning: "of the addresses in the answer, each once"},
		{Name: "answer_asns", Type: Texts, Few: true, Texts: func(r *Row) []string { return asns(r.t.Context) }, Meaning: "their autonomous systems, `AS64500`, each once"},
		{Name: "reputations", Type: Texts, Few: true, Texts: func(r *Row) []string { return reputations(r.t.Context) }, Meaning: "what services say of the name, `service:LABEL:value`"},
	}
}
