package behaviour

import (
	"math"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/weirdns/weir/detect"
)

// beaconKey is a client and a name, by hash.
type beaconKey struct {
	client netip.Addr
	name   uint64
}

// beacon is when a client asked for a name.
type beacon struct {
	last      int64 // Unix seconds
	count     int32
	intervals [beaconIntervals]int32 // seconds, the latest; a ring
	ttl       uint32                 // the longest that was seen
}

const (
	beaconIntervals = 32
	// What comes within this time is one event: A and AAAA, a second try.
	beaconSame = 5
	// Nearer than this, relative, to the TTL it is a cache that asks anew.
	beaconTTLShare = 0.1
)

// beacons follows when a client asks for names of domains that were new here when
// it began: of those that a site knows, hundreds are asked for by the clock.
func (w *Watcher) beacons(e *event) {
	if e.registered == nil || !e.said.exists && !e.said.missing || w.deps.Popular(e.registered) {
		return
	}
	key := beaconKey{e.client, w.hash(e.Query.Name)}
	b := w.timers.get(key)
	if b == nil {
		if !w.begins(e) {
			return
		}
		b, _ = w.timers.put(key)
		b.last, b.ttl = e.at, e.said.ttl
		return
	}
	b.ttl = max(b.ttl, e.said.ttl)
	past := e.at - b.last
	if past < beaconSame {
		return
	}
	b.intervals[b.count%beaconIntervals] = int32(min(past, math.MaxInt32))
	b.count, b.last = min(b.count, math.MaxInt32-1)+1, e.at
	if int(b.count) < w.cfg.Beacons.Intervals {
		return
	}
	score, median := b.regular()
	if score < w.cfg.Beacons.Score || time.Duration(median)*time.Second < w.cfg.Beacons.Least ||
		math.Abs(float64(median)-float64(b.ttl)) <= beaconTTLShare*float64(median) {
		return
	}
	level := detect.LevelLow
	if e.Verdict.Unscored == detect.Scored && e.Verdict.Level >= detect.LevelLow || isDynamic(e.registered) {
		level = detect.LevelMedium
	}
	facts := append([]detect.Fact{
		{Key: "period", Value: (time.Duration(median) * time.Second).String()},
		{Key: "score", Value: strconv.FormatFloat(score, 'f', 2, 64)},
		{Key: "intervals", Value: strconv.Itoa(int(b.count))},
		{Key: "ttl", Value: strconv.FormatUint(uint64(b.ttl), 10)},
	}, e.marks()...)
	w.tell(detect.Beacon, level, e.Query.Time, e.client, e.Query.Name, facts...)
}

// regular says how regular the intervals are, 0 to 1, and their median: the mean
// of 1 less Bowley's skew and 1 less the median absolute deviation over the
// median, as RITA does.
func (b *beacon) regular() (score float64, median int32) {
	n := min(int(b.count), beaconIntervals)
	var buf [beaconIntervals]int32
	sorted := buf[:copy(buf[:], b.intervals[:n])]
	slices.Sort(sorted)
	low, median, high := sorted[n/4], sorted[n/2], sorted[n*3/4]
	skew := 0.0
	if high > low {
		skew = math.Abs(float64(low)+float64(high)-2*float64(median)) / float64(high-low)
		if float64(high-low) < 0.05*float64(median) {
			skew = 0 // a second or so more or less has no direction
		}
	}
	var off [beaconIntervals]int32
	for i, v := range sorted {
		off[i] = max(v-median, median-v)
	}
	slices.Sort(off[:n])
	spread := min(1, float64(off[n/2])/float64(max(median, 1)))
	return (1 - skew + 1 - spread) / 2, median
}
