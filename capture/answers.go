package capture

import (
	"hash/maphash"
	"net/netip"
	"strings"
	"time"

	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/internal/dnswire"
)

const (
	// raceTime is how long after the answer to a query another one may come.
	raceTime = 5 * time.Second
	// agreeTime is how far apart in time two servers' answers may be to be
	// compared: names move.
	agreeTime = 5 * time.Minute
	maxShown  = 8 // addresses in evidence
)

// answer is what a response says, without its TTLs and its order.
type answerSum struct {
	rcode  uint16
	sum    uint64 // of types and rdata
	public bool   // it has a public address
	inside bool   // or one that is not: private, loopback, unspecified
}

var answerSeed = maphash.MakeSeed()

func sumAnswer(msg []byte) (s answerSum, ok bool) {
	h, walk, err := dnswire.WalkMessage(msg)
	if err != nil || h.Flags&dnswire.FlagTC != 0 {
		return s, false // what is cut short differs from the rest
	}
	s.rcode = h.Rcode()
	for r := (dnswire.Record{}); walk.Next(&r) && r.Section == dnswire.Answer; {
		if a := r.Address(msg).Unmap(); a.IsValid() {
			b := a.As16()
			s.sum += maphash.Bytes(answerSeed, b[:])
			if a.IsPrivate() || a.IsLoopback() || a.IsUnspecified() || a.IsLinkLocalUnicast() {
				s.inside = true
			} else {
				s.public = true
			}
		} else {
			s.sum += maphash.String(answerSeed, r.RdataText(msg))
		}
	}
	return s, walk.Err() == nil
}

// addressText is the addresses of a response, or its rcode.
func addressText(msg []byte) string {
	h, walk, err := dnswire.WalkMessage(msg)
	if err != nil {
		return ""
	}
	var out []string
	for r := (dnswire.Record{}); len(out) < maxShown && walk.Next(&r) && r.Section == dnswire.Answer; {
		if a := r.Address(msg); a.IsValid() {
			out = append(out, a.String())
		}
	}
	if len(out) == 0 {
		return dnswire.RcodeString(h.Rcode())
	}
	return strings.Join(out, " ")
}

// questionKey is a question, by hash.
type questionKey uint64

// statement is what one server said to a question.
type statement struct {
	at     time.Time
	server netip.Addr
	sum    answerSum
	text   string // only where it may be told
}

// exchangeKey is a query on the wire, by hash.
type exchangeKey uint64

// settlement is how a query was answered first.
type settlement struct {
	at  time.Time
	sum answerSum
}

func hashQuestion(q *detect.Query) uint64 {
	var b [4]byte
	b[0], b[1], b[2], b[3] = byte(q.Type>>8), byte(q.Type), byte(q.Class>>8), byte(q.Class)
	return maphash.Bytes(answerSeed, q.Name) ^ maphash.Bytes(answerSeed, b[:])
}

// answered looks at a response: first says whether it is the first to its
// query.
func (w *watcher) answered(d *datagram, id uint16, q *detect.Query, first bool) {
	sum, ok := sumAnswer(d.payload)
	if !ok {
		return
	}
	question := hashQuestion(q)
	exchange := exchangeKey(question ^ hashEnds(d, id))
	client, server := d.dst.Addr(), d.src.Addr()
	w.mu.Lock()
	defer w.mu.Unlock()
	if first {
		roomLocked(w, w.settled)
		w.settled[exchange] = settlement{d.time, sum}
		w.compareLocked(d, q, sum, questionKey(question))
		return
	}
	before, known := w.settled[exchange]
	if gap := d.time.Sub(before.at); known && gap.Abs() < raceTime && before.sum != sum {
		w.tellLocked(detect.AnswersRace, d.time, client, server, q.Name, q.Name.String(),
			detect.Fact{Key: "second", Value: addressText(d.payload)}, detect.Fact{Key: "after", Value: gap.String()})
	}
}

func hashEnds(d *datagram, id uint16) uint64 {
	var b [40]byte
	src, dst := d.src.Addr().As16(), d.dst.Addr().As16()
	copy(b[:], src[:])
	copy(b[16:], dst[:])
	b[32], b[33], b[34], b[35] = byte(d.src.Port()>>8), byte(d.src.Port()), byte(d.dst.Port()>>8), byte(d.dst.Port())
	b[36], b[37] = byte(id>>8), byte(id)
	return maphash.Bytes(answerSeed, b[:])
}

// compareLocked holds what a server says of a name against what another said.
// That addresses differ means nothing, since large sites answer each resolver
// differently: that one server knows no such name and the other has addresses,
// or that one of them sends to no public host, does.
func (w *watcher) compareLocked(d *datagram, q *detect.Query, sum answerSum, key questionKey) {
	if q.Type != dnswire.TypeA && q.Type != dnswire.TypeAAAA {
		return
	}
	missing := sum.rcode == dnswire.RcodeNXDomain
	if !missing && (sum.rcode != 0 || !sum.public && !sum.inside) {
		return
	}
	server := d.src.Addr()
	other, known := w.said[key]
	if !known || other.server == server || d.time.Sub(other.at).Abs() > agreeTime {
		roomLocked(w, w.said)
		w.said[key] = statement{d.time, server, sum, addressText(d.payload)}
		return
	}
	if (other.sum.rcode == dnswire.RcodeNXDomain) == missing && (missing || other.sum.inside == sum.inside) {
		return
	}
	w.tellLocked(detect.AnswersDiffer, d.time, d.dst.Addr(), server, q.Name, q.Name.String(), detect.Fact{Key: "says", Value: addressText(d.payload)},
		detect.Fact{Key: "other_server", Value: other.server.String()}, detect.Fact{Key: "other_says", Value: other.text})
}
