package upstream

import (
	"bytes"
	"encoding/binary"

	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/internal/dnswire"
)

// reason says why a packet is not an answer. The values are the label of
// weir_upstream_invalid_total.
type reason string

const (
	valid          reason = ""
	badShort       reason = "short"     // no header
	badID          reason = "id"        // another ID
	badResponse    reason = "qr"        // a query
	badOpcode      reason = "opcode"    // another opcode
	badSize        reason = "oversize"  // longer than was offered
	badQuestion    reason = "question"  // none, several, or another
	badCase        reason = "case"      // the question in another case than sent
	badFormat      reason = "format"    // records that cannot be read
	badOwner       reason = "owner"     // answers, but for other names
	badLoop        reason = "loop"      // aliases in a circle, or too many
	badTruncated   reason = "truncated" // TC over TCP
	badRepack      reason = "repack"    // cannot be cleaned
	badCookie      reason = "cookie"    // not our cookie, or none from a server that has them
	badUnsolicited reason = "signal"    // FORMERR without question to a query without OPT
	badPanic       reason = "panic"     // our own reader failed on it: a bug
)

// reply is what validate found in a message that passed.
type reply struct {
	h         dnswire.Header
	rcode     uint16
	truncated bool // over UDP: nothing but header and question was looked at
	noEDNS    bool // the server does not know OPT
	opt       bool // it has an OPT of its own, so the server does
	bare      bool // noEDNS without a question: nobody vouches for it
	ede       *dnswire.EDE
	cookie    []byte // the server's for us, of the message's memory; nil: none
	end       int    // behind the last record
	cut       int    // where the records of the hop (OPT, TSIG) begin; end if none
	hops      uint16
	repack    bool // something that must go is not at the end
	chain     chain
}

// validate is the one check of a message as an answer to s, for every
// transport. What it returns as valid may be used; of anything else nothing
// may, and the wait for the true answer goes on. That the packet came from the
// server's address and port to ours is the connected socket's business.
func validate(msg []byte, s *query, r *reply) reason {
	*r = reply{}
	h, err := dnswire.ReadHeader(msg)
	r.h = h
	switch {
	case err != nil:
		return badShort
	case h.ID != s.id:
		return badID
	case !h.Response():
		return badResponse
	case h.Opcode() != dnswire.OpcodeQuery:
		return badOpcode
	case !s.stream && len(msg) > s.limit:
		return badSize
	}
	r.rcode = h.Rcode()
	if h.QD == 0 && h.AN == 0 && h.NS == 0 && h.AR == 0 && refusesOPT(r.rcode) {
		// A server from before EDNS may send back no more than a header. It is
		// good for one thing only, to ask again without OPT: not as an answer,
		// since nothing in it but the ID belongs to the question.
		if !s.edns {
			return badUnsolicited
		}
		r.noEDNS, r.bare = true, true
		return valid
	}
	if bad := checkQuestion(msg, h, s); bad != valid {
		return bad
	}
	if h.Flags&dnswire.FlagTC != 0 {
		if s.stream {
			return badTruncated
		}
		// Some servers cut in the middle of a record. Nothing of it is used.
		r.truncated = true
		return valid
	}
	if bad := readRecords(msg, s, r); bad != valid {
		return bad
	}
	return checkOwners(msg, s, r)
}

// refusesOPT says whether rcode is how servers that do not know OPT say so
// (RFC 6891, section 7).
func refusesOPT(rcode uint16) bool {
	return rcode == dnswire.RcodeFormErr || rcode == dnswire.RcodeNotImp
}

// checkQuestion compares the question octet by octet: a compressed name in a
// question has no place to point to.
func checkQuestion(msg []byte, h dnswire.Header, s *query) reason {
	name := s.name()
	at := dnswire.HeaderLen + len(name)
	switch {
	case h.QD != 1, len(msg) < at+4:
		return badQuestion
	case !dnswire.EqualFold(msg[dnswire.HeaderLen:at], name):
		return badQuestion
	case binary.BigEndian.Uint16(msg[at:]) != s.q.Type:
		return badQuestion
	case binary.BigEndian.Uint16(msg[at+2:]) != s.q.Class:
		return badQuestion
	case s.exact && !bytes.Equal(msg[dnswire.HeaderLen:at], name):
		return badCase
	}
	return valid
}

