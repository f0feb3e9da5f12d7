package allow

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/weirdns/weir/internal/atomicfile"
)

// ErrDamaged is a file that is not as it was written.
var ErrDamaged = errors.New("damaged")

const (
	fileFormat = "weir-allow-1"
	maxFile    = 4 << 20 // octets; MaxEntries take less
)

// file is what is on the disk.
type file struct {
	Format  string          `json:"format"`
	SHA256  string          `json:"sha256"` // of entries, to the octet
	Entries json.RawMessage `json:"entries"`
}

// Open reads the entries at path that hold at now; with no path there are none,
// and none will be kept. Where the file cannot be used, the error says why, and
// the Book is empty and as good as any: a name too few is let through.
func Open(path string, now time.Time) (*Book, error) {
	b := &Book{path: path}
	if path == "" {
		return b, nil
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return b, nil
	}
	if err != nil {
		return b, err
	}
	defer f.Close() // read only: nothing to lose
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return b, err
	}
	entries, err := parse(data)
	if err != nil {
		return b, fmt.Errorf("%s: %w", path, err)
	}
	b.use(entries)
	b.use(b.entriesAt(now))
	return b, nil
}

func parse(data []byte) ([]Entry, error) {
	var f file
	if len(data) > maxFile {
		return nil, fmt.Errorf("%w: more than %d octets", ErrDamaged, maxFile)
	}
	if err := json.Unmarshal(data, &f); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if f.Format != fileFormat {
		return nil, fmt.Errorf("%w: format %q, want %q", ErrDamaged, f.Format, fileFormat)
	}
	if got := sum(f.Entries); got != f.SHA256 {
		return nil, fmt.Errorf("%w: sha256 is %s, want %s", ErrDamaged, got, f.SHA256)
	}
	var entries []Entry
	if err := json.Unmarshal(f.Entries, &entries); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if len(entries) > MaxEntries {
		return nil, fmt.Errorf("%w: %d entries, at most %d", ErrDamaged, len(entries), MaxEntries)
	}
	for i := range entries {
		e, err := check(entries[i])
		if err != nil {
			return nil, fmt.Errorf("%w: entry %d: %w", ErrDamaged, i, err)
		}
		entries[i] = e
	}
	return entries, nil
}

func save(path string, entries []Entry) error {
	raw, err := json.Marshal(append([]Entry{}, entries...)) // [], not null
	if err != nil {
		return err
	}
	var line bytes.Buffer
	enc := json.NewEncoder(&line)
	enc.SetEscapeHTML(false) // raw is what it is, and so is its checksum
	if err := enc.Encode(file{fileFormat, sum(raw), raw}); err != nil {
		return err
	}
	return atomicfile.Write(path, 0o600, func(w io.Writer) error {
		_, err := w.Write(line.Bytes())
		return err
	})
}

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}
