package sandbox

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// A certificate that is renewed is a link that leads to a new file each time,
// in a folder that no setting names.
func TestFolderBehindALinkStaysReadable(t *testing.T) {
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	live, archive := filepath.Join(root, "live"), filepath.Join(root, "archive")
	for _, dir := range []string{live, archive} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(archive, "cert1.pem"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	cert := filepath.Join(live, "cert.pem")
	if err := os.Symlink("../archive/cert1.pem", cert); err != nil {
		t.Fatal(err)
	}
	dirs, files, err := readable([]string{cert, "/dev/null"}, true)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{live, archive}; !slices.Equal(dirs, want) {
		t.Errorf("folders %q, want %q", dirs, want)
	}
	if want := []string{"/dev/null"}; !slices.Equal(files, want) {
		t.Errorf("files %q, want %q", files, want)
	}
}
