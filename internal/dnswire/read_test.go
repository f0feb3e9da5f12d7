package dnswire_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/miekg/dns"
	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/internal/dnswire"
)

// build packs a message with miekg/dns, compressed.
func build(tb testing.TB, edit func(m *dns.Msg), records ...string) []byte {
	tb.Helper()
	m := new(dns.Msg)
	m.SetQuestion("Example.COM.", dns.TypeA)
	m.Response, m.Compress = true, true
	for _, s := range records {
		rr, err := dns.NewRR(s)
		if err != nil {
			tb.Fatalf("%q: %v", s, err)
		}
		m.Answer = append(m.Answer, rr)
	}
	if edit != nil {
		edit(m)
	}
	msg, err := m.Pack()
	if err != nil {
		tb.Fatal(err)
	}
	return msg
}

// records reads all records of a message with one question.
func records(tb testing.TB, msg []byte) []dnswire.Record {
	tb.Helper()
	var q dnswire.Query
	if err := dnswire.ReadQuery(&q, msg); err != nil {
		tb.Fatalf("ReadQuery: %v", err)
	}
	var all []dnswire.Record
	walk := dnswire.Walk(msg, q.Header, q.End)
	for r := (dnswire.Record{}); walk.Next(&r); {
		all = append(all, r)
	}
	return all
}

func TestReadQueryTakesWhatForwardingNeeds(t *testing.T) {
	msg := build(t, func(m *dns.Msg) {
		m.Response = false
		m.SetEdns0(1232, true)
		m.IsEdns0().Option = append(m.IsEdns0().Option, &dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: "0102030405060708"})
	})
	var q dnswire.Query
	if err := dnswire.ReadQuery(&q, msg); err != nil {
		t.Fatal(err)
	}
	if q.Name.String() != "example.com" || q.Type != dnswire.TypeA || q.Class != dnswire.ClassIN || q.Response() || q.Opcode() != 0 {
		t.Errorf("question %s %d %d, QR %v, opcode %d; want example.com A IN, a query", q.Name, q.Type, q.Class, q.Response(), q.Opcode())
	}
	if got := string(msg[q.Start:q.End]); got != "\x07Example\x03COM\x00\x00\x01\x00\x01" {
		t.Errorf("question octets %q: the client's own case is lost", got)
	}
	if !q.EDNS.Present || q.EDNS.UDPSize != 1232 || !q.EDNS.DO || q.EDNS.Version != 0 {
		t.Errorf("EDNS = %+v, want size 1232, DO, version 0", q.EDNS)
	}
	code, value, rest, ok := dnswire.NextOption(q.EDNS.Options)
	if !ok || code != dnswire.OptionCookie || len(value) != 8 || len(rest) != 0 {
		t.Errorf("option = %d %x, rest %x, %v; want the cookie alone", code, value, rest, ok)
	}
	if got := testing.AllocsPerRun(100, func() { _ = dnswire.ReadQuery(&q, msg) }); got != 0 {
		t.Errorf("ReadQuery allocates %v times, want 0", got)
	}
}

// A Query is used again for the next packet: nothing of the last may remain.
func TestReadQueryForgetsThePacketBefore(t *testing.T) {
	var q dnswire.Query
	withOPT := build(t, func(m *dns.Msg) { m.SetEdns0(4096, true) })
	if err := dnswire.ReadQuery(&q, withOPT); err != nil || !q.EDNS.Present {
		t.Fatalf("ReadQuery = %v, EDNS %v", err, q.EDNS.Present)
	}
	if err := dnswire.ReadQuery(&q, []byte("too short")); !errors.Is(err, dnswire.ErrShort) {
		t.Fatalf("ReadQuery = %v, want ErrShort", err)
	}
	if q.End != 0 || q.Name != nil || q.EDNS.Present || q.Header != (dnswire.Header{}) {
		t.Errorf("after a short packet: end %d, name %s, EDNS %v, header %+v", q.End, q.Name, q.EDNS.Present, q.Header)
	}
}

