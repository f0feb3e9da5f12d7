//go:build unix

package blocklist

import (
	"os"

	"golang.org/x/sys/unix"
)

// mapping is a file in the address space. Its pages are the system's to keep or
// to drop; they are not Go's memory, so its collector neither reads nor counts
// them.
type mapping struct{ octets []byte }

func mapFile(f *os.File, size int64) (mapping, error) {
	b, err := unix.Mmap(int(f.Fd()), 0, int(size), unix.PROT_READ, unix.MAP_SHARED)
	return mapping{b}, err
}

// rest takes the pages out of this process. Whoever still looks gets them back.
func (m mapping) rest() {
	if len(m.octets) > 0 {
		_ = unix.Madvise(m.octets, unix.MADV_DONTNEED)
	}
}

func (m mapping) close() { _ = unix.Munmap(m.octets) }
