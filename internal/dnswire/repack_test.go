package dnswire_test

import (
	"testing"

	"github.com/miekg/dns"
	"github.com/weirdns/weir/internal/dnswire"
)

func TestRepackMovesWhatPointsBehindTheGap(t *testing.T) {
	m := new(dns.Msg)
	m.SetQuestion("WwW.example.com.", dns.TypeMX)
	m.Response, m.Compress = true, true
	m.SetEdns0(1232, true)
	opt := m.Extra[0]
	m.Extra = nil
	for _, text := range []string{
		"WwW.example.com. 60 MX 10 mail.elsewhere.example.net.",
		`WwW.example.com. 60 TXT "a\"b" "\001"`,
		"elsewhere.example.net. 60 NS ns.elsewhere.example.net.",
	} {
		rr, err := dns.NewRR(text)
		if err != nil {
			t.Fatal(err)
		}
		m.Answer = append(m.Answer, rr)
	}
	glue, _ := dns.NewRR("ns.elsewhere.example.net. 60 A 192.0.2.1")
	last, _ := dns.NewRR("mail.elsewhere.example.net. 60 TYPE65400 \\# 2 c00c")
	m.Extra = []dns.RR{glue, opt, last}
	wire, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	out, err := dnswire.Repack(wire, func(r *dnswire.Record) bool {
		return r.Type != dnswire.TypeOPT && r.Type != dnswire.TypeMX
	})
	if err != nil {
		t.Fatal(err)
	}
	got := new(dns.Msg)
	if err := got.Unpack(out); err != nil {
		t.Fatal(err)
	}
	want := m.Copy()
	want.Answer = want.Answer[1:]
	want.Extra = []dns.RR{want.Extra[0], want.Extra[2]}
	// The library gives a record its length when it packs one.
	for _, m := range []*dns.Msg{got, want} {
		for _, rr := range append(append(m.Answer[:len(m.Answer):len(m.Answer)], m.Ns...), m.Extra...) {
			rr.Header().Rdlength = 0
		}
	}
	if got.String() != want.String() {
		t.Errorf("repacked:\n%s\nwant:\n%s", got, want)
	}
}

func TestRepackRefusesWhatItCannotWriteAgain(t *testing.T) {
	wire := dnswire.AppendHeader(nil, dnswire.Header{QD: 1, AN: 1})
	wire = dnswire.AppendQuestion(wire, []byte{1, 'a', 0}, 1, 1)
	wire = append(wire, 0xc0, 12, 0, 2, 0, 1, 0, 0, 0, 1, 0, 2, 5, 'x') // NS whose name is cut
	if out, err := dnswire.Repack(wire, func(*dnswire.Record) bool { return true }); err == nil {
		t.Errorf("Repack wrote a cut name as %x", out)
	}
}
