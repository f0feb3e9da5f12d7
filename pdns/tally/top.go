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
	at          int    // in the heap
}

func newTop() *top { return &top{all: map[string]*counter{}} }

func (t *top) add(key []byte) {
	if c, ok := t.all[string(key)]; ok {
		c.count++
		heap.Fix(&t.heap, c.at)
		return
	}
	if len(t.heap) < counters {
		c := &counter{key: string(key), count: 1}
		t.all[c.key] = c
		heap.Push(&t.heap, c)
		return
	}
	c := t.heap[0]
	delete(t.all, c.key)
	c.key, c.over = string(key), c.count
	c.count++
	t.all[c.key] = c
	heap.Fix(&t.heap, 0)
}

// byCount is a heap with the smallest count in front.
type byCount []*counter

func (h byCount) Len() int           { return len(h) }
func (h byCount) Less(i, j int) bool { return h[i].count < h[j].count }
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
