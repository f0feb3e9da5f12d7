package alert

import (
	"slices"
	"time"
)

// slots is how many parts a window moves in.
const slots = 10

// window counts the events of one key until there are enough. Its times are the
// data's.
type window struct {
	Last   int64            `json:"last"`             // Unix nanoseconds of the latest event
	Base   int64            `json:"base,omitempty"`   // number of the newest slot
	Counts [slots]uint32    `json:"counts,omitzero"`  // by slot number modulo slots
	Names  map[string]int64 `json:"names,omitempty"`  // for distinct: when each was last met
	Events []Event          `json:"events,omitempty"` // the latest few
}

// add counts an event and returns how many there are within the window.
func (w *window) add(at time.Time, window time.Duration) int {
	width := max(int64(window)/slots, 1)
	slot := at.UnixNano() / width
	w.Last = max(w.Last, at.UnixNano())
	switch {
	case slot <= w.Base-slots: // older than all that is kept
	case slot > w.Base:
		for s := max(w.Base+1, slot-slots+1); s <= slot; s++ {
			w.Counts[mod(s)] = 0
		}
		w.Base = slot
		fallthrough
	default:
		if w.Counts[mod(slot)] < maxCount {
			w.Counts[mod(slot)]++
		}
	}
	total := 0
	for _, n := range w.Counts {
		total += int(n)
	}
	return total
}

func mod(s int64) int64 { return (s%slots + slots) % slots }

// addName counts a name and returns how many different ones there are within the
// window.
func (w *window) addName(name string, at time.Time, window time.Duration) int {
	if w.Names == nil {
		w.Names = map[string]int64{}
	}
	w.Last = max(w.Last, at.UnixNano())
	w.Names[name] = max(w.Names[name], at.UnixNano())
	for n, last := range w.Names {
		if w.Last-last > int64(window) {
			delete(w.Names, n)
		}
	}
	return len(w.Names)
}

// maxEvents is how many events an alert shows.
const maxEvents = 10

// keep appends an event and lets the oldest go.
func keep(events []Event, e Event) []Event {
	if len(events) >= maxEvents {
		events = slices.Delete(events, 0, len(events)-maxEvents+1)
	}
	return append(events, e)
}

// memory is what is remembered of the keys of one rule: a bounded map of which
// those that were not met for longest go.
type memory[V any] struct {
	max  int
	all  map[string]V
	last func(V) int64
}

// room makes some for a new key and says how many were forgotten before their
// time. An eighth goes at once, so that it costs little.
func (m *memory[V]) room(before int64) (forgotten int) {
	if len(m.all) < m.max {
		return 0
	}
	for k, v := range m.all {
		if m.last(v) < before {
			delete(m.all, k)
		}
	}
	if len(m.all) < m.max {
		return 0
	}
	ages := make([]int64, 0, len(m.all))
	for _, v := range m.all {
		ages = append(ages, m.last(v))
	}
	slices.Sort(ages)
	limit := ages[len(ages)/8]
	for k, v := range m.all {
		if m.last(v) <= limit {
			delete(m.all, k)
			forgotten++
		}
	}
	return forgotten
}
