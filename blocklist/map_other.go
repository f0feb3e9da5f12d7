//go:build !unix

package blocklist

import (
	"io"
	"os"
)

// mapping is a file in memory, where it cannot be mapped.
type mapping struct{ octets []byte }

func mapFile(f *os.File, size int64) (mapping, error) {
	b := make([]byte, size)
	_, err := io.ReadFull(io.NewSectionReader(f, 0, size), b)
	return mapping{b}, err
}

func (m mapping) rest() {}

func (m mapping) close() {}
