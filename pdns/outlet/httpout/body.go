package httpout

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/weirdns/weir/pdns/outlet"
)

// writeBody writes a batch in its envelope to s.body.
func (s *Sink) writeBody(b *outlet.Batch) error {
	s.body = s.body[:0]
	if s.cfg.Preset == Loki {
		s.body = append(append(append(s.body, `{"streams":[{"stream":`...), s.labels...), `,"values":[`...)
	}
	first := true
	err := b.Each(func(r outlet.Row) error {
		s.line = s.lines.AppendIdentified(s.line[:0], r.ID.String(), r.Transaction)
		switch at := r.Query.Time; s.cfg.Preset {
		case NDJSON:
			s.body = append(append(s.body, s.line...), '\n')
		case ElasticBulk:
			// create, not index: of a row that is there already the service says 409,
			// which is as good as taken.
			s.body = append(s.body, `{"create":{"_id":"`...)
			s.body = append(s.body, r.ID.String()...)
			s.body = append(append(s.body, s.target...), s.line...)
			s.body = append(s.body, '\n')
		case SplunkHEC:
			s.body = append(s.body, `{"time":`...)
			s.body = append(fmt.Appendf(s.body, "%d.%09d", at.Unix(), at.Nanosecond()), s.target...)
			s.body = append(append(s.body, s.line...), '}', '\n')
		case Loki:
			if !first {
				s.body = append(s.body, ',')
			}
			s.body = append(s.body, `["`...)
			s.body = strconv.AppendInt(s.body, nanoseconds(at), 10)
			s.body = append(s.body, `",`...)
			text, err := json.Marshal(string(s.line))
			if err != nil {
				return err
			}
			s.body = append(append(s.body, text...), ']')
		}
		first = false
		return nil
	})
	if s.cfg.Preset == Loki {
		s.body = append(s.body, `]}]}`...)
	}
	return err
}

// nanoseconds is at in Unix nanoseconds, the nearest that there is for it.
func nanoseconds(at time.Time) int64 {
	if s := at.Unix(); s < 0 || s > 1<<33 {
		return 0
	}
	return at.UnixNano()
}

// target is what is the same for every row of an envelope.
func (c *Config) target() string {
	quoted := func(v string) string {
		text, _ := json.Marshal(v) // a string: never fails
		return string(text)
	}
	switch c.Preset {
	case ElasticBulk:
		index := c.Index
		if index == "" {
			index = "weir-dns"
		}
		return `","_index":` + quoted(index) + "}}\n"
	case SplunkHEC:
		index := ""
		if c.Index != "" {
			index = `,"index":` + quoted(c.Index)
		}
		return `,"source":"weir","sourcetype":` + quoted("weir:dns:"+c.Format.String()) + index + `,"event":`
	}
	return ""
}

// stream is the stream of Loki.
func (c *Config) stream() string {
	labels := map[string]string{}
	for _, l := range c.Labels {
		name, value, _ := strings.Cut(l, "=")
		labels[name] = value
	}
	if len(labels) == 0 {
		labels["job"] = "weir"
	}
	text, _ := json.Marshal(labels) // strings: never fails
	return string(text)
}
