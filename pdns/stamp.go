package pdns

import "time"

// lastTime is the last moment that RFC 3339 can write.
var lastTime = time.Date(9999, 12, 31, 23, 59, 59, 999999999, time.UTC)

// secondForm is RFC 3339 up to the second. All nine digits follow, so that lines
// sort as text.
const (
	secondForm = "2006-01-02T15:04:05"
	timeForm   = secondForm + ".000000000Z"
)

// stamp writes times. It keeps the text of the last second, which the next
// transaction is likely to share.
type stamp struct {
	second int64 // Unix
	text   []byte
	hour   int // of the last time written, UTC
}

// append appends t in UTC, as the first or the last moment that can be written
// where it is before or behind them.
func (s *stamp) append(dst []byte, t time.Time) []byte {
	if len(s.text) == 0 || t.Unix() != s.second {
		at := t.UTC()
		if at.Year() < 0 {
			t = time.Time{}
		} else if at.After(lastTime) {
			t = lastTime
		}
		at = t.UTC()
		s.second, s.hour = t.Unix(), at.Hour()
		s.text = at.AppendFormat(s.text[:0], secondForm)
	}
	dst = append(append(dst, s.text...), '.')
	n := t.Nanosecond()
	for unit := 100_000_000; unit > 0; unit /= 10 {
		dst = append(dst, byte('0'+n/unit%10))
	}
	return append(dst, 'Z')
}
