package blocklist

import (
	"errors"
	"hash/maphash"
	"net/netip"
	"strings"

	"github.com/weirdns/weir/internal/dnsname"
)

// maxInfo bounds the info string of one entry, in octets.
const maxInfo = 256

var errFull = errors.New("more entries than one list can hold")

// builder makes a set. Entries go straight into the arena and the table is
// made at the end, when their number is known: what a build needs at its peak
// is what the set needs afterwards and a block or two.
type builder struct {
	set   set
	open  strings.Builder // the block being filled
	count int             // entries added, doubles included
	owns  bool            // some entry has a mind of its own
	// locals are the answers of LocalData entries; dropped counts addresses'
	// lines that found no room in one.
	locals  locals
	dropped int
	buf     []byte // one encoded entry
	names   [dnsname.MaxText + 2]byte
}

func newBuilder(seed maphash.Seed) *builder {
	return &builder{set: set{seed: seed}}
}

// addName adds a rule for name; flags holds flagExact, flagBelow or both.
func (b *builder) addName(name dnsname.Name, flags uint8, info string) error {
	return b.addOwn(name, entry{flags: flags, info: info})
}

// addOwn is addName for an entry with a mind of its own; e has no text yet.
func (b *builder) addOwn(name dnsname.Name, e entry) error {
	b.set.depths |= depthBit(name.Labels())
	e.flags = e.flags &^ flagStar
	return b.add(e, name.AppendText(b.names[:0]))
}

// addAddr adds an address; e has neither scope nor text.
func (b *builder) addAddr(addr netip.Addr, e entry) error {
	e.flags = flagAddr
	return b.add(e, addrText(b.names[:0], addr))
}

// add appends e, whose text is made of its key.
func (b *builder) add(e entry, key []byte) error {
	e.flags &= flagScope | flagAddr | flagObserve | flagSplit
	if e.flags&(flagScope|flagAddr) == flagBelow {
		e.flags |= flagStar
	}
	if e.info != "" {
		e.flags |= flagInfo
		e.info = e.info[:min(len(e.info), maxInfo)]
	}
	if e.own != 0 {
		e.flags |= flagOwn
		b.owns = true
	}
	b.buf = append(b.buf[:0], e.flags)
	if e.own != 0 {
		b.buf = append(b.buf, byte(e.own))
		if e.own.policy() == LocalData {
			b.buf = appendLen(b.buf, int(e.local))
		}
	}
	var mark string
	switch star := e.flags&flagStar != 0; {
	case e.own.passes() && star:
		mark = passMark + starMark
	case e.own.passes():
		mark = passMark
	case star:
		mark = starMark
	}
	b.buf = appendLen(b.buf, len(mark)+len(key))
	b.buf = append(b.buf, mark...)
	b.buf = append(b.buf, key...)
	if e.info != "" {
		b.buf = append(appendLen(b.buf, len(e.info)), e.info...)
	}
	if b.open.Len()+len(b.buf) > blockSize {
		if err := b.seal(); err != nil {
			return err
		}
		b.open.Grow(blockSize) // a list that fills one block is likely to fill another
	}
	b.open.Write(b.buf)
	b.count++
	return nil
}

// seal closes the open block.
func (b *builder) seal() error {
	if len(b.set.blocks) == maxBlocks-1 {
		return errFull
	}
	block := b.open.String()
	if b.open.Cap() > len(block)+len(block)/16 {
		block = strings.Clone(block)
	}
	b.set.blocks = append(b.set.blocks, block)
	b.open = strings.Builder{}
	return nil
}

// freeze makes the table and gives the set away; the builder is done. Entries
// for the same key that want the same become one that matches what each of them
// matched, with the info of the first that has any; settle has the others.
func (b *builder) freeze() (*set, error) {
	if err := b.seal(); err != nil {
		return nil, err
	}
	// Three quarters full: with tags, a longer probe costs next to nothing.
	size := b.count + b.count/3 + 1
	b.set.tags = make([]uint8, size)
	b.set.slots = make([]uint32, size)
	for block, text := range b.set.blocks { // merged entries go to blocks behind these
		for at := 0; at < len(text); {
			e, n := readEntry(text[at:])
			if err := b.insert(e, uint32(block)<<blockBits|uint32(at)); err != nil {
				return nil, err
			}
			at += n
		}
	}
	if b.open.Len() > 0 {
		if err := b.seal(); err != nil {
			return nil, err
		}
	}
	b.set.locals = b.locals.all
	if b.owns {
		for e := range b.set.all {
			if e.own.passes() {
				b.set.passes++
			}
		}
	}
	return &b.set, nil
}

func (b *builder) insert(e entry, offset uint32) error {
	h, err := b.hash(&e)
	if err != nil {
		return err
	}
	i, ok := b.probe(h, &e, 0)
	switch {
	case !ok:
		b.place(h, i, &e, offset)
		return nil
	case e.flags&flagAddr == 0:
		if old := b.entry(b.set.slots[i]); old.flags&flagSplit != 0 || !b.join(&old, &e) {
			return b.settle(h, i, b.entry(b.set.slots[i]), e)
		}
	}
	return b.merge(i, b.entry(b.set.slots[i]), e)
}

// probe finds the slot of an entry with e's key, and that scope if one is
// given, or the free slot where the search ends.
func (b *builder) probe(h uint64, e *entry, scope uint8) (i int, ok bool) {
	s := &b.set
	i, tag := home(h, len(s.tags))
	for s.tags[i] != 0 {
		if s.tags[i] == tag {
			old := b.entry(s.slots[i])
			if old.flags&flagAddr == e.flags&flagAddr && old.key() == e.key() && (scope == 0 || old.flags&scope != 0) {
				return i, true
			}
		}
		if i++; i == len(s.tags) {
			i = 0
		}
	}
	return i, false
}

// place takes a free slot. There is one for each entry that was added, and a
// key takes two only where it was added twice.
func (b *builder) place(h uint64, i int, e *entry, offset uint32) {
	s := &b.set
	_, tag := home(h, len(s.tags))
	s.tags[i], s.slots[i] = tag, offset
	if e.flags&flagAddr != 0 {
		s.addrs++
	} else {
		s.names++
	}
}

// entry is set.entry, for merged entries in the open block too.
func (b *builder) entry(slot uint32) entry {
	block, at := int(slot>>blockBits), slot&(blockSize-1)
	if block == len(b.set.blocks) {
		e, _ := readEntry(b.open.String()[at:])
		return e
	}
	return b.set.entry(slot)
}

// hash is what lookups compute: of a name its wire form, of an address its text.
func (b *builder) hash(e *entry) (uint64, error) {
	if e.flags&flagAddr != 0 {
		return maphash.String(b.set.seed, e.key()), nil
	}
	name, err := dnsname.AppendParse(b.names[:0], e.key())
	if err != nil {
		return 0, err // our own text: it was a Name when it was added
	}
	return maphash.Bytes(b.set.seed, name), nil
}
