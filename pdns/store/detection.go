package store

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"math"

	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/internal/dnsname"
)

// hourSeconds is the stretch of time that one detection record sums up.
const hourSeconds = 3600

func appendDetectionKey(dst []byte, at int64, name dnsname.Name, kind [3]byte) []byte {
	dst = binary.BigEndian.AppendUint32(append(dst, kindDetection), uint32(min(at/hourSeconds, math.MaxUint32)))
	return append(appendPath(dst, name), kind[:]...)
}

// detail is what a detection record says beside its key and sums. It is JSON on
// disk, since detections are few and lists have words of any kind.
type detail struct {
	Score *float64 `json:"s,omitempty"` // nil: not scored
	Level uint8    `json:"l,omitempty"`
	Lists []string `json:"n,omitempty"`
	Rules []string `json:"r,omitempty"`
}

// maxDetailMatches bounds the lists and rules of a detection.
const maxDetailMatches = 8

func appendDetail(dst []byte, t *detect.Transaction) []byte {
	v := &t.Verdict
	d := detail{Level: uint8(v.Level)}
	if v.Unscored == detect.Scored && !math.IsNaN(v.Score) && !math.IsInf(v.Score, 0) {
		d.Score = &v.Score
	}
	for _, m := range v.Matches[:min(len(v.Matches), maxDetailMatches)] {
		d.Lists, d.Rules = append(d.Lists, m.List), append(d.Rules, m.Rule)
	}
	text, err := json.Marshal(d)
	if err != nil {
		return dst // plain strings and numbers: cannot be
	}
	return append(dst, text...)
}

// Detection is one name in one hour: what was wanted of it and whether it was
// done.
type Detection struct {
	Name        dnsname.Name
	Origin      detect.Origin
	Action      detect.Action
	Enforced    bool
	Score       *float64 // nil: not scored
	Level       detect.Level
	Lists       []string // that it stood in
	Rules       []string // the entries, in the order of Lists
	First, Last int64    // Unix seconds
	Count       uint64
}

func decodeDetection(key, value []byte) (d Detection, err error) {
	if len(key) < 5 {
		return d, errKey
	}
	name, _, kind, err := cutPath(key[5:])
	if err != nil {
		return d, err
	}
	if len(kind) != 3 || kind[0] > byte(detect.OriginBehaviour) || kind[1] > byte(detect.Truncate) {
		return d, errKey
	}
	v, err := decodeSum(value)
	if err != nil {
		return d, err
	}
	var more detail
	if err := json.Unmarshal(v.detail, &more); err != nil || more.Level > uint8(detect.LevelHigh) {
		return d, errValue
	}
	return Detection{
		Name: name, Origin: detect.Origin(kind[0]), Action: detect.Action(kind[1]), Enforced: kind[2] != 0,
		Score: more.Score, Level: detect.Level(more.Level), Lists: more.Lists, Rules: more.Rules,
		First: v.first, Last: v.last, Count: v.count,
	}, nil
}

// cutClientKey takes the key of what a client asked for apart. A client's text
// has no NUL.
func cutClientKey(key []byte) (client, path []byte, err error) {
	client, path, ok := bytes.Cut(key[1:], []byte{0})
	if !ok || len(path) == 0 {
		return nil, nil, errKey
	}
	return client, path, nil
}
