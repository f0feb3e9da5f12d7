package feature_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"strings"
	"testing"

	"github.com/weirdns/weir/detect/feature"
)

func table(t testing.TB) *feature.Grams {
	t.Helper()
	f := feature.NewFitter()
	for _, w := range lines(t, "words.txt") {
		f.Add(w)
	}
	return fitted(t, f, 0)
}

func TestTableSurvivesItsFile(t *testing.T) {
	want := table(t)
	data := want.Append(nil)
	got, err := feature.ReadGrams(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	if got.Len() != want.Len() || got.Len() == 0 || got.Documents() != want.Documents() {
		t.Errorf("got %d n-grams of %d strings, want %d of %d", got.Len(), got.Documents(), want.Len(), want.Documents())
	}
	if !bytes.Equal(got.Append(nil), data) {
		t.Error("writing what was read gives another file")
	}
	a, b := feature.New(feature.Tables{Words: want}), feature.New(feature.Tables{Words: got})
	for _, name := range lines(t, "names.txt") {
		s := split(t, name)
		v, w := a.Append(nil, s), b.Append(nil, s)
		for i := range v {
			if v[i] != w[i] {
				t.Fatalf("%s: %s is %v before and %v after", name, feature.Names()[i], v[i], w[i])
			}
		}
	}
}

// resum puts the right checksum on a changed file, so that the checks behind
// the checksum are reached.
func resum(data []byte) []byte {
	data = bytes.Clone(data)
	body := data[:len(data)-4]
	return binary.LittleEndian.AppendUint32(body, crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)))
}

func edit(data []byte, f func([]byte)) []byte {
	data = bytes.Clone(data)
	f(data)
	return data
}

// file is a table of the entries given as pairs of key difference and count.
func file(pairs ...uint64) []byte {
	data := []byte("WEIRGRAM\x01\x03\x05\x00")
	data = binary.LittleEndian.AppendUint32(data, uint32(len(pairs)/2))
	data = append(data, make([]byte, 8)...)
	for _, p := range pairs {
		data = binary.AppendUvarint(data, p)
	}
	return resum(append(data, 0, 0, 0, 0))
}

// abc is the key of the trigram "abc".
const abc = ((1*39+2)*39 + 3) * 39 * 39

func TestDamagedTablesAreRefused(t *testing.T) {
	good := table(t).Append(nil)
	for _, c := range []struct {
		why  string
		data []byte
		want string
	}{
		{"empty", nil, "too few"},
		{"magic", edit(good, func(d []byte) { d[0] = 'X' }), "WEIRGRAM"},
		{"version", resum(edit(good, func(d []byte) { d[8] = 2 })), "version 2"},
		{"n-gram lengths", resum(edit(good, func(d []byte) { d[10] = 6 })), "n-grams of 3 to 6"},
		{"one bit", edit(good, func(d []byte) { d[len(d)/2] ^= 4 }), "checksum"},
		{"cut", good[:len(good)-9], "checksum"},
		{"more entries than bytes", resum(edit(good, func(d []byte) { d[15] = 0xff })), "cannot stand"},
		{"one entry too many", resum(edit(good, func(d []byte) { d[12]++ })), "cut short"},
		{"one entry too few", resum(edit(good, func(d []byte) { d[12]-- })), "after the last"},
		{"same key twice", file(abc, 2, 0, 2), "out of order"},
		{"key out of range", file(39*39*39*39*39, 2), "out of order or range"},
		{"difference overflows", file(abc, 2, 1<<63, 2), "out of order or range"},
		{"count 0", file(abc, 0), "count 0"},
		{"count too large", file(abc, 1<<40), "count"},
		{"a bigram", file((1*39+2)*39*39*39, 2), "no n-gram"},
		{"a hole in an n-gram", file(abc+5, 2), "no n-gram"},
		{"a 4-gram without its trigram", file(abc+4*39, 2), "without its beginning"},
		{"a 5-gram without its 4-gram", file(abc, 3, 4*39+5, 2), "without its beginning"},
	} {
		_, err := feature.ReadGrams(bytes.NewReader(c.data))
		if !errors.Is(err, feature.ErrTable) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got error %v, want one with %q", c.why, err, c.want)
		}
	}
	if _, err := feature.ReadGrams(bytes.NewReader(file(abc, 3, 4*39, 2, 5, 2))); err != nil {
		t.Errorf("abc, abcd, abcde: %v", err)
	}
}

// FuzzReadGrams: whatever is read is written back as it was, and no file panics.
func FuzzReadGrams(f *testing.F) {
	f.Add(table(f).Append(nil))
	f.Add(file(abc, 3, 4*39, 2, 5, 2))
	f.Add([]byte("WEIRGRAM"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) >= 4 {
			data = resum(data)
		}
		g, err := feature.ReadGrams(bytes.NewReader(data))
		if err != nil {
			return
		}
		again, err := feature.ReadGrams(bytes.NewReader(g.Append(nil)))
		if err != nil || again.Len() != g.Len() {
			t.Fatalf("read once, written, read again: %v", err)
		}
	})
}