// readRecords walks all sections to their end, checks what can be checked
// without knowing every type, and takes OPT apart.
func readRecords(msg []byte, s *query, r *reply) reason {
	end := dnswire.HeaderLen + len(s.q.Name) + 4
	walk := dnswire.Walk(msg, r.h, end)
	opts := 0
	var cookie []byte
	for rec := (dnswire.Record{}); walk.Next(&rec); {
		if !checkRecord(msg, &rec) {
			return badFormat
		}
		if rec.Type != dnswire.TypeOPT && rec.Type != dnswire.TypeTSIG {
			r.repack = r.repack || r.hops > 0
			continue
		}
		if rec.Section != dnswire.Additional {
			return badFormat
		}
		if r.hops++; r.hops == 1 {
			r.cut = rec.Start
		}
		if rec.Type == dnswire.TypeOPT {
			if opts++; opts > 1 || msg[rec.Start] != 0 {
				return badFormat // RFC 6891, section 6.1.1
			}
			r.rcode |= uint16(rec.TTL>>24) << 4
			r.ede = firstEDE(msg[rec.Data:rec.End])
			cookie = option(msg[rec.Data:rec.End], dnswire.OptionCookie)
		}
	}
	if walk.Err() != nil {
		return badFormat
	}
	if len(s.cookie) > 0 {
		if bad := checkCookie(s.cookie, cookie); bad != valid {
			return bad
		}
		if len(cookie) > clientCookieLen {
			r.cookie = cookie[clientCookieLen:]
		}
	}
	if r.end = walk.Offset(); r.hops == 0 {
		r.cut = r.end
	}
	// With OPT in the answer the server knows OPT and means something else,
	// unless it is the version (RFC 6891, section 6.1.3).
	r.noEDNS = s.edns && (refusesOPT(r.rcode) && opts == 0 || r.rcode == dnswire.RcodeBadVers)
	r.opt = opts > 0 && !r.noEDNS
	return valid
}

// firstEDE finds an Extended DNS Error among options; a malformed list has none.
func firstEDE(options []byte) *dnswire.EDE {
	value := option(options, dnswire.OptionEDE)
	if len(value) < 2 {
		return nil
	}
	text := value[2:min(len(value), 2+dnswire.MaxEDEText)]
	return &dnswire.EDE{Code: binary.BigEndian.Uint16(value), Text: bytes.Clone(text)}
}

// option finds the first option with a code; nil: there is none.
func option(options []byte, want uint16) []byte {
	for rest := options; len(rest) > 0; {
		code, value, tail, ok := dnswire.NextOption(rest)
		if !ok {
			return nil
		}
		if code == want {
			return value
		}
		rest = tail
	}
	return nil
}

// checkOwners lets only answers to the question asked through: the records
// whose owner is the qname or what its aliases lead to, in any order. Others
// are left out, and a message with nothing but others is none.
func checkOwners(msg []byte, s *query, r *reply) reason {
	if r.h.AN == 0 {
		return valid
	}
	if bad := r.chain.follow(msg, r.h, s.q); bad != valid {
		return bad
	}
	on, off := 0, 0
	walk := answers(msg, r.h, s.q)
	for rec := (dnswire.Record{}); walk.Next(&rec); {
		if r.chain.has(msg, &rec) {
			on++
		} else {
			off++
		}
	}
	if on == 0 {
		return badOwner
	}
	r.repack = r.repack || off > 0
	return valid
}

// answers walks the answer section alone.
func answers(msg []byte, h dnswire.Header, q *Question) dnswire.Records {
	h.NS, h.AR = 0, 0
	return dnswire.Walk(msg, h, dnswire.HeaderLen+len(q.Name)+4)
}

// qnamePointer is how most servers write the owner of an answer.
const qnamePointer = 0xc000 | dnswire.HeaderLen

// pointsToQuestion says whether the name at off is the question's, compressed.
func pointsToQuestion(msg []byte, off int) bool {
	return binary.BigEndian.Uint16(msg[off:]) == qnamePointer
}

