package store

import (
	"encoding/binary"
	"errors"
	"io"
	"math"

	"github.com/cockroachdb/pebble/v2"
)

// Sections is a set of the sections of messages that a record was seen in.
type Sections uint8

// The sections.
const (
	InAnswer Sections = 1 << iota
	InAuthority
	InAdditional
)

// sum is what is known of a key: when it was first and last seen, how often, and
// where. On disk:
//
//	first uvarint, last-first uvarint   Unix seconds
//	count uvarint
//	sections uint8
//	detail                              the rest; of detections
type sum struct {
	first, last int64
	count       uint64
	sections    Sections
	detail      []byte
}

var errValue = errors.New("store: a value of another form")

func (s *sum) append(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(s.first))
	dst = binary.AppendUvarint(dst, uint64(s.last-s.first))
	dst = binary.AppendUvarint(dst, s.count)
	return append(append(dst, byte(s.sections)), s.detail...)
}

// decodeSum reads a value; its detail points into b.
func decodeSum(b []byte) (s sum, err error) {
	first, n := binary.Uvarint(b)
	if n <= 0 || first > math.MaxInt64 {
		return s, errValue
	}
	b = b[n:]
	span, n := binary.Uvarint(b)
	if n <= 0 || span > math.MaxInt64-first {
		return s, errValue
	}
	b = b[n:]
	if s.count, n = binary.Uvarint(b); n <= 0 || n >= len(b) {
		return s, errValue
	}
	s.first, s.last = int64(first), int64(first+span)
	s.sections, s.detail = Sections(b[n]), b[n+1:]
	return s, nil
}

// add brings in other, the newer of the two if newer.
func (s *sum) add(other *sum, newer bool) {
	s.first, s.last = min(s.first, other.first), max(s.last, other.last)
	if s.count += other.count; s.count < other.count {
		s.count = math.MaxUint64
	}
	s.sections |= other.sections
	if len(other.detail) > 0 && (newer || len(s.detail) == 0) {
		s.detail = append(s.detail[:0:0], other.detail...)
	}
}

// merger adds sums up on disk, so that counting needs no reading. The name is
// kept in the files: another meaning needs another name.
var merger = &pebble.Merger{
	Name: "weir.pdns.sum.1",
	Merge: func(_, value []byte) (pebble.ValueMerger, error) {
		s, err := decodeSum(value)
		s.detail = append([]byte(nil), s.detail...)
		return &merging{s}, err
	},
}

type merging struct{ sum }

func (m *merging) MergeNewer(value []byte) error {
	s, err := decodeSum(value)
	if err == nil {
		m.add(&s, true)
	}
	return err
}

func (m *merging) MergeOlder(value []byte) error {
	s, err := decodeSum(value)
	if err == nil {
		m.add(&s, false)
	}
	return err
}

func (m *merging) Finish(bool) ([]byte, io.Closer, error) { return m.append(nil), nil, nil }