func TestExtendedRcodeComesFromOPT(t *testing.T) {
	msg := build(t, func(m *dns.Msg) { m.SetEdns0(1232, false); m.Rcode = dns.RcodeBadVers })
	h, _ := dnswire.ReadHeader(msg)
	e := dnswire.ReadEDNS(msg, h, records(t, msg)[0].Start)
	if got := uint16(e.ExtRcode)<<4 | h.Rcode(); got != dnswire.RcodeBadVers {
		t.Errorf("rcode = %d, want %d", got, dnswire.RcodeBadVers)
	}
}

func TestOwnerAndTargetFollowCompression(t *testing.T) {
	msg := build(t, nil, "Example.com. 60 IN CNAME WWW.example.com.", "www.example.com. 60 IN A 192.0.2.1")
	all := records(t, msg)
	if len(all) != 2 {
		t.Fatalf("%d records, want 2", len(all))
	}
	target, err := all[0].Target(nil, msg)
	if err != nil || target.String() != "www.example.com" {
		t.Errorf("target = %s, %v; want www.example.com", target, err)
	}
	owner, err := all[1].Owner(nil, msg)
	if err != nil || owner.String() != "www.example.com" {
		t.Errorf("owner = %s, %v; want www.example.com", owner, err)
	}
	if got := all[1].Address(msg).String(); got != "192.0.2.1" {
		t.Errorf("address = %s, want 192.0.2.1", got)
	}
}

func TestOwnerOfBadPointersIsAnErrorAndTheWalkGoesOn(t *testing.T) {
	msg := readHex(t, "owner_pointer_loop_of_two")
	all := records(t, msg)
	if _, err := all[0].Owner(nil, msg); !errors.Is(err, dnswire.ErrPointer) {
		t.Errorf("first owner: %v, want ErrPointer", err)
	}
	msg = readHex(t, "owner_pointer_chain_of_127")
	all = records(t, msg)
	if n, err := all[124].Owner(nil, msg); err != nil || n.String() != "example.com" {
		t.Errorf("owner behind 125 pointers = %s, %v; want example.com", n, err)
	}
	if _, err := all[127].Owner(nil, msg); !errors.Is(err, dnswire.ErrPointer) {
		t.Errorf("owner behind 128 pointers: %v, want ErrPointer", err)
	}
}

func TestReadNameTakesTheLongestNameAndNoLonger(t *testing.T) {
	longest := dnsname.MustParse(strings.Repeat(strings.Repeat("a", 63)+".", 3) + strings.Repeat("a", 61))
	if n, next, err := dnswire.ReadName(nil, longest, 0); err != nil || len(n) != 255 || next != 255 {
		t.Errorf("ReadName of 255 octets = %d octets, next %d, %v", len(n), next, err)
	}
	// A name within bounds where it stands, too long with what it points at.
	msg := append([]byte(longest), 1, 'b', 0xc0, 0)
	if _, _, err := dnswire.ReadName(nil, msg, 255); !errors.Is(err, dnswire.ErrName) {
		t.Errorf("ReadName of 257 octets by compression: %v, want ErrName", err)
	}
}

func TestReadNameAppendsBehindWhatIsThere(t *testing.T) {
	msg := []byte("\x03WWW\x00")
	n, _, err := dnswire.ReadName([]byte("kept"), msg, 0)
	if err != nil || string(n) != "kept\x03WWW\x00" {
		t.Errorf("ReadName = %q, %v", n, err)
	}
	c, _, err := dnswire.ReadCanonical([]byte("kept"), msg, 0)
	if err != nil || string(c) != "\x03www\x00" {
		t.Errorf("ReadCanonical = %q, %v", []byte(c), err)
	}
}

