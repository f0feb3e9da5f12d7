// Package atomicfile replaces files so that whoever opens one, after a crash
// too, finds the old content or the new one, and never half of it.
package atomicfile

import (
	"errors"
	"io"
	"os"
	"path/filepath"
)

// Write puts what write writes into the file at path, with these permissions.
// On an error the file is what it was. Two writers of one file must take turns:
// both use path.tmp.
func Write(path string, mode os.FileMode, write func(io.Writer) error) (err error) {
	tmp := path + ".tmp"
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(tmp) // the error says more
		}
	}()
	// The mode again: one left behind by a crash keeps what it was made with.
	if err := errors.Join(f.Chmod(mode), write(f), f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(tmp, path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
