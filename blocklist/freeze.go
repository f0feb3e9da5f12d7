package blocklist

import (
	"encoding/binary"
	"io"
	"runtime"
	"slices"
)

const (
	// mapFrom is the size from which a set's arrays go to a file and are mapped.
	// Below it, a page of its own for each array would cost more than it saves.
	mapFrom = 256 << 10
	// maxBucket is how many different keys one bucket may have. By chance, one
	// of a billion names has no more than 40.
	maxBucket = 128
)

// freeze makes the set; the builder is done. Entries for the same key that
// want the same become one that matches what each of them matched, with the
// info of the first that has any; fold has the others.
func (b *builder) freeze() (*set, error) {
	defer b.close()
	if b.held+int(b.spill.size) >= mapFrom && b.shop.dir != "" {
		if s, err := b.freezeToFile(); err == nil || !isDiskError(err) {
			return s, err
		}
		// The notes are all still there: a disk that fails must not keep good
		// data from serving.
	}
	s := b.blank()
	var data appender
	if err := b.build(s, &data); err != nil {
		return nil, err
	}
	s.data = slices.Clip(data)
	if cap(data) > len(data)+len(data)/8 {
		s.data = slices.Clone(data)
	}
	s.recent = newRecent(s.names + s.addrs)
	return s, nil
}

// appender is an io.Writer into memory.
type appender []byte

func (a *appender) Write(b []byte) (int, error) {
	*a = append(*a, b...)
	return len(b), nil
}

// blank is a set with all tables empty and no data.
func (b *builder) blank() *set {
	s := b.set
	s.buckets = uint64(max(1, b.count/(perBucket*partitions))) * partitions
	s.filter = make([]byte, 8*s.buckets)
	s.offsets = make([]byte, 4*s.buckets+4)
	return &s
}

// build fills the tables of s and writes its data.
func (b *builder) build(s *set, w io.Writer) error {
	per := int(s.buckets) / partitions
	b.dropped = 0
	c := compiler{b: b, set: s, starts: make([]uint32, per+1)}
	size := 0
	for i := range b.parts {
		var err error
		if c.notes, err = b.load(c.notes[:0], &b.parts[i]); err != nil {
			return diskError{err}
		}
		c.out = c.out[:0]
		if err := c.partition(i*per, per, size); err != nil {
			return err
		}
		if size += len(c.out); size > b.maxData {
			return errFull
		}
		if _, err := w.Write(c.out); err != nil {
			return diskError{err}
		}
		if c.breather += len(c.notes); c.breather > breatherEvery {
			c.breather = 0
			runtime.Gosched() // queries first, on a machine with one processor
		}
	}
	binary.LittleEndian.PutUint32(s.offsets[4*s.buckets:], uint32(size))
	s.locals, s.patterns = b.locals.all, newPatterns(b.patterns)
	for _, p := range b.patterns {
		if p.Own.passes() {
			s.passes++
		}
	}
	return nil
}

const breatherEvery = 256 << 10

// compiler builds one partition after the other.
type compiler struct {
	b        *builder
	set      *set
	notes    []byte
	starts   []uint32 // of each bucket of the partition, in order
	order    []uint32 // where the notes are, by bucket and then as they came
	keys     []keyed  // of one bucket
	out      []byte
	breather int
}

// keyed is what a bucket has for one key.
type keyed struct {
	hash uint64
	addr bool
	key  []byte
	says folded
}

// partition compiles what is in c.notes into c.out: the buckets first to
// first+per, whose data begin at base.
func (c *compiler) partition(first, per, base int) error {
	clear(c.starts)
	n := 0
	for at := 0; at < len(c.notes); n++ {
		h, _, size := readNote(c.notes[at:])
		c.starts[int(bucketOf(h, c.set.buckets))-first+1]++
		at += size
	}
	for i := range per {
		c.starts[i+1] += c.starts[i]
	}
	c.order = slices.Grow(c.order[:0], n)[:n]
	for at := 0; at < len(c.notes); {
		h, _, size := readNote(c.notes[at:])
		i := int(bucketOf(h, c.set.buckets)) - first
		c.order[c.starts[i]] = uint32(at)
		c.starts[i]++ // ends where the next one begins
		at += size
	}
	from := uint32(0)
	for i := range per {
		at := first + i
		binary.LittleEndian.PutUint32(c.set.offsets[4*at:], uint32(base+len(c.out)))
		if err := c.gather(c.order[from:c.starts[i]]); err != nil {
			return err
		}
		from = c.starts[i]
		var filter uint64
		for k := range c.keys {
			filter |= maskOf(c.keys[k].hash)
			for j := range c.keys[k].says.n {
				c.write(&c.keys[k], c.keys[k].says.e[j], c.keys[k].says.n == 2)
			}
		}
		binary.LittleEndian.PutUint64(c.set.filter[8*at:], filter)
	}
	return nil
}

// gather folds the notes of one bucket by their keys.
func (c *compiler) gather(notes []uint32) error {
	c.keys = c.keys[:0]
next:
	for _, at := range notes {
		h, f, _ := readNote(c.notes[at:])
		c.b.folding = f.key
		addr := f.flags&flagAddr != 0
		for i := range c.keys {
			k := &c.keys[i]
			if k.hash == h && k.addr == addr && string(k.key) == string(f.key) {
				c.b.fold(&k.says, f.entry())
				continue next
			}
		}
		if len(c.keys) == maxBucket {
			return errCrowded
		}
		k := keyed{hash: h, addr: addr, key: f.key}
		c.b.fold(&k.says, f.entry())
		c.keys = append(c.keys, k)
	}
	return nil
}

// write appends an entry and counts it.
func (c *compiler) write(k *keyed, e entry, split bool) {
	flags := e.flags & (flagScope | flagAddr | flagObserve | flagURL)
	if split {
		flags |= flagSplit
	}
	if e.info != "" {
		flags |= flagInfo
	}
	if e.own != 0 {
		flags |= flagOwn
	}
	c.out = append(c.out, tagOf(k.hash), flags)
	if e.own != 0 {
		c.out = append(c.out, byte(e.own))
		if e.own.policy() == LocalData {
			c.out = appendLen(c.out, int(e.local))
		}
	}
	c.out = append(c.out, k.key...)
	if e.info != "" {
		c.out = append(appendLen(c.out, len(e.info)), e.info...)
	}
	if k.addr {
		c.set.addrs++
	} else {
		c.set.names++
	}
	if e.own.passes() {
		c.set.passes++
	}
}
