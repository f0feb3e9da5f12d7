package resolver

import (
	"bytes"
	"net/netip"
	"strconv"
	"unicode/utf8"

	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/internal/dnswire"
	"github.com/weirdns/weir/resolver/cache"
)

// replier writes the answer of a request that was put off until an upstream
// had answered.
type replier interface {
	reply(r *request)
}

// request is one query on its way through the resolver. It owns all that it
// needs once decode has returned: the datagram may be overwritten. Requests are
// pooled; reset clears what must not leak into the next.
type request struct {
	dnswire.Query
	question [dnsname.MaxWire + 4]byte // the question's octets as sent, for the client's own case
	asked    []byte                    // of question; empty if there was none to read

	ask     detect.Query
	verdict detect.Verdict
	record  detect.Transaction // what complete hands to the sinks; here so that it is not allocated

	out      []byte // the answer; empty: none is sent
	rcode    uint16
	source   detect.Source
	upstream string

	hasEDE  bool
	ede     dnswire.EDE
	edeText [dnswire.MaxEDEText]byte

	found   cache.Found // what the cache said about its answer
	stale   bool        // it has one past its time
	share   share       // of the pending queries, while this is one
	route   uint8       // to the upstreams; see upstream.Group.Route
	options options     // of the query, for the answer's

	maxSize int // of an answer over this transport
	from    replier
	peer    netip.AddrPort // UDP: where the answer goes
	control []byte         // UDP: ancillary data, so that it leaves from the address that was asked
}

func (r *request) reset() {
	r.asked, r.out = nil, r.out[:0]
	r.rcode, r.source, r.upstream = 0, detect.FromNowhere, ""
	r.hasEDE, r.stale, r.found.Prefetch = false, false, false
	r.verdict = detect.Verdict{Unscored: detect.NotAsked, Matches: r.verdict.Matches[:0]}
}

// keepQuestion copies the question as it was sent.
func (r *request) keepQuestion(msg []byte) {
	r.asked = append(r.question[:0], msg[r.Start:r.End]...)
}

// nameless says that nobody asked for a name here, so there is nothing to
// record: no question could be read, or it is another opcode's.
func (r *request) nameless() bool {
	return len(r.asked) == 0 || r.Opcode() != dnswire.OpcodeQuery
}

// begin starts an answer of our own: header and question. finish sets the
// counts that add* have not.
func (r *request) begin(rcode uint16) {
	r.rcode = rcode
	qd := uint16(1)
	if len(r.asked) == 0 {
		qd = 0
	}
	r.out = dnswire.AppendHeader(r.out[:0], dnswire.Header{
		ID: r.ID, Flags: r.answerFlags() | rcode&0xf, QD: qd,
	})
	r.out = append(r.out, r.asked...)
}

// answerFlags is the second header word of any answer: ours to set are QR and
// RA, the client's to see again are the opcode, RD and CD (RFC 1035, section
// 4.1.1; RFC 6840, section 5.6).
func (r *request) answerFlags() uint16 {
	return dnswire.FlagQR | dnswire.FlagRA | r.Flags&(0xf<<11|dnswire.FlagRD|dnswire.FlagCD)
}

func (r *request) addSOA(ttl uint32) {
	r.out = dnswire.AppendSOA(r.out, ttl)
	r.bump(8)
}

func (r *request) addAddress(a netip.Addr, ttl uint32) {
	r.out = dnswire.AppendAddress(r.out, a, r.Class, ttl)
	r.bump(6)
}

// bump adds one to the count at octet at of the header.
func (r *request) bump(at int) {
	if r.out[at+1]++; r.out[at+1] == 0 {
		r.out[at]++
	}
}

// adopt turns the message in r.out, an upstream's or the cache's, into the
// answer to this client: its ID, its flags, its spelling of the name.
func (r *request) adopt() {
	h, err := dnswire.ReadHeader(r.out)
	if err != nil {
		r.begin(dnswire.RcodeServFail)
		return
	}
	flags := r.answerFlags() | h.Rcode()
	// Only who asks for it may see AD (RFC 6840, section 5.8).
	if r.Flags&dnswire.FlagAD != 0 || r.EDNS.DO {
		flags |= h.Flags & dnswire.FlagAD
	}
	dnswire.SetID(r.out, r.ID)
	dnswire.SetFlags(r.out, flags)
	copy(r.out[dnswire.HeaderLen:], r.asked)
	end := dnswire.HeaderLen + len(r.asked)
	if len(r.out) > end && r.out[end] < 0xc0 && !bytes.Equal(r.asked[:len(r.ask.Name)], r.ask.Name) {
		r.spellOwners(h, end)
	}
}

