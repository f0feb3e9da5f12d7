package store

import "time"

// foldWindow is the stretch of the data's time for which new keys are counted.
const foldWindow = int64(time.Hour / time.Second)

// maxFoldZones bounds the domains that are counted at a time. When it is
// reached the counting begins anew: a flood over that many domains is no flood
// of one.
const maxFoldZones = 1 << 16

// folder bounds how many new keys a domain may bring.
type folder struct {
	max    int
	window int64
	seen   map[string]int
}

// take counts a new key of zone at the time of its data, and says whether it may
// be kept as it is.
func (f *folder) take(kind byte, zone string, at int64) bool {
	if w := at / foldWindow; w != f.window || len(f.seen) >= maxFoldZones {
		f.window = w
		f.seen = map[string]int{}
	}
	key := string(kind) + zone
	f.seen[key]++
	return f.seen[key] <= f.max
}
