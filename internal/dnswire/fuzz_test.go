package dnswire_test

import (
	"encoding/binary"
	"errors"
	"testing"

	"github.com/miekg/dns"
	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/internal/dnswire"
)

// seed adds the malformed corpus and some good messages.
func seed(f *testing.F, add func(msg []byte)) {
	f.Helper()
	for _, name := range malformedFiles(f) {
		add(readHex(f, name))
	}
	add(build(f, nil, "example.com. 60 IN CNAME www.example.com.", "www.example.com. 60 IN A 192.0.2.1"))
	add(build(f, func(m *dns.Msg) { m.SetEdns0(1232, true) }, "example.com. 60 IN MX 10 mail.example.com.", `example.com. 1 IN TXT "a" "b"`))
	add(build(f, nil, "example.com. 60 IN HTTPS 1 . alpn=h2 ipv4hint=192.0.2.1", "example.com. 60 IN SRV 1 2 3 a.example.com."))
	add(build(f, nil, "example.com. 60 IN RRSIG A 8 2 60 20260101000000 20250101000000 1 example.com. AAAA", "example.com. 60 IN NSEC a.example.com. A RRSIG"))
}

// FuzzReadName holds ReadName against the reader of miekg/dns: what we take it
// takes as the same name, and what we refuse it refuses too, but for pointers
// that do not go backwards, which it follows.
func FuzzReadName(f *testing.F) {
	seed(f, func(msg []byte) { f.Add(msg, uint16(12)) })
	f.Add([]byte("\x03www\x00\xc0\x00"), uint16(5))
	f.Fuzz(func(t *testing.T, msg []byte, at uint16) {
		off := int(at)
		if off > len(msg) {
			return
		}
		name, next, err := dnswire.ReadCanonical(nil, msg, off)
		text, theirs, theirErr := dns.UnpackDomainName(msg, off)
		if err != nil {
			if theirErr == nil && !errors.Is(err, dnswire.ErrPointer) {
				t.Fatalf("ReadCanonical(%x, %d) = %v, but it reads as %q", msg, off, err, text)
			}
			return
		}
		if err := name.Check(); err != nil {
			t.Fatalf("ReadCanonical(%x, %d) = %q: %v", msg, off, []byte(name), err)
		}
		if theirErr != nil {
			t.Fatalf("ReadCanonical(%x, %d) = %s, but theirs: %v", msg, off, name, theirErr)
		}
		if want := dnsname.MustParse(text); !name.Equal(want) || next != theirs {
			t.Fatalf("ReadCanonical(%x, %d) = %s, next %d; want %s, next %d", msg, off, name, next, want, theirs)
		}
	})
}

// FuzzReadQuery holds the question and OPT against miekg/dns, and bounds.
func FuzzReadQuery(f *testing.F) {
	seed(f, func(msg []byte) { f.Add(msg) })
	f.Fuzz(func(t *testing.T, msg []byte) {
		var q dnswire.Query
		err := dnswire.ReadQuery(&q, msg)
		if len(msg) < dnswire.HeaderLen != errors.Is(err, dnswire.ErrShort) {
			t.Fatalf("ReadQuery of %d octets: %v", len(msg), err)
		}
		if q.End > len(msg) || q.Start > q.End {
			t.Fatalf("question at %d to %d of %d octets", q.Start, q.End, len(msg))
		}
		if err != nil {
			return
		}
		text, _, theirErr := dns.UnpackDomainName(msg, dnswire.HeaderLen)
		if theirErr != nil || !q.Name.Equal(dnsname.MustParse(text)) {
			t.Fatalf("qname %s, theirs %q, %v", q.Name, text, theirErr)
		}
		if got := binary.BigEndian.Uint16(msg[q.End-4:]); got != q.Type {
			t.Fatalf("type %d, want %d", q.Type, got)
		}
		var m dns.Msg
		if m.Unpack(msg) != nil {
			return // rdata that they cannot read, and a forwarder need not
		}
		opt := m.IsEdns0()
		if q.EDNS.Present != (opt != nil) {
			t.Fatalf("EDNS present %v, theirs %v", q.EDNS.Present, opt)
		}
		if opt != nil && (q.EDNS.UDPSize != opt.Hdr.Class || q.EDNS.Version != opt.Version() || q.EDNS.DO != opt.Do()) {
			t.Fatalf("EDNS %+v, theirs %v", q.EDNS, opt)
		}
	})
}

// FuzzWalk: whatever miekg/dns unpacks, Walk reads the same records of; what it
// gives up on, Walk still reads up to the first record whose frame is broken.
// All text is one line of ASCII.
func FuzzWalk(f *testing.F) {
	seed(f, func(msg []byte) { f.Add(msg) })
	f.Fuzz(func(t *testing.T, msg []byte) {
		h, err := dnswire.ReadHeader(msg)
		if err != nil || h.QD != 1 {
			return
		}
		var q dnswire.Question
		var buf [dnsname.MaxWire]byte
		if dnswire.ReadQuestion(&q, buf[:], msg) != nil {
			return
		}
		var all []dnswire.Record
		walk, last := dnswire.Walk(msg, h, q.End), q.End
		for r := (dnswire.Record{}); walk.Next(&r); {
			if r.Start != last || r.TTLAt+6 != r.Data || r.Data > r.End || r.End > len(msg) {
				t.Fatalf("record %+v behind offset %d of %d octets", r, last, len(msg))
			}
			last = r.End
			if len(all) < 64 { // text is slow, and the 65th has nothing new
				checkText(t, &r, msg)
			}
			all = append(all, r)
		}
		if walk.Err() == nil && len(all) != int(h.AN)+int(h.NS)+int(h.AR) {
			t.Fatalf("%d records without an error, counts %d+%d+%d", len(all), h.AN, h.NS, h.AR)
		}
		var m dns.Msg
		if m.Unpack(msg) != nil {
			return
		}
		for i, rr := range append(append(m.Answer, m.Ns...), m.Extra...) {
			if i >= len(all) {
				t.Fatalf("they read %v, we stopped before: %v", rr, walk.Err())
			}
			r, hdr := &all[i], rr.Header()
			if r.Type != hdr.Rrtype || r.Class != hdr.Class || r.TTL != hdr.Ttl || r.End-r.Data != int(hdr.Rdlength) {
				t.Fatalf("record %d is %+v, theirs %v", i, r, hdr)
			}
			if owner, err := r.Owner(nil, msg); err == nil && !owner.Equal(dnsname.MustParse(hdr.Name)) {
				t.Fatalf("owner %s, theirs %s", owner, hdr.Name)
			}
		}
	})
}
