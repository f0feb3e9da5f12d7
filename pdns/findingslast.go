package pdns

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// LastFindings are the last lines of the log of findings in dir, at most so many,
// the oldest first. Lines that are cut are left out. Without a log there are none.
func LastFindings(dir string, most int) (lines []json.RawMessage, err error) {
	log := rotatingLog{fs: disk{}, dir: dir, name: "findings"}
	if err := log.list(); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	paths := []string{log.path()}
	for _, f := range slices.Backward(log.closed) {
		paths = append(paths, filepath.Join(dir, f.name))
	}
	for _, path := range paths {
		if len(lines) >= most {
			break
		}
		data, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // none is open, or it was too old just now
		}
		if err != nil {
			return nil, err
		}
		var of []json.RawMessage
		for line := range bytes.Lines(data) {
			if line = bytes.TrimSpace(line); json.Valid(line) {
				of = append(of, json.RawMessage(line))
			}
		}
		lines = slices.Concat(of[max(0, len(of)-(most-len(lines))):], lines)
	}
	return lines, nil
}
