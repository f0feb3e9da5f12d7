// Package xfr is the client side of zone transfer: AXFR (RFC 5936) and IXFR
// (RFC 1995) over TCP, signed with TSIG (RFC 8945) where a key is given.
//
// It refuses to hold a zone: records go to the caller one by one, as text in
// which equal records are equal. With a key it refuses a transfer of which one
// message is not signed: the library verifies each message by itself, so what
// is between signed ones could be anybody's.
package xfr

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
)

// Key signs requests and verifies answers.
type Key struct {
	Name      string // a domain name
	Algorithm string // hmac-sha256, hmac-sha384 or hmac-sha512
	Secret    string // base64
}

// Zone is what is asked for, and whom.
type Zone struct {
	Name    string
	Primary netip.AddrPort
	Key     *Key // nil: unsigned
	// Dialer connects to the primary. Timeout bounds the wait for one message.
	Dialer  *net.Dialer
	Timeout time.Duration
}

// SOA is the numbers of a zone's SOA record; the last three in seconds.
type SOA struct {
	Serial  uint32 `json:"serial"`
	Refresh uint32 `json:"refresh"`
	Retry   uint32 `json:"retry"`
	Expire  uint32 `json:"expire"`
}

// Handler takes a transfer. Begin comes first unless nothing changed: full says
// that all records of the zone follow, else those that are gone and those that
// are new. Records come without TTLs of their own; SOA records are left out
// but for the zone's own, which Begin has.
type Handler interface {
	Begin(full bool, soa string) error
	Delete(record string) error
	Add(record string) error
}

// Errors of Fetch.
var (
	ErrUnsigned = errors.New("a message of the transfer is not signed")
	ErrOrder    = errors.New("records in an order that no transfer has")
	ErrKey      = errors.New("TSIG key: want base64, and hmac-sha256, hmac-sha384 or hmac-sha512")
)

// algorithms are those that RFC 8945, section 6, does not advise against.
var algorithms = map[string]func() hash.Hash{
	"hmac-sha256": sha256.New, "hmac-sha384": sha512.New384, "hmac-sha512": sha512.New,
}

// errCurrent ends a transfer of what is had already, or of an older state of it
// (RFC 1982): a primary that is behind is not ours to follow.
var errCurrent = errors.New("nothing newer")

// Check says what is wrong with a key.
func (k *Key) Check() error {
	if _, err := base64.StdEncoding.DecodeString(k.Secret); err != nil || k.Secret == "" || algorithms[k.Algorithm] == nil {
		return ErrKey
	}
	return nil
}

// Fetch transfers the zone, or what changed since have if that is not nil, and
// says what the zone's SOA is now. changed is false where have is current.
// What the handler got before an error is to be forgotten.
func (z *Zone) Fetch(ctx context.Context, have *SOA, h Handler) (now SOA, changed bool, err error) {
	conn, err := z.Dialer.DialContext(ctx, "tcp", z.Primary.String())
	if err != nil {
		return now, false, err
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	defer conn.Close()

	t := &dns.Transfer{Conn: &dns.Conn{Conn: conn}, ReadTimeout: z.Timeout, WriteTimeout: z.Timeout}
	m := new(dns.Msg)
	if have != nil {
		m.SetIxfr(dns.Fqdn(z.Name), have.Serial, ".", ".")
	} else {
		m.SetAxfr(dns.Fqdn(z.Name))
	}
	var signer *signer
	if z.Key != nil {
		if err := z.Key.Check(); err != nil {
			return now, false, err
		}
		signer = newSigner(z.Key)
		t.TsigProvider = signer
		m.SetTsig(dns.Fqdn(z.Key.Name), dns.Fqdn(z.Key.Algorithm), 300, time.Now().Unix())
	}
	envelopes, err := t.In(m, "")
	if err != nil {
		return now, false, err
	}
	defer func() {
		conn.Close()
		for range envelopes { // its sender waits for us
		}
	}()
	r := reader{have: have, handler: h}
	messages := int64(0)
	for e := range envelopes {
		if e.Error != nil {
			if ctx.Err() != nil {
				return now, false, ctx.Err()
			}
			return now, false, fmt.Errorf("transfer of %s: %w", z.Name, e.Error)
		}
		messages++
		if signer != nil && signer.verified.Load() < messages {
			return now, false, ErrUnsigned
		}
		for _, rr := range e.RR {
			switch err := r.record(rr); {
			case errors.Is(err, errCurrent):
				return *have, false, nil
			case err != nil:
				return now, false, err
			}
		}
	}
	return r.result()
}

// signer is TSIG with one key, and counts what it verified.
type signer struct {
	secret   []byte
	hash     func() hash.Hash
	verified atomic.Int64
}

func newSigner(k *Key) *signer {
	secret, _ := base64.StdEncoding.DecodeString(k.Secret) // Check has seen it
	return &signer{secret: secret, hash: algorithms[k.Algorithm]}
}

// Generate is for the library.
func (s *signer) Generate(msg []byte, _ *dns.TSIG) ([]byte, error) {
	h := hmac.New(s.hash, s.secret)
	h.Write(msg)
	return h.Sum(nil), nil
}

// Verify is for the library.
func (s *signer) Verify(msg []byte, t *dns.TSIG) error {
	want, _ := s.Generate(msg, t)
	got, err := hex.DecodeString(t.MAC)
	if err != nil || !hmac.Equal(got, want) {
		return dns.ErrSig
	}
	s.verified.Add(1)
	return nil
}

// reader follows the records of a transfer. A full one is SOA, records, SOA; an
// incremental one is SOA, and then for each step the old SOA, what is gone,
// the new SOA, what is new, and at the end the first SOA again.
type reader struct {
	have    *SOA
	handler Handler
	count   int
	now     SOA
	soa     string // of the zone as it will be
	full    bool
	adding  bool
	done    bool
}

func (r *reader) record(rr dns.RR) error {
	r.count++
	soa, isSOA := rr.(*dns.SOA)
	switch {
	case r.done || r.count == 1 && !isSOA:
		return ErrOrder
	case r.count == 1:
		r.now = SOA{soa.Serial, soa.Refresh, soa.Retry, soa.Expire}
		r.soa = text(rr)
		if r.have != nil && int32(r.now.Serial-r.have.Serial) <= 0 {
			return errCurrent
		}
		return nil
	case r.count == 2:
		r.full = !isSOA || soa.Serial == r.now.Serial
		if err := r.handler.Begin(r.full, r.soa); err != nil {
			return err
		}
		if !r.full {
			if r.have == nil || soa.Serial != r.have.Serial {
				return ErrOrder // changes of something that we do not have
			}
			return nil
		}
	}
	switch {
	case isSOA && r.full:
		r.done = true
	case isSOA && r.adding && soa.Serial == r.now.Serial:
		r.done = true
	case isSOA:
		r.adding = !r.adding
	case r.full || r.adding:
		return r.handler.Add(text(rr))
	default:
		return r.handler.Delete(text(rr))
	}
	return nil
}

func (r *reader) result() (SOA, bool, error) {
	if !r.done {
		return SOA{}, false, ErrOrder
	}
	return r.now, true, nil
}

// text is a record as a line without a TTL of its own, so that what is deleted
// is found whatever TTL the primary shows it with.
func text(rr dns.RR) string {
	rr.Header().Ttl = 60
	return strings.ReplaceAll(rr.String(), "\n", " ")
}
