package outlet_test

import (
	"bytes"
	"os"
	"testing"

	"github.com/weirdns/weir/pdns/outlet"
)

// Whatever a disk gives back, reading it ends, and says damage or gives rows that
// stand in it.
func FuzzSegment(f *testing.F) {
	f.Add([]byte(nil))
	f.Add(outlet.NewSegment())
	f.Add(outlet.NewSegment([]byte("one"), bytes.Repeat([]byte("two"), 1000)))
	f.Add(append(outlet.NewSegment([]byte("one")), 0, 0, 0, 0, 0, 0, 0, 0))
	f.Add(append(outlet.NewSegment([]byte("one")), 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4, 5))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := os.WriteFile(outlet.Path(dir, 1), data, 0o600); err != nil {
			t.Fatal(err)
		}
		rows, err := outlet.SegmentRows(dir, 1, int64(len(data)))
		if err != nil && !outlet.IsDamage(err) {
			t.Fatal(err)
		}
		for _, r := range rows {
			if len(r) == 0 || !bytes.Contains(data, r) {
				t.Fatalf("a row of %d octets that does not stand in the file", len(r))
			}
		}
	})
}
