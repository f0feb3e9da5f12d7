package cache

import (
	"crypto/sha256"
	"encoding/binary"
	"time"
)

// Sealed makes entries a snapshot with the right checksum.
func Sealed(entries []byte, now time.Time) []byte {
	file := binary.BigEndian.AppendUint64([]byte(snapshotMagic), uint64(now.UnixNano()))
	file = append(file, entries...)
	sum := sha256.Sum256(file)
	return append(file, sum[:]...)
}
