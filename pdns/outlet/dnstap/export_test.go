package dnstap

import "time"

// TendAt is Tend at another time.
func (s *Sink) TendAt(now time.Time) error { return s.file.tend(now) }
