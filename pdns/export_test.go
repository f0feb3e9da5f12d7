package pdns

import "time"

// Filesystem and File let tests break the disk.
type (
	Filesystem = filesystem
	File       = file
	Disk       = disk
)

// NewOn is New on another disk, with another clock.
func NewOn(cfg Config, deps Deps, fs Filesystem, now func() time.Time) (*Recorder, error) {
	return newRecorder(cfg, deps, fs, now)
}

// Log is a rotatingLog by itself.
type Log struct{ l rotatingLog }

// NewLog makes one.
func NewLog(fs Filesystem, dir string, rotateBytes, maxBytes int64, maxAge time.Duration, now func() time.Time) *Log {
	return &Log{rotatingLog{fs: fs, dir: dir, name: "cof", bounds: bounds{rotateBytes, maxBytes, maxAge}, now: now}}
}

// Row, Flush, Tend and Close are what a sink calls.
func (l *Log) Row(line []byte, unix int64) bool { return l.l.row(line, unix) }
func (l *Log) Flush() error                     { return l.l.flush() }
func (l *Log) Tend() error                      { return l.l.tend() }
func (l *Log) Close() error                     { return l.l.close() }

// Written and Pending count lines.
func (l *Log) Written() uint64 { return l.l.written }
func (l *Log) Pending() int    { return l.l.pending }

// TouchOpen opens the current file, as the first line would, and closes it.
func (l *Log) TouchOpen() error {
	if err := l.l.open(); err != nil {
		return err
	}
	return l.l.close()
}
