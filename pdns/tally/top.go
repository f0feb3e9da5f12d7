package tally

import "container/heap"

// top counts keys with a bounded number of counters (the "space saving" method
// of Metwally, Agrawal and El Abbadi): a key that finds no counter takes over
// the smallest, with its count, so no key that is among the busiest is missing,
// and none counts lower than it ought to.
type top struct {
	all  map[string]*counter
	heap byCount
}

type counter struct {
	key         string
	count, over uint64 // over: how much of count may be other keys'
	placed      uint64 // the count that it has its place in the heap for
	at          int    // in the heap
}

func newTop() *top { return &top{all: map[string]*counter{}} }

func (t *top) add(key []byte) {
	if c, ok := t.all[string(key)]; ok {
		c.count++ // its place is looked at when it is asked for
		return
	}
	if len(t.heap) < counters {
		c := &counter{key: string(key), count: 1, placed: 1}
		t.all[c.key] = c
		heap.Push(&t.heap, c)
		return
	}
	c := t.least()
	delete(t.all, c.key)
	c.key, c.over = string(key), c.count
	c.count++
	t.all[c.key] = c
}

// least is the counter with the smallest count, which stands in front of the
// heap. Places are for counts of some time ago, and counts only grow: the one in
// front is the least once its place is for its count of now.
func (t *top) least() *counter {
	for {
		c := t.heap[0]
		if c.placed == c.count {
			return c
		}
		c.placed = c.count
		heap.Fix(&t.heap, 0)
	}
}

// byCount is a heap with the smallest count in front, as placed.
type byCount []*counter

func (h byCount) Len() int           { return len(h) }
func (h byCount) Less(i, j int) bool { return h[i].placed < h[j].placed }
func (h byCount) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].at, h[j].at = i, j
}
func (h *byCount) Push(x any) {
	c := x.(*counter)
	c.at = len(*h)
	*h = append(*h, c)
}
func (h *byCount) Pop() any {
	c := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return c
}
