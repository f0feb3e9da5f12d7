package store_test

import (
	"bytes"
	"testing"

	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/pdns/store"
	"pgregory.net/rapid"
)

func anyName() *rapid.Generator[dnsname.Name] {
	label := rapid.SliceOfN(rapid.OneOf(rapid.Byte(), rapid.ByteRange(0, 3)), 1, 12)
	return rapid.Custom(func(t *rapid.T) dnsname.Name {
		var wire []byte
		for _, l := range rapid.SliceOfN(label, 0, 12).Draw(t, "labels") {
			wire = append(append(wire, byte(len(l))), l...)
		}
		return dnsname.AppendCanonical(nil, append(wire, 0))
	})
}

// Whatever octets a name has, its key reads back, and a zone's keys are exactly
// those that begin with the zone.
func TestPathsReadBackAndKeepZonesTogether(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := anyName().Draw(t, "a"), anyName().Draw(t, "b")
		if rapid.Bool().Draw(t, "below") {
			b = append(dnsname.Name{1, 'x'}, a...)
			if len(b) > dnsname.MaxWire {
				t.Skip()
			}
		}
		path := store.AppendPath(nil, a)
		got, rest, err := store.CutPath(append(bytes.Clone(path), "rest"...))
		if err != nil || !got.Equal(a) || string(rest) != "rest" {
			t.Fatalf("%q comes back as %q, %q, %v", a, got, rest, err)
		}
		below := bytes.HasPrefix(store.AppendPath(nil, b), store.AppendLabels(nil, a))
		if below != b.Within(a) {
			t.Fatalf("%q under the prefix of %q: %v", b, a, below)
		}
	})
}

// FuzzCutPath: any octets are refused or are a name that gives them again.
func FuzzCutPath(f *testing.F) {
	f.Add([]byte("com\x00example\x00\x00rest"))
	f.Add([]byte("\x00"))
	f.Add([]byte("\x01\x01\x01\x02\x00\x00"))
	f.Add(bytes.Repeat([]byte("a\x00"), 200))
	f.Fuzz(func(t *testing.T, b []byte) {
		name, rest, err := store.CutPath(b)
		if err != nil {
			return
		}
		if err := name.Check(); err != nil {
			t.Fatalf("%q is no name: %v", name, err)
		}
		if again := append(store.AppendPath(nil, name), rest...); !bytes.Equal(again, b) {
			t.Fatalf("%q gives %q", b, again)
		}
	})
}
