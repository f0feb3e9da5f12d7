package feature

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
)

// The file, whose page is docs/formats-model.md.
const (
	lmMagic   = "WEIRLANG"
	lmVersion = 1
	lmHeader  = 8 + 4 + 4 + 4*maxOrder
)

// Append appends the model in the form that ReadLanguage reads.
func (l *Language) Append(dst []byte) []byte {
	start := len(dst)
	dst = append(dst, lmMagic...)
	dst = append(dst, lmVersion, maxOrder, costSteps, 0)
	dst = binary.LittleEndian.AppendUint32(dst, l.documents)
	var entries [maxOrder + 1][]lmEntry
	for n := 1; n <= maxOrder; n++ {
		entries[n] = l.entries(n)
		dst = binary.LittleEndian.AppendUint32(dst, uint32(len(entries[n])))
	}
	for n := 1; n <= maxOrder; n++ {
		last := uint32(0)
		for _, e := range entries[n] {
			dst = binary.AppendUvarint(dst, uint64(e.key-last))
			dst = append(dst, e.cost)
			if n < maxOrder {
				dst = append(dst, e.leave)
			}
			last = e.key
		}
	}
	return binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst[start:], crc32.MakeTable(crc32.Castagnoli)))
}

// ReadLanguage reads a model and checks all of it: magic, version, checksum,
// that every byte has a cost, that the keys rise, are n-grams and stand with
// their ends (the n-gram without its first byte), and that nothing follows.
// Every error that is not the reader's wraps ErrTable.
func ReadLanguage(r io.Reader) (*Language, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxGramsFile+1))
	if err != nil {
		return nil, fmt.Errorf("language model: %w", err)
	}
	l, err := parseLanguage(data)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTable, err)
	}
	return l, nil
}

func parseLanguage(data []byte) (*Language, error) {
	switch {
	case len(data) > maxGramsFile:
		return nil, fmt.Errorf("larger than %d bytes", maxGramsFile)
	case len(data) < lmHeader+4:
		return nil, fmt.Errorf("%d bytes are too few for a language model", len(data))
	case !bytes.HasPrefix(data, []byte(lmMagic)):
		return nil, fmt.Errorf("starts with %q, want %q", data[:len(lmMagic)], lmMagic)
	case data[8] != lmVersion:
		return nil, fmt.Errorf("format version %d, want %d", data[8], lmVersion)
	case data[9] != maxOrder || data[10] != costSteps || data[11] != 0:
		return nil, fmt.Errorf("order %d in steps of 1/%d, want %d and 1/%d", data[9], data[10], maxOrder, costSteps)
	}
	body, sum := data[:len(data)-4], binary.LittleEndian.Uint32(data[len(data)-4:])
	if got := crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)); got != sum {
		return nil, fmt.Errorf("checksum %08x, the file says %08x", got, sum)
	}
	var entries [maxOrder + 1][]lmEntry
	documents, sizes := binary.LittleEndian.Uint32(body[12:]), body[16:]
	body = body[lmHeader:]
	for n := 1; n <= maxOrder; n++ {
		count := binary.LittleEndian.Uint32(sizes[4*(n-1):])
		if uint64(count)*2 > uint64(len(body)) { // before it is trusted for an allocation
			return nil, fmt.Errorf("%d n-grams of %d cannot stand in %d bytes", count, n, len(body))
		}
		var err error
		if entries[n], body, err = parseOrder(body, n, count); err != nil {
			return nil, fmt.Errorf("n-grams of %d: %w", n, err)
		}
		if n > 1 {
			if err := checkEnds(entries[n], entries[n-1], n); err != nil {
				return nil, fmt.Errorf("n-grams of %d: %w", n, err)
			}
		}
	}
	switch {
	case len(entries[1]) != lmBase-1:
		return nil, fmt.Errorf("%d bytes have a cost, want %d", len(entries[1]), lmBase-1)
	case len(body) > 0:
		return nil, fmt.Errorf("%d bytes after the last n-gram", len(body))
	}
	return newLanguage(documents, entries)
}

// parseOrder cuts the n-grams of one order off body.
func parseOrder(body []byte, n int, count uint32) (out []lmEntry, rest []byte, err error) {
	end := uint64(1)
	for range n {
		end *= lmBase
	}
	width := 2
	if n == maxOrder {
		width = 1
	}
	out = make([]lmEntry, 0, count)
	last := uint64(0)
	for i := range count {
		delta, m := binary.Uvarint(body)
		if m <= 0 || len(body) < m+width {
			return nil, nil, fmt.Errorf("%d of %d: cut short", i, count)
		}
		if delta == 0 || delta >= end || last+delta >= end {
			return nil, nil, fmt.Errorf("%d: key after %d by %d is out of order or range", i, last, delta)
		}
		last += delta
		for digits, k := n, last; digits > 0; digits, k = digits-1, k/lmBase {
			if k%lmBase == 0 {
				return nil, nil, fmt.Errorf("%d: key %d is no n-gram", i, last)
			}
		}
		e := lmEntry{key: uint32(last), lmCost: lmCost{cost: body[m]}}
		if width == 2 {
			e.leave = body[m+1]
		}
		if e.cost > maxCost || e.leave > maxCost {
			return nil, nil, fmt.Errorf("%d: costs %d and %d, at most %d is possible", i, e.cost, e.leave, maxCost)
		}
		out, body = append(out, e), body[m+width:]
	}
	return out, body, nil
}

// checkEnds says which n-gram stands without its end: the look-up stops at the
// shortest one that is missing.
func checkEnds(entries, shorter []lmEntry, n int) error {
	mod := uint32(1)
	for range n - 1 {
		mod *= lmBase
	}
	// By the first byte the ends rise with the n-grams, so one walk along
	// shorter for each first byte finds them all.
	first, at := uint32(0), 0
	for _, e := range entries {
		if e.key/mod != first {
			first, at = e.key/mod, 0
		}
		for at < len(shorter) && shorter[at].key < e.key%mod {
			at++
		}
		if at == len(shorter) || shorter[at].key != e.key%mod {
			return fmt.Errorf("key %d stands without its end", e.key)
		}
	}
	return nil
}
