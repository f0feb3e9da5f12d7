package dnswire_test

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/miekg/dns"
	"github.com/weirdns/weir/internal/dnswire"
)

func TestRdataTextIsPresentationForm(t *testing.T) {
	for in, want := range map[string]string{
		"A 192.0.2.1":                   "192.0.2.1",
		"AAAA 2001:DB8::1":              "2001:db8::1",
		"AAAA ::ffff:192.0.2.1":         "::ffff:192.0.2.1",
		"CNAME WWW.Example.net.":        "www.example.net.",
		"NS .":                          ".",
		`PTR a\.b\000.example.`:         `a\.b\000.example.`,
		"MX 10 Mail.Example.COM.":       "10 mail.example.com.",
		"SRV 1 2 443 Host.Example.COM.": "1 2 443 host.example.com.",
		"SOA NS.Example.COM. Host\\.Master.Example.COM. 1 2 3 4 5": `ns.example.com. host\.master.example.com. 1 2 3 4 5`,
		`TXT "One" "two \" \\ \010"`:                               `"One" "two \" \\ \010"`,
		`CAA 0 issue "CA.example"`:                                 `0 issue "CA.example"`,
		`NAPTR 1 2 "U" "SIP+D2T" "!^.*$!X!" Example.COM.`:          `1 2 "U" "SIP+D2T" "!^.*$!X!" example.com.`,
		"HTTPS 1 . alpn=\"h2,h3\"":                                 `1 . alpn="h2,h3"`,
		`TYPE65400 \# 3 0a0b0c`:                                    `\# 3 0a0b0c`,
	} {
		msg := build(t, nil, "example.com. 60 IN "+in)
		r := records(t, msg)[0]
		if got := r.RdataText(msg); got != want {
			t.Errorf("%s: text %s, want %s", in, got, want)
		}
	}
}

// Upstreams answer with names compressed against a question whose case we draw
// at random, so the same rdata comes in another case each time. Its text must
// be one text, or each answer would count as a new record.
func TestRdataTextIsTheSameInEveryCaseOfTheQuestion(t *testing.T) {
	for _, in := range []string{
		"MX 10 mail.example.com.", "SOA example.com. root.example.com. 1 2 3 4 5", "SRV 1 2 3 a.example.com.",
		"RP a.example.com. b.example.com.", "AFSDB 1 a.example.com.", "KX 1 a.example.com.", "MINFO a.example.com. b.example.com.",
		`NAPTR 1 2 "U" "S" "" a.example.com.`, "CNAME a.example.com.", "RT 1 a.example.com.", "PX 1 a.example.com. b.example.com.",
	} {
		lower := build(t, func(m *dns.Msg) { m.Question[0].Name = "example.com." }, "example.com. 60 IN "+in)
		mixed := build(t, func(m *dns.Msg) { m.Question[0].Name = "eXaMpLe.CoM." }, "example.com. 60 IN "+in)
		for i := 12; i < len(mixed); i++ { // the rdata of types that are never compressed on packing
			if i >= 12+13+4 && mixed[i] == 'e' && string(mixed[i:min(i+7, len(mixed))]) == "example" {
				copy(mixed[i:], "eXaMpLe")
			}
		}
		r1, r2 := records(t, lower)[0], records(t, mixed)[0]
		got1, got2 := r1.RdataText(lower), r2.RdataText(mixed)
		if got1 != got2 {
			t.Errorf("%s: %s in one case, %s in the other", in, got1, got2)
		}
	}
}

