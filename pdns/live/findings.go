package live

import (
	"bytes"
	"encoding/json"
	"slices"
	"sync"

	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/pdns"
	"github.com/weirdns/weir/pdns/privacy"
)

// maxFindings is how many are remembered; older ones are in the log of findings.
const maxFindings = 512

// Findings remembers the latest findings. It is a detect.FindingSink.
type Findings struct {
	lines ring
	out   *pdns.FindingWriter
}

// NewFindings remembers as much of clients as guard lets it.
func NewFindings(guard *privacy.Guard) *Findings {
	f := &Findings{}
	f.out = pdns.NewFindingWriter(&f.lines, guard)
	return f
}

// Restore remembers what an earlier run has written to the log of findings in dir.
// It is for the time before the first Find.
func (f *Findings) Restore(dir string) error {
	lines, err := pdns.LastFindings(dir, maxFindings)
	if err != nil {
		return err
	}
	f.lines.mu.Lock()
	defer f.lines.mu.Unlock()
	f.lines.lines = lines
	return nil
}

// Find remembers f.
func (f *Findings) Find(found *detect.Finding) { f.out.Find(found) }

// Latest are the findings in JSON, in the form of the log of findings, the
// latest first.
func (f *Findings) Latest() []json.RawMessage { return f.lines.latest() }

// ring keeps what was written last, one line a write.
type ring struct {
	mu    sync.Mutex
	lines []json.RawMessage
}

func (r *ring) Write(line []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.lines) == maxFindings {
		r.lines = slices.Delete(r.lines, 0, 1)
	}
	r.lines = append(r.lines, bytes.TrimSuffix(bytes.Clone(line), []byte("\n")))
	return len(line), nil
}

func (r *ring) latest() []json.RawMessage {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := append([]json.RawMessage{}, r.lines...)
	slices.Reverse(out)
	return out
}
