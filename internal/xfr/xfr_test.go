package xfr

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// log is a Handler that writes down what it is told.
type log struct{ said []string }

func (l *log) Begin(full bool, soa string) error {
	l.said = append(l.said, fmt.Sprintf("begin %v %s", full, strings.Fields(soa)[6]))
	return nil
}
func (l *log) Delete(r string) error { l.said = append(l.said, "-"+strings.Fields(r)[0]); return nil }
func (l *log) Add(r string) error    { l.said = append(l.said, "+"+strings.Fields(r)[0]); return nil }

// read gives the records of a transfer to a reader: a number is a SOA.
func read(have uint32, records string) (string, SOA, error) {
	l := new(log)
	r := reader{handler: l}
	if have != 0 {
		r.have = &SOA{Serial: have}
	}
	for _, f := range strings.Fields(records) {
		text := f + ".z. 60 CNAME ."
		if f[0] >= '0' && f[0] <= '9' {
			text = "z. 60 SOA . . " + f + " 1 2 3 4"
		}
		rr, err := dns.NewRR(text)
		if err != nil {
			panic(err)
		}
		if err := r.record(rr); err != nil {
			return strings.Join(l.said, " "), r.now, err
		}
	}
	soa, _, err := r.result()
	return strings.Join(l.said, " "), soa, err
}

func TestTheOrderOfATransfer(t *testing.T) {
	for _, c := range []struct {
		have       uint32
		records    string
		want       string
		wantSerial uint32
		err        error
	}{
		{0, "5 a b 5", "begin true 5 +a.z. +b.z.", 5, nil},
		{0, "5 5", "begin true 5", 5, nil},
		{3, "5 a 5", "begin true 5 +a.z.", 5, nil},
		{3, "5 3 a 5 b 5", "begin false 5 -a.z. +b.z.", 5, nil},
		{3, "5 3 a 4 b 4 c d 5 5", "begin false 5 -a.z. +b.z. -c.z. -d.z.", 5, nil},
		{3, "5 3 5 5", "begin false 5", 5, nil},
		{3, "3", "", 3, errCurrent},
		{3, "2 a 2", "", 2, errCurrent},
		{4294967290, "3 a 3", "begin true 3 +a.z.", 3, nil}, // around the end of the numbers
		{0, "", "", 0, ErrOrder},
		{0, "a", "", 0, ErrOrder},
		{0, "5", "", 0, ErrOrder},
		{0, "5 a", "begin true 5 +a.z.", 0, ErrOrder},
		{0, "5 a 5 b", "begin true 5 +a.z.", 5, ErrOrder},
		{0, "5 3 a 5 b 5", "begin false 5", 5, ErrOrder},
		{3, "5 4 a 5 b 5", "begin false 5", 5, ErrOrder},
		{3, "5 3 a 5 b", "begin false 5 -a.z. +b.z.", 0, ErrOrder},
	} {
		got, soa, err := read(c.have, c.records)
		if got != c.want || !errors.Is(err, c.err) || soa.Serial != c.wantSerial {
			t.Errorf("have %d, %q: %q, serial %d, error %v; want %q, %d, %v", c.have, c.records, got, soa.Serial, err, c.want, c.wantSerial, c.err)
		}
	}
}

func TestEqualRecordsAreEqualLines(t *testing.T) {
	a, _ := dns.NewRR("a.z. 60 IN TXT \"x\\010y\"")
	b, _ := dns.NewRR("a.z. 999 IN TXT \"x\\010y\"")
	if text(a) != text(b) || strings.Contains(text(a), "\n") {
		t.Errorf("%q and %q", text(a), text(b))
	}
}

func FuzzOrder(f *testing.F) {
	f.Add(uint32(3), "5 3 a 4 b 4 c d 5 5")
	f.Add(uint32(0), "5 a b 5")
	f.Fuzz(func(_ *testing.T, have uint32, records string) {
		var kept []string
		for _, r := range strings.Fields(records) {
			if r == "a" || r == "b" || len(r) == 1 && r[0] >= '0' && r[0] <= '9' {
				kept = append(kept, r)
			}
		}
		_, _, _ = read(have, strings.Join(kept, " "))
	})
}

func TestKeysAreChecked(t *testing.T) {
	for _, k := range []Key{{"k", "hmac-md5", "c2VjcmV0"}, {"k", "hmac-sha256", ""}, {"k", "hmac-sha256", "not base64!"}} {
		if err := k.Check(); !errors.Is(err, ErrKey) {
			t.Errorf("%+v: %v", k, err)
		}
	}
}
