package store

import (
	"errors"
	"io"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/zap"
)

// patientFS is a disk that waits instead of failing. The database ends its
// process when a write to its log fails, and a full disk must not end DNS: so a
// write that fails is tried again until it works. Meanwhile the store stands
// still, its queue fills, and what has no room there is dropped and counted.
type patientFS struct {
	vfs.FS
	above   string // the folder that the store's is in
	log     *zap.Logger
	every   time.Duration // between two tries
	quit    chan struct{} // closed: no more tries
	giveUp  func()        // closes quit, once
	stalled atomic.Int32  // operations that wait
}

func newPatientFS(fs vfs.FS, log *zap.Logger, every time.Duration) *patientFS {
	p := &patientFS{FS: fs, log: log, every: every, quit: make(chan struct{})}
	p.giveUp = sync.OnceFunc(func() { close(p.quit) })
	return p
}

// try repeats op until it works or nobody waits for it any more.
func (p *patientFS) try(op func() error) error {
	err := op()
	if err == nil {
		return nil
	}
	if p.stalled.Add(1) == 1 {
		p.log.Error("the record store cannot write, and waits", zap.Error(err))
	}
	defer func() {
		if p.stalled.Add(-1) == 0 && err == nil {
			p.log.Info("the record store writes again")
		}
	}()
	again := time.NewTicker(p.every)
	defer again.Stop()
	for err != nil {
		select {
		case <-again.C:
			err = op()
		case <-p.quit:
			return err
		}
	}
	return nil
}

func (p *patientFS) open(op func() (vfs.File, error)) (f vfs.File, err error) {
	err = p.try(func() (err error) { f, err = op(); return err })
	if err != nil {
		return nil, err
	}
	return &patientFile{File: f, fs: p}, nil
}

// Create, and what follows, is vfs.FS.
func (p *patientFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return p.open(func() (vfs.File, error) { return p.FS.Create(name, category) })
}

func (p *patientFS) ReuseForWrite(from, to string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return p.open(func() (vfs.File, error) { return p.FS.ReuseForWrite(from, to, category) })
}

func (p *patientFS) OpenReadWrite(name string, category vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return p.open(func() (vfs.File, error) { return p.FS.OpenReadWrite(name, category, opts...) })
}

func (p *patientFS) OpenDir(name string) (vfs.File, error) {
	// The folder above is opened only to make sure that the store's own is in it
	// after a crash. Others' folders need not be ours to open, as in the sandbox,
	// and there ours was made before.
	if name == p.above {
		f, err := p.FS.OpenDir(name)
		if errors.Is(err, os.ErrPermission) {
			return unopened{}, nil
		}
		if err == nil {
			return &patientFile{File: f, fs: p}, nil
		}
	}
	return p.open(func() (vfs.File, error) { return p.FS.OpenDir(name) })
}

func (p *patientFS) Rename(from, to string) error {
	return p.try(func() error { return p.FS.Rename(from, to) })
}

func (p *patientFS) MkdirAll(dir string, _ os.FileMode) error {
	return p.try(func() error { return p.FS.MkdirAll(dir, 0o750) })
}

// unopened is a folder that is not ours to open.
type unopened struct{ vfs.File }

func (unopened) Sync() error  { return nil }
func (unopened) Close() error { return nil }

type patientFile struct {
	vfs.File
	fs *patientFS
}

func (f *patientFile) Write(b []byte) (n int, err error) {
	err = f.fs.try(func() error {
		m, err := f.File.Write(b[n:])
		if n += m; err == nil && n < len(b) {
			err = io.ErrShortWrite
		}
		return err
	})
	return n, err
}

func (f *patientFile) WriteAt(b []byte, at int64) (n int, err error) {
	err = f.fs.try(func() error { n, err = f.File.WriteAt(b, at); return err })
	return n, err
}

// Preallocate only makes later writes cheaper, so it need not work.
func (f *patientFile) Preallocate(at, n int64) error {
	_ = f.File.Preallocate(at, n)
	return nil
}

func (f *patientFile) Sync() error     { return f.fs.try(f.File.Sync) }
func (f *patientFile) SyncData() error { return f.fs.try(f.File.SyncData) }
func (f *patientFile) SyncTo(n int64) (full bool, err error) {
	err = f.fs.try(func() error { full, err = f.File.SyncTo(n); return err })
	return full, err
}

// dbLog is the database's log. It speaks of its files, which is for debugging,
// and never of what is in them.
type dbLog struct{ log *zap.SugaredLogger }

func (l dbLog) Infof(format string, args ...any)  { l.log.Debugf(format, args...) }
func (l dbLog) Errorf(format string, args ...any) { l.log.Errorf(format, args...) }

// Fatalf is where the database would end the process. Here it ends the goroutine:
// the store stands still, DNS does not.
func (l dbLog) Fatalf(format string, args ...any) {
	l.log.Errorf("the record store has stopped: "+format, args...)
	runtime.Goexit()
}

var _ pebble.Logger = dbLog{}
