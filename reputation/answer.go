package reputation

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/weirdns/weir/detect"
)

// maxDetail bounds the text that is kept beside a level, in octets.
const maxDetail = 256

var errNoValue = errors.New("answer: nothing at the path that has a level")

// read finds level and text in an answer.
func (c *HTTPConfig) read(body []byte) (r detect.Reputation, err error) {
	r = detect.Reputation{Service: c.Name, Level: detect.ReputationUnverified}
	var doc any
	if err := json.Unmarshal(body, &doc); err != nil {
		return r, fmt.Errorf("answer: no JSON: %w", errNoValue)
	}
	level, ok := c.level(follow(doc, c.Path))
	if !ok {
		return r, errNoValue
	}
	r.Level = level
	if c.DetailPath != "" {
		r.Detail = detail(follow(doc, c.DetailPath))
	}
	return r, nil
}

// follow goes down a path; nil where it leads nowhere.
func follow(doc any, path string) any {
	for _, step := range strings.Split(path, ".") {
		switch at := doc.(type) {
		case map[string]any:
			doc = at[step]
		case []any:
			i, err := strconv.Atoi(step)
			if err != nil || i < 0 || i >= len(at) {
				return nil
			}
			doc = at[i]
		default:
			return nil
		}
	}
	return doc
}

// level is what a value means.
func (c *HTTPConfig) level(value any) (detect.ReputationLevel, bool) {
	switch v := value.(type) {
	case string:
		return c.named(v)
	case bool:
		return c.named(strconv.FormatBool(v))
	case float64:
		if level, ok := c.named(strconv.FormatFloat(v, 'f', -1, 64)); ok {
			return level, true
		}
		if len(c.From) == 0 || math.IsNaN(v) {
			return 0, false
		}
		best := detect.ReputationNone
		for _, f := range c.From {
			if v >= f.Number {
				best = max(best, levels[f.Level])
			}
		}
		return best, true
	}
	return 0, false
}

// named is what a word means.
func (c *HTTPConfig) named(word string) (detect.ReputationLevel, bool) {
	for _, v := range c.Values {
		if v.Value == word {
			level, ok := levels[v.Level]
			return level, ok
		}
	}
	return 0, false
}

// detail is a text, or several, as one line.
func detail(value any) string {
	var parts []string
	switch v := value.(type) {
	case string:
		parts = []string{v}
	case []any:
		for _, one := range v {
			if s, ok := one.(string); ok {
				parts = append(parts, s)
			}
		}
	}
	s := strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.Join(parts, " "))
	return strings.ToValidUTF8(s[:min(len(s), maxDetail)], "")
}
