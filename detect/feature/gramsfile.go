package feature

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
)

// ErrTable is what every error of ReadGrams wraps.
var ErrTable = errors.New("bad n-gram table")

// The file, whose page is docs/formats-model.md.
const (
	gramsMagic   = "WEIRGRAM"
	gramsVersion = 1
	gramsHeader  = 8 + 4 + 3*4
	// maxGramsFile is far above what a table has any use for (about 3 bytes an
	// n-gram) and far below what would hurt to read.
	maxGramsFile = 16 << 20
)

// Append appends the table in the form that ReadGrams reads.
func (g *Grams) Append(dst []byte) []byte {
	start := len(dst)
	dst = append(dst, gramsMagic...)
	dst = append(dst, gramsVersion, minGram, maxGram, 0)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(g.Len()))
	dst = binary.LittleEndian.AppendUint32(dst, g.documents)
	dst = binary.LittleEndian.AppendUint32(dst, g.minimum)
	last := uint32(0)
	for _, p := range g.table.pairs() {
		dst = binary.AppendUvarint(dst, uint64(p.key-last))
		dst = binary.AppendUvarint(dst, uint64(g.counts[p.value]))
		last = p.key
	}
	return binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst[start:], crc32.MakeTable(crc32.Castagnoli)))
}

// ReadGrams reads a table and checks all of it: magic, version, checksum, that
// the keys rise, are n-grams and are closed (a longer n-gram's beginning is in
// the table too), and that nothing follows.
func ReadGrams(r io.Reader) (*Grams, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxGramsFile+1))
	if err != nil {
		return nil, fmt.Errorf("n-gram table: %w", err)
	}
	g, err := parseGrams(data)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTable, err)
	}
	return g, nil
}

func parseGrams(data []byte) (*Grams, error) {
	switch {
	case len(data) > maxGramsFile:
		return nil, fmt.Errorf("larger than %d bytes", maxGramsFile)
	case len(data) < gramsHeader+4:
		return nil, fmt.Errorf("%d bytes are too few for a table", len(data))
	case !bytes.HasPrefix(data, []byte(gramsMagic)):
		return nil, fmt.Errorf("starts with %q, want %q", data[:len(gramsMagic)], gramsMagic)
	case data[8] != gramsVersion:
		return nil, fmt.Errorf("format version %d, want %d", data[8], gramsVersion)
	case data[9] != minGram || data[10] != maxGram || data[11] != 0:
		return nil, fmt.Errorf("n-grams of %d to %d bytes, want %d to %d", data[9], data[10], minGram, maxGram)
	}
	body, sum := data[:len(data)-4], binary.LittleEndian.Uint32(data[len(data)-4:])
	if got := crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)); got != sum {
		return nil, fmt.Errorf("checksum %08x, the file says %08x", got, sum)
	}
	entries := binary.LittleEndian.Uint32(data[12:])
	documents := binary.LittleEndian.Uint32(data[16:])
	minimum := binary.LittleEndian.Uint32(data[20:])
	body = body[gramsHeader:]
	if uint64(entries)*2 > uint64(len(body)) { // before it is trusted for an allocation
		return nil, fmt.Errorf("%d n-grams cannot stand in %d bytes", entries, len(body))
	}
	keys, counts := make([]uint32, 0, entries), make([]uint32, 0, entries)
	last := uint64(0)
	for i := range entries {
		delta, n := binary.Uvarint(body)
		count, m := uint64(0), 0
		if n > 0 {
			count, m = binary.Uvarint(body[n:])
		}
		if m <= 0 {
			return nil, fmt.Errorf("n-gram %d of %d: cut short", i, entries)
		}
		if delta == 0 || delta >= keysEnd || last+delta >= keysEnd {
			return nil, fmt.Errorf("n-gram %d: key after %d by %d is out of order or range", i, last, delta)
		}
		if count < 1 || count > 1<<31 {
			return nil, fmt.Errorf("n-gram %d: count %d", i, count)
		}
		last += delta
		body = body[n+m:]
		if err := checkGram(uint32(last), keys); err != nil {
			return nil, fmt.Errorf("n-gram %d: %w", i, err)
		}
		keys, counts = append(keys, uint32(last)), append(counts, uint32(count))
	}
	if len(body) > 0 {
		return nil, fmt.Errorf("%d bytes after the last n-gram", len(body))
	}
	return newGrams(documents, minimum, keys, counts)
}

// checkGram says what is wrong with a key, given all keys below it. Its
// beginning, one byte shorter, ends in one zero more and is therefore smaller.
func checkGram(key uint32, before []uint32) error {
	var digits [maxGram]uint32
	for i, k := maxGram-1, key; i >= 0; i, k = i-1, k/base {
		digits[i] = k % base
	}
	n := maxGram
	for n > 0 && digits[n-1] == 0 {
		n--
	}
	if n < minGram || slices.Contains(digits[:n], 0) {
		return fmt.Errorf("key %d is no n-gram of %d to %d bytes", key, minGram, maxGram)
	}
	if n == minGram {
		return nil
	}
	prefix := key - digits[n-1]
	if n == maxGram-1 {
		prefix = key - digits[n-1]*base
	}
	if _, ok := slices.BinarySearch(before, prefix); !ok {
		return fmt.Errorf("key %d stands without its beginning", key)
	}
	return nil
}
