package store_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// shutInFS lets nobody open the folder above the store's, as a sandbox does.
type shutInFS struct {
	vfs.FS
	above string
}

func (f shutInFS) OpenDir(name string) (vfs.File, error) {
	if name == f.above {
		return nil, &fs.PathError{Op: "open", Path: name, Err: os.ErrPermission}
	}
	return f.FS.OpenDir(name)
}

// The folder above the store need not be ours to open.
func TestTheFolderAboveMayBeOthers(t *testing.T) {
	p := newPart(t)
	p.fs = shutInFS{vfs.Default, filepath.Dir(p.cfg.Dir)}
	opened := make(chan struct{})
	go func() { // it would wait, as for a full disk
		select {
		case <-opened:
		case <-time.After(time.Minute):
			panic("the store waits for a folder that is not its own")
		}
	}()
	s := p.open(t)
	close(opened)
	defer shut(t, s)
	s.Consume(quick(start, "www.example", addr1))
	tend(t, s)
	if got := find(t, s, everything()); len(got) != 1 {
		t.Errorf("%d records, want 1", len(got))
	}
}
