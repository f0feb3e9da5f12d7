package upstream

import (
	"crypto/rand"
	"encoding/binary"

	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/internal/dnswire"
)

const (
	// padTo is the block that encrypted queries are padded to (RFC 8467, section
	// 4.1).
	padTo = 128
	// maxQuery is the longest query that we send: header, name, type and class,
	// and an OPT with a cookie or padding.
	maxQuery = dnswire.HeaderLen + dnsname.MaxWire + 4 + 11 + 4 + padTo
)

// how a query is built.
type how struct {
	randomCase, edns, stream bool
	pad                      bool // to padTo
	noID                     bool // 0, as for HTTP, which has its own way to tell answers apart
	cookie                   *jar
}

// query is one query as sent: what an answer is checked against.
type query struct {
	id     uint16
	port   uint16 // random; for UDP to bind to
	exact  bool   // the answer must give the name back in the case sent
	stream bool   // over TCP
	edns   bool
	limit  int    // the longest answer that is taken
	cookie []byte // as sent; empty: none
	q      *Question
	wire   []byte // the message
	buf    [2 + maxQuery]byte
	jar    [clientCookieLen + maxServerCookie]byte
}

// name is the question's name as sent.
func (s *query) name() []byte {
	return s.wire[dnswire.HeaderLen : dnswire.HeaderLen+len(s.q.Name)]
}

// build writes a query for q with a new random ID. The ID, the port and the
// case are all that keeps a forger out, so they come from the system's
// generator and are drawn for every packet, never kept or derived.
func (s *query) build(q *Question, cfg *Config, h how) {
	var r [2 + 2 + (dnsname.MaxWire+7)/8]byte // ID, port, a bit per octet of the name
	_, _ = rand.Read(r[:])                    // never fails
	*s = query{
		id:     binary.BigEndian.Uint16(r[0:]),
		port:   binary.BigEndian.Uint16(r[2:]),
		exact:  h.randomCase,
		stream: h.stream,
		edns:   h.edns,
		limit:  int(cfg.EDNSUDPSize),
		q:      q,
	}
	if h.noID {
		s.id = 0
	}
	flags := dnswire.FlagRD
	if q.CD {
		flags |= dnswire.FlagCD
	}
	if q.AD {
		flags |= dnswire.FlagAD
	}
	head := dnswire.Header{ID: s.id, Flags: flags, QD: 1}
	if h.edns {
		head.AR = 1
	}
	w := dnswire.AppendHeader(s.buf[2:2], head) // two octets for the length over TCP
	w = dnswire.AppendQuestion(w, q.Name, q.Type, q.Class)
	if h.edns {
		opt := dnswire.OPT{UDPSize: uint16(cfg.EDNSUDPSize), DO: q.DO}
		if h.pad {
			opt.PadTo = padTo
		}
		if h.cookie != nil {
			s.cookie = h.cookie.append(s.jar[:0])
			opt.Cookie = s.cookie
		}
		w = dnswire.AppendOPT(w, opt)
	}
	s.wire = w
	binary.BigEndian.PutUint16(s.buf[:], uint16(len(w)))
	if h.randomCase {
		randomize(s.name(), r[4:])
	}
}

// newPort draws another port.
func (s *query) newPort() {
	var r [2]byte
	_, _ = rand.Read(r[:])
	s.port = binary.BigEndian.Uint16(r[:])
}

// framed is the message with its length in front (RFC 1035, section 4.2.2).
func (s *query) framed() []byte { return s.buf[:2+len(s.wire)] }

// randomize turns letters of name, which is in lower case, to upper case where
// bits say so.
func randomize(name, bits []byte) {
	for i, c := range name {
		// Length octets are at most 63 and no letters.
		if 'a' <= c && c <= 'z' && bits[i/8]>>(i%8)&1 != 0 {
			name[i] = c - ('a' - 'A')
		}
	}
}
