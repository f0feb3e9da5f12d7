package blocklist

import (
	"encoding/binary"
	"errors"
	"net/netip"

	"github.com/weirdns/weir/internal/dnsname"
)

// maxInfo bounds the info string of one entry, in octets.
const maxInfo = 256

var (
	errFull = errors.New("more entries than one list can hold")
	// errCrowded: the hash is keyed, so no list of names comes about that way by
	// chance; and a lookup reads its whole bucket.
	errCrowded = errors.New("too many different names in one place of the table")
)

// workshop is where sets are built: what their hashes are keyed with, so that
// one hash serves all lists, and the folder for what does not fit into memory
// meanwhile.
type workshop struct {
	seed uint64
	dir  string // "": build in memory, whatever it takes
}

// builder makes a set. Entries are noted one after the other in the partition
// of the hash space where they belong, and a partition that grows goes to a
// file: what a build needs at its peak is a few megabytes, however long the
// list is. freeze then builds the partitions one by one.
type builder struct {
	shop  workshop
	set   set
	parts [partitions]part
	free  [][]byte // chunks that are in the file now, for other notes
	spill spill
	held  int // octets of notes in memory
	count int // entries added, doubles included
	// locals are the answers of LocalData entries; dropped counts addresses'
	// lines that found no room in one.
	locals   locals
	dropped  int
	onDrop   func(key []byte, local uint16) // for whoever wants to know which, may be nil
	folding  []byte                         // the key that entries are folded for
	buf      []byte                         // one note
	patterns []*pattern
	// limits, for tests to lower.
	spillFrom, maxPart, maxData int
}

const (
	// chunkSize is how much of a partition is kept together.
	chunkSize = 16 << 10
	// spillFrom is how many octets of notes are held before they go to a file.
	spillFrom = 4 << 20
	// maxPart bounds one partition, which is built in memory. With 64 of them, a
	// list of 60 million names fits; one that says the same name as often does not.
	maxPart = 48 << 20
	// maxData is what 32 bit offsets can address.
	maxData = 1<<32 - 1
)

func newBuilder(shop workshop) *builder {
	return &builder{shop: shop, set: set{seed: shop.seed}, spillFrom: spillFrom, maxPart: maxPart, maxData: maxData}
}

// addName adds a rule for name; flags holds flagExact, flagBelow or both.
func (b *builder) addName(name dnsname.Name, flags uint8, info string) error {
	return b.addOwn(name, entry{flags: flags, info: info})
}

// addOwn is addName for an entry with a mind of its own.
func (b *builder) addOwn(name dnsname.Name, e entry) error {
	b.set.depths |= depthBit(name.Labels())
	b.buf = noteHead(b.buf[:0], hashName(b.set.seed, name), e.flags&(flagScope|flagObserve|flagURL), &e)
	b.buf = appendKey(b.buf, name)
	return b.note(e.info)
}

// addNetwork adds a network of that kind; a single address is one of full length.
func (b *builder) addNetwork(kind byte, p netip.Prefix, e entry) error {
	if kind == clientNetwork {
		b.set.clients.add(p)
	} else {
		b.set.answers.add(p)
	}
	var buf [maxNetworkKey]byte
	key := appendNetwork(buf[:0], kind, p.Addr(), p.Bits())
	b.buf = noteHead(b.buf[:0], hashNetwork(b.set.seed, key), flagAddr|e.flags&flagObserve, &e)
	b.buf = append(b.buf, key...)
	return b.note(e.info)
}

// A note is an entry on its way to the set: the hash, and then what the set
// has, but own and local always, with the length of the info at the end.

// noteHead begins a note.
func noteHead(dst []byte, h uint64, flags uint8, e *entry) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, h)
	dst = append(dst, flags, byte(e.own))
	return binary.LittleEndian.AppendUint16(dst, e.local)
}

const noteHeadSize = 8 + 1 + 1 + 2

// readNote reads the note at the front of b. Its key and info share memory with it.
func readNote(b []byte) (h uint64, f found, size int) {
	h = binary.LittleEndian.Uint64(b)
	f.flags, f.own, f.local = b[8], own(b[9]), binary.LittleEndian.Uint16(b[10:])
	n := noteHeadSize + keyLen(b[noteHeadSize:], f.flags)
	f.key = b[noteHeadSize:n]
	l, w := readLen(b[n:])
	f.info = b[n+w : n+w+l]
	return h, f, n + w + l
}

// note ends the note in b.buf and puts it into its partition.
func (b *builder) note(info string) error {
	info = info[:min(len(info), maxInfo)]
	b.buf = append(appendLen(b.buf, len(info)), info...)
	p := &b.parts[binary.LittleEndian.Uint64(b.buf)>>(64-partitionBits)]
	if p.size+len(b.buf) > b.maxPart {
		return errFull
	}
	b.count++
	b.held += len(b.buf)
	b.append(p, b.buf)
	if b.held >= b.spillFrom && b.spill.usable(b.shop) {
		b.spillAll()
	}
	return nil
}

// part is the notes of one partition: those in the spill file first.
type part struct {
	size    int // of all
	spilled []segment
	chunks  [][]byte
}

// append adds a note to p. A note is never cut in two.
func (b *builder) append(p *part, note []byte) {
	p.size += len(note)
	if n := len(p.chunks); n > 0 {
		last := p.chunks[n-1]
		// The first chunk grows, since most lists are short.
		if len(last)+len(note) <= cap(last) || n == 1 && len(last)+len(note) <= chunkSize {
			p.chunks[n-1] = append(last, note...)
			return
		}
		var c []byte
		if last := len(b.free) - 1; last >= 0 {
			c, b.free = b.free[last], b.free[:last]
		} else {
			c = make([]byte, 0, chunkSize)
		}
		p.chunks = append(p.chunks, append(c, note...))
		return
	}
	p.chunks = append(p.chunks, append([]byte(nil), note...))
}

// spillAll moves what is in memory to the file. If that fails, it stays.
func (b *builder) spillAll() {
	for i := range b.parts {
		p := &b.parts[i]
		for n, c := range p.chunks {
			seg, err := b.spill.write(c)
			if err != nil {
				p.chunks = p.chunks[n:]
				return // the disk is full: go on in memory
			}
			b.held -= len(c)
			p.spilled = append(p.spilled, seg)
			if n == 0 {
				p.chunks[0] = c[:0]
			} else {
				b.free = append(b.free, c[:0])
			}
		}
		p.chunks = p.chunks[:min(len(p.chunks), 1)]
	}
}

// load appends all notes of a partition to dst.
func (b *builder) load(dst []byte, p *part) ([]byte, error) {
	for _, seg := range p.spilled {
		n := len(dst)
		dst = append(dst, make([]byte, seg.size)...)
		if err := b.spill.read(dst[n:], seg); err != nil {
			return nil, err
		}
	}
	for _, c := range p.chunks {
		dst = append(dst, c...)
	}
	return dst, nil
}

// close releases what the build took, for whoever ends it before freeze or after.
func (b *builder) close() { b.spill.close() }