func TestEqualFoldKnowsOnlyLetters(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"\x03WwW\x00", "\x03wWw\x00", true},
		{"\x03www\x00", "\x03wwx\x00", false},
		{"\x01@\x00", "\x01`\x00", false},
		{"\x01[\x00", "\x01{\x00", false},
		{"\x01\xc1\x00", "\x01\xe1\x00", false},
		{"\x01a\x00", "\x02aa\x00", false},
	} {
		if got := dnswire.EqualFold([]byte(c.a), []byte(c.b)); got != c.want {
			t.Errorf("EqualFold(%q, %q) = %v, want %v", c.a, c.b, got, c.want)
		}
	}
}

func TestWhatWeWriteOthersRead(t *testing.T) {
	msg := dnswire.AppendHeader(nil, dnswire.Header{ID: 7, Flags: dnswire.FlagQR | dnswire.FlagRA | 3, QD: 1, NS: 1, AR: 1})
	msg = dnswire.AppendQuestion(msg, []byte("\x07Example\x03com\x00"), dnswire.TypeAAAA, dnswire.ClassIN)
	msg = dnswire.AppendSOA(msg, 30)
	before := len(msg)
	opt := dnswire.OPT{UDPSize: 1232, Rcode: 3, DO: true, EDE: &dnswire.EDE{Code: dnswire.EDEBlocked, Text: []byte("list=x")}}
	msg = dnswire.AppendOPT(msg, opt)
	if got, want := len(msg)-before, dnswire.OPTLen(opt); got != want {
		t.Errorf("OPTLen = %d, AppendOPT wrote %d", want, got)
	}
	var m dns.Msg
	if err := m.Unpack(msg); err != nil {
		t.Fatal(err)
	}
	soa, _ := m.Ns[0].(*dns.SOA)
	ede, _ := m.IsEdns0().Option[0].(*dns.EDNS0_EDE)
	if m.Rcode != dns.RcodeNameError || m.Question[0].Name != "Example.com." || soa == nil || soa.Hdr.Name != "Example.com." || soa.Minttl != 30 || soa.Hdr.Ttl != 30 ||
		!m.IsEdns0().Do() || ede == nil || ede.InfoCode != 15 || ede.ExtraText != "list=x" {
		t.Errorf("read back:\n%v", &m)
	}
	var q dnswire.Query
	if err := dnswire.ReadQuery(&q, msg); err != nil {
		t.Fatal(err)
	}
	walk, r := dnswire.Walk(msg, q.Header, q.End), dnswire.Record{}
	walk.Next(&r)
	if ttl, ok := r.MinimumTTL(msg); !ok || ttl != 30 {
		t.Errorf("MinimumTTL = %d, %v; want 30", ttl, ok)
	}
}

func TestWalkMessageGoesPastAnyNumberOfQuestions(t *testing.T) {
	for questions := range 4 {
		msg := dnswire.AppendHeader(nil, dnswire.Header{Flags: dnswire.FlagQR, QD: uint16(questions), AN: 1})
		for range questions {
			msg = dnswire.AppendQuestion(msg, []byte("\x01a\x00"), dnswire.TypeA, dnswire.ClassIN)
		}
		msg = append(msg, "\x01a\x00\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\xc0\x00\x02\x01"...)
		h, walk, err := dnswire.WalkMessage(msg)
		if err != nil || int(h.QD) != questions {
			t.Fatalf("%d questions: header %+v, %v", questions, h, err)
		}
		if r := (dnswire.Record{}); !walk.Next(&r) || r.Address(msg).String() != "192.0.2.1" {
			t.Errorf("%d questions: address %v, %v; want 192.0.2.1", questions, r.Address(msg), walk.Err())
		}
	}
	for name, want := range map[string]error{
		"header_one_octet_short": dnswire.ErrShort,
		"question_count_65535":   dnswire.ErrName,
		"question_without_class": dnswire.ErrCut,
		"qname_without_root":     dnswire.ErrName,
	} {
		_, walk, err := dnswire.WalkMessage(readHex(t, name))
		if r := (dnswire.Record{}); !errors.Is(err, want) || walk.Next(&r) {
			t.Errorf("%s: %v, want %v and no records", name, err, want)
		}
	}
}
