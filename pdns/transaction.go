package pdns

import (
	"net/netip"
	"strconv"

	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/detect/lookalike"
	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/internal/dnswire"
	"github.com/weirdns/weir/pdns/encode"
	"github.com/weirdns/weir/pdns/privacy"
)

// Bounds of the answers in one line. A message of 64 KiB can hold thousands of
// records whose compressed names grow to a thousand characters each.
const (
	maxAnswers     = 256
	maxAnswerBytes = 256 << 10 // checked before each answer, so that one more fits on top
)

// lines writes transactions, natively as JSON with every field always there.
type lines struct {
	client     *privacy.Guard
	suffixes   *dnsname.Suffixes
	maxAnswers int
	other      *encode.Encoder // nil: the native format
	buf        []byte          // scratch
	stamp      stamp
}

func newLines(format encode.Format, client *privacy.Guard, suffixes *dnsname.Suffixes) lines {
	l := lines{client: client, suffixes: suffixes, maxAnswers: maxAnswers}
	if format != encode.Native {
		l.other = encode.New(format, client.Address, suffixes)
	}
	return l
}

// append appends one line, newline included.
func (l *lines) append(dst []byte, t *detect.Transaction) []byte {
	if l.other != nil {
		return l.other.Append(dst, t)
	}
	dst = append(dst, `{"time":"`...)
	dst = l.stamp.append(dst, t.Query.Time)
	dst = append(dst, `","client":`...)
	dst = appendClient(dst, l.client, t.Query.Client)
	dst = append(dst, `,"transport":`...)
	dst = appendJSON(dst, t.Query.Transport.String())
	dst = append(dst, `,"qname":`...)
	dst = l.appendName(dst, t.Query.Name)
	dst = append(dst, `,"qtype":`...)
	dst = appendJSON(dst, dnswire.TypeString(t.Query.Type))
	dst = append(dst, `,"qclass":`...)
	dst = appendJSON(dst, dnswire.ClassString(t.Query.Class))
	dst = append(dst, `,"registered_domain":`...)
	registered, suffix := l.split(t)
	dst = l.appendName(dst, registered)
	dst = append(dst, `,"rcode":`...)
	if len(t.Response) > 0 {
		dst = appendJSON(dst, dnswire.RcodeString(t.Rcode))
	} else {
		dst = append(dst, "null"...)
	}
	dst = append(dst, `,"source":`...)
	dst = appendJSON(dst, t.Source.String())
	dst = append(dst, `,"upstream":`...)
	dst = appendOptional(dst, t.Upstream)
	dst = append(dst, `,"latency_us":`...)
	dst = strconv.AppendInt(dst, t.Latency.Microseconds(), 10)
	dst = append(dst, `,"answers":[`...)
	dst, omitted := l.appendAnswers(dst, t.Response)
	dst = append(dst, `],"answers_omitted":`...)
	dst = strconv.AppendInt(dst, int64(omitted), 10)
	dst = append(dst, `,"verdict":`...)
	dst = appendVerdict(dst, &t.Verdict)
	dst = append(dst, `,"tld":`...)
	dst = l.appendName(dst, suffix)
	dst = append(dst, `,"hour":`...)
	dst = strconv.AppendInt(dst, int64(l.stamp.hour), 10)
	dst = append(dst, `,"context":`...)
	dst = appendContextJSON(dst, t.Context)
	return append(dst, '}', '\n')
}

// split is the registered domain of the transaction's name and its public suffix,
// which is what is left of the one without its first label.
func (l *lines) split(t *detect.Transaction) (registered, suffix dnsname.Name) {
	if r := t.Verdict.Registered; r != nil {
		return r, r.Parent()
	}
	if len(t.Query.Name) == 0 {
		return nil, nil
	}
	split := l.suffixes.Split(t.Query.Name)
	return split.Registered, split.Suffix
}

// appendAnswers appends the records of the answer section, up to the first that
// is malformed, and counts the good ones that had no room.
func (l *lines) appendAnswers(dst, msg []byte) (out []byte, omitted int) {
	_, walk, err := dnswire.WalkMessage(msg)
	if err != nil {
		return dst, 0
	}
	start, count := len(dst), 0
	for r := (dnswire.Record{}); walk.Next(&r) && r.Section == dnswire.Answer; {
		if count == l.maxAnswers || len(dst)-start > maxAnswerBytes {
			omitted++
			continue
		}
		var buf [dnsname.MaxWire]byte
		owner, err := r.Owner(buf[:0], msg)
		if err != nil {
			break
		}
		if count++; count > 1 {
			dst = append(dst, ',')
		}
		dst = append(dst, `{"name":`...)
		dst = l.appendName(dst, owner)
		dst = append(dst, `,"type":`...)
		dst = appendJSON(dst, dnswire.TypeString(r.Type))
		dst = append(dst, `,"ttl":`...)
		dst = strconv.AppendUint(dst, uint64(r.TTL), 10)
		dst = append(dst, `,"rdata":`...)
		if addr := r.Address(msg); addr.IsValid() {
			dst = append(addr.AppendTo(append(dst, '"')), '"')
		} else {
			dst = appendJSON(dst, r.RdataText(msg))
		}
		dst = append(dst, '}')
	}
	return dst, omitted
}

