package encode

import (
	"math"
	"net/netip"
	"strings"
	"time"

	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/detect/lookalike"
	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/internal/dnswire"
)

// Row is a transaction as one row of a table: what Columns shows. All its text is
// UTF-8 without NUL, whatever a name, an answer or a feed holds.
type Row struct {
	id      string
	sensor  string
	time    time.Time
	client  string
	t       *detect.Transaction
	qname   string
	domain  string
	suffix  string
	flags   string
	answers []Answer
	omitted int64
}

// Answer is a record of the answer section.
type Answer struct {
	Name  string // the owner, without the final dot
	Type  string // mnemonic, or TYPE123
	TTL   uint32 // seconds
	Rdata string // presentation form
}

// Rows makes rows of transactions. It is for one goroutine.
type Rows struct {
	sensor   string
	client   func(netip.Addr) string
	suffixes *dnsname.Suffixes
	row      Row
	buf      []byte
}

// NewRows makes rows of the instance that is called sensor. client writes as much
// of an address as may be kept, "" for nothing. A nil suffixes is the list that the
// module was built with.
func NewRows(sensor string, client func(netip.Addr) string, suffixes *dnsname.Suffixes) *Rows {
	if suffixes == nil {
		suffixes = dnsname.DefaultSuffixes()
	}
	return &Rows{sensor: clean(sensor), client: client, suffixes: suffixes}
}

// Times that every engine has: outside of them the nearest stands for one.
var (
	earliest = time.Unix(0, 0).UTC()
	latest   = time.Date(2261, 12, 31, 23, 59, 59, 999999000, time.UTC)
)

// Row makes the row of t, whose identity is id. It is good until the next call and
// as long as t is; what its columns return may be kept.
func (rs *Rows) Row(id string, t *detect.Transaction) *Row {
	r := &rs.row
	registered, suffix := rs.split(t)
	*r = Row{
		id: id, sensor: rs.sensor, time: rowTime(t), client: rs.client(t.Query.Client), t: t,
		qname: rs.text(t.Query.Name), domain: rs.text(registered), suffix: rs.text(suffix),
	}
	rs.response(r, t.Response)
	return r
}

// Key is what tables are sorted by: two columns of the row of t, registered_domain
// and time.
func (rs *Rows) Key(t *detect.Transaction) (domain string, at time.Time) {
	registered, _ := rs.split(t)
	return rs.text(registered), rowTime(t)
}

func (rs *Rows) split(t *detect.Transaction) (registered, suffix dnsname.Name) {
	registered = t.Verdict.Registered
	if len(t.Query.Name) == 0 {
		return registered, nil
	}
	split := rs.suffixes.Split(t.Query.Name)
	if registered == nil {
		registered = split.Registered
	}
	return registered, split.Suffix
}

func rowTime(t *detect.Transaction) time.Time {
	at := t.Query.Time.UTC().Truncate(time.Microsecond)
	switch {
	case at.Before(earliest):
		return earliest
	case at.After(latest):
		return latest
	}
	return at
}

// text is a name in presentation form, "" for none.
func (rs *Rows) text(n dnsname.Name) string {
	if n == nil {
		return ""
	}
	rs.buf = n.AppendText(rs.buf[:0])
	return string(rs.buf)
}

// response reads the header, and the answer section up to its first bad record.
func (rs *Rows) response(r *Row, msg []byte) {
	if len(msg) < dnswire.HeaderLen {
		return
	}
	header, walk, err := dnswire.WalkMessage(msg)
	r.flags = flagsText(header.Flags)
	if err != nil {
		return
	}
	size := 0
	for one := (dnswire.Record{}); walk.Next(&one) && one.Section == dnswire.Answer; {
		if len(r.answers) == maxRecords || size > maxRecordBytes {
			r.omitted++
			continue
		}
		owner, err := one.Owner(nil, msg)
		if err != nil {
			return
		}
		a := Answer{rs.text(owner), dnswire.TypeString(one.Type), one.TTL, one.RdataText(msg)}
		size += len(a.Name) + len(a.Rdata)
		r.answers = append(r.answers, a)
	}
}

const flagQR = 0x8000

// flagsText is the header's flags in the order and the words of dig.
func flagsText(flags uint16) string {
	var set []string
	for _, f := range [...]struct {
		bit  uint16
		name string
	}{{flagQR, "qr"}, {flagAA, "aa"}, {flagTC, "tc"}, {flagRD, "rd"}, {flagRA, "ra"}, {flagAD, "ad"}, {flagCD, "cd"}} {
		if flags&f.bit != 0 {
			set = append(set, f.name)
		}
	}
	return strings.Join(set, " ")
}

// clean is s without what some engine refuses in a text.
func clean(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if strings.IndexByte(s, 0) >= 0 {
		s = strings.ReplaceAll(s, "\x00", "\uFFFD")
	}
	return s
}

func (r *Row) rcode() string {
	if len(r.t.Response) == 0 {
		return ""
	}
	return dnswire.RcodeString(r.t.Rcode)
}

// scored is f, which the model said; NaN where it was not asked.
func (r *Row) scored(f float64) float64 {
	if r.t.Verdict.Unscored != detect.Scored || math.IsInf(f, 0) {
		return math.NaN()
	}
	return f
}

func (r *Row) oneIn() int64 {
	if r.t.Verdict.OneIn == 0 {
		return -1
	}
	return int64(r.t.Verdict.OneIn)
}

func (r *Row) why() []string {
	w := r.t.Verdict.Why
	if w == nil {
		return nil
	}
	out := make([]string, len(w.Grounds))
	for i := range w.Grounds {
		out[i] = clean(w.Grounds[i].Text)
	}
	return out
}

// matches are one field of each list entry that was hit.
func (r *Row) matches(field func(*detect.Match) string) []string {
	if len(r.t.Verdict.Matches) == 0 {
		return nil
	}
	out := make([]string, len(r.t.Verdict.Matches))
	for i := range out {
		out[i] = clean(field(&r.t.Verdict.Matches[i]))
	}
	return out
}

// lookalike is s, which is about the brand that the name imitates; "" if it does not.
func (r *Row) lookalike(s string) string {
	if r.t.Verdict.Lookalike.Grade == lookalike.GradeNone {
		return ""
	}
	return clean(s)
}

// shadow is s, which the model on trial said; "" if there is none.
func (r *Row) shadow(s string) string {
	if r.t.Verdict.Shadow.Model == "" {
		return ""
	}
	return clean(s)
}

func (r *Row) shadowScore() float64 {
	if s := &r.t.Verdict.Shadow; s.Model != "" && !math.IsInf(s.Score, 0) {
		return s.Score
	}
	return math.NaN()
}

// context is what is known beside, if only that nothing is.
func (r *Row) context() *detect.Context {
	if r.t.Context == nil {
		return &detect.Context{}
	}
	return r.t.Context
}

// orNone is n, -1 for 0.
func orNone(n uint32) int64 {
	if n == 0 {
		return -1
	}
	return int64(n)
}
