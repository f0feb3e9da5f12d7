package outlet_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/weirdns/weir/internal/outlettest"
	"github.com/weirdns/weir/pdns/outlet"
)

// sorter reads each batch in another order than it came in.
type sorter struct{ got, want []string }

func (s *sorter) Send(_ context.Context, b *outlet.Batch) error {
	names := map[outlet.ID]string{}
	var ids []outlet.ID
	err := b.Each(func(r outlet.Row) error {
		names[r.ID] = r.Query.Name.String()
		ids = append(ids, r.ID)
		return nil
	})
	if err != nil {
		return err
	}
	slices.Reverse(ids)
	for _, id := range ids {
		s.want = append(s.want, names[id])
	}
	return b.Pick(slices.Values(ids), func(r outlet.Row) error {
		s.got = append(s.got, r.Query.Name.String())
		return nil
	})
}

func (*sorter) Close() error { return nil }

func TestRowsAreReadInAnyOrder(t *testing.T) {
	cfg := outlet.DefaultConfig()
	cfg.Name, cfg.BatchInterval, cfg.BatchRows = "test", 0, 700
	s := &sorter{}
	outlettest.Deliver(t, cfg, s, 2000)
	if len(s.got) != 2000 || !slices.Equal(s.got, s.want) {
		t.Errorf("%d rows, not all in the order asked for", len(s.got))
	}
}

// What is not of a batch is not read, and damage is said.
func TestPickReadsOnlyItsBatch(t *testing.T) {
	dir := t.TempDir()
	path := outlet.Path(dir, 1)
	if err := os.WriteFile(path, outlet.NewSegment([]byte("no transaction"), []byte("another")), 0o600); err != nil {
		t.Fatal(err)
	}
	b := outlet.NewBatch(t, dir, 1)
	var id outlet.ID
	pick := func() error {
		return b.Pick(slices.Values([]outlet.ID{id}), func(outlet.Row) error { return nil })
	}
	if err := pick(); err == nil || !strings.Contains(err.Error(), "not of this batch") {
		t.Errorf("a row of another segment: %v", err)
	}
	id = b.First
	if err := pick(); !outlet.IsDamage(err) {
		t.Errorf("a row that is no transaction: %v, want damage", err)
	}
	id[15] += 200 // past its end
	if err := pick(); err == nil || !strings.Contains(err.Error(), "not of this batch") {
		t.Errorf("a row past the end: %v", err)
	}
	data, err := os.ReadFile(filepath.Clean(path))
	if err != nil {
		t.Fatal(err)
	}
	data[30]++
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	id = b.First
	if err := pick(); !outlet.IsDamage(err) {
		t.Errorf("a row whose checksum is wrong: %v, want damage", err)
	}
}