// spellOwners writes the client's spelling where an upstream that does not
// compress repeated the name, which stands there in lower case; all others
// point to the question.
func (r *request) spellOwners(h dnswire.Header, end int) {
	name := r.asked[:len(r.asked)-4]
	walk := dnswire.Walk(r.out, h, end)
	for rec := (dnswire.Record{}); walk.Next(&rec) && rec.Section == dnswire.Answer; {
		// An owner ends ten octets before the rdata: type, class, TTL and length.
		if owner := r.out[rec.Start : rec.Data-10]; dnswire.EqualFold(owner, name) {
			copy(owner, name)
		}
	}
}

// failed answers SERVFAIL with the reason.
func (r *request) failed(code uint16, text string) {
	r.begin(dnswire.RcodeServFail)
	r.source = detect.FromLocal
	r.setEDE(code, []byte(text))
}

func (r *request) setEDE(code uint16, text []byte) {
	r.hasEDE = true
	r.ede = dnswire.EDE{Code: code, Text: append(r.edeText[:0], shorten(text, len(r.edeText))...)}
}

// explain says in an EDE who blocked the name: the list and its rule, or the
// model, its score and its reasons. It holds nothing of the client.
func (r *request) explain() {
	v := &r.verdict
	text := r.edeText[:0]
	switch {
	case (v.Origin == detect.OriginBlockList || v.Origin == detect.OriginBehaviour) && v.Decider < len(v.Matches):
		m := &v.Matches[v.Decider]
		text = append(text, "list="...)
		text = append(text, m.List...)
		text = append(text, " rule="...)
		text = append(text, m.Rule...)
	case v.Origin == detect.OriginModel:
		text = append(text, "model=dga score="...)
		text = strconv.AppendFloat(text, v.Score, 'f', 4, 64)
		text = append(text, " level="...)
		text = append(text, v.Level.String()...)
		if v.Why != nil {
			text = append(text, ": "...)
			text = append(text, v.Why.Text...)
		}
	case v.Origin == detect.OriginLookalike:
		text = append(text, "lookalike="...)
		text = append(text, v.Lookalike.Brand...)
		text = append(text, " kind="...)
		text = append(text, v.Lookalike.Kind.String()...)
		text = append(text, " grade="...)
		text = append(text, v.Lookalike.Grade.String()...)
	default:
		text = append(text, v.Origin.String()...)
	}
	r.hasEDE = true
	r.ede = dnswire.EDE{Code: v.Answer.EDE, Text: shorten(text, len(r.edeText))}
}

// shorten cuts text, in UTF-8, to n octets: behind a word if there is one in the
// second half, and never within a character.
func shorten(text []byte, n int) []byte {
	if len(text) <= n {
		return text
	}
	if at := bytes.LastIndexByte(text[:n+1], ' '); at > n/2 {
		return bytes.TrimRight(text[:at], " ,:;")
	}
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n]
}

// udpSize is the size that we announce and keep to.
const minUDPSize = 512

// finish completes the answer in r.out: OPT where the query had one (RFC 6891,
// section 6.1.1), and no longer than the client can take.
func (r *request) finish(announce int) {
	if len(r.out) == 0 {
		return
	}
	opt := dnswire.OPT{UDPSize: uint16(announce), Rcode: r.rcode, DO: r.EDNS.DO}
	room := r.maxSize - len(r.out)
	if r.EDNS.Present {
		r.options.addTo(&opt)
		if r.hasEDE {
			opt.EDE = &r.ede
			if over := dnswire.OPTLen(opt) - room; over > 0 && over <= len(r.ede.Text) {
				r.ede.Text = shorten(r.ede.Text, len(r.ede.Text)-over)
			}
		}
		room -= dnswire.OPTLen(opt)
	}
	if room < 0 {
		r.truncate()
	}
	if r.EDNS.Present {
		r.out = dnswire.AppendOPT(r.out, opt)
		r.bump(10)
	}
}

// truncate leaves header and question and sets TC: the client asks again over
// TCP. Part of an rrset would be of no use to it (RFC 2181, section 9).
func (r *request) truncate() {
	r.out = r.out[:dnswire.HeaderLen+len(r.asked)]
	dnswire.SetCounts(r.out, 0, 0, 0)
	dnswire.SetFlags(r.out, r.answerFlags()|dnswire.FlagTC|r.rcode&0xf)
}