func appendVerdict(dst []byte, v *detect.Verdict) []byte {
	dst = append(dst, `{"origin":`...)
	dst = appendJSON(dst, v.Origin.String())
	dst = append(dst, `,"action":`...)
	dst = appendJSON(dst, v.Action.String())
	dst = append(dst, `,"enforced":`...)
	dst = strconv.AppendBool(dst, v.Enforced)
	dst = append(dst, `,"score":`...)
	dst = appendScored(dst, v, v.Score)
	dst = append(dst, `,"probability":`...)
	dst = appendScored(dst, v, v.Probability)
	dst = append(dst, `,"unscored_reason":`...)
	dst = appendOptional(dst, v.Unscored.String())
	dst = append(dst, `,"level":`...)
	dst = appendJSON(dst, v.Level.String())
	dst = append(dst, `,"one_in":`...)
	if v.OneIn > 0 {
		dst = strconv.AppendUint(dst, uint64(v.OneIn), 10)
	} else {
		dst = append(dst, "null"...)
	}
	dst = append(dst, `,"by_site":`...)
	dst = strconv.AppendBool(dst, v.BySite)
	dst = append(dst, `,"popular":`...)
	dst = strconv.AppendBool(dst, v.Popular)
	dst = append(dst, `,"why":[`...)
	if v.Why != nil {
		for i := range v.Why.Grounds {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(dst, `{"text":`...)
			dst = appendJSON(dst, v.Why.Grounds[i].Text)
			dst = append(dst, `,"log_odds":`...)
			dst = append(appendFloat(dst, v.Why.Grounds[i].LogOdds), '}')
		}
	}
	dst = append(dst, `],"shadow":`...)
	dst = appendShadow(dst, &v.Shadow)
	dst = append(dst, `,"lookalike":`...)
	dst = appendLookalike(dst, &v.Lookalike)
	dst = append(dst, `,"matches":[`...)
	for i := range v.Matches {
		m := &v.Matches[i]
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, `{"list":`...)
		dst = appendJSON(dst, m.List)
		dst = append(dst, `,"rule":`...)
		dst = appendJSON(dst, m.Rule)
		dst = append(dst, `,"info":`...)
		dst = appendJSON(dst, m.Info)
		dst = append(dst, `,"kind":`...)
		dst = appendJSON(dst, m.Kind.String())
		dst = append(dst, `,"effect":`...)
		dst = appendJSON(dst, m.Effect.String())
		dst = append(dst, '}')
	}
	return append(dst, ']', '}')
}

func appendShadow(dst []byte, s *detect.Shadow) []byte {
	if s.Model == "" {
		return append(dst, "null"...)
	}
	dst = append(dst, `{"model":`...)
	dst = appendJSON(dst, s.Model)
	dst = append(dst, `,"score":`...)
	dst = appendFloat(dst, s.Score)
	dst = append(dst, `,"level":`...)
	return append(appendJSON(dst, s.Level.String()), '}')
}

func appendLookalike(dst []byte, m *lookalike.Match) []byte {
	if m.Grade == lookalike.GradeNone {
		return append(dst, "null"...)
	}
	dst = append(dst, `{"brand":`...)
	dst = appendJSON(dst, m.Brand)
	dst = append(dst, `,"kind":`...)
	dst = appendJSON(dst, m.Kind.String())
	dst = append(dst, `,"grade":`...)
	return append(appendJSON(dst, m.Grade.String()), '}')
}

// appendClient appends addr as a JSON value, as far as it may be kept.
func appendClient(dst []byte, g *privacy.Guard, addr netip.Addr) []byte {
	kept := g.Address(addr)
	if !kept.IsValid() {
		return append(dst, "null"...)
	}
	return append(g.AppendKept(append(dst, '"'), kept), '"')
}

// appendScored appends f, which the model said, null if it was not asked.
func appendScored(dst []byte, v *detect.Verdict, f float64) []byte {
	if v.Unscored != detect.Scored {
		return append(dst, "null"...)
	}
	return appendFloat(dst, f)
}

// appendName appends a name in presentation form, null for no name.
func (l *lines) appendName(dst []byte, n dnsname.Name) []byte {
	if n == nil {
		return append(dst, "null"...)
	}
	l.buf = n.AppendText(l.buf[:0])
	return appendJSON(dst, l.buf)
}

func appendOptional(dst []byte, s string) []byte {
	if s == "" {
		return append(dst, "null"...)
	}
	return appendJSON(dst, s)
}
