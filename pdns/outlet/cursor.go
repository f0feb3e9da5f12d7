package outlet

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/weirdns/weir/internal/atomicfile"
)

// position is a place in the spool: in front of a row, or at a segment's end.
type position struct {
	Segment uint64 `json:"segment"`
	Offset  int64  `json:"offset"`
}

func (p position) before(o position) bool {
	return p.Segment < o.Segment || p.Segment == o.Segment && p.Offset < o.Offset
}

// cursor says what has been delivered, and where the batch ends that was under
// way: a start sends the same batch again, so that a service which knows batches
// by their identity sees that it has it.
type cursor struct {
	Done  position `json:"done"`
	Until position `json:"until"`
}

func cursorPath(dir string) string { return filepath.Join(dir, "cursor") }

// readCursor reads it; without one, or with a damaged one, everything is sent
// again, which costs duplicates and no row.
func readCursor(dir string) (c cursor) {
	text, err := os.ReadFile(cursorPath(dir))
	if err != nil || json.Unmarshal(text, &c) != nil || c.Done.Offset < 0 || c.Until.Offset < 0 {
		return cursor{}
	}
	return c
}

func (c cursor) write(dir string) error {
	text, err := json.Marshal(c)
	if err != nil {
		return err
	}
	err = atomicfile.Write(cursorPath(dir), 0o640, func(w io.Writer) error {
		_, err := w.Write(text)
		return err
	})
	if err != nil {
		return fmt.Errorf("cursor: %w", err)
	}
	return nil
}