func TestRdataTextKeepsWhatItCannotRead(t *testing.T) {
	for name, want := range map[string]string{
		"a_with_three_octets":             `\# 3 c00002`,
		"aaaa_with_four_octets":           `\# 4 c0000201`,
		"cname_with_octets_behind_target": `\# 14 076578616d706c6503636f6d0000`,
		"cname_target_pointer_to_itself":  `\# 2 c029`,
		"cname_target_past_rdata":         `\# 4 07657861`,
		"txt_string_longer_than_rdata":    `\# 4 c8616263`,
		"mx_with_one_octet":               `\# 1 00`,
		"empty_rdata_of_mx":               `\# 0`,
		"soa_cut_in_numbers":              `\# 16 c00cc00c000000010000000100000001`,
		"rrsig_without_signature":         `\# 19 000105020000003c0000003c0000003c123400`,
		"svcb_parameter_past_end":         `\# 9 00010000010010` + "6832",
		"control_octets_in_txt":           `"\010\027\000\127\255"`,
		"null_rdata_with_newline":         `\# 5 610a62225c`,
		"type_zero":                       `\# 3 616263`,
		"meta_type_any_as_record":         `\# 3 616263`,
	} {
		msg := readHex(t, name)
		r := records(t, msg)[0]
		if got := r.RdataText(msg); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

func TestMnemonics(t *testing.T) {
	for rtype, want := range map[uint16]string{0: "TYPE0", 1: "A", 65: "HTTPS", 255: "ANY", 65400: "TYPE65400"} {
		if got := dnswire.TypeString(rtype); got != want {
			t.Errorf("TypeString(%d) = %s, want %s", rtype, got, want)
		}
	}
	for rcode, want := range map[uint16]string{0: "NOERROR", 3: "NXDOMAIN", 16: "BADVERS", 23: "BADCOOKIE", 3000: "RCODE3000"} {
		if got := dnswire.RcodeString(rcode); got != want {
			t.Errorf("RcodeString(%d) = %s, want %s", rcode, got, want)
		}
	}
	if got := dnswire.ClassString(7); got != "CLASS7" {
		t.Errorf("ClassString(7) = %s, want CLASS7", got)
	}
}

// FuzzRdataText: text of the types that records are made of means the rdata
// that it came from: packed again, and read again, it is the same text.
func FuzzRdataText(f *testing.F) {
	for _, t := range []uint16{1, 2, 5, 6, 12, 15, 16, 28, 33, 35, 64, 65, 257, 65400} {
		f.Add(t, []byte("\x00\x0a\x04mail\xc0\x0c"))
		f.Add(t, []byte("\xc0\x00\x02\x01"))
		f.Add(t, []byte("\x03a\"\\\x02\n\xff"))
	}
	back := map[uint16]bool{1: true, 2: true, 5: true, 6: true, 12: true, 15: true, 16: true, 28: true, 33: true, 39: true, 65400: true}
	f.Fuzz(func(t *testing.T, rtype uint16, rdata []byte) {
		if len(rdata) > 1000 || rtype == dnswire.TypeOPT {
			return
		}
		msg := frame(rtype, rdata)
		r := records(t, msg)[0]
		checkText(t, &r, msg)
		text := r.RdataText(msg)
		if !back[rtype] || rtype < 65000 && strings.HasPrefix(text, `\#`) {
			return // what is no rdata of its type does not read back under its name
		}
		rr, err := dns.NewRR("example.com. 60 IN " + dnswire.TypeString(rtype) + " " + text)
		if err != nil {
			t.Fatalf("type %d, rdata %x: text %s does not read back: %v", rtype, rdata, text, err)
		}
		packed := make([]byte, 1<<16)
		end, err := dns.PackRR(rr, packed, 0, nil, false)
		if err != nil {
			t.Fatalf("pack %v: %v", rr, err)
		}
		again := frame(rtype, packed[len("\x07example\x03com\x00")+10:end])
		r2 := records(t, again)[0]
		if got := r2.RdataText(again); got != text {
			t.Fatalf("type %d, rdata %x: text %s, read back %s", rtype, rdata, text, got)
		}
	})
}

// frame is an answer with one record of any rdata.
func frame(rtype uint16, rdata []byte) []byte {
	msg := dnswire.AppendHeader(nil, dnswire.Header{Flags: dnswire.FlagQR, QD: 1, AN: 1})
	msg = dnswire.AppendQuestion(msg, []byte("\x07example\x03com\x00"), rtype, dnswire.ClassIN)
	msg = append(msg, 0xc0, 12)
	msg = binary.BigEndian.AppendUint16(msg, rtype)
	msg = append(msg, 0, 1, 0, 0, 0, 60)
	msg = binary.BigEndian.AppendUint16(msg, uint16(len(rdata)))
	return append(msg, rdata...)
}
