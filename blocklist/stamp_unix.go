//go:build unix

package blocklist

import (
	"os"
	"syscall"
)

// inode is the number of a file, by which one that was put in the place of
// another is known even if all else is the same.
func inode(info os.FileInfo) uint64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return st.Ino
	}
	return 0
}
