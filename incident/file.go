package incident

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/weirdns/weir/internal/atomicfile"
)

const (
	fileFormat = "weir-incident-1"
	fileEnd    = ".json"
	// maxFile bounds what is read of a file, octets: 500 events of four fields.
	maxFile = 4 << 20
)

// file is what is on the disk.
type file struct {
	Format string `json:"format"`
	Incident
}

// Load reads the incidents in dir, which may not be there yet. Where one cannot
// be used the error says why; the others are there.
func Load(dir string) (*Book, error) {
	b := &Book{dir: dir, all: map[string]*Incident{}}
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return b, nil
	}
	if err != nil {
		return b, err
	}
	var errs []error
	for _, e := range entries {
		id, ok := strings.CutSuffix(e.Name(), fileEnd)
		if !ok {
			continue
		}
		if len(b.all) == MaxIncidents {
			errs = append(errs, fmt.Errorf("%s: %w", dir, ErrFull))
			break
		}
		i, err := read(filepath.Join(dir, e.Name()))
		if err == nil && i.ID != id {
			err = fmt.Errorf("is incident %q", i.ID)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", e.Name(), err))
			continue
		}
		b.all[id] = i
	}
	return b, errors.Join(errs...)
}

func read(path string) (*Incident, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() // read only: nothing to lose
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("more than %d octets", maxFile)
	}
	return parse(data)
}

func parse(data []byte) (*Incident, error) {
	var f file
	if err := json.Unmarshal(data, &f); err != nil {
		return nil, err
	}
	if f.Format != fileFormat {
		return nil, fmt.Errorf("format %q, want %q", f.Format, fileFormat)
	}
	if f.ID == "" {
		return nil, errors.New("no id")
	}
	if f.Events == nil {
		f.Events = []Event{}
	}
	return &f.Incident, f.check()
}

// write puts i on the disk. Its ID is of our own making, and so is the file's
// name.
func (b *Book) write(i *Incident) error {
	if err := os.MkdirAll(b.dir, 0o700); err != nil {
		return err
	}
	return atomicfile.Write(filepath.Join(b.dir, i.ID+fileEnd), 0o600, func(w io.Writer) error {
		enc := json.NewEncoder(w)
		enc.SetIndent("", " ")
		return enc.Encode(file{fileFormat, *i})
	})
}

func (b *Book) erase(id string) error { return os.Remove(filepath.Join(b.dir, id+fileEnd)) }
