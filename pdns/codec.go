package pdns

import (
	"encoding/binary"
	"errors"
	"math"
	"net/netip"
	"time"

	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/detect/lookalike"
	"github.com/weirdns/weir/internal/dnsname"
)

// RecordVersion is that of the records of AppendTransaction, for who keeps them
// on a disk. Any change of their form is another version.
const RecordVersion = 2

// A transaction crosses a queue as one record of octets, so that what the
// answer path hands over is a copy in memory of the queue's own:
//
//	seconds int64, nanoseconds uint32            Query.Time
//	latency int64                                nanoseconds
//	score, probability, shadow score uint64      the bits of the floats
//	one in uint32
//	qtype, qclass, rcode uint16
//	transport, origin, action, flags, unscored, level, shadow level, source, look-alike kind and grade uint8
//	client, name, registered, upstream, response, shadow model, brand octets
//	grounds uint8, then for each: log-odds uint64; text octets; after them Why.Text octets
//	matches uint8, then for each: kind uint8; list, rule, info octets
//	the context, see appendContext
//
// Numbers are little-endian; octets are a length as uvarint and that many
// octets. Verdict.Answer is not carried: it is policy, not what happened.
const fixedLen = 8 + 4 + 8 + 3*8 + 4 + 3*2 + 10

// What flags holds.
const (
	flagEnforced = 1 << iota
	flagBySite
	flagPopular
	flagWhy // there is a Why, if only an empty one
)

// maxMatches bounds the matches of a record; a query hits a few lists.
const maxMatches = 255

var errRecord = errors.New("pdns: record cut or of another form")

// AppendTransaction appends t as one record. It allocates nothing but what dst
// needs to grow.
func AppendTransaction(dst []byte, t *detect.Transaction) []byte {
	le := binary.LittleEndian
	dst = le.AppendUint64(dst, uint64(t.Query.Time.Unix()))
	dst = le.AppendUint32(dst, uint32(t.Query.Time.Nanosecond()))
	dst = le.AppendUint64(dst, uint64(t.Latency))
	dst = le.AppendUint64(dst, math.Float64bits(t.Verdict.Score))
	dst = le.AppendUint64(dst, math.Float64bits(t.Verdict.Probability))
	dst = le.AppendUint64(dst, math.Float64bits(t.Verdict.Shadow.Score))
	dst = le.AppendUint32(dst, t.Verdict.OneIn)
	dst = le.AppendUint16(dst, t.Query.Type)
	dst = le.AppendUint16(dst, t.Query.Class)
	dst = le.AppendUint16(dst, t.Rcode)
	dst = append(dst, byte(t.Query.Transport), byte(t.Verdict.Origin), byte(t.Verdict.Action),
		flags(&t.Verdict), byte(t.Verdict.Unscored), byte(t.Verdict.Level), byte(t.Verdict.Shadow.Level), byte(t.Source),
		byte(t.Verdict.Lookalike.Kind), byte(t.Verdict.Lookalike.Grade))
	client := t.Query.Client.As16()
	switch {
	case !t.Query.Client.IsValid():
		dst = appendOctets(dst, nil)
	case t.Query.Client.Is4():
		dst = appendOctets(dst, client[12:])
	default:
		dst = appendOctets(dst, client[:])
	}
	dst = appendOctets(dst, t.Query.Name)
	dst = appendOctets(dst, t.Verdict.Registered)
	dst = appendString(dst, t.Upstream)
	dst = appendOctets(dst, t.Response)
	dst = appendString(dst, t.Verdict.Shadow.Model)
	dst = appendString(dst, t.Verdict.Lookalike.Brand)
	dst = appendWhy(dst, t.Verdict.Why)
	matches := t.Verdict.Matches[:min(len(t.Verdict.Matches), maxMatches)]
	dst = append(dst, byte(len(matches)))
	for i := range matches {
		m := &matches[i]
		dst = append(dst, byte(m.Kind), byte(m.Effect))
		dst = appendString(dst, m.List)
		dst = appendString(dst, m.Rule)
		dst = appendString(dst, m.Info)
	}
	return appendContext(dst, t.Context)
}

func flags(v *detect.Verdict) (f byte) {
	for _, is := range [...]struct {
		set  bool
		flag byte
	}{{v.Enforced, flagEnforced}, {v.BySite, flagBySite}, {v.Popular, flagPopular}, {v.Why != nil, flagWhy}} {
		if is.set {
			f |= is.flag
		}
	}
	return f
}

func appendWhy(dst []byte, w *detect.Why) []byte {
	if w == nil {
		return dst
	}
	grounds := w.Grounds[:min(len(w.Grounds), math.MaxUint8)]
	dst = append(dst, byte(len(grounds)))
	for i := range grounds {
		dst = binary.LittleEndian.AppendUint64(dst, math.Float64bits(grounds[i].LogOdds))
		dst = appendString(dst, grounds[i].Text)
	}
	return appendString(dst, w.Text)
}

func appendOctets(dst, b []byte) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(b))), b...)
}

