package web

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/weirdns/weir/internal/atomicfile"
)

// Lengths of a token, octets.
const (
	minToken = 16
	maxToken = 4 << 10
)

// Token is the secret of the dashboard in the file at path, which is made at
// the first start, for its owner's eyes alone.
func Token(path string) (string, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		token := rand.Text() + rand.Text()
		err := atomicfile.Write(path, 0o600, func(w io.Writer) error {
			_, err := io.WriteString(w, token+"\n")
			return err
		})
		return token, err
	}
	if err != nil {
		return "", err
	}
	defer f.Close() // read only: nothing to lose
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return "", fmt.Errorf("%s: others may read or write it (mode %04o): chmod 600, or delete it and another is made", path, info.Mode().Perm())
	}
	data, err := io.ReadAll(io.LimitReader(f, maxToken+1))
	if err != nil {
		return "", err
	}
	token := strings.TrimSpace(string(data))
	if len(token) < minToken || len(data) > maxToken {
		return "", fmt.Errorf("%s: a token has %d to %d octets, got %d: delete it and another is made", path, minToken, maxToken, len(token))
	}
	return token, nil
}
