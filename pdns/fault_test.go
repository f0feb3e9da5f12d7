package pdns_test

import (
	"errors"
	"io/fs"
	"sync"
	"syscall"

	"github.com/weirdns/weir/pdns"
)

// faultDisk is the real disk with a hook before every call that changes
// something. The hook says how many octets of a write still get through.
type faultDisk struct {
	pdns.Disk
	before func(op string) (partial int, err error)
}

func (d faultDisk) MkdirAll(dir string) error {
	if _, err := d.before("mkdir"); err != nil {
		return err
	}
	return d.Disk.MkdirAll(dir)
}

func (d faultDisk) Open(path string) (pdns.File, error) {
	if _, err := d.before("open"); err != nil {
		return nil, err
	}
	f, err := d.Disk.Open(path)
	if err != nil {
		return nil, err
	}
	return faultFile{f, d.before}, nil
}

func (d faultDisk) Rename(from, to string) error {
	if _, err := d.before("rename"); err != nil {
		return err
	}
	return d.Disk.Rename(from, to)
}

func (d faultDisk) Remove(path string) error {
	if _, err := d.before("remove"); err != nil {
		return err
	}
	return d.Disk.Remove(path)
}

func (d faultDisk) ReadDir(dir string) ([]fs.DirEntry, error) {
	if _, err := d.before("readdir"); err != nil {
		return nil, err
	}
	return d.Disk.ReadDir(dir)
}

func (d faultDisk) SyncDir(dir string) error {
	if _, err := d.before("syncdir"); err != nil {
		return err
	}
	return nil // a real one only costs time
}

type faultFile struct {
	pdns.File
	before func(op string) (int, error)
}

func (f faultFile) Write(b []byte) (int, error) {
	partial, err := f.before("write")
	if err != nil {
		n, _ := f.File.Write(b[:min(partial, len(b))])
		return n, err
	}
	return f.File.Write(b)
}

func (f faultFile) Truncate(size int64) error {
	if _, err := f.before("truncate"); err != nil {
		return err
	}
	return f.File.Truncate(size)
}

func (f faultFile) Sync() error {
	if _, err := f.before("sync"); err != nil {
		return err
	}
	return nil // a real one only costs time
}

func (f faultFile) Close() error {
	_, err := f.before("close")
	return errors.Join(f.File.Close(), err) // Linux closes also when it says EIO
}

// nth fails the calls from the n-th on, so many of them, and counts all.
type nth struct {
	mu         sync.Mutex
	from, many int
	partial    int
	calls      int
}

func (n *nth) hook(string) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.calls++
	if n.calls >= n.from && n.calls < n.from+n.many {
		return n.partial, syscall.ENOSPC
	}
	return 0, nil
}

// fullDisk refuses writes while it is full, in the middle of a line.
type fullDisk struct {
	mu   sync.Mutex
	full bool
}

func (d *fullDisk) set(full bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.full = full
}

func (d *fullDisk) hook(op string) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.full && op == "write" {
		return 77, syscall.ENOSPC
	}
	return 0, nil
}
