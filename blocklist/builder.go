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
	buf   []byte          // one encoded entry
	names [dnsname.MaxText + 2]byte
}

func newBuilder(seed maphash.Seed) *builder {
	return &builder{set: set{seed: seed}}
}

// addName adds a rule for name; flags holds flagExact, flagBelow or both.
func (b *builder) addName(name dnsname.Name, flags uint8, info string) error {
	text := b.names[:0]
	if flags&(flagExact|flagBelow) == flagBelow {
		flags |= flagStar
		text = append(text, "*."...)
	}
	b.set.depths |= depthBit(name.Labels())
	return b.add(flags, name.AppendText(text), info)
}

// addAddr adds an address.
func (b *builder) addAddr(addr netip.Addr, info string) error {
	return b.add(flagAddr, addrText(b.names[:0], addr), info)
}

func (b *builder) add(flags uint8, text []byte, info string) error {
	if info != "" {
		flags |= flagInfo
		info = info[:min(len(info), maxInfo)]
	}
	b.buf = appendLen(append(b.buf[:0], flags), len(text))
	b.buf = append(b.buf, text...)
	if info != "" {
		b.buf = append(appendLen(b.buf, len(info)), info...)
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
// for the same key become one that matches what each of them matched, with
// the info of the first that has any.
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
	return &b.set, nil
}

func (b *builder) insert(e entry, offset uint32) error {
	s := &b.set
	h, err := b.hash(&e)
	if err != nil {
		return err
	}
	i, tag := home(h, len(s.tags))
	for s.tags[i] != 0 {
		if s.tags[i] == tag {
			old := b.entry(s.slots[i])
			if old.flags&flagAddr == e.flags&flagAddr && old.key() == e.key() {
				return b.merge(i, old, e)
			}
		}
		if i++; i == len(s.tags) {
			i = 0
		}
	}
	s.tags[i], s.slots[i] = tag, offset
	if e.flags&flagAddr != 0 {
		s.addrs++
	} else {
		s.names++
	}
	return nil
}

// merge puts what old and e say together into slot i.
func (b *builder) merge(i int, old, e entry) error {
	const scope = flagExact | flagBelow | flagAddr
	flags := (old.flags | e.flags) & scope
	// Only what every entry wants to be observed is.
	flags |= old.flags & e.flags & flagObserve
	info := old.info
	if info == "" {
		info = e.info
	}
	if flags == old.flags&(scope|flagObserve) && info == old.info {
		return nil
	}
	text := make([]byte, 0, len(old.text)+2)
	if flags&scope == flagBelow {
		flags |= flagStar
		text = append(text, "*."...)
	}
	text = append(text, old.key()...)
	if err := b.add(flags, text, info); err != nil {
		return err
	}
	at := b.open.Len() - len(b.buf)
	b.set.slots[i] = uint32(len(b.set.blocks))<<blockBits | uint32(at)
	return nil
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
		return maphash.String(b.set.seed, e.text), nil
	}
	name, err := dnsname.AppendParse(b.names[:0], e.key())
	if err != nil {
		return 0, err // our own text: it was a Name when it was added
	}
	return maphash.Bytes(b.set.seed, name), nil
}
