package dnswire_test

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/weirdns/weir/internal/dnswire"
)

// services reads all SVCB and HTTPS records of a message: targets and hints.
func services(msg []byte) (out []string) {
	_, walk, err := dnswire.WalkMessage(msg)
	if err != nil {
		return nil
	}
	for r := (dnswire.Record{}); walk.Next(&r); {
		var buf [255]byte
		target, hints, ok := r.Service(buf[:0], msg)
		if !ok {
			continue
		}
		text := "-"
		if target != nil {
			text = target.String()
		}
		for addr, ok := hints.Next(); ok; addr, ok = hints.Next() {
			text += " " + addr.String()
		}
		out = append(out, text)
	}
	return out
}

func TestServiceReadsTargetAndHints(t *testing.T) {
	for record, want := range map[string]string{
		"a.example. 1 HTTPS 1 . alpn=h2 ipv4hint=192.0.2.1,192.0.2.2 ipv6hint=2001:db8::1": "[- 192.0.2.1 192.0.2.2 2001:db8::1]",
		"a.example. 1 HTTPS 0 Other.Example.":                                              "[other.example]",
		"a.example. 1 SVCB 1 b.example. port=8443":                                         "[b.example]",
		"a.example. 1 SVCB 1 b.example. ipv6hint=2001:db8::1 key65400=x":                   "[b.example 2001:db8::1]",
		"a.example. 1 A 192.0.2.1":                                                         "[]",
	} {
		if got := fmt.Sprint(services(build(t, nil, record))); got != want {
			t.Errorf("%s: %s, want %s", record, got, want)
		}
	}
}

// A hint that is cut, too long or of a wrong size ends the reading.
func TestServiceStopsAtWhatIsMalformed(t *testing.T) {
	for what, c := range map[string]struct{ rdata, want string }{
		"no target":                        {"\x00\x01", "[]"},
		"a target past the end":            {"\x00\x01\x05ab", "[]"},
		"a parameter past the end":         {"\x00\x01\x00\x00\x04\x00\x08\xc0\x00\x02\x01", "[-]"},
		"an address cut":                   {"\x00\x01\x00\x00\x04\x00\x06\xc0\x00\x02\x01\xc0\x00", "[- 192.0.2.1]"},
		"no address":                       {"\x00\x01\x00\x00\x04\x00\x00\x00\x04\x00\x04\xc0\x00\x02\x01", "[- 192.0.2.1]"},
		"a rest of three octets":           {"\x00\x01\x00\x00\x04\x00", "[-]"},
		"a hint behind a cut one is found": {"\x00\x01\x00\x00\x04\x00\x01\xc0\x00\x04\x00\x04\xc0\x00\x02\x01", "[- 192.0.2.1]"},
	} {
		msg := []byte("\x00\x00\x80\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x41\x00\x01\x00\x00\x00\x00\x00" + string(rune(len(c.rdata))) + c.rdata)
		if got := fmt.Sprint(services(msg)); got != c.want {
			t.Errorf("%s: %s, want %s", what, got, c.want)
		}
	}
}

func FuzzService(f *testing.F) {
	f.Add(build(f, nil, "a.example. 1 HTTPS 1 . alpn=h2 ipv4hint=192.0.2.1,192.0.2.2 ipv6hint=2001:db8::1"))
	f.Add(build(f, nil, "a.example. 1 SVCB 0 b.example."))
	f.Fuzz(func(t *testing.T, msg []byte) {
		_, walk, err := dnswire.WalkMessage(msg)
		if err != nil {
			return
		}
		for r := (dnswire.Record{}); walk.Next(&r); {
			var buf [255]byte
			_, hints, ok := r.Service(buf[:0], msg)
			if !ok {
				continue
			}
			n := 0
			for addr, ok := hints.Next(); ok; addr, ok = hints.Next() {
				if n++; addr == (netip.Addr{}) || 4*n > r.End-r.Data {
					t.Fatalf("%d addresses in %d octets, the last %v", n, r.End-r.Data, addr)
				}
			}
		}
	})
}
