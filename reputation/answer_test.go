package reputation

import (
	"strings"
	"testing"
)

func FuzzAnswer(f *testing.F) {
	f.Add(`{"data":[{"score":50,"tags":["a"]}]}`, "data.0.score", "data.0.tags")
	f.Add(`[[[1]]]`, "0.0.0", "0")
	f.Add(`{"a":true,"b":null}`, "a", "b.c")
	f.Fuzz(func(t *testing.T, body, path, detailPath string) {
		c := HTTPConfig{Name: "x", Path: path, DetailPath: detailPath, Values: []ValueConfig{{"true", "high"}}, From: []FromConfig{{1, "low"}, {50, "high"}}}
		r, err := c.read([]byte(body))
		if !r.Level.Valid() || err != nil && r.Level > -1 {
			t.Errorf("level %d with error %v", r.Level, err)
		}
		if len(r.Detail) > maxDetail || strings.ContainsAny(r.Detail, "\n\r\x00") {
			t.Errorf("detail %q", r.Detail)
		}
	})
}