// checkRecord says whether a record's owner, and what of its rdata we know the
// form of, can be read. Every name must lie within its field and point
// backwards only, so that nothing is lost when the message is cut behind it.
func checkRecord(msg []byte, rec *dnswire.Record) bool {
	var buf [dnsname.MaxWire]byte
	if !pointsToQuestion(msg, rec.Start) {
		if _, _, err := dnswire.ReadName(buf[:0], msg, rec.Start); err != nil {
			return false
		}
	}
	form, known := nameForms[rec.Type]
	switch {
	case rec.Type == typeNSEC3:
		return checkNSEC3(msg[rec.Data:rec.End])
	case !known:
		return true
	}
	if form.names == 0 {
		return rec.Class != dnswire.ClassIN || rec.End-rec.Data == form.before
	}
	at := rec.Data + form.before
	for range form.names {
		var err error
		if _, at, err = dnswire.ReadName(buf[:0], msg[:rec.End], at); err != nil {
			return false
		}
	}
	if rec.Type == typeNSEC && !checkTypeMap(msg[at:rec.End]) {
		return false
	}
	return form.more || at+form.after == rec.End
}

const (
	typeNSEC  = 47
	typeNSEC3 = 50
)

// checkNSEC3 says whether the fields of an NSEC3 record and its type map end
// where it does (RFC 5155, section 3.2).
func checkNSEC3(rdata []byte) bool {
	for _, fixed := range []int{4, 0} { // what stands before salt and hash, which have a length each
		if len(rdata) < fixed+1 || len(rdata) < fixed+1+int(rdata[fixed]) {
			return false
		}
		rdata = rdata[fixed+1+int(rdata[fixed]):]
	}
	return checkTypeMap(rdata)
}

// checkTypeMap says whether m is a list of windows, each behind the one before,
// with 1 to 32 octets (RFC 4034, section 4.1.2). Who reads it in a loop must not
// be led around in one.
func checkTypeMap(m []byte) bool {
	for last := -1; len(m) > 0; {
		if len(m) < 2 || int(m[0]) <= last || m[1] < 1 || m[1] > 32 || len(m) < 2+int(m[1]) {
			return false
		}
		last, m = int(m[0]), m[2+int(m[1]):]
	}
	return true
}

// nameForm is where the names in a record's rdata are.
type nameForm struct {
	before, names, after int  // octets, names, octets
	more                 bool // and more octets, in a form that is not checked
}

// nameForms has the types whose rdata holds names that some server compresses
// (RFC 3597, section 4, and RFC 6895), and addresses, whose length is known.
// Others pass as they are.
var nameForms = map[uint16]nameForm{
	1:   {before: 4},                        // A
	28:  {before: 16},                       // AAAA
	2:   {names: 1},                         // NS
	3:   {names: 1},                         // MD
	4:   {names: 1},                         // MF
	5:   {names: 1},                         // CNAME
	6:   {names: 2, after: 20},              // SOA
	7:   {names: 1},                         // MB
	8:   {names: 1},                         // MG
	9:   {names: 1},                         // MR
	12:  {names: 1},                         // PTR
	14:  {names: 2},                         // MINFO
	15:  {before: 2, names: 1},              // MX
	17:  {names: 2},                         // RP
	18:  {before: 2, names: 1},              // AFSDB
	21:  {before: 2, names: 1},              // RT
	23:  {names: 1},                         // NSAP-PTR
	24:  {before: 18, names: 1, more: true}, // SIG
	26:  {before: 2, names: 2},              // PX
	30:  {names: 1, more: true},             // NXT
	33:  {before: 6, names: 1},              // SRV
	36:  {before: 2, names: 1},              // KX
	39:  {names: 1},                         // DNAME
	46:  {before: 18, names: 1, more: true}, // RRSIG
	47:  {names: 1, more: true},             // NSEC
	58:  {names: 2},                         // TALINK
	64:  {before: 2, names: 1, more: true},  // SVCB
	65:  {before: 2, names: 1, more: true},  // HTTPS
	107: {before: 2, names: 1},              // LP
}
