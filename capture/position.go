package capture

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/weirdns/weir/internal/atomicfile"
	"go.uber.org/zap"
)

// noteEvery is how often a position that moves is written.
const noteEvery = time.Second

// position is how far a folder, or a file, has been read: so that who follows
// it goes on there after a restart.
type position struct {
	// Taken are the files of the folder that are read, by their names before
	// they were compressed.
	Taken []string `json:"taken"`
	// File is the one that is being read, and Packets what was read of it.
	File    string `json:"file"`
	Packets uint64 `json:"packets"`

	path    string // of the note; empty: none is kept
	log     *zap.Logger
	written time.Time
	changed bool
	failed  bool // the last attempt to write: said once
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

// resume is how many packets of a file were read before.
func (p *position) resume(name string) uint64 {
	if p.File != name {
		p.File, p.Packets, p.changed = name, 0, true
	}
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
