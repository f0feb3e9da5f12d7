package blocklist

import "os"

// spill is a file without a name for what a build does not hold in memory.
type spill struct {
	file   *os.File
	size   int64
	failed bool
}

// segment is a piece of the spill file.
type segment struct {
	at   int64
	size int
}

// usable opens the file when it is first needed. Where there is no folder, or
// no room in it, the build goes on in memory.
func (s *spill) usable(shop workshop) bool {
	if shop.dir == "" || s.failed || s.file != nil {
		return s.file != nil && !s.failed
	}
	f, err := shop.temp("build")
	if err != nil {
		s.failed = true
		return false
	}
	os.Remove(f.Name()) // it goes when it is closed, or when the process ends
	s.file = f
	return true
}

// write adds a segment. After an error those before it can still be read.
func (s *spill) write(b []byte) (segment, error) {
	seg := segment{s.size, len(b)}
	if _, err := s.file.WriteAt(b, s.size); err != nil {
		s.failed = true
		return seg, err
	}
	s.size += int64(len(b))
	return seg, nil
}

func (s *spill) read(b []byte, seg segment) error {
	_, err := s.file.ReadAt(b, seg.at)
	return err
}

func (s *spill) close() {
	if s.file != nil {
		s.file.Close()
		s.file = nil
	}
}