func appendString(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

// Decoder reads records back. It is used again for each, and so is the memory
// of what it returns.
type Decoder struct {
	t       detect.Transaction
	matches []detect.Match
	why     detect.Why
	context detect.Context
}

// Decode reads one record of AppendTransaction. The transaction points into
// record and into d: it is good until either is used again. A zone of the
// client's address is gone, and empty octets come back as nil.
func (d *Decoder) Decode(record []byte) (*detect.Transaction, error) {
	r := reader{rest: record}
	fixed := r.take(fixedLen)
	if fixed == nil {
		return nil, errRecord
	}
	le, t := binary.LittleEndian, &d.t
	t.Query.Time = time.Unix(int64(le.Uint64(fixed)), int64(le.Uint32(fixed[8:]))).UTC()
	t.Latency = time.Duration(le.Uint64(fixed[12:]))
	t.Verdict.Score = math.Float64frombits(le.Uint64(fixed[20:]))
	t.Verdict.Probability = math.Float64frombits(le.Uint64(fixed[28:]))
	t.Verdict.Shadow.Score = math.Float64frombits(le.Uint64(fixed[36:]))
	t.Verdict.OneIn = le.Uint32(fixed[44:])
	t.Query.Type, t.Query.Class, t.Rcode = le.Uint16(fixed[48:]), le.Uint16(fixed[50:]), le.Uint16(fixed[52:])
	kinds := fixed[54:]
	t.Query.Transport, t.Verdict.Origin, t.Verdict.Action = detect.Transport(kinds[0]), detect.Origin(kinds[1]), detect.Action(kinds[2])
	set := kinds[3]
	t.Verdict.Enforced, t.Verdict.BySite, t.Verdict.Popular = set&flagEnforced != 0, set&flagBySite != 0, set&flagPopular != 0
	t.Verdict.Unscored, t.Verdict.Level, t.Verdict.Shadow.Level, t.Source =
		detect.Reason(kinds[4]), detect.Level(kinds[5]), detect.Level(kinds[6]), detect.Source(kinds[7])
	t.Verdict.Lookalike.Kind, t.Verdict.Lookalike.Grade = lookalike.Kind(kinds[8]), lookalike.Grade(kinds[9])
	client := r.octets()
	t.Query.Client, _ = netip.AddrFromSlice(client)
	t.Query.Name = dnsname.Name(r.octets())
	t.Verdict.Registered = dnsname.Name(r.octets())
	r.text(&t.Upstream)
	t.Response = r.octets()
	r.text(&t.Verdict.Shadow.Model)
	r.text(&t.Verdict.Lookalike.Brand)
	t.Verdict.Why = nil
	if set&flagWhy != 0 {
		r.why(&d.why)
		t.Verdict.Why = &d.why
	}
	count := r.count()
	for len(d.matches) < count && !r.bad {
		d.matches = append(d.matches, detect.Match{})
	}
	for i := 0; i < count && !r.bad; i++ {
		m := &d.matches[i]
		if kinds := r.take(2); kinds != nil {
			m.Kind, m.Effect = detect.MatchKind(kinds[0]), detect.Effect(kinds[1])
		}
		r.text(&m.List)
		r.text(&m.Rule)
		r.text(&m.Info)
	}
	t.Context = r.context(&d.context)
	if r.bad || len(r.rest) != 0 || len(client) != 0 && !t.Query.Client.IsValid() {
		return nil, errRecord
	}
	t.Verdict.Matches = d.matches[:count:count]
	return t, nil
}

// reader takes fields off the front of a record.
type reader struct {
	rest []byte
	bad  bool
}

func (r *reader) take(n int) []byte {
	if r.bad || n > len(r.rest) {
		r.bad = true
		return nil
	}
	b := r.rest[:n:n]
	r.rest = r.rest[n:]
	return b
}

// count reads how many of something follow.
func (r *reader) count() int {
	if n := r.take(1); n != nil {
		return int(n[0])
	}
	return 0
}

// why reads into w, whose memory it uses again.
func (r *reader) why(w *detect.Why) {
	count := r.count()
	for len(w.Grounds) < count && !r.bad {
		w.Grounds = append(w.Grounds, detect.Ground{})
	}
	w.Grounds = w.Grounds[:min(count, len(w.Grounds))]
	for i := range w.Grounds {
		if bits := r.take(8); bits != nil {
			w.Grounds[i].LogOdds = math.Float64frombits(binary.LittleEndian.Uint64(bits))
		}
		r.text(&w.Grounds[i].Text)
	}
	r.text(&w.Text)
}

func (r *reader) octets() []byte {
	n, width := binary.Uvarint(r.rest)
	if r.bad || width <= 0 || n > uint64(len(r.rest)-width) {
		r.bad = true
		return nil
	}
	r.rest = r.rest[width:]
	if n == 0 {
		return nil
	}
	return r.take(int(n))
}

// text reads octets into s. Upstreams and lists repeat from record to record,
// so a string that is already there is kept instead of made again.
func (r *reader) text(s *string) {
	if b := r.octets(); string(b) != *s {
		*s = string(b)
	}
}
