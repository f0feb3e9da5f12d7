package dnswire_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/weirdns/weir/internal/dnswire"
)

func TestRdataIsReadBackFromItsText(t *testing.T) {
	for text, rtype := range map[string]uint16{
		"192.0.2.1": dnswire.TypeA, "host.example.": dnswire.TypeCNAME, `"a b" "\"\255"`: dnswire.TypeTXT, "10 mail.example.": dnswire.TypeMX,
		`\# 3 0000ff`: 10, `1 . alpn="h2"`: dnswire.TypeHTTPS, `\# 2 abcd`: 65280,
	} {
		data, err := dnswire.AppendRdata([]byte("x"), rtype, text)
		if err != nil || data[0] != 'x' {
			t.Errorf("%s: %q, %v", text, data, err)
			continue
		}
		r, msg := recordOf(rtype, data[1:])
		if got := r.RdataText(msg); got != text {
			t.Errorf("%s comes back as %s", text, got)
		}
	}
	for _, bad := range []string{"", "not an address", "192.0.2.1\n. 0 IN A 192.0.2.2", strings.Repeat("x", 1<<20)} {
		if data, err := dnswire.AppendRdata([]byte("x"), dnswire.TypeA, bad); !errors.Is(err, dnswire.ErrRdataText) || string(data) != "x" {
			t.Errorf("%.40q: %q, %v", bad, data, err)
		}
	}
}

// recordOf is a message of one record.
func recordOf(rtype uint16, data []byte) (*dnswire.Record, []byte) {
	msg := dnswire.AppendHeader(nil, dnswire.Header{Flags: dnswire.FlagQR})
	msg = append(msg, 0, byte(rtype>>8), byte(rtype), 0, 1, 0, 0, 0, 0, byte(len(data)>>8), byte(len(data)))
	msg = append(msg, data...)
	dnswire.SetCounts(msg, 1, 0, 0)
	_, walk, _ := dnswire.WalkMessage(msg)
	r := new(dnswire.Record)
	walk.Next(r)
	return r, msg
}

// FuzzAppendRdata holds that what a record of the usual types says in text is the
// record; of others, that nothing breaks.
func FuzzAppendRdata(f *testing.F) {
	f.Add(uint16(16), []byte("\x03a\"\\"))
	f.Add(uint16(15), []byte("\x00\x0a\x04mail\x00"))
	f.Add(uint16(10), []byte("\x00\xff"))
	f.Add(uint16(62), []byte{})
	f.Fuzz(func(t *testing.T, rtype uint16, data []byte) {
		if rtype == 0 || len(data) > 1000 {
			return
		}
		r, msg := recordOf(rtype, data)
		if r.Type != rtype {
			return
		}
		text := r.RdataText(msg)
		again, err := dnswire.AppendRdata(nil, rtype, text)
		switch rtype {
		case dnswire.TypeA, dnswire.TypeAAAA, dnswire.TypeCNAME, dnswire.TypeNS, dnswire.TypePTR, dnswire.TypeTXT, dnswire.TypeMX, 10, 65280:
			r2, msg2 := recordOf(rtype, again)
			if got := r2.RdataText(msg2); err != nil || got != text {
				t.Errorf("%d %x: %s, then %s: %v", rtype, data, text, got, err)
			}
		}
	})
}
