package capture

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/weirdns/weir/internal/atomicfile"
	"go.uber.org/zap"
)

// noteEvery is how often a position that moves is written.
const noteEvery = time.Second

// position is how far a folder, or a file, has been read: so that who follows
// it goes on there after a restart.
type position struct {
	// Taken are the files of the folder that are read, in the order in which
	// they were.
	Taken []taken `json:"taken"`
	// The one that is being read, and how many packets of it were.
	Current taken  `json:"current"`
	Packets uint64 `json:"packets"`

	path    string // of the note; empty: none is kept
	log     *zap.Logger
	written time.Time
	changed bool
	failed  bool // the last attempt to write: said once
}

// taken is a file by its name and by what it began with when it was read: a
// ring of files has the same names again.
type taken struct {
	Name  string `json:"name"`
	Begin begin  `json:"begin"`
}

// begin is the hash (FNV-1a) of the first octets of a file.
type begin struct {
	Octets int    `json:"octets"`
	Sum    uint64 `json:"sum"`
}

// maxBegin is enough octets to have the time of the first packet among them.
const maxBegin = 4 << 10

// add takes the next octets of the file.
func (g *begin) add(b []byte) {
	const offset, prime = 14695981039346656037, 1099511628211
	if g.Octets == 0 {
		g.Sum = offset
	}
	for _, c := range b[:min(len(b), maxBegin-g.Octets)] {
		g.Sum = (g.Sum ^ uint64(c)) * prime
		g.Octets++
	}
}

// of says whether the file at path still begins so. Where it is gone it does.
func (g *begin) of(path string) bool {
	f, err := os.Open(filepath.Clean(path))
	if err != nil {
		return true
	}
	defer func() { _ = f.Close() }() // it was only read
	b := make([]byte, g.Octets)
	if _, err := io.ReadFull(f, b); err != nil {
		return !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF)
	}
	var now begin
	now.add(b)
	return now == *g
}

// openPosition reads the note at path. That there is none means that nothing
// was read.
func openPosition(path string, log *zap.Logger) (*position, error) {
	p := &position{path: path, log: log}
	if path == "" {
		return p, nil
	}
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return p, nil
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(b, p); err != nil {
		return nil, fmt.Errorf("%s: %w; without this file all is read from the beginning", path, err)
	}
	return p, nil
}

// resume begins with the file at path and says how many packets of it were read
// before.
func (p *position) resume(path string) uint64 {
	name := filepath.Base(path)
	if plainName(p.Current.Name) != plainName(name) || p.Current.Name == name && !p.Current.Begin.of(path) {
		p.Packets = 0
	}
	p.Current, p.changed = taken{Name: name}, true
	return p.Packets
}

// reached notes that so many packets of the file were read, and from time to
// time writes that down.
func (p *position) reached(packets uint64) {
	p.Packets, p.changed = packets, true
	if packets%1024 == 0 {
		p.write(false)
	}
}

// write writes the note if it changed, and is not too young, or at once.
func (p *position) write(now bool) {
	if p.path == "" || !p.changed || !now && time.Since(p.written) < noteEvery {
		return
	}
	p.written = time.Now()
	err := atomicfile.Write(p.path, 0o600, func(w io.Writer) error { return json.NewEncoder(w).Encode(p) })
	if p.changed = err != nil; err != nil && !p.failed {
		p.log.Error("cannot note how far was read", zap.Error(err))
	}
	p.failed = err != nil
}
