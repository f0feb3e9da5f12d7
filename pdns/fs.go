package pdns

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// filesystem is what a log needs of a disk. It is an interface so that a test
// can let the n-th call fail.
type filesystem interface {
	MkdirAll(dir string) error
	// Open opens for reading and appending, and makes the file if need be.
	Open(path string) (file, error)
	Rename(from, to string) error
	Remove(path string) error
	ReadDir(dir string) ([]fs.DirEntry, error)
	// SyncDir makes the names in dir as durable as the files.
	SyncDir(dir string) error
}

type file interface {
	io.ReaderAt
	io.Writer // appends
	Truncate(size int64) error
	Stat() (fs.FileInfo, error)
	Sync() error
	Close() error
}

// disk is the real one. Records say who asked for what, so nobody but the owner
// and the group may read them.
type disk struct{}

func (disk) MkdirAll(dir string) error { return os.MkdirAll(dir, 0o750) }

func (disk) Open(path string) (file, error) {
	f, err := os.OpenFile(filepath.Clean(path), os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o640)
	if err != nil {
		return nil, err // not f: a nil *os.File in an interface is not nil
	}
	return f, nil
}

func (disk) Rename(from, to string) error { return os.Rename(from, to) }

func (disk) Remove(path string) error { return os.Remove(path) }

func (disk) ReadDir(dir string) ([]fs.DirEntry, error) { return os.ReadDir(dir) }

func (disk) SyncDir(dir string) error {
	d, err := os.Open(filepath.Clean(dir))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
