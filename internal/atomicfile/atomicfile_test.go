package atomicfile_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/weirdns/weir/internal/atomicfile"
)

func TestWriteReplacesOrLeavesAlone(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	if err := os.WriteFile(path+".tmp", []byte("left behind, and longer"), 0o644); err != nil {
		t.Fatal(err)
	}
	text := func(s string, err error) func(io.Writer) error {
		return func(w io.Writer) error {
			_, _ = io.WriteString(w, s)
			return err
		}
	}
	if err := atomicfile.Write(path, 0o600, text("one", nil)); err != nil {
		t.Fatal(err)
	}
	failed := errors.New("failed")
	if err := atomicfile.Write(path, 0o600, text("two", failed)); !errors.Is(err, failed) {
		t.Errorf("Write = %v, want the writer's error", err)
	}
	got, err := os.ReadFile(path)
	if err != nil || string(got) != "one" {
		t.Errorf("after a failed write: %q, %v; want what was there", got, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v; want 0600", info.Mode(), err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("left %v, %v; want the file alone", left, err)
	}
	if err := atomicfile.Write(filepath.Join(dir, "none", "f"), 0o600, text("x", nil)); err == nil {
		t.Error("Write into a folder that is not there: no error")
	}
}
